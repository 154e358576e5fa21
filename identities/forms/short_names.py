"""Short names, which stand in addresses."""

from typing import ClassVar

from django import forms


class ShortNameField(forms.SlugField):
    """A name that an address can hold; its refusal says which characters it may have."""

    default_error_messages: ClassVar = {
        "invalid": "Use letters without accents, digits, hyphens and underscores, and no spaces.",
    }
