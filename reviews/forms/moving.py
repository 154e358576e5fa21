"""Moving everything of one person to another."""

from typing import Any

from django import forms
from django.db.models import Count

from governance.people.models import User
from reviews.forms.fields import PersonField
from reviews.models import Campaign
from reviews.selectors import UNDECIDED


class MoveForm(forms.Form):
    """Whose questions, to whom, and why."""

    person = forms.ModelChoiceField(label="Everything of", queryset=User.objects.none(), empty_label="Choose a person")
    to = PersonField(label="To", max_length=254)
    reason = forms.CharField(label="Why", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, data: Any = None, *, campaign: Campaign, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        waiting = campaign.items.filter(state__in=UNDECIDED)
        counts = dict(waiting.order_by().values_list("assignee").annotate(Count("pk")))
        people = User.objects.filter(pk__in=counts).order_by("name", "email")
        field: Any = self.fields["person"]
        field.queryset = people
        field.label_from_instance = lambda person: f"{person} ({counts[person.pk]} open)"
