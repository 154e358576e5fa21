"""Starting one review now."""

import hashlib
import json
from typing import Any

from django import forms

from reviews.forms.schedules import ScheduleForm
from reviews.models import ItemKind, ReviewerRule

OF_SCHEDULES = ("preset", "rrule", "starts_at", "time_zone", "interval_reason", "version")


class LaunchForm(ScheduleForm):
    """Over what, by whom and until when; what a schedule has beside that is left out.

    `seen` names the plan whose preview the page showed, `key` the page itself, so that sending it twice starts one
    review.
    """

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in OF_SCHEDULES:
            del self.fields[name]

    def draft(self) -> dict[str, Any]:
        """The valid form as the arguments of `launch_campaign`."""
        data = {name: value for name, value in self.cleaned_data.items() if name not in ("seen", "key")}
        lists = {name: tuple(data[name]) for name in ("item_kinds", "reviewer_rules")}
        return data | lists | {"policy": {section.topic: section.to_policy() for section in self.sections}}

    def digest(self) -> str:
        """Names what would be asked; the name of the review may change without another look."""
        plan = {name: value for name, value in self.draft().items() if name != "name"}
        return hashlib.sha256(json.dumps(plan, sort_keys=True, default=_plain).encode()).hexdigest()


def launch_initial() -> dict[str, Any]:
    """What the form shows before anybody typed."""
    return {"item_kinds": [ItemKind.GRANT], "reviewer_rules": [ReviewerRule.OWNER, ReviewerRule.BACKUP]}


def _plain(value: Any) -> str:
    return str(getattr(value, "pk", value))
