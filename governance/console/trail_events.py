"""Events of the trail as people read them: who, what, about what, what became what, and how the session was proved."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from governance.audit.selectors import TrailRow
from governance.console.trail_changes import FieldChange, Names, changes_of, names_in
from governance.console.trail_objects import name_of, url_of

LOOK_OF = {
    "user": "user",
    "team": "users",
    "people": "users",
    "token": "key",
    "mfa": "shield-lock",
    "source": "database",
    "sync": "refresh",
    "identity": "robot",
    "schedule": "calendar",
    "campaign": "clipboard-check",
    "item": "checkbox",
    "order": "arrows-exchange",
    "brake": "hand-stop",
    "approval": "check",
    "checkpoint": "certificate",
    "evidence_pack": "file-zip",
    "mail": "mail",
    "audit": "history",
    "inventory": "download",
    "view": "bookmark",
    "access": "shield-x",
    "webhook": "webhook",
    "delegation": "calendar-user",
    "watch": "eye",
    "window": "clock",
    "freeze": "snowflake",
}
BAD_ENDS = (
    "failed",
    "rejected",
    "drifted",
    "blocked",
    "partial",
    "reappeared",
    "still_effective",
    "sign_in_failed",
    "refused",
)
# How a session was proved, in words; what is not named here is shown as it was recorded.
PROOFS = {
    "password": "password",
    "totp": "one-time code",
    "recovery_codes": "recovery code",
    "webauthn": "security key",
    "mail_link": "link from a mail",
    "token": "API token",
    "oidc": "single sign-on",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the trail, ready to print; the field names are those of the timeline component."""

    row: TrailRow
    at: datetime
    who: str
    session: str
    title: str
    detail: str
    subject: str
    subject_url: str
    url: str
    icon: str
    tone: str
    facts: list[FieldChange]
    then_url: str


def present(rows: Iterable[TrailRow]) -> list[Event]:
    """Rows as people read them; the names of everybody and everything in a few queries."""
    rows = list(rows)
    names = names_in(rows)
    return [_event(row, names) for row in rows]


def session_words(auth_method: str) -> str:
    """How the actor proved to be themself: "by password and one-time code"; nothing for the system itself."""
    if auth_method in ("", "internal"):
        return ""
    return f"by {' and '.join(PROOFS.get(part, part) for part in auth_method.split('+'))}"


def _event(row: TrailRow, names: Names) -> Event:
    noun, _, past = row.verb.partition(".")
    who = names.get(row.actor_id, "somebody erased") if row.actor_kind == "person" else row.actor_label
    bad = past in BAD_ENDS or row.outcome != "success"
    return Event(
        row=row,
        at=row.occurred_at,
        who=who,
        session=session_words(row.auth_method),
        title=row.description.rstrip("."),
        detail=f"“{row.reason}”" if row.reason else "",
        subject=names.get(row.subject_id) or name_of(row.subject_kind, row.subject_id, row.subject_label),
        subject_url=url_of(row.subject_kind, row.subject_id, row.subject_label),
        url=reverse("console:audit_event", args=[row.event_id]),
        icon=LOOK_OF.get(noun, "point"),
        tone="danger" if bad else "success" if past in {"verified", "completed"} else "neutral",
        facts=changes_of(row, names),
        then_url=_then(row),
    )


def _then(row: TrailRow) -> str:
    """Where the access stands as it was at the moment of the event, for what has a past of its own."""
    if row.subject_kind != "identity":
        return ""
    moment = urlencode({"at": row.occurred_at.isoformat()})
    return f"{reverse('identities:identity_as_of', args=[row.subject_id])}?{moment}"
