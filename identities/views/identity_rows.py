"""An identity as lists print it: one row, with everything said in words and nothing left to the template."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from identities.models import Identity
from identities.selectors.use import is_brief

KIND_ICONS = {
    "service_account": "settings-automation",
    "workload": "box",
    "api_client": "api",
    "oauth_app": "apps",
    "bot": "message-chatbot",
    "ci_job": "git-branch",
    "ai_agent": "sparkles",
    "machine": "server-2",
    "database_user": "database",
    "queue_user": "stack-2",
}
ENVIRONMENT_TONES = {"production": "danger", "staging": "info", "development": "neutral", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class LastUse:
    """state: used, unused (watched, nothing seen) or not_observable. at: the use, or since when it was watched.

    is_brief: watched too shortly to conclude anything.
    """

    state: str
    at: datetime | None
    is_brief: bool = False


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One line of the inventory list."""

    pk: UUID
    url: str
    name: str
    external_id: str
    kind: str
    kind_label: str
    icon: str
    source: str
    source_url: str
    environment: str
    environment_label: str
    is_environment_edited: bool
    owner: str
    owner_note: str
    privileged: int
    grants: int
    credentials: int
    last_use: LastUse
    status: str


def last_use_of(identity: Identity, now: datetime) -> LastUse:
    """From `with_last_use` and what the source says it can report. Never a guess: unwatched is not unused."""
    seen: datetime | None = identity.last_seen_at
    watched: datetime | None = identity.watched_since  # type: ignore[attr-defined]
    if seen is not None:
        return LastUse("used", seen)
    if watched is not None:
        return LastUse("unused", watched, is_brief(watched, now))
    if identity.source.coverage.get("last_used") is True:
        since = identity.created_at or identity.first_seen_at
        return LastUse("unused", since, is_brief(since, now))
    return LastUse("not_observable", None)


def row_of(identity: Identity, now: datetime) -> IdentityRow:
    """`identity` comes from `list_identities` with `with_last_use`."""
    facts: Any = identity
    source = identity.source
    owner = identity.owner
    return IdentityRow(
        pk=identity.pk,
        url=reverse("identities:identity_detail", args=[identity.pk]),
        name=identity.name,
        external_id=identity.external_id if identity.external_id != identity.name else "",
        kind=identity.kind,
        kind_label=identity.get_kind_display(),
        icon=KIND_ICONS.get(identity.kind, "robot"),
        source=source.name,
        source_url=reverse("identities:source_detail", args=[source.slug]),
        environment=facts.effective_environment,
        environment_label=label_of_environment(facts.effective_environment),
        is_environment_edited=bool(identity.environment_edited),
        owner=owner.name if owner else "",
        owner_note=_owner_note(identity),
        privileged=facts.privileged_count,
        grants=facts.grant_count,
        credentials=facts.credential_count,
        last_use=last_use_of(identity, now),
        status="retired" if identity.retired_at else identity.status,
    )


def label_of_environment(value: str) -> str:
    """Its name in plain words."""
    return value.capitalize()


def _owner_note(identity: Identity) -> str:
    """What stands under the owner: a person who left, or a claim of the source that nobody here answers to."""
    if identity.owner is not None:
        return "has left" if identity.owner.left_at else ""
    return f"source says {identity.source_owner}" if identity.source_owner else ""
