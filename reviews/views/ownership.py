"""Who answers for an identity: the question, made for a thumb, and what is suggested on the identity's page."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError, Forbidden
from governance.people.models import User
from governance.web.access import page
from governance.web.htmx import render_page
from identities import provisioning
from identities.connectors.contract import Capability
from identities.models import Environment, IdentityKind
from identities.selectors.inventory import access_identity
from identities.services.identities import assign_owner, require_editor
from reviews.campaigns.suggesting import last_confirmed, suggestions_for
from reviews.decisions import decide, drop_draft
from reviews.decisions.nudges import note_seen
from reviews.decisions.resolution import RULE_LABELS
from reviews.forms.answers import ReassignForm
from reviews.forms.ownership import OwnershipForm
from reviews.models import PASSING_ON, Answer, ItemKind, ReviewItem
from reviews.quality import note_showing
from reviews.selectors import access_item, explain_resolution, list_decisions
from reviews.views import workbench
from reviews.views.following import neighbours
from reviews.views.people import offer_people, suggesting
from reviews.views.requests import PageRequest, passes
from reviews.views.wishes import wish_of

KEYS = [
    ("a", "It is mine"),
    ("m", "Not mine"),
    ("r", "Retire it"),
    ("w", "I don’t know"),
    ("c", "Write a sentence"),
    ("Ctrl+Enter", "Answer"),
    ("Esc", "Leave a field"),
    ("n, j", "Next question"),
    ("p, k", "Previous question"),
    ("i", "Back to the inbox"),
]


@page()
def ownership_item(request: PageRequest, item_id: UUID) -> HttpResponse:
    """The question “Is it yours?”; POST answers it."""
    item = access_item(actor=request.actor, item_id=item_id)
    if item.kind != ItemKind.OWNERSHIP:
        return redirect("reviews:item_detail", item_id=item.pk)
    if request.method != "POST":
        note_showing(item_id=item.pk, actor=request.actor, now=timezone.now())
        note_seen(item_id=item.pk, actor=request.actor, now=timezone.now())
        return _show(request, item, given={"answer": request.GET.get("answer", "")[:20]})
    form = offer_people(OwnershipForm(request.POST), request, item)
    if not form.is_valid():
        return _show(request, item, given=request.POST, form=form, status=422)
    data = form.cleaned_data
    try:
        decide(
            item=item,
            version=data["version"],
            answer=data["answer"],
            actor=request.actor,
            now=timezone.now(),
            reason=data["reason"],
            named_person=form.named,
        )
    except DomainError as refusal:
        fresh = access_item(actor=request.actor, item_id=item.pk)
        return _show(request, fresh, given=request.POST, form=form, refusal=refusal)
    drop_draft(item_id=item.pk, actor=request.actor)
    if data["answer"] in PASSING_ON:
        messages.success(request, "Noted. Somebody else is asked, and you are not asked about it again here.")
        return redirect("reviews:inbox")
    done = {
        Answer.MINE: f"You answer for {item.identity.name}.",
        Answer.RETIRE: f"{item.identity.name} is being retired. The order says how far that is.",
    }
    messages.success(request, done[Answer(data["answer"])])
    following = neighbours(request.actor, item, wish_of(request.GET))["next_id"]
    return redirect("reviews:item_detail", item_id=following or item.pk)


@require_safe
@page()
def owners_of(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """What speaks for whom, as a panel: suggestions until a person accepts one."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    suggested = suggestions_for(identity)
    people = User.objects.in_bulk([each.person for each in suggested])
    context = {
        "identity": identity,
        "suggested": [(people[each.person], each) for each in suggested],
        "confirmed": last_confirmed(identity),
        "may_accept": _may_accept(request, identity),
    }
    return render_page(request, "reviews/owners_of.html", context, fragment="reviews/_owners_of.html")


@require_POST
@page()
def owners_accept(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Make one of the suggested people the owner."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    person = User.objects.filter(pk=_uuid(request.POST.get("person", ""))).first()
    version = request.POST.get("version", "")
    try:
        assign_owner(
            identity=identity,
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
            owner=person if person else identity.owner,
            actor=request.actor,
            now=timezone.now(),
            reason="A suggestion, accepted.",
        )
    except Forbidden:
        raise
    except DomainError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, f"{person or identity.owner} answers for {identity.name}.")
    return redirect("identities:identity_detail", identity_id=identity.pk)


def _may_accept(request: PageRequest, identity: Any) -> bool:
    return identity.retired_at is None and passes(require_editor, identity, request.actor)


def _show(
    request: PageRequest,
    item: ReviewItem,
    *,
    given: Mapping[str, Any],
    form: OwnershipForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    decisions = list(list_decisions(item))
    suggested = _suggested(item)
    context = {
        "item": item,
        "question": workbench.question_of(item),
        "seen": _seen(item),
        "suggested": suggested,
        "offered": [line for line in suggested if line["person"].pk != item.assignee_id and not line["refused_at"]],
        "given": given,
        "chosen": given.get("answer", ""),
        "errors": form.errors if form else {},
        "refusal": refusal,
        "standing": workbench.standing_of(item, request.actor),
        "decisions": decisions,
        "trace": explain_resolution(item.resolution, RULE_LABELS),
        "reassign_form": offer_people(ReassignForm(), request, item),
        "suggesting": suggesting(item),
        "may_hand_on": workbench.may_hand_on(item, request.actor),
        "page_keys": KEYS,
        "locks_out": Capability.QUARANTINE in provisioning.capabilities(item.identity.source),
        **workbench.state_of(item, decisions, request.actor, timezone.now()),
        **neighbours(request.actor, item, wish_of(request.GET)),
    }
    status = refusal.status if refusal else status
    return render_page(request, "reviews/ownership_item.html", context, status=status)


def _suggested(item: ReviewItem) -> Sequence[dict[str, Any]]:
    """As it was when the question was asked; the names as they are now."""
    kept = item.seen.get("suggested", [])
    people = User.objects.in_bulk([UUID(each["person"]) for each in kept])
    return [each | {"person": people[UUID(each["person"])]} for each in kept if UUID(each["person"]) in people]


def _seen(item: ReviewItem) -> dict[str, Any]:
    facts = workbench.seen_of(item)
    identity = facts.get("identity") or {}
    kind = identity.get("kind", "")
    return facts | {
        "kind_label": IdentityKind(kind).label if kind in IdentityKind.values else kind,
        "environment_label": Environment(identity.get("environment", "unknown")).label,
        "page": reverse("identities:identity_detail", args=[item.identity_id]),
    }


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
