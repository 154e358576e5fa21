"""audit-log.jsonl, checkpoint.txt and proofs/: what the trail says about the review, and that it was said by then."""

from collections.abc import Iterator
from typing import Any

import orjson

from governance.audit import excerpt
from governance.audit.actions import Verb
from governance.audit.lines import leaves_until
from governance.kernel.errors import Conflict
from governance.kernel.merkle import HASH_SIZE, inclusion_proofs, leaf_hash, multiproof, root_of_multiproof, tlog_proof
from reviews.models import Order
from reviews.packs.content import ERASED, ROWS_AT_ONCE, Pin, Tally

# Each of these is proved on its own as well, for tools that know nothing of packs.
MILESTONES = frozenset(
    {
        Verb.CAMPAIGN_OPENED,
        Verb.CAMPAIGN_CLOSED,
        Verb.CAMPAIGN_COMPLETED,
        Verb.CAMPAIGN_CANCELLED,
        Verb.CAMPAIGN_ACKNOWLEDGED,
    }
)
ANSWERS = frozenset({Verb.ITEM_DECIDED, Verb.ITEM_ANSWERED})
DECIDING = frozenset({"item.decided", "item.answered", "item.rerouted", "item.recalled", "item.expired"})


class TrailDiffers(Conflict):
    """The events of the review are not the ones that were signed, so no pack can vouch for them."""

    code = "trail-differs"
    status = 500
    title = "The trail is not what was signed"


def audit_log(pin: Pin, tally: Tally) -> Iterator[str]:
    """One line per event about the review, its schedule, its questions and its orders, in the order of sealing."""
    for event in excerpt.lines_about(_subjects(pin), until=pin.size):
        tally.seqs.append(event.seq)
        tally.leaves += leaf_hash(event.payload.encode())
        _note(event, tally)
        yield event.line


def _subjects(pin: Pin) -> Iterator[tuple[str, str]]:
    yield "campaign", str(pin.campaign)
    if pin.frozen["schedule"]:
        yield "schedule", pin.frozen["schedule"]["id"]
    for kind, rows in (("item", pin.items()), ("order", Order.objects.filter(item__campaign=pin.campaign))):
        for (pk,) in rows.order_by("pk").values_list("pk").iterator(chunk_size=ROWS_AT_ONCE):
            yield kind, str(pk)


def _note(event: excerpt.TrailLine, tally: Tally) -> None:
    if event.verb in MILESTONES:
        tally.milestones.append((event.seq, event.verb))
    if event.verb == Verb.CAMPAIGN_OPENED and tally.opened_seq is None:
        tally.opened_seq = event.seq
    if event.verb in ANSWERS and tally.first_answer_seq is None:
        tally.first_answer_seq = event.seq
        tally.milestones.append((event.seq, event.verb))
    if event.verb == Verb.ORDER_SETTLED:
        said = orjson.loads(event.detail).get("reason", "") if event.detail else ERASED
        actor = orjson.loads(event.payload)["actor"]
        tally.let_rest[event.subject_id] = (actor["id"], said)
    if event.is_erased:
        tally.erased += 1
        _note_erased(event, tally)


def _note_erased(event: excerpt.TrailLine, tally: Tally) -> None:
    """The rows repeat what was said; what is erased in the trail is not said by a pack either."""
    if event.subject_kind == "order":
        tally.erased_orders.add(event.subject_id)
    elif event.verb in DECIDING:
        context = orjson.loads(event.payload).get("context") or {}
        tally.erased_decisions.add(str(context.get("decision")))


def checkpoint_text(pin: Pin, tally: Tally) -> Iterator[str]:
    """The signed checkpoint that the pack is pinned to."""
    yield pin.note


def frozen_before(pin: Pin, tally: Tally) -> dict[str, Any]:
    """Whether a checkpoint proves that the population was frozen before the first answer."""
    facts: dict[str, Any] = {
        "opened_event": tally.opened_seq,
        "first_answer_event": tally.first_answer_seq,
        "first_checkpoint_over_opening": None,
        "is_before_first_answer": None,
    }
    if tally.opened_seq is None:
        return facts
    found = excerpt.first_checkpoint_over(tally.opened_seq, origin=pin.origin, until=pin.size)
    if found is not None:
        facts["first_checkpoint_over_opening"] = {"size": found.size, "root": found.root.hex(), "note": found.note}
        first = tally.first_answer_seq
        facts["is_before_first_answer"] = first is None or found.size < first
    return facts


def inclusion(pin: Pin, tally: Tally) -> Iterator[str]:
    """One proof that every line of audit-log.jsonl is under the checkpoint. Raises TrailDiffers."""
    indices = [seq - 1 for seq in tally.seqs]
    nodes = multiproof(leaves_until(pin.size), indices)
    leaves = (bytes(tally.leaves[at : at + HASH_SIZE]) for at in range(0, len(tally.leaves), HASH_SIZE))
    if root_of_multiproof(pin.size, indices, leaves, nodes) != pin.root:
        raise TrailDiffers("The events of this review are not the ones that were signed. Run verify_audit.")
    yield f'{{"size":{pin.size},"indices":['
    yield ",".join(map(str, indices))
    yield '],"nodes":['
    yield ",".join(f'"{node.hex()}"' for node in nodes)
    yield "]}\n"


def single_proofs(pin: Pin, tally: Tally) -> dict[str, str]:
    """By file name: the inclusion of each milestone in the text form of c2sp.org/tlog-proof."""
    seqs = sorted({seq for seq, _ in tally.milestones})
    paths = inclusion_proofs(leaves_until(pin.size), [seq - 1 for seq in seqs]) if seqs else {}
    return {
        f"proofs/{seq}.tlog-proof": tlog_proof(index=seq - 1, proof=paths[seq - 1], checkpoint=pin.note) for seq in seqs
    }
