"""reviewers.csv: who was asked and by which rule, in whose place, who was passed over, and were they independent?

Holders of a credential and creators of an access are refused when they answer; the steps that found whoever was asked
are kept with each question. What the question kept of its owner is compared once more here, without asking the rules
that decided then.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.packs.content import ROWS_AT_ONCE, Pin, Tally, access_of, yes

HEADER = (
    *("item", "source", "identity", "access", "privileged", "answer", "answered_by", "answered_by_id", "as", "asked"),
    *("asked_by_rule", "in_the_place_of", "passed_over", "fallback", "owner_at_opening", "is_owner", "independence"),
)
FALLBACK = frozenset({"fallback", "campaign_manager", "anyone", "nobody"})
HANDED_ON = frozenset({"delegated", "named", "stand_in"})
REACHED = frozenset({"asked", "away"})
_FIELDS = (
    *("pk", "source_name", "identity_name", "seen__label", "seen__credential", "is_privileged", "resolution"),
    *("assignee", "seen__owner", "decisions__pk", "decisions__answer", "decisions__decided_by"),
    *("decisions__decided_by_policy", "decisions__is_attestation"),
)
Step = Mapping[str, Any]


def reviewers_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per answer, and one per question that nobody answered."""
    yield from csv_lines(HEADER, _rows(pin, tally))


def _rows(pin: Pin, tally: Tally) -> Iterator[tuple[Any, ...]]:
    order = ("source_name", "identity_name", "pk", "decisions__decided_at", "decisions__pk")
    found = pin.items().order_by(*order).values_list(*_FIELDS, named=True)
    for row in found.iterator(chunk_size=ROWS_AT_ONCE):
        person = row.decisions__decided_by
        asked, steps = str(person or row.assignee), row.resolution or []
        step, chain = _asked_by(asked, steps), _stands_for(asked, steps)
        owner = row.seen__owner
        is_owner = bool(owner) and owner in {asked, *chain}
        role = _role(row.decisions__pk, person, row.decisions__is_attestation)
        verdict = _verdict(role, row.is_privileged and is_owner, row.decisions__answer)
        tally.independence[verdict] += 1
        yield (
            *(row.pk, row.source_name, row.identity_name, access_of(row.seen__label, row.seen__credential)),
            *(yes(row.is_privileged), row.decisions__answer, pin.name_of(person) or row.decisions__decided_by_policy),
            *(person, role, pin.name_of(row.assignee), step.get("rule")),
            " < ".join(pin.name_of(each) for each in chain),
            "; ".join(_passed_over(pin, steps)),
            yes(step.get("rule") in FALLBACK),
            *(pin.name_of(owner), yes(is_owner), verdict),
        )


def _role(decision: Any, person: Any, testifies: bool | None) -> str:
    if decision is None:
        return "nobody answered"
    if person is None:
        return "policy"
    return "testimony" if testifies else "decision"


def _verdict(role: str, is_own: bool, answer: str | None) -> str:
    """What the evidence says about independence; an owner may testify about privileged access and not decide on it."""
    if role == "nobody answered":
        return "not answered"
    if role == "policy":
        return "by policy"
    if answer in {"not_mine", "dont_know"}:
        return "passed on"
    if role == "testimony":
        return "testimony"
    return "violated" if is_own else "passed"


def _asked_by(person: str, steps: Sequence[Step]) -> Step:
    """The last step by which this person was reached."""
    return next((s for s in reversed(steps) if s.get("person") == person and s.get("outcome") in REACHED), {})


def _stands_for(person: str, steps: Sequence[Step]) -> list[str]:
    """In whose place the person answered, the nearest first."""
    chain: list[str] = []
    current = person
    for step in reversed(steps):
        if step.get("person") != current or step.get("outcome") not in REACHED or step.get("rule") == "returned":
            continue
        if step.get("rule") not in HANDED_ON or not step.get("by"):
            break
        current = step["by"]
        chain.append(current)
    return chain


def _passed_over(pin: Pin, steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if step.get("outcome") == "skipped" and step.get("person"):
            yield f"{pin.name_of(step['person'])}: {step.get('why', '')}"
