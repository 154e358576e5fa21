"""What a reviewer will see about each item, gathered for a whole chunk with a fixed number of queries.

The evidence is frozen into the item (`seen`), so that later nobody has to guess on what a decision was based. Names of
people stay out of it; pages look them up by id.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

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
from reviews.decisions.independence import Parties, parties_of
from reviews.decisions.resolution import Desk, resolve
from reviews.models import Campaign, ItemKind, ReviewItem
from reviews.recommend import CredentialFacts, GrantFacts, Recommendation, Seen, Window, recommend

MOST_USES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around the identities of a chunk."""

    uses: Mapping[UUID, Sequence[Seen]]
    windows_of_identity: Mapping[UUID, Sequence[Window]]
    windows_of_source: Mapping[UUID, Sequence[Window]]
    credentials: Mapping[UUID, Sequence[Credential]]
    privileged: frozenset[UUID]

    def windows(self, identity: Identity) -> list[Window]:
        """What could be observed of this identity: its own windows and those of the whole source."""
        own = self.windows_of_identity.get(identity.pk, ())
        return [*own, *self.windows_of_source.get(identity.source_id, ())]


def make_grant_items(
    campaign: Campaign, versions: Sequence[GrantVersion], desk: Desk, now: datetime
) -> list[ReviewItem]:
    """Unsaved items for these current versions (with grant, identity and source loaded)."""
    around = _surroundings([version.grant.identity for version in versions])
    people = parties_of([(version.grant.identity_id, version.grant_id, version.is_privileged) for version in versions])
    return [
        _grant_item(campaign, version, parties, desk, around, now)
        for version, parties in zip(versions, people, strict=True)
    ]


def make_credential_items(
    campaign: Campaign, credentials: Sequence[Credential], desk: Desk, now: datetime
) -> list[ReviewItem]:
    """Unsaved items for these credentials. A credential is as privileged as its identity's access."""
    around = _surroundings([credential.identity for credential in credentials])
    people = parties_of([(each.identity_id, None, each.identity_id in around.privileged) for each in credentials])
    return [
        _credential_item(campaign, credential, parties, desk, now)
        for credential, parties in zip(credentials, people, strict=True)
    ]


def _grant_item(
    campaign: Campaign,
    version: GrantVersion,
    parties: Parties,
    desk: Desk,
    around: Surroundings,
    now: datetime,
) -> ReviewItem:
    grant, identity = version.grant, version.grant.identity
    facts = GrantFacts(
        permission=Permission.from_json(version.permission),
        now=now,
        min_observed=timedelta(days=settings.REVIEW_MIN_OBSERVED_DAYS),
        uses=around.uses.get(identity.pk, ()),
        windows=around.windows(identity),
        is_disabled=identity.status == IdentityStatus.DISABLED,
        has_owner=parties.owner is not None,
    )
    advice = recommend(facts)
    seen = _seen_of_identity(identity, grant.source) | _seen_of_grant(grant, version)
    seen |= {
        "use": advice.use.to_json(),
        "uses": _uses(facts.uses),
        "windows": [_window(window) for window in facts.windows],
        "credentials": [_credential(each) for each in around.credentials.get(identity.pk, ())],
    }
    item = _item(campaign, ItemKind.GRANT, identity, parties, desk, seen, advice, now)
    item.grant, item.grant_version = grant, version
    return item


def _credential_item(
    campaign: Campaign, credential: Credential, parties: Parties, desk: Desk, now: datetime
) -> ReviewItem:
    advice = recommend(
        CredentialFacts(
            now=now,
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            last_rotated_at=credential.last_rotated_at,
            last_used_at=credential.last_used_at,
            never_expires=credential.never_expires,
            has_owner=parties.owner is not None,
        )
    )
    seen = _seen_of_identity(credential.identity, credential.source)
    seen |= {"use": advice.use.to_json(), "credential": _credential(credential)}
    item = _item(campaign, ItemKind.CREDENTIAL, credential.identity, parties, desk, seen, advice, now)
    item.credential = credential
    return item


def _item(
    campaign: Campaign,
    kind: ItemKind,
    identity: Identity,
    parties: Parties,
    desk: Desk,
    seen: dict[str, Any],
    advice: Recommendation,
    now: datetime,
) -> ReviewItem:
    resolution = resolve(parties, desk)
    return ReviewItem(
        campaign=campaign,
        kind=kind,
        identity=identity,
        assignee_id=resolution.assignee,
        resolution=resolution.trace,
        is_privileged=parties.is_privileged,
        needs_independent=parties.is_privileged,
        recommendation=advice.answer,
        recommendation_reasons=list(advice.reasons),
        recommended_target=advice.target.to_json() if advice.target else None,
        rule_version=advice.rule_version,
        seen=seen | {"replay": advice.replayed, "taken_at": now.isoformat()},
        escalated_at=now if resolution.is_nobody else None,
    )


def _surroundings(identities: Iterable[Identity]) -> Surroundings:
    by_id = {identity.pk: identity for identity in identities}
    of_identity, of_source = _windows(by_id)
    credentials: dict[UUID, list[Credential]] = defaultdict(list)
    for credential in Credential.objects.filter(identity__in=by_id, retired_at=None).order_by("external_id"):
        credentials[credential.identity_id].append(credential)
    privileged = GrantVersion.objects.filter(
        grant__identity__in=by_id, grant__retired_at=None, seen_until=None, is_privileged=True
    )
    return Surroundings(
        uses=_uses_of(by_id),
        windows_of_identity=of_identity,
        windows_of_source=of_source,
        credentials=credentials,
        privileged=frozenset(privileged.values_list("grant__identity_id", flat=True)),
    )


def _uses_of(by_id: Mapping[UUID, Identity]) -> dict[UUID, list[Seen]]:
    found: dict[UUID, list[Seen]] = defaultdict(list)
    for use in Usage.objects.filter(identity__in=by_id).order_by("-last_seen_at", "pk"):
        found[use.identity_id].append(Seen(use.action, use.resource, use.last_seen_at, use.count))
    return found


def _windows(by_id: Mapping[UUID, Identity]) -> tuple[dict[UUID, list[Window]], dict[UUID, list[Window]]]:
    of_identity: dict[UUID, list[Window]] = defaultdict(list)
    of_source: dict[UUID, list[Window]] = defaultdict(list)
    sources = {identity.source_id for identity in by_id.values()}
    for row in UsageWindow.objects.filter(Q(identity__in=by_id) | Q(identity=None, source__in=sources)).order_by("pk"):
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


def _seen_of_identity(identity: Identity, source: Source) -> dict[str, Any]:
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
        "source": {"id": str(source.pk), "name": source.name},
    }


def _seen_of_grant(grant: Grant, version: GrantVersion) -> dict[str, Any]:
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


def _uses(uses: Sequence[Seen]) -> list[dict[str, Any]]:
    return [
        {"action": use.action, "resource": use.resource, "at": _text(use.last_seen_at), "count": use.count}
        for use in uses[:MOST_USES_SHOWN]
    ]


def _window(window: Window) -> dict[str, Any]:
    return {"log": window.log, "from": _text(window.observed_from), "until": _text(window.observed_until)}


def _credential(credential: Credential) -> dict[str, Any]:
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
