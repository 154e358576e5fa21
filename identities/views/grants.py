"""One grant: what it says now, and every content it ever had."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import render_page
from identities.models import Grant, GrantVersion
from identities.selectors.history import list_native_changes, list_versions
from identities.selectors.inventory import access_grant
from identities.selectors.use import GrantUse, list_windows, use_of_grants
from identities.views.change_lines import Line, permission_difference
from identities.views.grant_lines import CLASS_WORDS, native_json, path_words, reach_words, revocability_words, use_line
from identities.views.native_lines import native_change
from identities.views.requests import PageRequest

SHOWN_VERSIONS = 50
SHOWN_NATIVE_CHANGES = 10


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One content of the grant, and what changed against the one before."""

    number: int
    seen_from: datetime
    seen_until: datetime | None
    lines: list[Line]
    native: str
    digest: str
    is_privileged: bool
    is_reviewed: bool


@require_safe
@page()
def grant_detail(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """A grant with its history; the native form is one click away."""
    grant = access_grant(actor=request.actor, grant_id=grant_id)
    versions = list(list_versions(grant)[: SHOWN_VERSIONS + 1])
    latest = versions[0] if versions else None
    use = _use(grant, latest)
    context = {
        "grant": grant,
        "latest": latest,
        "classes": [CLASS_WORDS[name] for name in CLASS_WORDS if latest and name in latest.privilege_classes],
        "reaches": reach_words(latest) if latest else "",
        "sentences": latest.plain if latest else [],
        "path": path_words(grant.path),
        "revocability": revocability_words(grant.revocability, grant.shared_with),
        "native": native_json(latest.permission) if latest else "",
        "native_ref": native_json(grant.native_ref) if grant.native_ref else "",
        "use": use_line(use) if use else None,
        "versions": version_lines(grant, versions)[:SHOWN_VERSIONS],
        "native_changes": [native_change(each) for each in list_native_changes(grant)[:SHOWN_NATIVE_CHANGES]],
        "has_older": len(versions) > SHOWN_VERSIONS,
        "is_changed_since_review": _is_changed(grant, latest),
        "now": timezone.now(),
    }
    return render_page(request, "identities/grant_detail.html", context)


def version_lines(grant: Grant, versions: list[GrantVersion]) -> list[VersionLine]:
    """Latest first; each against its predecessor, the oldest as it was first seen."""
    lines = []
    for version, before in zip(versions, [*versions[1:], None], strict=True):
        lines.append(
            VersionLine(
                number=version.number,
                seen_from=version.seen_from,
                seen_until=version.seen_until,
                lines=permission_difference(before.permission, version.permission) if before else [],
                native=native_json(version.permission),
                digest=bytes(version.digest).hex(),
                is_privileged=version.is_privileged,
                is_reviewed=grant.reviewed_digest is not None and bytes(grant.reviewed_digest) == bytes(version.digest),
            )
        )
    return lines


def _use(grant: Grant, latest: GrantVersion | None) -> GrantUse | None:
    if latest is None or grant.retired_at:
        return None
    return use_of_grants(grant.identity, [latest], list_windows(grant.identity))[latest.pk]


def _is_changed(grant: Grant, latest: GrantVersion | None) -> bool:
    return (
        latest is not None
        and grant.reviewed_digest is not None
        and bytes(grant.reviewed_digest) != bytes(latest.digest)
    )
