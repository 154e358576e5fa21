"""What is done with a whole review."""

from django import forms


class CancelForm(forms.Form):
    """Why a review is called off."""

    reason = forms.CharField(label="Why is it called off?", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))
