"""decisions.csv: what was answered, when, by whom, why, and what it was based on."""

from collections.abc import Iterator
from typing import Any

from governance.kernel.cells import csv_lines
from reviews.models import PASSING_ON, Decision
from reviews.packs.content import ERASED, ROWS_AT_ONCE, Pin, Tally, access_of, when, yes

HEADER = (
    *("decision", "item", "source", "identity", "access", "answer", "is_final", "decided_at", "in_time"),
    *("decided_by", "decided_by_id", "decided_by_policy", "signed_in_by", "in_bulk", "is_testimony", "stage", "round"),
    *("reason", "until", "content_digest", "target_digest", "proof", "recommended", "taken_back_by", "takes_back"),
    *("carried_from", "generation", "named"),
)
_FIELDS = (
    *("pk", "item", "item__source_name", "item__identity_name", "item__seen__label", "item__seen__credential"),
    *("answer", "decided_at", "decided_by", "decided_by_policy", "auth_method", "is_bulk", "is_attestation"),
    *("stage", "round", "reason", "until", "digest", "proof", "item__recommendation", "recalled_by__pk", "recalls"),
    *("carries", "generation", "named_person", "item__state", "item__round"),
)
TAKING_AWAY = frozenset({"revoke", "scope_down", "deactivate", "rotate", "retire"})


def decisions_csv(pin: Pin, tally: Tally) -> Iterator[str]:
    """One row per answer, also those that were taken back or only testify."""
    yield from csv_lines(HEADER, _rows(pin, tally))


def _rows(pin: Pin, tally: Tally) -> Iterator[tuple[Any, ...]]:
    deadline = pin.review["deadline_at"]
    found = Decision.objects.filter(item__campaign=pin.campaign)
    ordered = found.order_by("decided_at", "item", "pk").values_list(*_FIELDS, named=True)
    for row in ordered.iterator(chunk_size=ROWS_AT_ONCE):
        is_final = is_final_answer(row)
        in_time = row.decided_by is not None and when(row.decided_at) < when(deadline)
        _count(tally, row, is_final, in_time)
        access = access_of(row.item__seen__label, row.item__seen__credential)
        reason = ERASED if str(row.pk) in tally.erased_decisions else row.reason
        who = pin.name_of(row.decided_by)
        if is_final and row.answer in TAKING_AWAY:
            tally.show("taken_away", row.item__identity_name, access, row.answer, who or row.decided_by_policy, reason)
        target = (row.proof or {}).get("target")
        yield (
            *(row.pk, row.item, row.item__source_name, row.item__identity_name, access, row.answer, yes(is_final)),
            *(when(row.decided_at), yes(in_time), who, row.decided_by, row.decided_by_policy, row.auth_method),
            *(yes(row.is_bulk), yes(row.is_attestation), row.stage, row.round, reason, when(row.until)),
            *(bytes(row.digest).hex() if row.digest else "", target if isinstance(target, str) else ""),
            *(_proof(row), row.item__recommendation, row.recalled_by__pk, row.recalls, row.carries, row.generation),
            pin.name_of(row.named_person),
        )


def is_final_answer(row: Any) -> bool:
    """Whether this answer ended its question and was not taken back."""
    ends = not row.is_attestation and row.answer not in PASSING_ON
    stands = row.recalled_by__pk is None and row.recalls is None and row.round == row.item__round
    return ends and stands and row.item__state == "decided"


def _count(tally: Tally, row: Any, is_final: bool, in_time: bool) -> None:
    if is_final:
        tally.answers[row.answer] += 1
        tally.by_policy += bool(row.decided_by_policy)
        tally.in_time += in_time
    tally.testimony += row.is_attestation
    tally.taken_back += row.recalls is not None


def _proof(row: Any) -> str:
    if row.answer != "scope_down":
        return ""
    return "contained in what was held" if row.proof else "not proved"
