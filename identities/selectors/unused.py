"""What "not used for so many days" means of whatever is listed, and what stays unknown.

Three answers, and never a guess: used within these days; unused, where logs that would have shown any use have shown
none for so long; unknown, which is the rest. Of a grant its own use counts, whatever else its holder does
(`identities.models.GrantUse`); of a credential what its source says of it; of an identity its last use at all.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from identities.models import GrantUse, PostureMark, UsageWindow
from identities.selectors.filters import InventoryFilter


def left_out_as_unknown(filters: InventoryFilter) -> InventoryFilter | None:
    """What a filter for the unused leaves out because nobody can tell, as a filter; None where it does not ask."""
    if not filters.unused_days or filters.unknown_use_days:
        return None
    return replace(filters, unused_days="", unknown_use_days=filters.unused_days)


def grant_use_condition(filters: InventoryFilter, *, now: datetime, at: str = "") -> Q:
    """unused_days and unknown_use_days of grants. at: the path from the listed model to the grant."""
    found = Q()
    if filters.unused_days:
        found &= Q(_unused_grant(timedelta(days=int(filters.unused_days)), now, at))
    if filters.unknown_use_days:
        length = timedelta(days=int(filters.unknown_use_days))
        found &= ~Q(_used_grant(length, now, at)) & ~Q(_unused_grant(length, now, at))
    return found


def identity_use_condition(filters: InventoryFilter, *, now: datetime, at: str = "") -> Q:
    """The same of identities. at: the path from the listed model to the identity."""
    found = Q()
    if filters.unused_days:
        found &= _unused_identity(now - timedelta(days=int(filters.unused_days)), at)
    if filters.unknown_use_days:
        limit = now - timedelta(days=int(filters.unknown_use_days))
        found &= Q(**{f"{at}last_seen_at": None}) & ~_silent(limit, at)
    return found


def credential_use_condition(filters: InventoryFilter, *, now: datetime) -> Q:
    """The same of credentials. One whose last use its source does not tell is unknown, however old it is."""
    found = Q()
    if filters.unused_days:
        found &= Q(last_used_at__lte=now - timedelta(days=int(filters.unused_days)))
    if filters.unknown_use_days:
        found &= Q(last_used_at=None)
    return found


def _used_grant(length: timedelta, now: datetime, at: str) -> Exists:
    return Exists(_known(at).filter(used_before__gt=now - length))


def _known(at: str) -> QuerySet[GrantUse]:
    """What was worked out of the grant as it is now and of whoever holds it now."""
    return GrantUse.objects.filter(
        grant=OuterRef(f"{at}pk"), identity=OuterRef(f"{at}identity"), version__seen_until=None
    )


def _unused_grant(length: timedelta, now: datetime, at: str) -> Exists:
    """Quiet for so long, by what is known: nothing waits to be worked out, and no log began later or ended sooner."""
    since = OuterRef("quiet_since")
    too_short = UsageWindow.objects.filter(Q(observed_from__gt=since) | Q(observed_until__lt=since + length))
    return Exists(
        _known(at)
        .filter(quiet_since__lte=now - length)
        .exclude(Exists(too_short.filter(identity=OuterRef("identity"))))
        .exclude(Exists(too_short.filter(identity=None, source=OuterRef("source"))))
        .exclude(Exists(PostureMark.objects.filter(identity=OuterRef("identity"))))
    )


def _unused_identity(limit: datetime, at: str) -> Q:
    """Last seen before, or watched for so long without any use; what nobody watches is not unused."""
    return Q(**{f"{at}last_seen_at__lte": limit}) | (Q(**{f"{at}last_seen_at": None}) & _silent(limit, at))


def _silent(limit: datetime, at: str) -> Q:
    watched = UsageWindow.objects.filter(observed_from__lte=limit)
    silent = Q(**{f"{at}pk__in": watched.filter(identity__isnull=False).values("identity")})
    return silent | Q(**{f"{at}source__in": watched.filter(identity=None).values("source")})
