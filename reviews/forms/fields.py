"""Fields that several forms share, and how a refusal is put beside them."""

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.kernel.errors import DomainError
from governance.people.models import User


def show_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal beside the fields that it names (`fields`: name to sentence or word), else above the form."""
    given = error.details.get("fields")
    named: dict[str, Any] = given if isinstance(given, dict) else {}
    fields = [name for name in named if name in form.fields]
    left = {name: sentence for name, sentence in named.items() if name.startswith("policy.")}
    for section in getattr(form, "sections", []):
        for name in [each for each in section.fields if f"policy.{section.topic}.{each}" in left]:
            section.add_error(name, left.pop(f"policy.{section.topic}.{name}"))
            fields.append("")
    for name in [each for each in fields if each]:
        sentence = str(named[name])
        form.add_error(name, sentence if sentence.endswith((".", "?")) else error.message)
    if not fields:
        form.add_error(None, error.message)


class MomentField(forms.CharField):
    """A day (until its end, UTC) or an exact time in ISO 8601."""

    widget = forms.DateInput

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"type": "date"}

    def to_python(self, value: Any) -> datetime | None:  # type: ignore[override]
        text = (super().to_python(value) or "").strip()
        if not text:
            return None
        try:
            moment = None if len(text) <= len("2026-01-01") else parse_datetime(text)
            day = parse_date(text) if moment is None else None
        except ValueError:
            moment = day = None
        if moment is not None:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if day is None:
            raise forms.ValidationError("This is not a date such as 2027-03-31.")
        return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)


class PersonInput(forms.TextInput):
    """A line in which a person is typed, with a list of suggestions beside it that fills while one types."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        attrs = dict(attrs or {}) | {"autocomplete": "off"}
        place = f"{attrs.get('id', f'id_{name}')}_people"
        attrs |= {"list": place} | ({"hx-target": f"#{place}"} if "hx-get" in self.attrs else {})
        return format_html('{}<datalist id="{}"></datalist>', super().render(name, value, attrs, renderer), place)


class PersonField(forms.CharField):
    """Somebody: by e-mail address, or by name where `known` has exactly one of that name.

    known: whom the person at the form may be shown by name; set by the edge that knows who that is. Others are reached
    by their address alone, so that nobody finds out by trying names who works here.
    """

    widget = PersonInput
    known: Callable[[], QuerySet[User]] | None = None

    def clean(self, value: Any) -> User | None:
        text = " ".join(str(super().clean(value)).split())
        if not text:
            return None
        return self._by_address(text.lower()) if "@" in text else self._by_name(text)

    def _by_address(self, address: str) -> User:
        person = User.objects.filter(email=address).first()
        if person is None:
            raise forms.ValidationError("There is nobody with this address.")
        return person

    def _by_name(self, name: str) -> User:
        found = list(self.known().filter(name__iexact=name)[:2]) if self.known is not None else []
        if len(found) == 1:
            return found[0]
        if found:
            raise forms.ValidationError(f"Several people are called {name}. Give the e-mail address.")
        raise forms.ValidationError("Nobody of this name can be chosen here. Give the e-mail address.")
