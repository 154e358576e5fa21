"""Acknowledging the result of a review, and who may."""

from typing import Any

from django import forms

from reviews.forms.sections import PolicySection


class SigningSection(PolicySection):
    """Whether reviewers of a review may acknowledge it too."""

    topic = "signing"
    heading = "Acknowledgement"

    reviewers_may_sign = forms.BooleanField(
        label="Whoever answered questions may also acknowledge the result",
        required=False,
        help_text="Off: somebody of management who decided nothing in the review has to sign.",
    )

    def to_policy(self) -> dict[str, Any]:
        return {"reviewers_may_sign": bool(self.cleaned_data.get("reviewers_may_sign"))}


class AcknowledgeForm(forms.Form):
    """The statement that somebody signs."""

    statement = forms.CharField(label="Statement", max_length=4000, widget=forms.Textarea(attrs={"rows": 5}))
    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=16)
