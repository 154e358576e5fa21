"""What comes round again: one of a few usual rules, or one that somebody writes."""

from typing import Any

from django import forms

OWN_RULE = ("custom", "By a rule of my own")


class RecurringForm(forms.Form):
    """A rule of RFC 5545. A form brings its `preset` along: the usual rules, and OWN_RULE as the last of them."""

    rrule = forms.CharField(
        label="Rule",
        required=False,
        max_length=300,
        help_text="RFC 5545, e.g. FREQ=MONTHLY;INTERVAL=2;BYDAY=1MO. Used with “a rule of my own”.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )

    def clean(self) -> dict[str, Any]:
        """With `rrule` as it was chosen or written."""
        data = super().clean() or {}
        chosen = data.get("preset")
        if chosen and chosen != OWN_RULE[0]:
            data["rrule"] = chosen
        elif chosen and not data.get("rrule"):
            self.add_error("rrule", "Write the rule.")
        return data
