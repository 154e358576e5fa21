"""Whose word an identity is let in on, as its page prints it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from governance.kernel.actors import Actor
from governance.kernel.federation import Looseness, subject_looseness
from identities.models import Source, TrustRelation
from identities.selectors.boundaries import registrations_of
from identities.selectors.inventory import sees_everything


@dataclass(frozen=True, slots=True)
class BoundaryLine:
    """One issuer. url: of the boundary, where the person sees all of it. note: what to look at, empty for nothing."""

    issuer: str
    url: str
    note: str
    tone: str


def lines_of(trusts: Sequence[TrustRelation], source: Source, actor: Actor) -> list[BoundaryLine]:
    """Each issuer once, with the worst that is to be said of its trusts. One query, none without trusts."""
    if not trusts:
        return []
    registered = registrations_of(trusts)
    may_look = sees_everything(actor)
    found: dict[str, tuple[int, str, str]] = {}
    for trust in trusts:
        record = registered.get(trust.pk)
        rank, note, tone = 0, "", ""
        if subject_looseness(trust.issuer, trust.subject).looseness is Looseness.ANY:
            rank, note, tone = 3, "lets anybody in", "danger"
        elif record is not None and not record.covers:
            rank, note, tone = 2, "outside its record", "danger"
        elif record is None:
            rank, note, tone = 1, "nobody registered it", "warn"
        if rank >= found.get(trust.issuer, (0, "", ""))[0]:
            found[trust.issuer] = (rank, note, tone)
    where = reverse("identities:boundary_of", args=[source.slug]) if may_look else ""
    return [
        BoundaryLine(issuer, f"{where}?{urlencode({'issuer': issuer})}" if where else "", note, tone)
        for issuer, (_, note, tone) in found.items()
    ]
