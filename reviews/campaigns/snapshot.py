"""What a reviewer will see about each item, gathered for a whole chunk with a fixed number of queries.

The evidence is frozen into the item (`seen`), so that later nobody has to guess on what a decision was based. Names of
people stay out of it; pages look them up by id. What concerns the identity is gathered once and shared by all of its
items; that is why an opening goes through the population identity by identity.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Q

from governance.kernel.permissions import Permission
from identities.models import (
    Credential,
    Grant,
    GrantVersion,
    Identity,
    IdentityStatus,
    Source,
    Usage,
    UsageWindow,
)
from reviews.decisions.changes import changes_of_credentials, changes_of_grants
from reviews.decisions.independence import parties_of
from reviews.decisions.resolution import Desk, Resolution, resolve_all
from reviews.models import Campaign, ItemKind, ReviewItem
from reviews.recommend import CredentialFacts, GrantFacts, Recommendation, Seen, Window, recommend

MOST_USES_SHOWN = 20
# Documents read once although many grants hold them.
REMEMBERED = 8192

Frozen = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dossier:
    """What is known around one identity. `seen_identity` goes into every item about it, `seen_use` into its grants'."""

    identity: Identity
    uses: Sequence[Seen]
    windows: Sequence[Window]
    seen_identity: Frozen
    seen_use: Frozen


def make_grant_items(
    campaign: Campaign, versions: Sequence[GrantVersion], desk: Desk, now: datetime
) -> list[ReviewItem]:
    """Unsaved items for these current versions (with their grants loaded)."""
    dossiers = _dossiers({version.grant.identity_id for version in versions})
    sources = source_facts({version.grant.source_id for version in versions})
    people = parties_of([(version.grant.identity_id, version.grant_id, version.is_privileged) for version in versions])
    changes = changes_of_grants(versions)
    items = []
    for version, resolution in zip(versions, resolve_all(people, desk), strict=True):
        grant, dossier = version.grant, dossiers[version.grant.identity_id]
        advice = recommend(_grant_facts(version, dossier, now))
        seen = dossier.seen_identity | sources[grant.source_id] | _seen_of_grant(grant, version) | dossier.seen_use
        seen |= changes[grant.pk]
        item = _item(campaign, grant.identity_id, version.is_privileged, resolution, seen, advice, now)
        item.kind, item.grant, item.grant_version = ItemKind.GRANT, grant, version
        items.append(item)
    return items


def make_credential_items(
    campaign: Campaign, credentials: Sequence[Credential], desk: Desk, now: datetime
) -> list[ReviewItem]:
    """Unsaved items for these credentials. A credential is as privileged as its identity's access."""
    concerned = {credential.identity_id for credential in credentials}
    dossiers, privileged = _dossiers(concerned), privileged_of(concerned)
    sources = source_facts({credential.source_id for credential in credentials})
    people = parties_of([(each.identity_id, None, each.identity_id in privileged) for each in credentials])
    changes = changes_of_credentials(credentials)
    items = []
    for credential, resolution in zip(credentials, resolve_all(people, desk), strict=True):
        dossier, is_privileged = dossiers[credential.identity_id], credential.identity_id in privileged
        advice = recommend(_credential_facts(credential, dossier.identity, now))
        seen = dossier.seen_identity | sources[credential.source_id] | {"credential": _credential(credential)}
        seen |= changes[credential.pk]
        item = _item(campaign, credential.identity_id, is_privileged, resolution, seen, advice, now)
        item.kind, item.credential = ItemKind.CREDENTIAL, credential
        items.append(item)
    return items


def _grant_facts(version: GrantVersion, dossier: Dossier, now: datetime) -> GrantFacts:
    return GrantFacts(
        permission=_permission(orjson.dumps(version.permission)),
        now=now,
        min_observed=timedelta(days=settings.REVIEW_MIN_OBSERVED_DAYS),
        uses=dossier.uses,
        windows=dossier.windows,
        is_disabled=dossier.identity.status == IdentityStatus.DISABLED,
        has_owner=dossier.identity.owner_id is not None,
    )


@lru_cache(maxsize=REMEMBERED)
def _permission(document: bytes) -> Permission:
    return Permission.from_json(orjson.loads(document))


def _credential_facts(credential: Credential, identity: Identity, now: datetime) -> CredentialFacts:
    return CredentialFacts(
        now=now,
        created_at=credential.created_at,
        expires_at=credential.expires_at,
        last_rotated_at=credential.last_rotated_at,
        last_used_at=credential.last_used_at,
        never_expires=credential.never_expires,
        has_owner=identity.owner_id is not None,
    )


def _item(
    campaign: Campaign,
    identity_id: UUID,
    is_privileged: bool,
    resolution: Resolution,
    seen: Frozen,
    advice: Recommendation,
    now: datetime,
) -> ReviewItem:
    return ReviewItem(
        campaign=campaign,
        identity_id=identity_id,
        assignee_id=resolution.assignee,
        resolution=resolution.trace,
        is_privileged=is_privileged,
        needs_independent=is_privileged,
        recommendation=advice.answer,
        recommendation_reasons=list(advice.reasons),
        recommended_target=advice.target.to_json() if advice.target else None,
        rule_version=advice.rule_version,
        seen=seen | {"use": advice.use.to_json(), "replay": advice.replayed, "taken_at": now.isoformat()},
        escalated_at=now if resolution.is_nobody else None,
    )


# --- what is known, with a fixed number of queries ----------------------------------------------------------------


def _dossiers(identity_ids: Collection[UUID]) -> dict[UUID, Dossier]:
    identities = Identity.objects.in_bulk(identity_ids)
    uses, credentials = uses_of(identity_ids), _credentials_of(identity_ids)
    of_identity, of_source = windows_of({pk: identity.source_id for pk, identity in identities.items()})
    return {
        pk: _dossier(identity, uses[pk], (*of_identity[pk], *of_source[identity.source_id]), credentials[pk])
        for pk, identity in identities.items()
    }


def _dossier(
    identity: Identity, uses: Sequence[Seen], windows: Sequence[Window], credentials: Sequence[Credential]
) -> Dossier:
    return Dossier(
        identity=identity,
        uses=uses,
        windows=windows,
        seen_identity=seen_of_identity(identity),
        seen_use={
            "uses": _uses(uses),
            "windows": [_window(window) for window in windows],
            "credentials": [_credential(each) for each in credentials],
        },
    )


def _credentials_of(identity_ids: Collection[UUID]) -> Mapping[UUID, list[Credential]]:
    found: dict[UUID, list[Credential]] = defaultdict(list)
    for credential in Credential.objects.filter(identity__in=identity_ids, retired_at=None).order_by("external_id"):
        found[credential.identity_id].append(credential)
    return found


def privileged_of(identity_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of these identities that hold privileged access."""
    held = GrantVersion.objects.filter(
        grant__identity__in=identity_ids, grant__retired_at=None, seen_until=None, is_privileged=True
    )
    return frozenset(held.values_list("grant__identity_id", flat=True))


def source_facts(source_ids: Collection[UUID]) -> dict[UUID, Frozen]:
    """The sources as they are named in what a reviewer sees."""
    named = Source.objects.filter(pk__in=source_ids).values_list("pk", "name")
    return {pk: {"source": {"id": str(pk), "name": name}} for pk, name in named}


def uses_of(identity_ids: Collection[UUID]) -> Mapping[UUID, list[Seen]]:
    """What each of these identities was seen to do, the latest first."""
    found: dict[UUID, list[Seen]] = defaultdict(list)
    uses = Usage.objects.filter(identity__in=identity_ids).order_by("-last_seen_at", "pk")
    rows = uses.values_list("identity_id", "action", "resource", "last_seen_at", "count", "first_seen_at")
    for identity_id, action, resource, last_seen_at, count, first_seen_at in rows:
        found[identity_id].append(Seen(action, resource, last_seen_at, count, first_seen_at))
    return found


def windows_of(
    source_by_identity: Mapping[UUID, UUID],
) -> tuple[Mapping[UUID, list[Window]], Mapping[UUID, list[Window]]]:
    """What could be observed, by identity and, where it holds for all of a source's identities, by source."""
    of_identity: dict[UUID, list[Window]] = defaultdict(list)
    of_source: dict[UUID, list[Window]] = defaultdict(list)
    sources = set(source_by_identity.values())
    concerns = Q(identity__in=source_by_identity.keys()) | Q(identity=None, source__in=sources)
    for row in UsageWindow.objects.filter(concerns).order_by("pk"):
        window = Window(
            log=row.log,
            observed_from=row.observed_from,
            observed_until=row.observed_until,
            actions=tuple(row.observable.get("actions", ())),
            resources=tuple(row.observable.get("resources", ())),
        )
        if row.identity_id:
            of_identity[row.identity_id].append(window)
        else:
            of_source[row.source_id].append(window)
    return of_identity, of_source


# --- as it is frozen ----------------------------------------------------------------------------------------------


def seen_of_identity(identity: Identity) -> Frozen:
    """What every question about an identity keeps of it."""
    return {
        "identity": {
            "id": str(identity.pk),
            "name": identity.name,
            "kind": identity.kind,
            "status": identity.status,
            "environment": identity.environment_edited or identity.environment,
            "purpose": identity.purpose_edited or identity.purpose,
            "last_used_at": _text(identity.last_used_at),
        },
        "owner": str(identity.owner_id) if identity.owner_id else None,
    }


def _seen_of_grant(grant: Grant, version: GrantVersion) -> Frozen:
    return {
        "label": grant.label,
        "plain": version.plain,
        "path": grant.path,
        "segment": version.segment,
        "privilege_classes": list(version.privilege_classes),
        "revocability": grant.revocability,
        "shared_with": grant.shared_with,
        "first_seen_at": _text(grant.first_seen_at),
        "version": version.number,
        "digest": bytes(version.digest).hex(),
    }


def _uses(uses: Sequence[Seen]) -> list[Frozen]:
    return [
        {"action": use.action, "resource": use.resource, "at": _text(use.last_seen_at), "count": use.count}
        for use in uses[:MOST_USES_SHOWN]
    ]


def _window(window: Window) -> Frozen:
    return {"log": window.log, "from": _text(window.observed_from), "until": _text(window.observed_until)}


def _credential(credential: Credential) -> Frozen:
    return {
        "id": str(credential.pk),
        "name": credential.external_id,
        "kind": credential.kind,
        "status": credential.status,
        "created_at": _text(credential.created_at),
        "expires_at": _text(credential.expires_at),
        "never_expires": credential.never_expires,
        "last_rotated_at": _text(credential.last_rotated_at),
        "last_used_at": _text(credential.last_used_at),
        "storage": credential.storage,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
