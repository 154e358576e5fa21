"""What an opening does about stale sources, as a part of the form of a review."""

from django import forms

from reviews.forms.sections import PolicySection
from reviews.policies.freshness import LABELS, Stale


class FreshnessSection(PolicySection):
    """One choice. A form that does not send it means the default."""

    topic = "freshness"
    heading = "Sources that were not read for too long"

    stale = forms.ChoiceField(
        label="When the review opens",
        choices=[(choice.value, LABELS[choice]) for choice in Stale],
        required=False,
        help_text="A source's own limit says how old is too old. A review is never opened empty for it.",
    )

    def clean_stale(self) -> str:
        return self.cleaned_data["stale"] or Stale.WARN
