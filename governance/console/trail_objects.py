"""What the trail is about: every kind of object by its plain name, with the page that shows it."""

import re
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One kind of subject.

    page: the name of its page's address, which takes the subject's id, or its label where `by_label`; empty for none.
    """

    name: str
    label: str
    page: str = ""
    by_label: bool = False


# Of what there is one only, the id is a word: "all".
_WORD = re.compile(r"[a-z]+")
KINDS = {
    kind.name: kind
    for kind in (
        ObjectKind("identity", "Identity", "identities:identity_detail"),
        ObjectKind("grant", "Permission", "identities:grant_detail"),
        ObjectKind("finding", "Finding", "identities:finding_detail"),
        ObjectKind("findings", "Findings, pass by pass"),
        ObjectKind("posture_policy", "Policy of posture"),
        ObjectKind("decision_policy", "Policy of decisions"),
        ObjectKind("gateway_server", "Server behind the gateway", "identities:gateway_server", by_label=True),
        ObjectKind("source", "Source", "identities:source_detail", by_label=True),
        ObjectKind("connection", "Connection that was tried"),
        ObjectKind("decision_domain", "Decision domain", "identities:domain_edit", by_label=True),
        ObjectKind("boundary", "Trust boundary", "identities:boundary_detail"),
        ObjectKind("view", "Saved view", "identities:saved_view_edit"),
        ObjectKind("inventory", "Download of the inventory"),
        ObjectKind("schedule", "Review schedule", "reviews:schedule_detail"),
        ObjectKind("watch", "Rule between dates", "reviews:watch_edit"),
        ObjectKind("campaign", "Review", "reviews:campaign_detail"),
        ObjectKind("item", "Question", "reviews:item_detail"),
        ObjectKind("delegation", "Delegation"),
        ObjectKind("order", "Order", "reviews:order_detail"),
        ObjectKind("access_request", "Request for access", "reviews:access_request_detail"),
        ObjectKind("brake", "Brake", "reviews:brake_detail"),
        ObjectKind("change_window", "Change window"),
        ObjectKind("freeze", "Freeze"),
        ObjectKind("webhook", "Webhook", "reviews:webhook_detail"),
        ObjectKind("person", "Person", "people:user_detail"),
        ObjectKind("team", "Team", "people:team_detail"),
        ObjectKind("people_file", "List of people"),
        ObjectKind("api_token", "API token"),
        ObjectKind("access", "Refused attempts"),
        ObjectKind("trail", "Download of the trail"),
        ObjectKind("checkpoint", "Checkpoint"),
        ObjectKind("checkpoint_place", "Place of checkpoints"),
        ObjectKind("epoch", "Epoch of the trail"),
        ObjectKind("decision_log", "Decision log"),
        ObjectKind("evidence_pack", "Evidence pack"),
        ObjectKind("hold", "Legal hold"),
        ObjectKind("archive", "Archive of old events"),
        ObjectKind("installation", "This installation"),
        ObjectKind("audit_event", "Event of the trail"),
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
    """What to call an object: its label, or its kind and the beginning of its id where the label says no more."""
    known = KINDS.get(kind)
    told = "" if label == kind else label
    called = known.label if known else kind.replace("_", " ")
    return told or (called if _WORD.fullmatch(subject_id) else f"{called} {subject_id[:8]}")
