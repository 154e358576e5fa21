"""What forms of several parts of the product share."""

from typing import Any

from django import forms


class PanelForm(forms.Form):
    """One of several forms of a page: its fields are named after it, so that no id stands twice."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("auto_id", f"{type(self).__name__.removesuffix('Form').lower()}_%s")
        super().__init__(*args, **options)
