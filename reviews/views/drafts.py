"""Drafts: kept while somebody types, looked over together, submitted at once, each undone until then."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from reviews.decisions import drop_draft, foresee_drafts, list_drafts, save_draft, submit_drafts
from reviews.decisions.drafts import MOST_DRAFTS, Prospective
from reviews.forms.answers import AnswerForm
from reviews.models import Answer
from reviews.selectors import access_item
from reviews.views.bench import Bench
from reviews.views.following import after_answer
from reviews.views.items import refused
from reviews.views.people import offer_people
from reviews.views.requests import PageRequest
from reviews.views.wishes import uuid_of

PAGE = "reviews/draft_list.html"
# What each answer does once it is submitted and decides.
DOES = {
    Answer.APPROVE: "kept as it is, nothing changes at the source",
    Answer.KEEP: "kept as it is, nothing changes at the source",
    Answer.APPROVE_UNTIL: "kept until the date, then taken away by itself",
    Answer.SCOPE_DOWN: "a change to what is proposed is ordered at the source",
    Answer.REVOKE: "the removal is ordered at the source",
    Answer.DEACTIVATE: "the deactivation is ordered at the source",
    Answer.ROTATE: "a rotation is ordered, by the date",
    Answer.MINE: "you answer for the identity from then on",
    Answer.RETIRE: "the identity is locked out, by an order or a task",
    Answer.NOT_MINE: "somebody else is asked",
    Answer.DONT_KNOW: "somebody else is asked",
}
# Fields of the form that are no part of what somebody typed.
NOT_TYPED = frozenset({"csrfmiddlewaretoken", "version", "then", "back"})


@require_safe
@page()
def draft_list(request: PageRequest) -> HttpResponse:
    """All drafts of the person, what submitting would do, and which of them are out of date."""
    found = list(list_drafts(request.actor)[: MOST_DRAFTS + 1])
    drafts = foresee_drafts(drafts=found[:MOST_DRAFTS], actor=request.actor, now=timezone.now())
    ready = [each for each in drafts if each.ok]
    context: dict[str, Any] = {
        "drafts": drafts,
        "totals": _totals(ready),
        "ready": len(ready),
        "held": len(drafts) - len(ready),
        "is_more": len(found) > MOST_DRAFTS,
        "sent": None,
        "inbox_url": reverse("reviews:inbox"),
        "page_keys": [("u", "Undo the draft"), ("S", "Submit"), ("i", "Back to the inbox")],
    }
    return render_page(request, PAGE, context)


@require_POST
@page()
def drafts_submit(request: PageRequest) -> HttpResponse:
    """Give the drafted answers that the page showed as ready; a result for each."""
    wanted = [pk for value in request.POST.getlist("item")[:MOST_DRAFTS] if (pk := uuid_of(value))]
    sent = submit_drafts(actor=request.actor, now=timezone.now(), item_ids=wanted)
    given = sum(each.ok for each in sent)
    context = {
        "sent": sent,
        "given": given,
        "refused": len(sent) - given,
        "is_more": list_drafts(request.actor).exists(),
        "page_keys": [("i", "Back to the inbox")],
    }
    return render_page(request, PAGE, context)


@require_POST
@page()
def draft_drop(request: PageRequest) -> HttpResponse:
    """Undo one draft."""
    dropped = drop_draft(item_id=uuid_of(request.POST.get("item", "")) or UUID(int=0), actor=request.actor)
    messages.info(request, "The draft is gone; the question is as it was." if dropped else "There was no such draft.")
    return redirect("reviews:draft_list")


@require_POST
@page()
def item_draft(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Keep the form as it is, complete or not. `then=stay` answers without a page, for saving while somebody types."""
    item = access_item(actor=request.actor, item_id=item_id)
    bench = Bench.of_item(item, timezone.now(), request.POST.get("style", ""))
    form = offer_people(AnswerForm(request.POST, item=item, held=bench.held, pieces=bench.pieces), request, item)
    is_whole, data = form.is_valid(), form.cleaned_data
    stays = request.POST.get("then") == "stay"
    try:
        save_draft(
            item=item,
            version=data.get("version") or item.version,
            actor=request.actor,
            now=timezone.now(),
            answer=data.get("answer") or "",
            reason=data.get("reason") or "",
            until=data.get("until"),
            target=form.target if data.get("answer") == Answer.SCOPE_DOWN else None,
            named_person=data.get("named_person"),
            problem="" if is_whole else _first_fault(form),
            fields={name: values for name, values in request.POST.lists() if name not in NOT_TYPED},
        )
    except DomainError as refusal:
        if stays:
            return HttpResponse(refusal.message, status=refusal.status, content_type="text/plain; charset=utf-8")
        return refused(request, item, form, refusal)
    if stays:
        return HttpResponse("Draft saved", content_type="text/plain; charset=utf-8")
    messages.success(request, "Kept as a draft. Nothing is decided until you submit.")
    return redirect(after_answer(request, item))


def _first_fault(form: AnswerForm) -> str:
    return next((str(fault) for faults in form.errors.values() for fault in faults), "Something is missing.")


def _totals(ready: list[Prospective]) -> list[tuple[int, str, str]]:
    """(how many, answer, what it does), attestations apart because they decide nothing."""
    counted = Counter((each.draft.answer, each.is_attestation) for each in ready)
    return [
        (
            count,
            str(Answer(answer).label),
            "attested, somebody independent decides" if attests else DOES[Answer(answer)],
        )
        for (answer, attests), count in sorted(counted.items(), key=lambda each: -each[1])
    ]
