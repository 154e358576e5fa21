"""An identity as lists print it: one row, with everything said in words and nothing left to the template."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from django.urls import reverse

from identities.models import Identity
from identities.selectors.posture_picture import SCORES
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
class ScoreCell:
    """Both scores in a list. assurance: empty where it was not assessed; exposure: None where it cannot be said."""

    assurance: str = ""
    exposure: float | None = None
    words: str = ""


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
    score: ScoreCell


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
        url=identity_url(identity.pk),
        name=identity.name,
        external_id=identity.external_id if identity.external_id != identity.name else "",
        kind=identity.kind,
        kind_label=identity.get_kind_display(),
        icon=KIND_ICONS.get(identity.kind, "robot"),
        source=source.name,
        source_url=source_url(source.slug),
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
        score=score_cell(identity),
    )


def score_cell(identity: Identity) -> ScoreCell:
    """From `with_scores`; an unassessed identity has neither."""
    facts: Any = identity
    if facts.assurance_lower is None:
        return ScoreCell()
    low, high = facts.exposure_low, facts.exposure_high
    levels = sorted({facts.assurance_lower, facts.assurance_upper})
    return ScoreCell(
        assurance=" to ".join(f"A{level}" for level in levels),
        exposure=None if high is None else float(high),
        words="" if high is None or round(low) == round(high) else f"{low:.0f} to {high:.0f}",
    )


def facts_of(identity: Identity | None, now: datetime) -> dict[str, Any]:
    """One line of a download; for None its column names alone."""
    if identity is None:
        return dict.fromkeys(_FACTS)
    facts: Any = identity
    use = last_use_of(identity, now)
    values = (
        identity.source.slug,
        identity.external_id,
        identity.name,
        identity.kind,
        identity.status,
        facts.effective_environment,
        "a person" if identity.environment_edited else "the source",
        identity.owner.email if identity.owner else "",
        identity.source_owner,
        facts.effective_purpose,
        facts.privileged_count,
        facts.grant_count,
        facts.credential_count,
        use.state,
        use.at.isoformat() if use.at else "",
        identity.retired_at.isoformat() if identity.retired_at else "",
        *(_blank(getattr(facts, name)) for name in SCORES),
    )
    return dict(zip(_FACTS, values, strict=True))


_FACTS = (
    *("source", "id", "name", "kind", "status", "environment", "environment_from", "owner", "source_owner", "purpose"),
    *("privileged_grants", "grants", "credentials", "use", "last_used_or_watched_since", "retired_at"),
    *SCORES,
)


def _blank(value: Any) -> Any:
    """Nothing where it was not assessed or cannot be said; numbers as numbers."""
    return "" if value is None else float(value) if isinstance(value, Decimal) else value


def identity_url(pk: UUID) -> str:
    """The address of an identity's page."""
    return _maker("identities:identity_detail", UUID(int=0))(pk)


def grant_url(pk: UUID) -> str:
    """The address of a grant's page."""
    return _maker("identities:grant_detail", UUID(int=0))(pk)


def source_url(slug: str) -> str:
    """The address of a source's page."""
    return _maker("identities:source_detail", "a-source")(slug)


@cache
def _maker(name: str, nothing: Any) -> Callable[[Any], str]:
    """Addresses of one kind, made by replacing the key: resolving each anew costs more than printing its row."""
    before, _, after = reverse(name, args=[nothing]).partition(str(nothing))
    return lambda key: f"{before}{key}{after}"


def label_of_environment(value: str) -> str:
    """Its name in plain words."""
    return value.capitalize()


def _owner_note(identity: Identity) -> str:
    """What stands under the owner: a person who left, or a claim of the source that nobody here answers to."""
    if identity.owner is not None:
        return "has left" if identity.owner.left_at else ""
    return f"source says {identity.source_owner}" if identity.source_owner else ""
