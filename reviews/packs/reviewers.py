"""reviewers.csv: who was asked and by which rule, in whose place, who was passed over, and were they independent?

Holders of a credential and creators of an access are refused when they answer; the steps that found whoever was asked
are kept with each question. What the question kept of its owner is compared once more here, without asking the rules
that decided then.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.models import PASSING_ON
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
    *("decisions__decided_by_policy", "decisions__is_attestation", "decisions__recalls", "decisions__recalled_by__pk"),
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
        role = _role(row)
        verdict = _verdict(role, is_owner, row.is_privileged)
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


def _role(row: Any) -> str:
    if row.decisions__pk is None:
        return "nobody answered"
    if row.decisions__recalls is not None or row.decisions__recalled_by__pk is not None:
        return "taken back"
    if row.decisions__decided_by is None:
        return "policy"
    if row.decisions__answer in PASSING_ON:
        return "passed on"
    return "testimony" if row.decisions__is_attestation else "decision"


def _verdict(role: str, is_owner: bool, is_privileged: bool) -> str:
    """What the evidence says about independence: an owner may testify about privileged access, not decide on it.

    Of other access an owner's answer stands, where the review asks owners; the file says so in each row.
    """
    if role != "decision":
        return role
    if not is_owner:
        return "independent"
    return "violated" if is_privileged else "owner, access not privileged"


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
