"""The part of a schedule's form that settles one topic."""

from collections.abc import Mapping
from typing import Any

from django import forms


class PolicySection(forms.Form):
    """The choices of one topic of `reviews.policies`, as a part of the form of a schedule.

    The subclass says its `topic`, a `heading`, and its fields; where they are not the topic's members one to one it
    also overrides `initial_of` and `to_policy`.
    """

    topic = ""
    heading = ""
    template = "reviews/_policy_section.html"

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        """What the fields show for a topic as it is kept; `policy` is complete."""
        return dict(policy)

    def to_policy(self) -> dict[str, Any]:
        """The valid fields as the topic's members."""
        return dict(self.cleaned_data)
