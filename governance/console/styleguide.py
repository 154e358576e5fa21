"""Made-up content for the page that shows every component. Nothing here touches the database."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from django import forms
from django.http import QueryDict

from governance.web.charts import Segment
from governance.web.pagination import KeysetPage
from governance.web.quadrant import Dot, Field, Quadrant
from governance.web.statuses import STATUSES, TONE_ICONS
from governance.web.tables import Column, Table

SAMPLE_TABLE = Table(
    [
        Column("name", "Identity", sort="name", essential=True),
        Column("kind", "Kind", sort="kind"),
        Column("owner", "Owner"),
        Column("assurance", "Assurance", sort="assurance"),
        Column("exposure", "Exposure", sort="exposure", numeric=True),
        Column("use", "Use of grants"),
        Column("last_used", "Last used", sort="last_used_at", nullable=True),
        Column("status", "Status"),
    ],
    default_sort="-exposure",
)

SAMPLE_SQL = """REVOKE DELETE, UPDATE ON ledger.payments FROM svc_etl;
REVOKE group_finance_rw FROM svc_etl;
GRANT SELECT (id, amount, booked_at) ON ledger.payments TO svc_etl;"""


class SampleForm(forms.Form):
    """A form with one of everything, half of it wrong."""

    purpose = forms.CharField(help_text="One sentence that a stranger understands.")
    environment = forms.ChoiceField(choices=[("prod", "Production"), ("test", "Test")])
    decision = forms.ChoiceField(
        choices=[("approve", "Approve"), ("scope_down", "Scope down"), ("revoke", "Revoke")],
        widget=forms.RadioSelect,
    )
    until = forms.DateField(required=False, help_text="Leave empty for no end.")
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}))
    notify = forms.BooleanField(required=False, label="Tell the owner by mail")


def styleguide_context(query: QueryDict, now: datetime | None = None) -> dict[str, Any]:
    """Everything the style guide prints."""
    now = now or datetime.now(UTC)
    return {
        "tones": list(TONE_ICONS),
        "statuses": list(STATUSES),
        "table": SAMPLE_TABLE.bind(query),
        "rows": _rows(now),
        "page": KeysetPage(rows=[], next_cursor="sample", previous_cursor=""),
        "form": SampleForm(
            data={"purpose": "", "environment": "prod", "until": "tomorrow", "reason": "Unused since May"}
        ),
        "events": _events(now),
        "steps": _steps(now),
        "diff": [
            ("kept", "SELECT on ledger.payments"),
            ("removed", "DELETE on ledger.payments"),
            ("removed", "membership in group_finance_rw"),
            ("added", "SELECT (id, amount, booked_at) on ledger.refunds"),
        ],
        "sql": SAMPLE_SQL,
        "tabs": [
            {"label": "Grants", "url": "#grants", "current": True, "count": 14},
            {"label": "Credentials", "url": "#credentials", "count": 2},
            {"label": "Findings", "url": "#findings", "count": 3},
            {"label": "History", "url": "#history"},
        ],
        "trail": [("Identities", "/identities/"), ("ledger", "/sources/")],
        "trend": [14, 13, 15, 12, 12, 9, 8, 8, 5, 4, 4, 2],
        "quadrant_fields": _quadrant_of_many(),
        "quadrant_dots": _quadrant_of_few(),
        "bars": [
            Segment(212, "API key older than 90 days", "danger"),
            Segment(96, "No accountable owner", "warn"),
            Segment(41, "Dormant", "warn"),
            Segment(18, "Use not observable", "unknown"),
        ],
    }


def _rows(now: datetime) -> list[SimpleNamespace]:
    def row(name: str, note: str, kind: str, owner: str, assurance: str, **facts: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, note=note, kind=kind, owner=owner, assurance=assurance, **facts)

    return [
        row(
            "svc_etl_nightly",
            "ledger · prod",
            "Database user",
            "Ines Albrecht",
            "A2",
            exposure=87,
            used=4,
            unused=31,
            unknown=2,
            last=now - timedelta(minutes=4),
            status="active",
        ),
        row(
            "support-bot",
            "agents · prod",
            "AI agent",
            "Tomás Rey",
            "A3",
            exposure=64,
            used=9,
            unused=12,
            unknown=6,
            last=now - timedelta(hours=3),
            status="active",
        ),
        row(
            "arn:aws:iam::112233445566:role/legacy-batch-writer",
            "aws-main · prod",
            "Workload",
            "",
            "A1",
            exposure=41,
            used=0,
            unused=7,
            unknown=11,
            last=None,
            status="not_observable",
        ),
        row(
            "metabase_ro",
            "ledger · prod",
            "Database user",
            "Priya Nair",
            "A2",
            exposure=18,
            used=12,
            unused=1,
            unknown=0,
            last=now - timedelta(days=2),
            status="active",
        ),
        row(
            "migration_2019",
            "ledger · prod",
            "Database user",
            "Jonas Weber",
            "A0",
            exposure=None,
            used=0,
            unused=0,
            unknown=5,
            last=now - timedelta(days=412),
            status="quarantined",
        ),
    ]


def _events(now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "at": now - timedelta(minutes=2),
            "title": "Verified at the source",
            "detail": "A later reading no longer shows DELETE on ledger.payments by any path.",
            "who": "Remit reader",
            "tone": "success",
            "icon": "shield-check",
        },
        {
            "at": now - timedelta(minutes=3),
            "title": "Applied: 3 statements in 41 ms",
            "detail": "",
            "who": "Remit worker",
            "tone": "info",
            "icon": "check",
        },
        {
            "at": now - timedelta(minutes=9),
            "title": "Scoped down from 35 to 4 permissions",
            "detail": "“Only the nightly load uses this.”",
            "who": "Ines Albrecht",
            "tone": "info",
            "icon": "cut",
        },
        {
            "at": now - timedelta(days=1),
            "title": "Review opened: Quarterly, ledger",
            "detail": "",
            "who": "Remit scheduler",
            "tone": "neutral",
            "icon": "clipboard-check",
        },
    ]


def _steps(now: datetime) -> list[dict[str, Any]]:
    return [
        {"label": "Planned", "state": "done", "at": now - timedelta(minutes=9)},
        {"label": "Sent", "state": "done", "at": now - timedelta(minutes=4)},
        {"label": "Applied", "state": "done", "at": now - timedelta(minutes=3)},
        {"label": "Verified", "state": "now", "note": "waits for the next reading"},
        {"label": "Restored", "state": "todo"},
    ]


def _quadrant_of_many() -> Quadrant:
    """Thousands, as fields with their number."""
    counts = {
        (0, 90): 210, (0, 50): 120, (1, 90): 2_604, (1, 70): 1_420, (1, 50): 640, (1, 20): 310, (2, 70): 980,
        (2, 60): 1_210, (2, 30): 420, (2, 10): 88, (3, 80): 333, (3, 60): 905, (3, 40): 250, (3, 10): 71, (4, 60): 24,
        (4, 20): 160, (4, 0): 19, (None, 90): 340, (None, 60): 75,
    }  # fmt: skip
    fields = [
        Field(
            assurance=level,
            exposure=low,
            count=count,
            label=f"{count} identities, {'not measured' if level is None else f'A{level}'}, from {low} on",
            url="/identities/",
        )
        for (level, low), count in counts.items()
    ]
    return Quadrant(label="10 000 identities by assurance and exposure", fields=fields, urls=_BOX_URLS)


def _quadrant_of_few() -> Quadrant:
    """A few, one by one."""
    points = [(1, 91.6), (4, 26.5), (2, 50.5), (3, 64.5), (0, 63), (2, 50), (2, 51), (1, 12), (None, 80)]
    dots = [
        Dot(assurance=level, exposure=exposure, label=f"nhi-{number}, exposure {exposure:g}", url="/identities/")
        for number, (level, exposure) in enumerate(points)
    ]
    return Quadrant(label="9 identities by assurance and exposure", dots=dots, urls=_BOX_URLS)


_BOX_URLS = {name: f"/identities/?box={name}" for name in ("unproven_broad", "proven_broad", "unmeasured")}
