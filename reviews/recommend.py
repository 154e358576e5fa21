"""What Remit would answer, and why. Pure functions over facts; the reviewer decides.

Two rules are above all others. Unknown is never unused: what no log could have shown is not proposed for removal. And a
suggestion is proved: a target lies inside what is held, is really smaller, and refuses none of the use that was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from governance.kernel.errors import DomainError
from governance.kernel.growth import Series, growing, held_series
from governance.kernel.numbers import grouped
from governance.kernel.observing import Coverage, Observation, UseState, Window, observe
from governance.kernel.permissions import (
    Answer,
    PatternSet,
    Permission,
    Statement,
    difference_samples,
    includes,
    matches,
    sample_requests,
    subtract,
    union,
)
from governance.kernel.rightsizing import Replay, Style, replay, right_size, unused

RULE_VERSION = "2026.2"
ROTATE_AFTER = timedelta(days=365)
CREDENTIAL_IDLE_AFTER = timedelta(days=90)
MOST_NAMED = 5
MOST_SAMPLES = 200
# How many judgements are remembered: thousands of grants say the same and were used in the same way.
REMEMBERED = 8192

USED, UNUSED, NOT_OBSERVABLE = UseState.USED, UseState.UNUSED, UseState.NOT_OBSERVABLE


@dataclass(frozen=True, slots=True)
class Seen:
    """An action on a resource that a log showed. first_seen_at: None where the log's reader did not keep it."""

    action: str
    resource: str
    last_seen_at: datetime
    count: int = 1
    first_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """min_observed: how long use must have been observable before absence of use means anything."""

    permission: Permission
    now: datetime
    min_observed: timedelta
    uses: Sequence[Seen] = ()
    windows: Sequence[Window] = ()
    is_disabled: bool = False
    has_owner: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFacts:
    """None means that the source did not report it."""

    now: datetime
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_rotated_at: datetime | None = None
    last_used_at: datetime | None = None
    never_expires: bool = False
    has_owner: bool = True


ItemFacts = GrantFacts | CredentialFacts
Pairs = tuple[tuple[str, str], ...]
"""Distinct (action, resource)."""


@dataclass(frozen=True, slots=True)
class Use:
    """state: used, unused or not_observable. at: last use; since, until: what was watched without a gap in coverage."""

    state: str
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    calls: int = 0
    text: str = ""

    @property
    def watched(self) -> timedelta:
        return self.until - self.since if self.since and self.until else timedelta()

    def to_json(self) -> dict[str, Any]:
        return {
            "state": str(self.state),
            "at": self.at.isoformat() if self.at else None,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "calls": self.calls,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Recommendation:
    """answer: an `Answer` value, or empty where nothing can be recommended.

    target: what was needed plus what could not be observed, where that is less than what is held. It may be there
    without the answer scope_down: as a start for choosing, when use has not been watched for long enough.
    """

    answer: str
    reasons: tuple[str, ...]
    use: Use
    target: Permission | None = None
    rule_version: str = RULE_VERSION
    replayed: dict[str, int] = field(default_factory=dict)


def recommend(facts: ItemFacts) -> Recommendation:
    """The answer that the facts suggest, with sentences that say why."""
    found = _for_grant(facts) if isinstance(facts, GrantFacts) else _for_credential(facts)
    if facts.has_owner:
        return found
    reasons = (*found.reasons, "Nobody is accountable for this identity.")
    return Recommendation(found.answer, reasons, found.use, found.target, found.rule_version, found.replayed)


def use_of(facts: GrantFacts) -> Use:
    """Whether this very access was used: yes, not while it was watched, or nobody can know."""
    return _use(_observed(facts))


def suggest(facts: GrantFacts, style: Style) -> Permission | None:
    """What was used, written in one of `STYLES`, plus what nobody could have seen; None where that is nothing smaller.

    A start for choosing, also where use was watched too briefly to recommend anything.
    """
    seen = _observed(facts)
    pairs = tuple((each.action, each.resource) for each in seen.relevant)
    found = _smaller(facts.permission, seen.coverage.shown, pairs, _series(seen.relevant, seen.coverage), style)
    return found.target if found else None


def _observed(facts: GrantFacts) -> Observation[Seen]:
    return observe(facts.permission, facts.uses, tuple(facts.windows))


def _use(seen: Observation[Seen]) -> Use:
    since, until = seen.coverage.since, seen.coverage.until
    if seen.state == USED:
        last = seen.last_seen_at
        return Use(USED, last, since, until, seen.calls, f"Last used {_day(last)}.")
    if seen.state == NOT_OBSERVABLE:
        return Use(NOT_OBSERVABLE, text="Use cannot be observed.")
    return Use(UNUSED, None, since, until, 0, f"No use seen since {_day(since)}.")


def _for_grant(facts: GrantFacts) -> Recommendation:
    held, seen = facts.permission, _observed(facts)
    relevant, coverage, use = seen.relevant, seen.coverage, _use(seen)
    if facts.is_disabled:
        return Recommendation("revoke", ("The identity is disabled, so it cannot need this.",), use)
    if use.state == NOT_OBSERVABLE:
        return Recommendation(
            "", ("Use of this access cannot be observed, so nothing is proposed. Unknown is not unused.",), use
        )
    pairs = tuple((each.action, each.resource) for each in relevant)
    series = _series(relevant, coverage)
    smaller = _smaller(held, coverage.shown, pairs, series)
    target = smaller.target if smaller else None
    replayed = _replayed(relevant, smaller.replay) if smaller else {}
    doubt = _doubt(facts, use)
    if doubt:
        return Recommendation("", (_told(use, pairs), doubt), use, target, replayed=replayed)
    if use.state == UNUSED:
        return Recommendation("revoke", (_told(use, pairs),), use)
    if target is None:
        return Recommendation("approve", (_told(use, pairs), "No smaller set would do."), use)
    reasons = (_told(use, pairs), _idle(held, coverage.shown, pairs), *_growth(series), _replay_sentence(replayed))
    return Recommendation("scope_down", reasons, use, target, replayed=replayed)


def _doubt(facts: GrantFacts, use: Use) -> str:
    """Why absence of use means nothing here; empty where it does mean something."""
    if use.since is None:
        return "What was not used cannot be known here."
    if use.watched < facts.min_observed:
        return f"Use was watched for {_span(use.watched)} only: too short to conclude."
    return ""


def _told(use: Use, pairs: Pairs) -> str:
    if use.state == UNUSED:
        return f"Not used in the {_span(use.watched)} in which any use would have been seen."
    if use.calls == 1:
        return f"{use.text} Seen: one call."
    kinds = "one kind" if len(pairs) == 1 else f"{grouped(len(pairs))} kinds"
    return f"{use.text} Seen: {grouped(use.calls)} calls of {kinds}."


def _series(relevant: Sequence[Seen], coverage: Coverage) -> tuple[Series, ...]:
    """Names that count on, such as files of a day: what is used next is not literally what was used."""
    if coverage.since is None or coverage.until is None:
        return ()
    return growing(relevant, since=coverage.since, until=coverage.until)


def _growth(series: Sequence[Series]) -> tuple[str, ...]:
    if not series:
        return ()
    named = ", ".join(dict.fromkeys(each.pattern for each in series[:MOST_NAMED]))
    return (f"New names keep appearing, so what matches {named} stays where it is held.",)


def _replayed(relevant: Sequence[Seen], replay: Replay) -> dict[str, int]:
    calls = {(use.action, use.resource): use.count for use in relevant}
    return {
        "calls": sum(calls.values()),
        "refused": sum(calls[pair] for pair in replay.refused),
        "unknown": replay.unknown,
    }


def _replay_sentence(replayed: dict[str, int]) -> str:
    of = f"{grouped(replayed['calls'])} call{'' if replayed['calls'] == 1 else 's'}"
    return f"{grouped(replayed['refused'])} of {of} seen would have been refused afterwards."


# What follows depends on content alone, not on whose it is or when, and is remembered.


@dataclass(frozen=True, slots=True)
class _Smaller:
    target: Permission
    replay: Replay


@lru_cache(maxsize=REMEMBERED)
def _smaller(
    held: Permission, shown: Permission | None, pairs: Pairs, series: tuple[Series, ...], style: Style = "exact"
) -> _Smaller | None:
    """What was used, with its series and what nobody could have seen; None when empty, not smaller or not provable."""
    if not pairs or shown is None:
        return None
    try:
        needed = _needed(held, pairs, series, style)
        target = _with_the_unseen(held, union(needed, subtract(held, shown)), shown)
    except DomainError:
        return None
    is_smaller = includes(held, target).holds and not includes(target, held).holds and bool(sample_requests(target))
    replayed = replay(pairs, target)
    return _Smaller(target, replayed) if is_smaller and not replayed.refused else None


def _needed(held: Permission, pairs: Pairs, series: tuple[Series, ...], style: Style) -> Permission:
    """What was used, where a series that goes on stands for its names."""
    kept = held_series(held, series)
    single = tuple(pair for pair in pairs if matches(kept, *pair) is not Answer.YES)
    return union(right_size(held, single, style=style), kept)


def _with_the_unseen(held: Permission, target: Permission, shown: Permission) -> Permission:
    """Give back what went along unseen: taking a right away also takes what contains it, such as passing it on.

    Unknown is never unused, so whatever is lost and could not have been observed stays.
    """
    lost = [
        Statement(PatternSet((sample.action,)), PatternSet((sample.resource,)))
        for sample in difference_samples(held, target, limit=MOST_SAMPLES)
        if matches(shown, sample.action, sample.resource) is not Answer.YES
    ]
    return union(target, Permission(held.dialect, tuple(lost))) if lost else target


@lru_cache(maxsize=REMEMBERED)
def _idle(held: Permission, shown: Permission | None, pairs: Pairs) -> str:
    idle = [
        f"{action} on {resource}"
        for action, resource in unused(held, pairs)
        if shown is not None and matches(shown, action, resource) is Answer.YES
    ]
    if not idle:
        return "Only part of what it gives was used."
    more = f" and {len(idle) - MOST_NAMED} more" if len(idle) > MOST_NAMED else ""
    return f"Never used: {', '.join(idle[:MOST_NAMED])}{more}."


def _for_credential(facts: CredentialFacts) -> Recommendation:
    answer, reason = _credential_answer(facts)
    return Recommendation(answer, (reason,), _credential_use(facts))


def _credential_answer(facts: CredentialFacts) -> tuple[str, str]:
    used, born = facts.last_used_at, facts.last_rotated_at or facts.created_at
    word = "rotated" if facts.last_rotated_at else "created"
    rules = (
        (_is_past(facts.expires_at, facts.now), "deactivate", f"It expired {_day(facts.expires_at)}."),
        (_is_past(used, facts.now - CREDENTIAL_IDLE_AFTER), "deactivate", f"It was last used {_day(used)}."),
        (born is None, "", "Its age is not reported by the source."),
        (_is_past(born, facts.now - ROTATE_AFTER), "rotate", f"It was {word} {_day(born)}, over a year ago."),
        (facts.never_expires, "rotate", "It never expires."),
        (used is None, "", "Its use cannot be observed."),
    )
    for applies, answer, reason in rules:
        if applies:
            return answer, reason
    return "keep", f"It is young enough and in use ({_day(used)})."


def _is_past(moment: datetime | None, limit: datetime) -> bool:
    return moment is not None and moment <= limit


def _credential_use(facts: CredentialFacts) -> Use:
    at = facts.last_used_at
    if at is None:
        return Use(NOT_OBSERVABLE, text="Use cannot be observed.")
    if facts.now - at > CREDENTIAL_IDLE_AFTER:
        return Use(UNUSED, at, at, facts.now, 0, f"Last used {_day(at)}.")
    return Use(USED, at, text=f"Last used {_day(at)}.")


def _day(moment: datetime | None) -> str:
    return f"{moment:%-d %B %Y}" if moment else "never"


def _span(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{length.days} days"
    hours = int(length.total_seconds() // 3600)
    return f"{hours} hours" if hours >= 2 else f"{int(length.total_seconds() // 60)} minutes"
