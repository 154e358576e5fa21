"""Forms of webhooks and of tickets: shapes only, the rules stand in the use cases."""

import re
from typing import Any

from django import forms

from governance.audit.actions import Verb
from governance.kernel.errors import DomainError, Forbidden
from governance.web.forms import PanelForm
from identities.models import Source
from reviews.models import Campaign, WebhookEndpoint, WebhookPurpose
from reviews.states import CampaignState

MOST_CHOICES = 500
# Nouns in the order in which the vocabulary names them.
NOUNS = list(dict.fromkeys(verb.value.partition(".")[0] for verb in Verb))
# In the words of the pages; a noun without them is shown as it is.
WORDS = {
    "campaign": "Reviews",
    "item": "Questions",
    "order": "Orders",
    "approval": "Approvals",
    "source": "Sources",
    "sync": "Readings",
    "user": "People and sign-in",
    "team": "Teams",
    "people": "Lists of people",
    "token": "API tokens",
    "mfa": "Second factors",
    "identity": "Identities",
    "view": "Saved views",
    "schedule": "Schedules",
    "webhook": "Webhooks",
    "mail": "Mail",
    "audit": "Use of the trail",
    "checkpoint": "Checkpoints",
    "detail": "Erasures",
    "inventory": "Exports",
}
# Order of worth for somebody who chooses; the rest follows as the vocabulary has it.
FIRST = ("campaign", "item", "order", "approval", "source", "sync")


def show_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal beside the field that it names, else above the form. Raises Forbidden again."""
    if isinstance(error, Forbidden):
        raise error
    name = {"verbs": "nouns"}.get(error.details.get("field", ""), error.details.get("field"))
    form.add_error(name if name in form.fields else None, error.message)


class WebhookForm(forms.Form):
    """Where notices go and which. Nothing chosen means everything."""

    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    url = forms.CharField(
        label="Address",
        max_length=500,
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://hooks.example.org/remit"}),
        help_text="https, and reachable from here. Hosts inside need to be named in WEBHOOK_INTERNAL_HOSTS.",
    )
    purpose = forms.ChoiceField(
        choices=[
            (WebhookPurpose.EVENTS, "Events – told what happens"),
            (WebhookPurpose.TICKETS, "Ticket system – gets each task for a person, and answers with a ticket"),
        ],
        initial=WebhookPurpose.EVENTS,
        widget=forms.RadioSelect,
    )
    nouns = forms.MultipleChoiceField(
        label="Events about",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen, and none named below: everything. A ticket system gets orders in any case.",
    )
    single = forms.CharField(
        label="Single events",
        required=False,
        max_length=4_000,
        help_text="Further event types, separated by spaces, such as <code>sync.held token.created</code>.",
    )
    sources = forms.MultipleChoiceField(
        label="Only about these sources",
        required=False,
        help_text="None chosen: all, and what is about no source.",
    )
    campaigns = forms.MultipleChoiceField(
        label="Only about these reviews", required=False, help_text="None chosen: all, and what is about no review."
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, endpoint: WebhookEndpoint | None = None, **kwargs: Any) -> None:
        if endpoint is not None:
            kwargs["initial"] = _initial(endpoint) | kwargs.get("initial", {})
        super().__init__(*args, **kwargs)
        self._choose("nouns", _noun_choices())
        self._choose("sources", list(Source.objects.order_by("name").values_list("slug", "name")[:MOST_CHOICES]))
        self._choose("campaigns", _campaign_choices(endpoint))

    def wish(self) -> dict[str, Any]:
        """What was said, as the use cases take it."""
        data = self.cleaned_data
        verbs = [*data["nouns"], *re.split(r"[\s,]+", data["single"].strip())]
        said = {name: data[name] for name in ("name", "url", "purpose", "sources", "campaigns")}
        return said | {"verbs": [verb for verb in verbs if verb]}

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - said for the type checker
        field.choices = choices
        if isinstance(field.widget, forms.SelectMultiple):
            field.widget.attrs["size"] = max(2, min(6, len(choices)))


class RotateForm(PanelForm):
    """For how long the secret before is still good."""

    overlap_hours = forms.TypedChoiceField(
        label="The old secret",
        choices=[("24", "signs too for 24 hours"), ("168", "signs too for 7 days"), ("0", "ends now")],
        coerce=int,
        initial="24",
    )


class TicketForm(PanelForm):
    """Which ticket another system keeps."""

    reference = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    url = forms.CharField(
        label="Address", max_length=500, required=False, widget=forms.URLInput(attrs={"autocomplete": "off"})
    )


def _noun_choices() -> list[tuple[str, str]]:
    nouns = [*FIRST, *(noun for noun in NOUNS if noun not in FIRST)]
    return [(noun, WORDS.get(noun) or noun.replace("_", " ").capitalize()) for noun in nouns]


def _campaign_choices(endpoint: WebhookEndpoint | None) -> list[tuple[str, str]]:
    """Reviews that still say something, and the ones that were chosen before."""
    going = Campaign.objects.exclude(state__in=[CampaignState.COMPLETED, CampaignState.CANCELLED])
    chosen = Campaign.objects.filter(pk__in=endpoint.campaigns if endpoint else [])
    found = [*going.order_by("-created_at")[:MOST_CHOICES], *chosen]
    return list({str(campaign.pk): f"{campaign.name} – {campaign.state}" for campaign in found}.items())


def _initial(endpoint: WebhookEndpoint) -> dict[str, Any]:
    fields = ("name", "url", "purpose", "sources", "campaigns", "version")
    return {name: getattr(endpoint, name) for name in fields} | {
        "nouns": [verb for verb in endpoint.verbs if verb in NOUNS],
        "single": " ".join(verb for verb in endpoint.verbs if verb not in NOUNS),
    }
