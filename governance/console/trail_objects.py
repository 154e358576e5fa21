"""What the trail is about: every kind of object by its plain name, with the page that shows it."""

from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One kind of subject.

    page: the name of its page's address, which takes the subject's id, or its label where `by_label`; empty for none.
    """

    name: str
    label: str
    icon: str
    page: str = ""
    by_label: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        ObjectKind("identity", "Identity", "robot", "identities:identity_detail"),
        ObjectKind("grant", "Permission", "lock-access", "identities:grant_detail"),
        ObjectKind("source", "Source", "database", "identities:source_detail", by_label=True),
        ObjectKind("connection", "Connection that was tried", "plug-connected"),
        ObjectKind("view", "Saved view", "bookmark", "identities:saved_view_edit"),
        ObjectKind("inventory", "Download of the inventory", "download"),
        ObjectKind("schedule", "Review schedule", "calendar", "reviews:schedule_detail"),
        ObjectKind("watch", "Rule between dates", "eye", "reviews:watch_edit"),
        ObjectKind("campaign", "Review", "clipboard-check", "reviews:campaign_detail"),
        ObjectKind("item", "Question", "checkbox", "reviews:item_detail"),
        ObjectKind("delegation", "Delegation", "calendar-user"),
        ObjectKind("order", "Order", "arrows-exchange", "reviews:order_detail"),
        ObjectKind("brake", "Brake", "hand-stop", "reviews:brake_detail"),
        ObjectKind("change_window", "Change window", "clock"),
        ObjectKind("freeze", "Freeze", "snowflake"),
        ObjectKind("webhook", "Webhook", "webhook", "reviews:webhook_detail"),
        ObjectKind("person", "Person", "user", "people:user_detail"),
        ObjectKind("team", "Team", "users", "people:team_detail"),
        ObjectKind("people_file", "List of people", "users"),
        ObjectKind("api_token", "API token", "key"),
        ObjectKind("access", "Refused attempts", "shield-x"),
        ObjectKind("trail", "Download of the trail", "history"),
        ObjectKind("checkpoint", "Checkpoint", "certificate"),
        ObjectKind("audit_event", "Event of the trail", "history"),
    )
}


def url_of(kind: str, subject_id: str, label: str) -> str:
    """The page of an object, or nothing where there is none."""
    known = KINDS.get(kind)
    if known is None or not known.page:
        return ""
    try:
        return reverse(known.page, args=[label if known.by_label else subject_id])
    except NoReverseMatch:
        return ""


def name_of(kind: str, subject_id: str, label: str) -> str:
    """What to call an object: its label, or its kind and the beginning of its id."""
    known = KINDS.get(kind)
    return label or f"{known.label if known else kind.replace('_', ' ')} {subject_id[:8]}"
