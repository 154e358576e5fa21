"""The part of SCIM's filter language by which directories find one resource: `attribute eq value`, joined by `and`."""

import json
import re
from collections.abc import Mapping
from uuid import UUID

from django.db.models import Q

from governance.console.scim.messages import ScimRefused

LONGEST = 1000
_TERM = re.compile(
    r"""\s*(?P<path>[A-Za-z][\w$:.\-]*(?:\[[^\]]{1,200}\]\.\w+)?)\s+(?P<op>\w+)\s+(?P<value>"(?:[^"\\]|\\.)*"|true|false)\s*""",
    re.VERBOSE | re.IGNORECASE,
)


def parse_filter(text: str, columns: Mapping[str, str]) -> Q:
    """The filter as a condition. columns: attribute in lower case to the field that it is. Raises ScimRefused."""
    if len(text) > LONGEST or "\x00" in text:
        raise _refused("The filter is too long or holds a character that no value has.")
    found, place = Q(), 0
    while True:
        term = _TERM.match(text, place)
        if term is None:
            raise _refused('Write: attribute eq "value", and several of these with “and” between them.')
        found &= _condition(term["path"], term["op"], term["value"], columns)
        place = term.end()
        if place == len(text):
            return found
        joint = re.match(r"and\s", text[place:], re.IGNORECASE)
        if joint is None:
            raise _refused("Only “and” joins two conditions here.")
        place += joint.end()


def _condition(path: str, operator: str, value: str, columns: Mapping[str, str]) -> Q:
    if operator.lower() != "eq":
        raise _refused("Only the operator eq is known here.")
    attribute = re.sub(r"\[[^\]]*\]", "", path).lower().removeprefix("urn:ietf:params:scim:schemas:core:2.0:user:")
    column = columns.get(attribute)
    if column is None:
        raise _refused(f"Nothing can be found by {path[:60]!r} here.")
    plain = json.loads(value.lower() if value.lower() in ("true", "false") else value)
    if column == "active":
        return Q(left_at__isnull=bool(plain))
    if column == "id":
        return Q(pk=_uuid(str(plain)))
    return Q(**{column: str(plain)})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _refused(sentence: str) -> ScimRefused:
    return ScimRefused(sentence, "invalidFilter")
