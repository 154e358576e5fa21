"""Fields for references to secrets. What was typed and is no reference may be the secret itself: it is never shown."""

from typing import Any

from django import forms

from identities.services.secrets import is_reference


class ReferenceInput(forms.TextInput):
    """One reference."""

    def format_value(self, value: Any) -> str | None:
        return super().format_value(value) if is_reference(value) else None


class ReferencesArea(forms.Textarea):
    """Several with a name each, one a line: `NAME=env:OTHER`. Of a line with anything else the name stays."""

    def format_value(self, value: Any) -> str | None:
        lines = [line.partition("=") for line in str(value or "").splitlines()]
        return "\n".join(
            f"{name}{sign}{rest if is_reference(rest.strip()) else ''}" for name, sign, rest in lines if sign
        )
