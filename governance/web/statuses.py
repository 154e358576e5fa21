"""How each state of the domain looks: a tone, an icon of its own, and plain words.

Tones differ in colour; icons differ in shape, so that nobody needs to see colour to read a status.
"""

from typing import NamedTuple


class Look(NamedTuple):
    """`tone` is one of success, warn, danger, info, neutral, unknown; `icon` a Tabler outline icon."""

    tone: str
    icon: str
    label: str


TONE_ICONS = {
    "success": "circle-check",
    "warn": "alert-triangle",
    "danger": "alert-octagon",
    "info": "info-circle",
    "neutral": "circle",
    "unknown": "help-hexagon",
}

STATUSES = {
    # rules and readings
    "pass": Look("success", "circle-check", "Pass"),
    "fail": Look("danger", "circle-x", "Fail"),
    "not_assessable": Look("unknown", "help-hexagon", "Not assessable"),
    "not_applicable": Look("neutral", "minus", "Not applicable"),
    "fresh": Look("success", "circle-check", "Fresh"),
    "stale": Look("warn", "clock-exclamation", "Stale"),
    "never_read": Look("unknown", "help-hexagon", "Never read"),
    "succeeded": Look("success", "circle-check", "Succeeded"),
    "running": Look("info", "loader", "Running"),
    "held": Look("warn", "hand-stop", "Held for a person"),
    "rejected": Look("danger", "circle-x", "Rejected"),
    "failed": Look("danger", "alert-octagon", "Failed"),
    "dry_run": Look("neutral", "test-pipe", "Dry run"),
    # use
    "used": Look("success", "activity", "Used"),
    "unused": Look("warn", "zzz", "Unused"),
    "not_observable": Look("unknown", "eye-off", "Not observable"),
    # findings
    "assigned": Look("info", "user-check", "Assigned"),
    "accepted": Look("neutral", "calendar-check", "Accepted"),
    "fixed": Look("success", "shield-check", "Fixed"),
    # identities and credentials
    "active": Look("success", "circle-check", "Active"),
    "enabled": Look("success", "circle-check", "Enabled"),
    "disabled": Look("neutral", "circle-off", "Disabled"),
    "quarantined": Look("warn", "lock", "Quarantined"),
    "retired": Look("neutral", "archive", "Retired"),
    "expired": Look("danger", "calendar-x", "Expired"),
    "expiring": Look("warn", "hourglass", "Expiring"),
    "revoked": Look("neutral", "ban", "Revoked"),
    # access on request
    "granted": Look("success", "key", "Holds"),
    "denied": Look("danger", "circle-x", "Refused"),
    "lapsed": Look("neutral", "calendar-x", "Nobody answered"),
    "ended": Look("neutral", "lock", "Ended"),
    # campaigns and items
    "draft": Look("neutral", "pencil", "Draft"),
    "opening": Look("info", "loader", "Opening"),
    "open": Look("info", "player-play", "Open"),
    "closing": Look("info", "loader", "Closing"),
    "closed": Look("neutral", "lock", "Closed"),
    "completed": Look("success", "circle-check", "Completed"),
    "attested": Look("info", "message", "Attested by the owner"),
    "decided": Look("success", "gavel", "Decided"),
    "cancelled": Look("neutral", "circle-x", "Cancelled"),
    "pending": Look("neutral", "circle-dashed", "Pending"),
    "undecided": Look("warn", "circle-dashed", "Undecided"),
    "overdue": Look("danger", "clock-exclamation", "Overdue"),
    # decisions
    "approve": Look("success", "check", "Approve"),
    "approve_until": Look("info", "calendar-check", "Approve until"),
    "scope_down": Look("info", "cut", "Scope down"),
    "revoke": Look("danger", "ban", "Revoke"),
    "keep": Look("success", "check", "Keep"),
    "rotate": Look("warn", "rotate", "Rotate"),
    "deactivate": Look("danger", "power", "Deactivate"),
    "mine": Look("success", "user-check", "It is mine"),
    "retire": Look("danger", "archive", "Retire it"),
    "quarantine": Look("danger", "lock", "Quarantine"),
    "not_mine": Look("neutral", "arrow-forward-up", "Not mine"),
    "dont_know": Look("neutral", "arrow-forward-up", "Don't know"),
    # orders
    "planned": Look("neutral", "list-check", "Planned"),
    "awaiting_second": Look("warn", "users", "Awaiting second person"),
    "watching": Look("info", "eye", "Locked out, watched"),
    "executing": Look("info", "loader", "Executing"),
    "applied": Look("info", "check", "Applied"),
    "verified": Look("success", "shield-check", "Verified"),
    "drifted": Look("warn", "git-compare", "Drifted"),
    "partial": Look("warn", "circle-half-2", "Partial"),
    "still_effective": Look("danger", "route", "Still effective"),
    "sessions_remain": Look("warn", "plug-connected", "Sessions remain"),
    "blocked": Look("danger", "barrier-block", "Blocked"),
    "task": Look("info", "user", "Task for a person"),
    "irreversible": Look("danger", "alert-octagon", "Irreversible"),
    "reappeared": Look("danger", "refresh-alert", "Reappeared"),
    "settled": Look("neutral", "user-check", "Settled by a person"),
    "restored": Look("neutral", "arrow-back-up", "Restored"),
    "recalled": Look("neutral", "arrow-back-up", "Recalled"),
    "released": Look("success", "send", "Released"),
    # deliveries of webhooks
    "waiting": Look("info", "clock", "Waiting"),
    "delivered": Look("success", "circle-check", "Delivered"),
    # risk and severity
    "low": Look("neutral", "chevron-down", "Low"),
    "medium": Look("warn", "equal", "Medium"),
    "high": Look("danger", "chevron-up", "High"),
    "critical": Look("danger", "chevrons-up", "Critical"),
    "privileged": Look("warn", "crown", "Privileged"),
}


def look_of(status: object) -> Look:
    """The look of a status; an unknown one is shown as such, in its own words, rather than hidden."""
    name = str(getattr(status, "value", status) or "").strip()
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key in STATUSES:
        return STATUSES[key]
    return Look("unknown", TONE_ICONS["unknown"], name.replace("_", " ").capitalize() or "Unknown")
