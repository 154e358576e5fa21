"""What follows from a permission alone, worked out once per permission, however many hold it.

Three stores, each cheaper than the next: this process's memory, the table of analysed permissions, and the kernel. An
estate with a few thousand permissions never leaves memory; one in which all million differ asks the kernel once per
permission and catalogue, and the table afterwards.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from governance.kernel import dialects, privileges
from governance.kernel.algebra import effective
from governance.kernel.breadth import breadth_of
from governance.kernel.conditions import canonical, parse_operator
from governance.kernel.errors import DomainError
from governance.kernel.escalation import CATALOGUE_VERSION as ESCALATION_VERSION
from governance.kernel.escalation import is_admin_equivalent, primitives_of
from governance.kernel.permissions import Condition, Permission, Statement
from identities.models import AnalysedPermission, GrantVersion, KnownPermission
from identities.posture.facts import Missing

# To be raised with every change to what is worked out below.
_OWN_VERSION = "1"
CATALOGUE = f"{privileges.CATALOGUE_VERSION}/{ESCALATION_VERSION}/{_OWN_VERSION}"
"""By which catalogues permissions were judged; a score under another one is out of date."""

REMEMBERED = 50_000
MOST_TOOLS = 200
# From the strictest to the loosest; "unknown" may be any of them.
_STRICTNESS = ("per_request", "attribute", "time", "network", "unknown")
_NETWORK_KEYS = frozenset({"aws:sourceip", "aws:vpcsourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn"})
_TIME_KEYS = frozenset({"aws:currenttime", "aws:epochtime"})
_PER_REQUEST_KEYS = frozenset({"approval", "approved", "remit:approval"})


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """A permission as posture sees it; the fields are those of `GrantFacts`. tools: (server, tool, classes).

    until: when its last allowing statement ends by itself, None where one has no end.
    """

    dialect: str
    segment: str
    classes: frozenset[str]
    is_privileged: bool
    breadth: str | Missing
    primitives: tuple[str, ...]
    direct_primitives: tuple[str, ...]
    is_admin_equivalent: bool
    has_wildcard_resource: bool
    has_wildcard_action: bool
    condition_sorts: frozenset[str] | Missing
    until: datetime | None
    tools: tuple[tuple[str, str, frozenset[str]], ...]
    is_parsed: bool


_UNREAD = Missing("unparsed")
NOT_UNDERSTOOD = KnownFacts(
    "", "", frozenset(), False, _UNREAD, (), (), False, False, False, _UNREAD, None, (), False
)  # fmt: skip
_remembered: OrderedDict[bytes, KnownFacts] = OrderedDict()


def facts_of(digests: Collection[bytes]) -> dict[bytes, KnownFacts]:
    """What follows from each of these permissions. At most three queries, and one insert for those never seen before."""
    found = {digest: known for digest in digests if (known := _remembered.get(digest)) is not None}
    missing = [digest for digest in digests if digest not in found]
    if missing:
        kept = _kept(missing)
        new = dict(_analysed(digest for digest in missing if digest not in kept))
        _keep(new)
        _remember(kept)
        _remember(new)
        found |= kept | new
    return found


def forget() -> None:
    """Empty this process's memory: for whoever measures."""
    _remembered.clear()


def _remember(known: Mapping[bytes, KnownFacts]) -> None:
    _remembered.update(known)
    while len(_remembered) > REMEMBERED:
        _remembered.popitem(last=False)


# --- the table --------------------------------------------------------------------------------------------------------


def _kept(digests: Collection[bytes]) -> dict[bytes, KnownFacts]:
    rows = AnalysedPermission.objects.filter(digest__in=digests, catalogue=CATALOGUE).values_list("digest", "facts")
    return {bytes(digest): _read(facts) for digest, facts in rows}


_KEEP = """
INSERT INTO identities_analysedpermission (digest, catalogue, facts)
SELECT decode(digest, 'hex'), %s, facts::jsonb FROM unnest(%s::text[], %s::text[]) AS new (digest, facts)
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET catalogue = EXCLUDED.catalogue, facts = EXCLUDED.facts
"""


def _keep(known: Mapping[bytes, KnownFacts]) -> None:
    if not known:
        return
    written = [orjson.dumps(_written(facts)).decode() for facts in known.values()]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [CATALOGUE, [digest.hex() for digest in known], written])


def _written(known: KnownFacts) -> list[Any]:
    return [
        known.dialect,
        known.segment,
        sorted(known.classes),
        known.is_privileged,
        None if isinstance(known.breadth, Missing) else known.breadth,
        known.primitives,
        known.direct_primitives,
        known.is_admin_equivalent,
        known.has_wildcard_resource,
        known.has_wildcard_action,
        None if isinstance(known.condition_sorts, Missing) else sorted(known.condition_sorts),
        known.until,
        [[server, tool, sorted(classes)] for server, tool, classes in known.tools],
        known.is_parsed,
    ]


def _read(written: list[Any]) -> KnownFacts:
    (dialect, segment, classes, privileged, breadth, primitives, direct, admin, any_resource, any_action, sorts, until,
     tools, is_parsed) = written  # fmt: skip
    if not is_parsed:
        return NOT_UNDERSTOOD
    return KnownFacts(
        dialect,
        segment,
        frozenset(classes),
        privileged,
        Missing("unclear") if breadth is None else breadth,
        tuple(primitives),
        tuple(direct),
        admin,
        any_resource,
        any_action,
        _UNREAD if sorts is None else frozenset(sorts),
        None if until is None else datetime.fromisoformat(until),
        tuple((server, tool, frozenset(of)) for server, tool, of in tools),
        is_parsed,
    )


# --- the kernel -------------------------------------------------------------------------------------------------------


def _analysed(digests: Iterable[bytes]) -> Iterator[tuple[bytes, KnownFacts]]:
    wanted = list(digests)
    documents = permission_documents(wanted)
    for digest in wanted:
        yield digest, analyse(documents.get(digest))


def permission_documents(digests: Collection[bytes]) -> dict[bytes, Any]:
    """The permissions themselves, as JSON values, by digest. Two queries."""
    if not digests:
        return {}
    known = KnownPermission.objects.filter(digest__in=digests).values_list("digest", "permission")
    found = {bytes(digest): document for digest, document in known}
    rest = [digest for digest in digests if digest not in found]
    if rest:
        versions = GrantVersion.objects.filter(digest__in=rest).order_by("digest").distinct("digest")
        found |= {bytes(digest): document for digest, document in versions.values_list("digest", "permission")}
    return found


_permissions: OrderedDict[bytes, Permission | None] = OrderedDict()


def permissions_of(digests: Collection[bytes]) -> dict[bytes, Permission | None]:
    """The permissions themselves, None for one that the kernel cannot read. Remembered; two queries otherwise."""
    found = {digest: _permissions[digest] for digest in digests if digest in _permissions}
    missing = [digest for digest in digests if digest not in found]
    for digest, document in permission_documents(missing).items():
        found[digest] = _permissions[digest] = _permission(document)
    while len(_permissions) > REMEMBERED:
        _permissions.popitem(last=False)
    return found


def _permission(document: object) -> Permission | None:
    try:
        return Permission.from_json(document)
    except DomainError:
        return None


def analyse(document: object) -> KnownFacts:
    """What follows from a permission's JSON. What the kernel cannot read may allow anything."""
    try:
        permission = Permission.from_json(document)
        allowing = [each for each in effective(permission).statements if each.effect == "allow"]
        return _facts(permission, allowing)
    except DomainError:
        return NOT_UNDERSTOOD


def _facts(permission: Permission, allowing: list[Statement]) -> KnownFacts:
    primitives = primitives_of(permission)
    breadth = breadth_of(permission)
    ends = [statement.until for statement in allowing]
    return KnownFacts(
        dialect=permission.dialect,
        segment=privileges.segment_of(permission),
        classes=frozenset(each.value for each in privileges.classes_of(permission)),
        is_privileged=privileges.is_privileged(permission),
        breadth=Missing("unclear") if breadth is None else breadth,
        primitives=tuple(each.name for each in primitives),
        direct_primitives=tuple(each.name for each in primitives if each.is_direct),
        is_admin_equivalent=is_admin_equivalent(permission),
        has_wildcard_resource=_is_any_wild(permission.dialect, allowing, "resources"),
        has_wildcard_action=_is_any_wild(permission.dialect, allowing, "actions"),
        condition_sorts=_loosest(allowing),
        until=max(end for end in ends if end) if ends and all(ends) else None,
        tools=tuple(_tools(permission.dialect, allowing)),
        is_parsed=True,
    )


def _is_any_wild(dialect: str, allowing: list[Statement], side: str) -> bool:
    """Whether some pattern stands for more than one text."""
    spoken = dialects.get(dialect)
    for statement in allowing:
        for text in getattr(statement, side).include:
            if text.isalnum():
                continue  # a plain name in every dialect
            language = spoken.resource(text) if side == "resources" else spoken.action(text)
            if language.opaque or not all(pattern.is_literal for pattern in language.patterns):
                return True
    return False


def _loosest(allowing: list[Statement]) -> frozenset[str]:
    """The sorts of conditions of the statement that asks for least; none where one asks for nothing."""
    sorts = [frozenset(filter(None, map(_sort_of, statement.conditions))) for statement in allowing]
    return max(sorts, key=_looseness) if sorts else frozenset()


def _looseness(sorts: frozenset[str]) -> int:
    return min((_STRICTNESS.index(sort) for sort in sorts), default=len(_STRICTNESS))


def _sort_of(condition: Condition) -> str:
    """What it looks at; empty for one that always holds."""
    if canonical(condition) is None:
        return ""
    operator, key = parse_operator(condition.operator), condition.key.lower()
    if operator is None:
        return "unknown"
    if key in _PER_REQUEST_KEYS:
        return "per_request"
    if operator.sort == "ip" or key in _NETWORK_KEYS:
        return "network"
    return "time" if operator.sort == "date" or key in _TIME_KEYS else "attribute"


def _tools(dialect: str, allowing: list[Statement]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Which tools of which server an agent may call, at most `MOST_TOOLS`."""
    if dialect != "tools":
        return
    spoken = dialects.get(dialect)
    pairs = [
        (resource, action)
        for each in allowing
        for resource in each.resources.include
        for action in each.actions.include
    ]
    for resource, action in list(dict.fromkeys(pairs))[:MOST_TOOLS]:
        yield resource.removeprefix("server:"), action, frozenset(spoken.classes(action, resource))
