"""What the settings of a source may say, checked against what its connector declares."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from governance.kernel.errors import DomainError
from identities.connectors.contract import Setting


class BadSettings(DomainError):
    """A source's settings name something unknown or have the wrong form; `setting` in the details names which."""

    code = "bad-source-settings"
    title = "The source's settings cannot be used"


def read_settings(
    declared: Sequence[Setting], settings: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Every declared setting with its value: the secret behind a reference, the default where nothing is set.

    A reference whose secret is not resolved (the settings are only looked at) is an empty text. Raises `BadSettings`.
    """
    known = {each.name: each for each in declared}
    settings = by_name(declared, settings)
    for name in settings:
        if name not in known:
            raise BadSettings(f"Unknown setting {name!r}. Known are {', '.join(sorted(known))}.", setting=name)
    return {name: _read(each, settings.get(name), secrets) for name, each in known.items()}


def by_name(declared: Sequence[Setting], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under their declared names, whatever names they were stored under."""
    renamed = {each.also: each.name for each in declared if each.also}
    return {renamed.get(name, name): value for name, value in settings.items()}


def _read(setting: Setting, value: Any, secrets: Mapping[str, str]) -> Any:
    if value in (None, "", []):
        if setting.required:
            raise BadSettings(f"The setting {setting.name!r} is missing.", setting=setting.name)
        return "" if setting.kind == "reference" else setting.default
    if setting.kind == "reference":
        if not isinstance(value, str) or not value.startswith(("env:", "file:")):
            place = "env:NAME or file:/path"
            raise BadSettings(f"{setting.name!r} must say where the secret is: {place}.", setting=setting.name)
        return secrets.get(setting.name, "")
    fits, wanted = _EXPECTED[setting.kind]
    if not fits(value):
        raise BadSettings(f"The setting {setting.name!r} must be {wanted}.", setting=setting.name)
    if setting.kind == "choice" and value not in setting.choices:
        raise BadSettings(f"{setting.name!r} must be one of {', '.join(setting.choices)}.", setting=setting.name)
    return tuple(value) if setting.kind == "list" else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "a text"),
    "choice": (_is_text, "a text"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a whole number"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "list": (lambda value: isinstance(value, list | tuple) and all(map(_is_text, value)), "a list of texts"),
}
