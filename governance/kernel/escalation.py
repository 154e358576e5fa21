"""Escalation primitives: rights by which a holder can get more than was given to it.

The catalogue (`catalogues/escalation.toml`, with how each field is read) names the rights; whether a permission holds
one is decided by the algebra's own matching, denies and exclusions included. Conditions count as fulfilled when it is
asked whether a right is there, and as not fulfilled when it is asked whether it is enough by itself.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from governance.kernel import dialects
from governance.kernel.algebra import lets_through, union
from governance.kernel.decisions import Answer, Rule, compile_permission, matches
from governance.kernel.dialects import Language
from governance.kernel.documents import Permission
from governance.kernel.patterns import exact, glob
from governance.kernel.sets import CompiledSet
from governance.kernel.statements import PatternSet, Statement

_FRESH = "remit-nobody-named-this"
_WHILE_IT_LASTS = datetime.min.replace(tzinfo=UTC)
"""That a right will end makes it no smaller until then."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One way to get more. is_direct: the right is enough; otherwise `words` hang on something else as well.

    needs: the rights it consists of, each as its actions. source: where the catalogue has it from.
    """

    name: str
    is_direct: bool
    words: str
    needs: tuple[tuple[str, ...], ...] = ()
    source: str = ""


@dataclass(frozen=True)
class _Need:
    """One right: any of `actions` on something in `resources`."""

    dialect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    @cached_property
    def request(self) -> Rule:
        """Requests of just these actions: nothing is read into a name, as it would be in a permission."""
        spoken = dialects.get(self.dialect)

        def read(text: str, *, removing: bool = False) -> Language:
            folded = spoken.fold_action(text)
            return Language((glob(folded) if "*" in text or "?" in text else exact(folded),))

        statement = Statement(PatternSet(self.actions), PatternSet(self.resources))
        return Rule(
            statement,
            CompiledSet(statement.actions, read),
            CompiledSet(statement.resources, spoken.resource),
            frozenset(),
            None,
            is_plain=True,
        )

    @cached_property
    def fresh_resources(self) -> tuple[str, ...]:
        """A target of each sort that no permission names."""
        read = dialects.get(self.dialect).resource
        return tuple(read(_common_partition(text)).patterns[0].sample(_FRESH) for text in self.resources)


@dataclass(frozen=True)
class _Entry:
    """One primitive of the catalogue."""

    primitive: Primitive
    dialect: str
    direct: str
    admin: str
    is_of_others: bool
    needs: tuple[_Need, ...]


@dataclass(frozen=True)
class _Catalogue:
    version: str
    everything: Mapping[str, tuple[str, str]]
    entries: Mapping[str, tuple[_Entry, ...]]
    nets: Mapping[str, _Need]
    """All actions of a dialect's primitives at once: most permissions hold none of them."""


def _read() -> _Catalogue:
    document = tomllib.loads((Path(__file__).parent / "catalogues" / "escalation.toml").read_text())
    entries: dict[str, list[_Entry]] = {name: [] for name in dialects.DIALECTS}
    for found in document["primitive"]:
        entries[found["dialect"]].append(_entry(found))
    nets = {
        name: _Need(name, tuple(dict.fromkeys(a for e in found for need in e.needs for a in need.actions)), ("*",))
        for name, found in entries.items()
    }
    everything = {name: (action, resource) for name, (action, resource) in document["everything"].items()}
    return _Catalogue(document["version"], everything, {name: tuple(e) for name, e in entries.items()}, nets)


def _entry(found: Mapping[str, Any]) -> _Entry:
    needs = tuple(
        _Need(found["dialect"], tuple(need["any"]), tuple(each for text in need["on"] for each in _spelled(text)))
        for need in found["needs"]
    )
    primitive = Primitive(
        found["name"],
        is_direct=found["direct"] != "no",
        words=found["words"],
        needs=tuple(need.actions for need in needs),
        source=found["source"],
    )
    return _Entry(
        primitive, found["dialect"], found["direct"], found.get("admin", ""), found.get("of_others", False), needs
    )


def _spelled(text: str) -> Iterable[str]:
    text = text.replace("ACCOUNT", "?" * 12)
    return [text.replace("PARTITION", each) for each in PARTITIONS] if "PARTITION" in text else [text]


PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
_CATALOGUE = _read()
CATALOGUE_VERSION: str = _CATALOGUE.version
"""Which catalogue the answers come from; results that are kept are kept together with it."""


def catalogue() -> tuple[Primitive, ...]:
    """Every primitive there is, direct where it can be."""
    return tuple(entry.primitive for entries in _CATALOGUE.entries.values() for entry in entries)


def primitives_of(permission: Permission) -> tuple[Primitive, ...]:
    """The primitives that a permission holds, in the order of the catalogue."""
    return _primitives_of(permission)


def primitives_of_all(permissions: Iterable[Permission]) -> tuple[Primitive, ...]:
    """The primitives of one holder of all these permissions: parts of one may lie in several of them."""
    by_dialect: dict[str, Permission] = {}
    for each in permissions:
        known = by_dialect.get(each.dialect)
        by_dialect[each.dialect] = each if known is None else union(known, each)
    return tuple(found for each in by_dialect.values() for found in _primitives_of(each))


@lru_cache(maxsize=16_384)
def _primitives_of(permission: Permission) -> tuple[Primitive, ...]:
    net = _CATALOGUE.nets[permission.dialect].request
    if all(rule.actions.apart(net.actions) for rule in compile_permission(permission).allows):
        return ()
    found = []
    for entry in _CATALOGUE.entries[permission.dialect]:
        held = _on_others(permission) if entry.is_of_others else permission
        if all(lets_through(held, need.request) for need in entry.needs):
            found.append(replace(entry.primitive, is_direct=_is_direct(held, entry)))
    return tuple(found)


@lru_cache(maxsize=16_384)
def is_admin_equivalent(permission: Permission) -> bool:
    """Whether it allows everything, administers the whole platform, or lets its holder change its own rights.

    Rights under conditions do not count, denied ones neither.
    """
    if matches(permission, *_CATALOGUE.everything[permission.dialect], at=_WHILE_IT_LASTS) is Answer.YES:
        return True
    return any(
        all(_HELD[entry.admin](permission, need) for need in entry.needs)
        for entry in _CATALOGUE.entries[permission.dialect]
        if entry.admin
    )


def _is_direct(permission: Permission, entry: _Entry) -> bool:
    if entry.direct == "no":
        return False
    if entry.direct == "listed":
        permission = _listed(permission)
    return all(
        _is_on_all(_everywhere(permission), need) if entry.direct == "unnamed" else _is_sure(permission, need)
        for need in entry.needs
    )


def _is_sure(permission: Permission, need: _Need) -> bool:
    """Whether the right is there without any condition."""
    return lets_through(permission, need.request, for_certain=True)


def _is_on_all(permission: Permission, need: _Need) -> bool:
    """Whether the right is there, without any condition, on a target that nobody named."""
    permission = _everywhere(permission) if permission.dialect == "aws" else permission
    return any(
        matches(permission, action, resource, at=_WHILE_IT_LASTS) is Answer.YES
        for action in need.actions
        for resource in need.fresh_resources
    )


_HELD: Mapping[str, Callable[[Permission, _Need], bool]] = {"anywhere": _is_sure, "everywhere": _is_on_all}
"""How a right must be held to make an administrator."""


@lru_cache(maxsize=4_096)
def _everywhere(permission: Permission) -> Permission:
    """The same without the one account or namespace that it is about: inside it, is it about everything?"""
    return _with_resources(permission, _without_place)


def _without_place(text: str) -> str:
    fields = text.split(":", 5)
    if text.startswith("arn:") and len(fields) == 6 and fields[4].isdigit():
        return ":".join((*_common_partition(text).split(":", 5)[:4], "*", fields[5]))
    if text.startswith("api:") and text.count("/") == 4:
        return f"api:*/{text.partition('/')[2]}"
    return text


def _common_partition(text: str) -> str:
    """The same in AWS's common partition: the others have the same rights under another name."""
    return _PARTITION.sub("arn:aws:", text)


_PARTITION = re.compile(r"^arn:(aws[a-z*-]*|\*):")


@lru_cache(maxsize=4_096)
def _on_others(permission: Permission) -> Permission:
    """Without what names whoever uses it."""
    return _with_resources(permission, lambda text: None if "${aws:username}" in text else text)


def _with_resources(permission: Permission, change: Callable[[str], str | None]) -> Permission:
    def changed(patterns: PatternSet) -> PatternSet:
        include, exclude = (
            tuple(dict.fromkeys(each for text in listed if (each := change(text)) is not None))
            for listed in (patterns.include, patterns.exclude)
        )
        return PatternSet(include, exclude)

    statements = (replace(each, resources=changed(each.resources)) for each in permission.statements)
    return Permission(permission.dialect, tuple(each for each in statements if each.resources.include))


def _listed(permission: Permission) -> Permission:
    """Without what is given by a bare `*` only: what a tool server offers is not known from it."""
    kept = []
    for each in permission.statements:
        if each.effect == "allow":
            actions = tuple(text for text in each.actions.include if text.strip("*"))
            if not actions:
                continue
            each = replace(each, actions=PatternSet(actions, each.actions.exclude))  # noqa: PLW2901
        kept.append(each)
    return Permission(permission.dialect, tuple(kept))
