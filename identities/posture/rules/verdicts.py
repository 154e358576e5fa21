"""What one rule found on one object, before it is put together with the rule's name and the severity's arithmetic."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from identities.posture.facts import Missing
from identities.posture.results import ObjectKind, Result, Severity

MOST_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """object_id: None where it is about the identity (or source) itself. base: where it differs from the rule's own.

    why: the reason for that base, as it stands in the arithmetic. is_exposed: the credential lies open to everybody.
    """

    result: Result
    object_id: UUID | None = None
    object_kind: ObjectKind | None = None
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    base: Severity | None = None
    why: str = ""
    is_exposed: bool = False


def failed(
    *, of: UUID | None = None, base: Severity | None = None, why: str = "", is_exposed: bool = False, **evidence: Any
) -> Verdict:
    """evidence: what was seen, as JSON."""
    return Verdict(result=Result.FAIL, object_id=of, base=base, why=why, is_exposed=is_exposed, evidence=cut(evidence))


def passed(*, of: UUID | None = None, **evidence: Any) -> Verdict:
    return Verdict(result=Result.PASS, object_id=of, evidence=cut(evidence))


def unknown(*reasons: str, of: UUID | None = None, **evidence: Any) -> Verdict:
    """Not assessable, for these reasons (codes of `reasons.SENTENCES`)."""
    if of is None and not evidence:
        return _bare(Result.NOT_ASSESSABLE, reasons)
    return Verdict(result=Result.NOT_ASSESSABLE, object_id=of, reasons=_once(reasons), evidence=cut(evidence))


def not_applicable(reason: str, of: UUID | None = None, **evidence: Any) -> Verdict:
    if of is None and not evidence:
        return _bare(Result.NOT_APPLICABLE, (reason,))
    return Verdict(result=Result.NOT_APPLICABLE, object_id=of, reasons=(reason,), evidence=cut(evidence))


def lacking(**values: Any) -> dict[str, str]:
    """Which of these inputs nobody could find out: code of the input → why it is missing."""
    return {name: value.reason for name, value in values.items() if isinstance(value, Missing)}


def not_known(missing: Mapping[str, str], of: UUID | None = None, **evidence: Any) -> Verdict:
    """Not assessable because of what `lacking` found, one reason per input."""
    if of is None and not evidence:
        return _lacking(tuple(missing.items()))
    return unknown(*(f"{name}_unknown" for name in missing), of=of, missing=dict(missing), **evidence)


# Most of fifty rules say the same of most identities, so what names no object is made once. Nobody writes into these.


@lru_cache(maxsize=4_096)
def _bare(result: Result, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(result=result, reasons=_once(reasons))


@lru_cache(maxsize=4_096)
def _lacking(missing: tuple[tuple[str, str], ...]) -> Verdict:
    return unknown(*(f"{name}_unknown" for name, _ in missing), missing=dict(missing))


def _once(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return reasons if len(reasons) < 2 else tuple(dict.fromkeys(reasons))


def cut(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence as it is kept: lists cut to twenty with their whole length beside them, nothing empty."""
    kept: dict[str, Any] = {}
    for name, value in evidence.items():
        if isinstance(value, Collection) and not isinstance(value, str | Mapping):
            listed = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
            if listed:
                kept[name] = [_plain(each) for each in listed[:MOST_LISTED]]
            if len(listed) > MOST_LISTED:
                kept[f"{name}_in_all"] = len(listed)
        elif value is not None and value != "":
            kept[name] = _plain(value)
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
