"""What is done with a whole review."""

from django import forms

from governance.web.forms import PanelForm


class ReleaseForm(PanelForm):
    """Why a review need not wait for its sources."""

    reason = forms.CharField(label="Why need it not wait?", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


class CancelForm(PanelForm):
    """Why a review is called off."""

    reason = forms.CharField(label="Why is it called off?", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))
