"""Sources as pages: how fresh each picture is, what each system can and cannot report, and its readings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import KeysetPage, SortKey, paginate
from identities.connectors.files import Holds
from identities.connectors.registry import formats, settings_of, title_of
from identities.connectors.settings import by_name
from identities.forms.sources import spoken_seconds
from identities.models import Source, SyncRun
from identities.selectors.inventory import access_source
from identities.selectors.runs import list_runs
from identities.selectors.sources import freshness_of, list_sources_with_facts
from identities.services.secrets import is_reference
from identities.services.sources import PUSH, request_read
from identities.views.requests import PageRequest
from identities.views.run_lines import origin_of, progress_of, spoken_time, summary_of

READERS_OF_SOURCES = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
KIND_ICONS = {
    "postgresql": "database", "rabbitmq": "mailbox", "aws": "brand-aws", "kubernetes": "steering-wheel",
    "mcp": "robot", "redis": "stack-2", "remit": "shield-check", "push": "cloud-upload",
}  # fmt: skip
CAPABILITY_WORDS = {
    "read": ("Read it", "Remit looks by itself and sees changes made by others."),
    "revoke": ("Take access away", "A revoked grant is removed by Remit."),
    "narrow": ("Narrow access", "A scoped-down grant is replaced by the smaller one."),
    "quarantine": ("Lock an identity out", "It can be disabled at once without losing anything."),
    "restore": ("Restore", "What was taken away can be brought back exactly."),
    "deactivate": ("End a credential", "A credential can be ended without touching the identity."),
    "verify": ("Verify", "After a change Remit looks again, by every path."),
}
# What a column of the table of abilities is called, and what stands there for whoever can't.
CAPABILITY_COLUMNS = {
    "read": "Read", "revoke": "Revoke", "narrow": "Narrow", "quarantine": "Lock out", "deactivate": "End credential",
    "restore": "Restore", "verify": "Verify",
}  # fmt: skip
FACT_WORDS = {
    "identities": "Identities",
    "purpose": "Purpose",
    "created_at": "When an identity was created",
    "credentials": "Credentials",
    "credential_expiry": "When a credential expires",
    "credential_created_at": "When a credential was created",
    "credential_last_used": "When a credential was last used",
    "credential_last_rotated": "When a credential was last rotated",
    "grants": "Grants",
    "memberships": "Memberships",
    "ownership": "Ownership",
    "last_used": "When an identity was last used",
    "usage": "Use of single permissions",
    "grant_expiry": "When a grant ends",
    "conditions": "Conditions of a grant",
    "sessions": "Open sessions",
}
PUSH_EXAMPLE = """\
cat > inventory.ndjson <<'END'
{{"type":"identity","id":"deploy-bot","kind":"bot"}}
{{"type":"end","records":1}}
END
curl -X POST '{url}?mode=snapshot' \\
  -H "Authorization: Bearer $REMIT_TOKEN" \\
  -H 'Content-Type: application/x-ndjson' \\
  -H 'Idempotency-Key: first-try' \\
  --data-binary @inventory.ndjson"""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source as the list prints it."""

    slug: str
    url: str
    name: str
    icon: str
    kind: str
    environment: str
    freshness: str
    last_success_at: datetime | None
    problem: str
    identities: int
    identities_url: str
    last_run_at: datetime | None
    last_run_state: str
    is_held: bool
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class AbilityRow:
    """What Remit can do at one source: (column, word, whether Remit does it itself) in the order of the columns."""

    name: str
    url: str
    icon: str
    cells: list[tuple[str, str, bool]]
    sentence: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One reading as the source's page prints it."""

    url: str
    state: str
    mode: str
    origin: str
    started_at: datetime
    took: str
    records: int
    summary: str
    problem: str
    is_partial: bool


@require_safe
@page()
def source_list(request: PageRequest) -> HttpResponse:
    """Every source that the person may see, with how far its picture can be trusted."""
    now = timezone.now()
    sources = list(list_sources_with_facts(actor=request.actor))
    context = {
        "rows": [_row(source, now) for source in sources],
        "ability_columns": list(CAPABILITY_COLUMNS.values()),
        "ability_rows": [ability_row(source) for source in sources],
        "may_add": request.actor.has_role(Role.ADMINISTRATOR),
    }
    return render_page(request, "identities/source_list.html", context, fragment="identities/_source_table.html")


@require_safe
@page()
def source_detail(request: PageRequest, slug: str) -> HttpResponse:
    """One source: freshness, what it can report and do, settings without secrets, readings."""
    return show_source(request, access_source(actor=request.actor, slug=slug))


@require_POST
@page(roles=READERS_OF_SOURCES)
def source_read(request: PageRequest, slug: str) -> HttpResponse:
    """Have the source read now."""
    source = access_source(actor=request.actor, slug=slug)
    try:
        request_read(source=source, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return show_source(request, source, refusal=refusal)
    messages.success(request, "It is being read. The result appears below within moments.")
    return redirect("identities:source_detail", source.slug)


def show_source(
    request: PageRequest, source: Source, *, refusal: DomainError | None = None, **more: Any
) -> HttpResponse:
    """The source's page, after an action with what came of it (`refusal`, or the results of checks)."""
    now = timezone.now()
    keys = (SortKey("started_at", descending=True), SortKey("pk", descending=True))
    found = paginate(list_runs(source), keys, cursor=request.GET.get("cursor", ""), size=20)
    is_push = source.kind == PUSH
    context: dict[str, Any] = {
        "source": source,
        "kind": kind_of(source),
        "icon": icon_of(source.kind),
        "freshness": freshness_of(source, now),
        "is_push": is_push,
        "push_example": PUSH_EXAMPLE.format(
            url=request.build_absolute_uri(reverse("api_sync_list", args=[source.slug]))
        ),
        "read_every": spoken_seconds(source.read_every_seconds),
        "stale_after": spoken_seconds(source.freshness_limit_seconds),
        "can": [FACT_WORDS.get(name, name) for name, yes in sorted(source.coverage.items()) if yes],
        "cannot": [FACT_WORDS.get(name, name) for name, yes in sorted(source.coverage.items()) if not yes],
        "abilities": [
            (title, text, name in source.capabilities and not (is_push and name == "read"))
            for name, (title, text) in CAPABILITY_WORDS.items()
        ],
        "settings": setting_lines(source),
        "page": KeysetPage([_run_row(run) for run in found.rows], found.next_cursor, found.previous_cursor),
        "may_edit": request.actor.has_role(Role.ADMINISTRATOR),
        "takes_logs": any(each.holds is Holds.USAGE and each.kind == source.kind for each in formats()),
        "may_read": request.actor.has_role(*READERS_OF_SOURCES) and not is_push and source.is_enabled,
        "identity_count": source.identities.filter(retired_at=None).count(),
        "identities_url": f"{reverse('identities:identity_list')}?source={source.slug}",
        "running": [line for run in found.rows if (line := progress_of(run, request.actor, now))],
        "is_moving": source.next_read_at is not None and source.next_read_at <= now,
        "refusal": refusal,
        **more,
    }
    return render_page(
        request,
        "identities/source_detail.html",
        context,
        fragment="identities/_run_table.html",
        status=refusal.status if refusal else 200,
    )


def kind_of(source: Source) -> str:
    """What kind of system it is, in words."""
    return "Pushed or imported" if source.kind == PUSH else title_of(source.kind)


def icon_of(kind: str) -> str:
    """The icon of a kind of source."""
    return KIND_ICONS.get(kind, "database")


def ability_row(source: Source) -> AbilityRow:
    """What Remit can do at this source, column by column, and in one sentence."""
    is_push = source.kind == PUSH
    cells = []
    for name, column in CAPABILITY_COLUMNS.items():
        can = name in source.capabilities and not (is_push and name == "read")
        instead = {"read": "by the sender", "verify": "next snapshot"}.get(name, "a task")
        cells.append((column, "yes" if can else instead, can))
    writes = [name for name in CAPABILITY_COLUMNS if name in source.capabilities and name not in ("read", "verify")]
    if not writes:
        sentence = "Remit knows what it is told; every change becomes a task for a person, with the commands."
    elif len(writes) == len(CAPABILITY_COLUMNS) - 2:
        sentence = "Remit carries every decision out by itself and looks afterwards."
    else:
        lacks = [CAPABILITY_COLUMNS[name].lower() for name in CAPABILITY_COLUMNS if name not in source.capabilities]
        sentence = f"Remit carries decisions out, but for {', '.join(lacks)}: that becomes a task."
    return AbilityRow(
        name=source.name,
        url=reverse("identities:source_detail", args=[source.slug]),
        icon=icon_of(source.kind),
        cells=cells,
        sentence=sentence,
    )


def setting_lines(source: Source) -> list[tuple[str, str, bool]]:
    """(label, value, is a reference) of every setting. Secrets are references, so nothing needs hiding."""
    declared = settings_of(source.kind)
    labels = {each.name: each.label for each in declared}
    return [
        (
            labels.get(name, name),
            ", ".join(map(str, value)) if isinstance(value, list) else str(value),
            is_reference(value),
        )
        for name, value in sorted(by_name(declared, source.settings).items())
    ]


def _row(source: Source, now: datetime) -> SourceRow:
    facts: Any = source
    return SourceRow(
        slug=source.slug,
        url=reverse("identities:source_detail", args=[source.slug]),
        name=source.name,
        icon=icon_of(source.kind),
        kind=kind_of(source),
        environment=source.environment,
        freshness=freshness_of(source, now),
        last_success_at=source.last_success_at,
        problem=source.last_error,
        identities=facts.identity_count,
        identities_url=f"{reverse('identities:identity_list')}?source={source.slug}",
        last_run_at=facts.last_run_at,
        last_run_state=facts.last_run_state or "",
        is_held=facts.is_held,
        is_enabled=source.is_enabled,
    )


def _run_row(run: SyncRun) -> RunRow:
    return RunRow(
        url=reverse("identities:sync_run_detail", args=[run.pk]),
        state=run.state,
        mode=run.get_mode_display(),
        origin=origin_of(run),
        started_at=run.started_at,
        took=_took(run),
        records=run.records,
        summary=summary_of(run),
        problem=str((run.problem or {}).get("detail", "")),
        is_partial=run.is_partial,
    )


def _took(run: SyncRun) -> str:
    """How long a reading took, in tenths of a second where that says something; nothing while it runs."""
    if run.finished_at is None:
        return ""
    seconds = (run.finished_at - run.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else spoken_time(seconds)
