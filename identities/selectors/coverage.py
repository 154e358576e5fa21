"""What can really be known of a source: what its connector says it can report, or what its senders ever sent.

A connector knows its system, so its word holds. A source that is pushed to, or into which files are imported, holds
what somebody happened to send: there a kind of fact counts as covered only where at least one such fact stands in the
inventory, and whole lists only after a reading that was vouched to be complete. An export without credentials must not
read as "has no credentials".
"""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from identities.models import Credential, Grant, GrantVersion, Identity, Source, TrustRelation, UsageWindow

PUSH = "push"
# Whether all of them are there, only a complete reading can say.
WHOLE_LISTS = frozenset({"credentials", "grants", "trust"})


def coverage_of(sources: Iterable[Source], *, sent: Collection[UUID] = ()) -> Mapping[UUID, Mapping[str, bool]]:
    """Name of the fact → whether the source reports it, by source. One query for all sources that are pushed to.

    sent: further sources whose last reading came as a file, so that their connector was not asked.
    """
    given = list(sources)
    pushed = [source.pk for source in given if source.kind == PUSH or source.pk in sent]
    seen = _seen(pushed) if pushed else {}
    return {source.pk: seen.get(source.pk, source.coverage) for source in given}


def _seen(pushed: list[UUID]) -> dict[UUID, dict[str, bool]]:
    evidence = {name: Exists(rows) for name, rows in _evidence().items()}
    rows = Source.objects.filter(pk__in=pushed).annotate(**{f"sent_{name}": found for name, found in evidence.items()})
    return {source.pk: _covered(source, list(evidence)) for source in rows}


def _covered(source: Source, names: list[str]) -> dict[str, bool]:
    is_whole = source.last_complete_at is not None
    sent = {name: bool(getattr(source, f"sent_{name}")) for name in names}
    return {
        **source.coverage,
        **{name: is_sent and (is_whole or name not in WHOLE_LISTS) for name, is_sent in sent.items()},
    }


def _evidence() -> dict[str, QuerySet]:
    here = OuterRef("pk")
    identities = Identity.objects.filter(source=here, retired_at=None)
    credentials = Credential.objects.filter(source=here, retired_at=None)
    return {
        "created_at": identities.filter(created_at__isnull=False),
        "last_used": identities.filter(last_used_at__isnull=False),
        "credentials": credentials,
        "credential_expiry": credentials.filter(Q(expires_at__isnull=False) | Q(never_expires=True)),
        "credential_created_at": credentials.filter(created_at__isnull=False),
        "credential_last_rotated": credentials.filter(last_rotated_at__isnull=False),
        "credential_last_used": credentials.filter(last_used_at__isnull=False),
        "grants": Grant.objects.filter(source=here, retired_at=None),
        "grant_expiry": GrantVersion.objects.filter(
            grant__source=here, grant__retired_at=None, seen_until=None, valid_until__isnull=False
        ),
        "trust": TrustRelation.objects.filter(source=here, retired_at=None),
        "usage": UsageWindow.objects.filter(source=here),
    }
