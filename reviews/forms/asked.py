"""Who is asked: the three fields that everything which opens reviews has in common."""

from typing import Any

from django import forms

from governance.people.models import User
from reviews.models import ReviewerRule


class AskedForm(forms.Form):
    """The rules by which people are asked, who is asked in the end, and who decides on privileged access."""

    reviewer_rules = forms.MultipleChoiceField(
        label="Who is asked, in this order",
        choices=ReviewerRule.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="The first one who is there and may answer. The fallback reviewer ends the list.",
    )
    fallback_reviewer = forms.ModelChoiceField(queryset=User.objects.none(), empty_label="Choose a person")
    independent_reviewer = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        empty_label="Whoever is free to decide",
        help_text="Decides on privileged access after the owner attested.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = User.objects.filter(is_active=True, left_at=None).order_by("name", "email")
        for name in ("fallback_reviewer", "independent_reviewer"):
            self.fields[name].queryset = people  # type: ignore[attr-defined]
