"""Reads the framework files. A file that does not say what it must is refused with its name and the place in it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from governance.kernel.errors import DomainError, NotFound

# The order in which pages print them.
ORDER = ("csf_2_0", "ai_rmf_1_0", "sp_800_53_r5", "pci_dss_4_0_1", "soc2_tsc_2017", "iso_27001_2022")
# One sentence or two; more than that would be the standard's own text.
LONGEST_TITLE, LONGEST_SENTENCE = 120, 400
_NAMES = re.compile(r"^[A-Za-z0-9_.-]+$")


class InvalidFramework(DomainError):
    """A framework file that is not complete or not consistent."""

    code = "invalid-framework"
    status = 500
    title = "A framework file cannot be used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control. evidences, cannot: what Remit shows for it, and what it cannot show; both always said.

    former: names in the framework's earlier edition. rules: ids of posture rules. verbs: of the trail. places: keys of
    the console's places. measures: keys of figures that are counted when the page is opened. baseline: letters.
    """

    id: str
    section: str
    title: str
    evidences: str
    cannot: str
    former: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    baseline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """One framework, as far as Remit has evidence for it.

    is_protected: its text may not be repeated, so that numbers alone are its own. former_relation: what the names of
    the earlier edition are to those of this one; never "equals".
    """

    id: str
    title: str
    short: str
    edition: str
    source: str
    note: str
    sections: Mapping[str, str]
    controls: tuple[Control, ...]
    is_protected: bool = False
    former_edition: str = ""
    former_relation: str = ""

    @property
    def edition_beside_title(self) -> str:
        """The edition without what the title says already: "February 2024" of "2.0 (February 2024)"."""
        number, _, more = self.edition.replace(" (", ", ", 1).rstrip(")").partition(", ")
        return more if number in self.title else self.edition

    def of_section(self, section: str) -> tuple[Control, ...]:
        return tuple(control for control in self.controls if control.section == section)


@cache
def load_frameworks() -> tuple[Framework, ...]:
    """All of them, in the order in which they are printed. Raises InvalidFramework."""
    folder = files("governance.frameworks")
    return tuple(read_framework(name, (folder / f"{name}.toml").read_text(encoding="utf-8")) for name in ORDER)


def get_framework(framework_id: str) -> Framework:
    """One of them. Raises NotFound."""
    for framework in load_frameworks():
        if framework.id == framework_id:
            return framework
    raise NotFound("There is no such framework.")


def read_framework(name: str, text: str) -> Framework:
    """A framework from the text of its file. Raises InvalidFramework naming the place."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFramework(f"{name}.toml is not TOML: {error}.") from None
    head = _head(name, document)
    sections = {section["id"]: section["title"] for section in _tables(name, document, "section", ("id", "title"))}
    controls = tuple(_control(name, given, sections) for given in _tables(name, document, "control", _CONTROL_TEXTS))
    _check_whole(name, head, sections, controls)
    return Framework(**head, sections=sections, controls=controls)


_HEAD_TEXTS = ("id", "title", "short", "edition", "source", "note")
_HEAD_MORE = frozenset({"is_protected", "former_edition", "former_relation", "section", "control"})
_CONTROL_TEXTS = ("id", "section", "title", "evidences", "cannot")
_CONTROL_LISTS = ("former", "rules", "verbs", "places", "measures")


def _head(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    for key in _HEAD_TEXTS:
        _text(document, key, f"{name}.toml")
    unknown = set(document) - set(_HEAD_TEXTS) - _HEAD_MORE
    if unknown:
        raise InvalidFramework(f"{name}.toml says {', '.join(sorted(unknown))}, which nobody reads.")
    if document["id"] != name:
        raise InvalidFramework(f"{name}.toml calls itself “{document['id']}”.")
    return {key: document[key] for key in document if key not in ("section", "control")}


def _control(name: str, given: Mapping[str, Any], sections: Mapping[str, str]) -> Control:
    place = f"{name}.toml, {given['id']}"
    unknown = set(given) - set(_CONTROL_TEXTS) - set(_CONTROL_LISTS) - {"baseline"}
    if unknown:
        raise InvalidFramework(f"{place} says {', '.join(sorted(unknown))}, which nobody reads.")
    if given["section"] not in sections:
        raise InvalidFramework(f"{place} stands in the section “{given['section']}”, which the file does not have.")
    if len(given["title"]) > LONGEST_TITLE or max(len(given["evidences"]), len(given["cannot"])) > LONGEST_SENTENCE:
        raise InvalidFramework(f"{place} is too long: a title, and a sentence or two in our own words.")
    lists: dict[str, Any] = {key: _listed(given, key, place) for key in _CONTROL_LISTS}
    if not lists["rules"] and not lists["verbs"] and not lists["places"]:
        raise InvalidFramework(f"{place} claims evidence and names none.")
    texts: dict[str, Any] = {key: given[key] for key in _CONTROL_TEXTS}
    return Control(**texts, **lists, baseline=str(given.get("baseline", "")))


def _listed(given: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    values = given.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and _NAMES.match(value) for value in values):
        raise InvalidFramework(f"{place}: “{key}” is a list of names.")
    if len(set(values)) != len(values):
        raise InvalidFramework(f"{place}: “{key}” names something twice.")
    return tuple(values)


def _tables(name: str, document: Mapping[str, Any], key: str, texts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not tables:
        raise InvalidFramework(f"{name}.toml has no {key}.")
    for number, table in enumerate(tables, 1):
        for text in texts:
            _text(table, text, f"{name}.toml, {key} {number}")
        yield table


def _text(table: Mapping[str, Any], key: str, place: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InvalidFramework(f"{place} does not say its {key}.")
    return value


def _check_whole(
    name: str, head: Mapping[str, Any], sections: Mapping[str, str], controls: tuple[Control, ...]
) -> None:
    ids = [control.id for control in controls]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise InvalidFramework(f"{name}.toml has {', '.join(twice)} twice.")
    empty = set(sections) - {control.section for control in controls}
    if empty:
        raise InvalidFramework(f"{name}.toml has nothing in {', '.join(sorted(empty))}.")
    if any(control.former for control in controls) and head.get("former_relation") != "intersects":
        raise InvalidFramework(f"{name}.toml names an earlier edition; what that is to this one is “intersects”.")
