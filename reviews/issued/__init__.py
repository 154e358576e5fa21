"""Access that Remit itself gave on request, as those below the desk need it: how its rows move, and how it ends.

Who may ask, answer and end stands in `reviews.access_requests`. Here are the inner steps that a review's order takes as
well as the desk: both end the same request, and both ask the decision point afterwards.
"""
