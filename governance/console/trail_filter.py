"""What may be asked of the trail, by the page's form and by the API's parameters."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from rest_framework.request import Request

from governance.audit.actions import Verb
from governance.audit.selectors import NOT_DONE
from governance.console.trail_objects import KINDS
from governance.people.models import User
from governance.web.parameters import InvalidParameter

LARGEST_NUMBER = 2**62
OUTCOMES = (("", "Any outcome"), ("success", "Done"), (NOT_DONE, "Only refused or failed"))
# The first word of each verb, as people call what it is about.
NOUNS = {
    "access": "refused attempts and cut-offs",
    "access_request": "requests for access",
    "agent": "tokens of agents",
    "approval": "approvals that ran out",
    "archive": "archives of old events",
    "audit": "downloads and checks of the trail",
    "authorization": "how applications decide",
    "boundary": "trust boundaries",
    "brake": "brakes",
    "campaign": "reviews",
    "checkpoint": "checkpoints",
    "decision_log": "the decision log",
    "decision_policy": "the policy of decisions",
    "delegation": "delegations",
    "detail": "erased details",
    "domain": "decision domains",
    "epoch": "epochs of the trail",
    "events": "retired events",
    "evidence_pack": "evidence packs",
    "finding": "one finding",
    "findings": "rules applied anew",
    "freeze": "freezes",
    "gateway_server": "servers behind the gateway",
    "gateway_tools": "tools behind the gateway",
    "hold": "legal holds",
    "identity": "identities",
    "installation": "this installation",
    "inventory": "downloads of the inventory",
    "item": "questions",
    "mail": "messages to people",
    "mfa": "second factors",
    "order": "orders",
    "people": "lists of people",
    "posture_policy": "the policy of posture",
    "quality": "how questions were answered",
    "remark": "remarks on questions",
    "restore_hold": "sources after a restore",
    "schedule": "review schedules",
    "source": "sources",
    "sync": "readings",
    "team": "teams",
    "token": "API tokens",
    "user": "people and their sign-in",
    "view": "saved views",
    "watch": "rules between dates",
    "webhook": "webhooks",
    "window": "change windows",
}
TEXT_PARAMETERS = {
    "verb": "A verb, or a noun (`order`) for all of its verbs.",
    "subject_kind": "Only events about objects of this kind.",
    "subject": "Only events about the object with this id.",
    "actor": "Only events of the actor with this id.",
    "request": "Only events of the request with this id.",
    "outcome": f"`success`, another word of the trail, or `{NOT_DONE}` for everything but success.",
}


class TrailForm(forms.Form):
    """What to look for; every field is optional."""

    verb = forms.ChoiceField(required=False, label="What happened")
    subject_kind = forms.ChoiceField(required=False, label="About")
    actor = forms.CharField(required=False, label="Who", max_length=254)
    outcome = forms.ChoiceField(required=False, label="Outcome", choices=OUTCOMES)
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(required=False, label="Reason says", max_length=200)
    request = forms.CharField(required=False, label="Request id", max_length=64)
    subject = forms.CharField(required=False, label="Object id", max_length=80)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["verb"].choices = [  # type: ignore[attr-defined]
            ("", "Anything"),
            *sorted(((noun, f"Anything about {about}") for noun, about in NOUNS.items()), key=lambda choice: choice[1]),
            *[(verb.value, verb.description) for verb in Verb],
        ]
        self.fields["subject_kind"].choices = [  # type: ignore[attr-defined]
            ("", "Any object"),
            *[(kind.name, kind.label) for kind in KINDS.values()],
        ]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        since, until = given.get("since"), given.get("until")
        if since and until and until < since:
            raise forms.ValidationError("The second date lies before the first. Turn them round.")
        return given

    @property
    def has_rare(self) -> bool:
        """Whether one of the fields that most people never need is filled."""
        return any(self.data.get(name) for name in ("reason", "request", "subject"))


def criteria(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the selectors' TrailFilter that a valid form means."""
    return {
        "verb": given["verb"],
        "actor_id": _actor_id(given["actor"]),
        "subject_kind": given["subject_kind"],
        "subject_id": given["subject"],
        "outcome": given["outcome"],
        "request_id": given["request"],
        "reason": given["reason"],
        "since": midnight(given["since"]),
        "until": midnight(given["until"] + timedelta(days=1)) if given["until"] else None,
    }


def criteria_of(request: Request) -> dict[str, Any]:
    """The fields of the selectors' TrailFilter that the API's query asks for; TEXT_PARAMETERS describes them."""
    texts = {name: request.query_params.get(name, "")[:200] for name in TEXT_PARAMETERS}
    return {
        "verb": texts["verb"],
        "actor_id": texts["actor"],
        "subject_kind": texts["subject_kind"],
        "subject_id": texts["subject"],
        "request_id": texts["request"],
        "outcome": texts["outcome"],
    }


def number_parameter(request: Request, name: str, default: int | None, *, smallest: int = 1) -> int | None:
    """A whole number of the API's query. Raises InvalidParameter."""
    return bounded_parameter(request, name, default, smallest, LARGEST_NUMBER)


def bounded_parameter(request: Request, name: str, default: int | None, smallest: int, largest: int) -> int | None:
    """The same within bounds of its own."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and smallest <= int(text) <= largest):
        raise InvalidParameter(f"{name} must be a whole number from {smallest} to {largest}.")
    return int(text)


def _actor_id(text: str) -> str:
    """A person by address; programs by the id that the trail shows. An unknown address matches nothing."""
    if "@" not in text:
        return text
    person = User.objects.filter(email__iexact=text).first()
    return str(person.pk) if person else "nobody"


def midnight(day: date | None) -> datetime | None:
    """When a day begins, in UTC; None for no day."""
    return datetime.combine(day, time.min, UTC) if day else None
