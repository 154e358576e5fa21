"""A grant as the list of all access prints it, and as a download holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from identities.models import Grant, GrantVersion, IdentityKind
from identities.selectors.access import current_contents
from identities.views.grant_lines import path_words, reach_words
from identities.views.identity_rows import KIND_ICONS, grant_url, identity_url, label_of_environment, source_url

KIND_LABELS = dict(IdentityKind.choices)
FACTS = (
    *("source", "id", "label", "may", "identity", "identity_id", "identity_kind", "environment", "segment"),
    *(
        "further_segments",
        "privileged",
        "path",
        "revocability",
        "shared_with",
        "first_seen_at",
        "valid_until",
        "retired_at",
    ),
)


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One line: who may do what, where, and how."""

    url: str
    label: str
    sentence: str
    more: int
    identity: str
    identity_url: str
    kind_label: str
    icon: str
    source: str
    source_url: str
    segment: str
    is_privileged: bool
    path: str
    environment: str
    environment_label: str
    first_seen_at: datetime
    until: datetime | None


def access_rows(grants: Sequence[Grant]) -> list[AccessRow]:
    """The rows of one page. One query, for what the grants say now."""
    contents = current_contents(grant.pk for grant in grants)
    return [_row(grant, contents.get(grant.pk)) for grant in grants]


def access_facts(grants: Sequence[Grant]) -> list[dict[str, Any]]:
    """The lines of one chunk of a download, by the names in FACTS. One query."""
    contents = current_contents(grant.pk for grant in grants)
    return [dict(zip(FACTS, _facts(grant, contents.get(grant.pk)), strict=True)) for grant in grants]


def _row(grant: Grant, content: GrantVersion | None) -> AccessRow:
    identity, source = grant.identity, grant.source
    environment: str = identity.effective_environment
    sentences = _sentences(grant, content)
    return AccessRow(
        url=grant_url(grant.pk),
        label=grant.label,
        sentence=sentences[0] if sentences else "",
        more=len(sentences) - 1,
        identity=identity.name,
        identity_url=identity_url(identity.pk),
        kind_label=str(KIND_LABELS.get(identity.kind, identity.kind)),
        icon=KIND_ICONS.get(identity.kind, "robot"),
        source=source.name,
        source_url=source_url(source.slug),
        segment=reach_words(grant),
        is_privileged=grant.is_privileged,
        path=path_words(grant.path),
        environment=environment,
        environment_label=label_of_environment(environment),
        first_seen_at=grant.first_seen_at,
        until=content.valid_until if content else None,
    )


def _facts(grant: Grant, content: GrantVersion | None) -> tuple[Any, ...]:
    return (
        grant.source.slug,
        grant.external_id,
        grant.label,
        "; ".join(_sentences(grant, content)),
        grant.identity.name,
        str(grant.identity_id),
        grant.identity.kind,
        grant.identity.effective_environment,
        grant.segment,
        " ".join(grant.further_segments),
        "yes" if grant.is_privileged else "no",
        path_words(grant.path),
        grant.revocability,
        grant.shared_with,
        grant.first_seen_at.isoformat(),
        content.valid_until.isoformat() if content and content.valid_until else "",
        grant.retired_at.isoformat() if grant.retired_at else "",
    )


def _sentences(grant: Grant, content: GrantVersion | None) -> list[str]:
    """Rights on things yet to come keep the source's own words, which say so."""
    if content is None or any(step.get("kind") == "default_privileges" for step in grant.path):
        return []
    return [sentence[:1].upper() + sentence[1:] for sentence in content.plain]
