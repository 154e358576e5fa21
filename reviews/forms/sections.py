"""A topic of a review's rules as a part of the form of a schedule."""

from collections.abc import Mapping
from typing import Any

from django import forms


class PolicySection(forms.Form):
    """The choices of one topic of `reviews.policies`, as a part of the form of a schedule.

    The subclass says its `topic`, a `heading`, and its fields; where they are not the topic's members one to one it
    also overrides `initial_of` and `to_policy`. Sections that stand at their defaults are folded away, unless
    `is_always_open`.
    """

    topic = ""
    heading = ""
    template = "reviews/_policy_section.html"
    is_always_open = False
    is_touched = False

    @property
    def is_open(self) -> bool:
        """Whether the page shows the section at once: it says something of its own, or something in it is wrong."""
        return self.is_always_open or self.is_touched or bool(self.is_bound and self.errors)

    @classmethod
    def initial_of(cls, policy: Mapping[str, Any]) -> dict[str, Any]:
        """What the fields show for a topic as it is kept; `policy` is complete."""
        return dict(policy)

    def to_policy(self) -> dict[str, Any]:
        """The valid fields as the topic's members."""
        return dict(self.cleaned_data)
