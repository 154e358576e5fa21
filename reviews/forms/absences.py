"""Naming who answers while somebody is away."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms

from governance.people.models import User
from identities.models import Source
from reviews.forms.fields import MomentField, PersonField
from reviews.models import Campaign
from reviews.selectors import UNDECIDED
from reviews.states import CampaignState

MOST_OFFERED = 50


class AbsenceForm(forms.Form):
    """Who stands in from one day until another. `person` is only asked from whoever may act for others."""

    person = PersonField(
        label="Who is away?",
        required=False,
        max_length=254,
        help_text="Empty means you. For somebody else, say why.",
    )
    delegate = PersonField(
        label="Who answers?",
        max_length=254,
        help_text="Their name or e-mail address.",
    )
    starts_at = forms.DateField(label="From", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    ends_at = MomentField(
        label="Until and including",
        help_text="Days begin and end at midnight, UTC.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    campaigns = forms.MultipleChoiceField(
        label="Only these reviews", required=False, widget=forms.CheckboxSelectMultiple
    )
    sources = forms.MultipleChoiceField(label="Only these sources", required=False, widget=forms.CheckboxSelectMultiple)
    reason = forms.CharField(label="Reason", required=False, max_length=1000)

    def __init__(self, data: Any, *, me: User, acts_for_others: bool, today: datetime) -> None:
        super().__init__(data, initial={"starts_at": today.date()})
        self.me, self.now = me, today
        if not acts_for_others:
            del self.fields["person"]
        campaigns = Campaign.objects.filter(state=CampaignState.OPEN)
        sources = Source.objects.order_by("name", "pk")
        if not acts_for_others:
            # What the person is asked about now; whoever wants to name anything else leaves both empty.
            mine = {"items__assignee": me, "items__state__in": UNDECIDED}
            campaigns = campaigns.filter(**mine).distinct()
            sources = sources.filter(
                identities__review_items__assignee=me,
                identities__review_items__state__in=UNDECIDED,
                identities__review_items__campaign__state=CampaignState.OPEN,
            ).distinct()
        self._offer("campaigns", campaigns.order_by("deadline_at", "pk"))
        self._offer("sources", sources)

    def _offer(self, name: str, rows: Any) -> None:
        choices = [(str(row.pk), row.name) for row in rows[:MOST_OFFERED]]
        if len(choices) < 2:
            # One or none: narrowing to it would say nothing.
            del self.fields[name]
        else:
            self.fields[name].choices = choices  # type: ignore[attr-defined]

    def clean_starts_at(self) -> datetime:
        return datetime.combine(self.cleaned_data["starts_at"], time.min, UTC)

    def wish(self) -> dict[str, Any]:
        """The valid form as the arguments of `create_delegation`."""
        data = self.cleaned_data
        return {
            "person": data.get("person") or self.me,
            "delegate": data["delegate"],
            "starts_at": data["starts_at"],
            "ends_at": data["ends_at"],
            "campaigns": data.get("campaigns", []),
            "sources": data.get("sources", []),
            "reason": data["reason"],
        }
