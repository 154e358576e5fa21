"""What many answers would be worth, told before anybody gives them, with a fixed number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from governance.kernel.errors import DomainError
from reviews.decisions.deciding import Wanted
from reviews.decisions.facts import find, gather
from reviews.decisions.items import read_items
from reviews.decisions.judging import judge


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of one answer: a sentence and the error's code, both empty where it is taken."""

    item_id: UUID
    ok: bool
    problem: str = ""
    code: str = ""
    is_attestation: bool = False


def foresee(wanted: Sequence[Wanted]) -> list[Outlook]:
    """What each answer would be worth, in the order given; changes nothing. A missing reason is no refusal yet.

    Says what `decide` would, by the same judgement, apart from what only the source can say.
    """
    facts = gather(read_items([each.item_id for each in wanted]))
    found = []
    for each in wanted:
        reply = replace(each.reply, reason=each.reply.reason.strip() or "given later")
        try:
            around = find(facts, each.item_id)
            around.require_heard(reply.actor)
            standing = judge(around, reply, version=each.version)
        except DomainError as problem:
            found.append(Outlook(each.item_id, False, problem.message, problem.code))
        else:
            found.append(Outlook(each.item_id, True, is_attestation=standing.is_attestation))
    return found
