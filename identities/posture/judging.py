"""From the facts of one identity to everything that is kept about it: both axes, every rule, and when to look again.

Pure: the same facts under the same policy and catalogues give the same judgement.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from identities.models import PostureBox
from identities.posture.assurance import Assurance, assess_assurance
from identities.posture.exposure import Exposure, assess_exposure, box_of
from identities.posture.factors import LENGTHS
from identities.posture.facts import IdentityFacts
from identities.posture.permissions_known import CATALOGUE
from identities.posture.policy import Policy
from identities.posture.results import Outcome, Result, Severity
from identities.posture.rules import assess
from identities.posture.rules.folding import folded
from identities.posture.rules.judged import Judged

# Nothing goes unlooked at for longer, whatever was overlooked: what concerns an identity may change far from it.
LONGEST = timedelta(days=7)
# Minutes limit how long something lives or how far clocks differ, not how old something is.
_UNITS = {"days": timedelta(days=1), "hours": timedelta(hours=1)}
_SEVERITIES = list(Severity)


def _version_of_rules() -> str:
    """A digest of the code that judges, so that an upgrade that changes a rule has everything judged again."""
    here = Path(__file__).parent
    modules = [*(here / f"{name}.py" for name in ("assurance", "gates", "exposure", "factors"))]
    modules += sorted((here / "rules").glob("*.py"))
    return blake2b(b"".join(module.read_bytes() for module in modules), digest_size=4).hexdigest()


CATALOGUE_VERSION = f"{CATALOGUE}+{_version_of_rules()}"
"""By which catalogues and rules everything here is judged; kept with every score."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is kept about one identity. digest: of the facts. outcomes: of every rule; passes are left out.

    failed, passed: rule ids. not_applicable, not_assessable: rule id → reasons. due_at: when time alone may change it.
    """

    facts: IdentityFacts
    digest: bytes
    assurance: Assurance
    exposure: Exposure
    box: PostureBox
    has_excess: bool | None
    outcomes: tuple[Outcome, ...]
    failed: tuple[str, ...]
    passed: tuple[str, ...]
    not_applicable: dict[str, tuple[str, ...]]
    not_assessable: dict[str, tuple[str, ...]]
    worst_severity: str
    due_at: datetime


def judge(facts: IdentityFacts, policy: Policy, *, digest: bytes | None = None) -> Judgement:
    """Judge one identity. digest: of its facts, where it is known already."""
    assurance = assess_assurance(facts, policy)
    exposure = assess_exposure(facts, policy)
    outcomes = assess(Judged(facts, assurance, exposure), policy)
    results: dict[Result, dict[str, tuple[str, ...]]] = {result: {} for result in Result}
    for rule, found in folded(outcomes).items():
        results[found.result][rule] = found.reasons
    has_excess = facts.use.has_excess
    return Judgement(
        facts=facts,
        digest=digest or digest_of(facts),
        assurance=assurance,
        exposure=exposure,
        box=box_of(assurance, exposure, policy),
        has_excess=has_excess if isinstance(has_excess, bool) else None,
        outcomes=tuple(outcome for outcome in outcomes if outcome.result is not Result.PASS),
        failed=tuple(results[Result.FAIL]),
        passed=tuple(results[Result.PASS]),
        not_applicable=results[Result.NOT_APPLICABLE],
        not_assessable=results[Result.NOT_ASSESSABLE],
        worst_severity=_worst(outcomes),
        due_at=due_at(facts, policy),
    )


def _worst(outcomes: Iterable[Outcome]) -> str:
    found = {outcome.severity for outcome in outcomes if outcome.severity is not None}
    return str(max(found, key=_SEVERITIES.index)) if found else ""


# --- what it was judged by --------------------------------------------------------------------------------------------

# When it was looked at, and what every reading moves on without changing anything that is judged.
_PASSING = frozenset({"now", "source", "use"})
_KEPT = tuple(each.name for each in fields(IdentityFacts) if each.name not in _PASSING)


def digest_of(facts: IdentityFacts) -> bytes:
    """16 bytes that stand for everything an identity is judged by, but the time."""
    source, use = facts.source, facts.use
    told: list[Any] = [getattr(facts, name) for name in _KEPT]
    told += [source.kind, source.environment, source.is_fresh, source.last_success_at is None, source.error]
    told += [source.covers, use.watched_from, use.last_used_at, use.unused_share, use.has_excess]
    told += [use.interactive_at, use.callers, use.environments]
    written = orjson.dumps(told, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
    return blake2b(written, digest_size=16).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    return dict(value)


# --- when to look again -----------------------------------------------------------------------------------------------


def due_at(facts: IdentityFacts, policy: Policy) -> datetime:
    """The next moment at which time alone may change something; a week from now at the latest.

    Rules compare moments of the facts with now and with thresholds. So each moment counts, and each threshold after it;
    that some of them concern no rule costs a look that changes nothing.
    """
    now = facts.now
    offsets = _offsets(policy)
    if facts.expected_cadence_days:
        offsets = tuple(sorted({*offsets, timedelta(days=facts.expected_cadence_days)}))
    found = now + LONGEST
    for moment in _moments(facts):
        if moment > now:
            found = min(found, moment, *(early for most, _ in LENGTHS if (early := moment - most) > now))
        elif now - moment < offsets[-1]:
            found = min(found, next(later for offset in offsets if (later := moment + offset) > now))
    return found


@lru_cache(maxsize=16)
def _offsets_of(thresholds: tuple[tuple[str, int], ...]) -> tuple[timedelta, ...]:
    found = set()
    for name, value in thresholds:
        unit = _UNITS.get(name.rpartition("_")[2])
        if unit is not None:
            found.add(unit * value)
    return tuple(sorted(found))


def _offsets(policy: Policy) -> tuple[timedelta, ...]:
    """Every threshold that is a length of time, short ones first."""
    return _offsets_of(tuple(policy.thresholds.items()))


def _moments(facts: IdentityFacts) -> Iterator[datetime]:
    """Every moment that something may be compared with."""
    seen: set[datetime] = set()
    for value in _all_moments(facts):
        if isinstance(value, datetime) and value not in seen:
            seen.add(value)
            yield value


def _all_moments(facts: IdentityFacts) -> Iterator[object]:
    use = facts.use
    yield from (facts.created_at, facts.first_seen_at, use.watched_from, use.last_used_at, use.interactive_at)
    for person in facts.people:
        yield person.departed_at
    for credential in facts.credentials:
        yield from (credential.created_at, credential.expires_at, credential.last_rotated_at, credential.last_used_at)
        yield from _told(credential.attributes)
    for grant in facts.grants:
        yield from (grant.ends_at, grant.approved_until)
    for grants in facts.grants_by_hop.values():
        for grant in grants:
            yield grant.ends_at
    yield from _told(facts.attributes)


def _told(value: Any, depth: int = 3) -> Iterator[datetime]:
    """Moments in what senders say."""
    if isinstance(value, str):
        moment = _as_moment(value) if value[4:5] == "-" and value[10:11] == "T" else None
        if moment is not None:
            yield moment
    elif depth and isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _told(member, depth - 1)


def _as_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
