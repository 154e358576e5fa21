"""Prove that one event is in the tree that a checkpoint signed, to somebody who holds nothing but the public key."""

from dataclasses import dataclass
from uuid import UUID

from governance.audit.lineage import current_epoch
from governance.audit.lines import leaves_until
from governance.audit.models import AuditCheckpoint, AuditLink
from governance.kernel.errors import Conflict
from governance.kernel.merkle import inclusion_proof, tlog_proof


class NotSignedYet(Conflict):
    """The event is sealed, but no checkpoint covers it so far; the next one is minutes away."""

    code = "not-signed-yet"
    title = "No checkpoint covers this event yet"


@dataclass(frozen=True, slots=True)
class EventProof:
    """`text` is a C2SP tlog-proof: index, audit path and the signed checkpoint of `size` events."""

    seq: int
    size: int
    text: str


def prove_event(event_id: UUID) -> EventProof | None:
    """The proof against the newest checkpoint of this log; None for an event that is not sealed here.

    Reads the leaf hashes up to the checkpoint, a block at a time. Raises NotSignedYet.
    """
    seq = AuditLink.objects.filter(event_id=event_id).values_list("seq", flat=True).first()
    if seq is None:
        return None
    newest = AuditCheckpoint.objects.filter(origin=current_epoch().origin).order_by("-size").first()
    if newest is None or newest.size < seq:
        raise NotSignedYet("The event is sealed. A signed checkpoint follows within minutes; ask again then.")
    path = inclusion_proof(leaves_until(newest.size), seq - 1)
    return EventProof(seq, newest.size, tlog_proof(index=seq - 1, proof=path, checkpoint=newest.note))
