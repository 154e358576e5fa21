"""What readings changed, object by object, and what a grant was at each time."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from governance.kernel.actors import Actor
from identities.models import Change, ChangeAction, Credential, Grant, GrantVersion, Identity
from identities.selectors.inventory import sees_everything, visible_identities


def names_of(changes: Iterable[Change]) -> dict[UUID, str]:
    """What the identities and grants among the changed objects are called, by id. At most two queries."""
    ids: dict[str, set[UUID]] = {}
    for change in changes:
        ids.setdefault(change.object_kind, set()).add(change.object_id)
    names: dict[UUID, str] = {}
    if "identity" in ids:
        names |= dict(Identity.objects.filter(pk__in=ids["identity"]).values_list("pk", "name"))
    if "grant" in ids:
        names |= dict(Grant.objects.filter(pk__in=ids["grant"]).values_list("pk", "label"))
    return names


def list_versions(grant: Grant) -> QuerySet[GrantVersion]:
    """Every content that the grant ever had, latest first."""
    return GrantVersion.objects.filter(grant=grant).order_by("-number")


def list_native_changes(grant: Grant) -> QuerySet[Change]:
    """The readings in which the grant's native form changed, latest first."""
    changed = Change.objects.filter(object_id=grant.pk, action=ChangeAction.CHANGED, new__has_key="native_ref")
    return changed.order_by("-pk")


def list_visible_credentials(*, actor: Actor) -> QuerySet[Credential]:
    """The live credentials of every identity that the actor may see."""
    credentials = Credential.objects.filter(retired_at=None).select_related("identity", "source")
    if sees_everything(actor):
        return credentials
    return credentials.filter(identity__in=visible_identities(actor).values("pk"))
