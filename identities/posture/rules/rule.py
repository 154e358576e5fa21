"""What a rule is, and how its verdicts become outcomes. A pass that its source cannot vouch for never leaves here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from identities.posture.facts import SourceFacts
from identities.posture.results import ObjectKind, Outcome, Result, Severity
from identities.posture.rules import severity
from identities.posture.rules.judged import Judged, Policy, SourceJudged
from identities.posture.rules.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """What every rule says about itself; docs/rules.md says the same for people.

    condition: when it fails. owasp: id of the OWASP list, empty for population and trust boundaries. base: None for a
    rule that never fails. inputs: the facts that it needs, as paths below the identity ("credentials.expires_at").
    coverage: what the connector of the source must be able to report. fix: the act that mends it, one of `FIXES`.
    is_advisory: its severity is never raised.
    """

    id: str
    title: str
    condition: str
    owasp: str
    base: Severity | None
    object_kind: ObjectKind
    inputs: tuple[str, ...]
    coverage: tuple[str, ...] = ()
    thresholds: tuple[str, ...] = ()
    blind_spots: str
    cautions: str
    fix: str
    needs_fresh: bool = True
    is_advisory: bool = False


# What can be done about a failing rule: the acts that a finding offers.
FIXES = (
    "assign_owner", "declare_use", "narrow", "revoke", "rotate", "deactivate", "quarantine", "limit_in_time",
    "move_to_federation", "tighten_trust", "record_trust", "separate", "record_vendor", "change_application",
    "change_pipeline", "read_source", "merge", "review",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(_Described):
    """A rule about one identity, its credentials or the trust in it. judge: a pure function over the facts."""

    judge: Callable[[Judged, Policy], Sequence[Verdict]]

    def assess(self, judged: Judged, policy: Policy) -> list[Outcome]:
        """At least one outcome, whatever the facts are."""
        facts = judged.facts

        def weigh(verdict: Verdict) -> tuple[Severity, tuple[str, ...]]:
            return severity.weigh(self, verdict, facts)

        return [
            _outcome(self, verdict, facts.id, weigh)
            for verdict in _vouched(self, self.judge(judged, policy), facts.source)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule(_Described):
    """A rule about a whole source: whether what the others say of its identities can be believed."""

    judge: Callable[[SourceJudged, Policy], Sequence[Verdict]]

    def assess(self, judged: SourceJudged, policy: Policy) -> list[Outcome]:
        return [
            _outcome(self, verdict, judged.source.id, lambda found: severity.plain(self, found))
            for verdict in _vouched(self, self.judge(judged, policy), judged.source)
        ]


def _vouched(rule: _Described, verdicts: Sequence[Verdict], source: SourceFacts) -> Iterator[Verdict]:
    """The verdicts, but a pass only where the source is fresh and reports what the rule needs."""
    for verdict in verdicts:
        # Asked for passes alone: a million identities have fifty verdicts each, and most are none.
        doubts = tuple(_doubts(rule, source)) if verdict.result is Result.PASS else ()
        if not doubts:
            yield verdict
        else:
            yield Verdict(
                result=Result.NOT_ASSESSABLE,
                object_id=verdict.object_id,
                object_kind=verdict.object_kind,
                reasons=doubts,
                evidence={"not_covered": lacking} if (lacking := _not_covered(rule, source)) else {},
            )


def _doubts(rule: _Described, source: SourceFacts) -> Iterator[str]:
    if rule.needs_fresh and source.last_success_at is None:
        yield "never_read"
    elif rule.needs_fresh and not source.is_fresh:
        yield "stale"
    if _not_covered(rule, source):
        yield "not_covered"


def _not_covered(rule: _Described, source: SourceFacts) -> list[str]:
    return [name for name in rule.coverage if not source.can_report(name)]


def _outcome(
    rule: Rule | SourceRule,
    verdict: Verdict,
    own_id: UUID,
    weigh: Callable[[Verdict], tuple[Severity, tuple[str, ...]]],
) -> Outcome:
    kind = verdict.object_kind or (rule.object_kind if verdict.object_id else _whole(rule))
    weight, arithmetic = weigh(verdict) if verdict.result is Result.FAIL else (None, ())
    return Outcome(
        rule=rule.id,
        result=verdict.result,
        object_kind=kind,
        object_id=verdict.object_id or own_id,
        reasons=verdict.reasons,
        evidence=verdict.evidence,
        severity=weight,
        arithmetic=arithmetic,
    )


def _whole(rule: Rule | SourceRule) -> ObjectKind:
    return ObjectKind.SOURCE if isinstance(rule, SourceRule) else ObjectKind.IDENTITY
