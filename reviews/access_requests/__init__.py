"""Access for a purpose and a time: asking, answering, ending, and looking at emergencies afterwards.

Nothing is handed out: what is granted stands in the inventory with its end, the decision point answers by it, and a
request that ended, early or by itself, is refused from the next decision on.
"""

from reviews.access_requests.answering import cancel_request, deny_request, grant_request
from reviews.access_requests.asking import label_of, request_access
from reviews.access_requests.ending import end_access, end_due_access, look_back

__all__ = [
    "cancel_request",
    "deny_request",
    "end_access",
    "end_due_access",
    "grant_request",
    "label_of",
    "look_back",
    "request_access",
]
