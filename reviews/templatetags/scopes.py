"""How pages print the scope of a review."""

from django import template
from django.utils.html import format_html

from reviews.forms.scopes import spoken_scope

register = template.Library()


@register.filter
def in_words(scope: str, everything: str = "Everything") -> str:
    """A scope in words with its text on hover; `everything` is said of one that leaves nothing out."""
    if not scope:
        return everything
    return format_html('<span title="{}">{}</span>', scope, spoken_scope(scope))
