"""Deciding about what a brake holds, and what a source may spend."""

from django import forms

from governance.web.forms import PanelForm
from identities.models import Source


class ReasonForm(PanelForm):
    """Why held orders are released, or dropped."""

    reason = forms.CharField(label="Why?", max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))


class BudgetForm(PanelForm):
    """A source's own number of orders per hour."""

    source = forms.ModelChoiceField(queryset=Source.objects.none(), to_field_name="slug", empty_label="Choose a source")
    per_hour = forms.IntegerField(
        label="Changes per hour",
        required=False,
        min_value=0,
        max_value=1_000_000,
        help_text="0 means no limit. Empty goes back to the setting.",
    )
    reason = forms.CharField(label="Why?", max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = Source.objects.order_by("name")  # type: ignore[attr-defined]
