"""One question: look at it, see what an answer would do, give it, take it back, hand it on."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from reviews.decisions import StaleItem, decide, drop_draft, list_drafts, reassign_item, recall
from reviews.decisions.drafts import why_stale
from reviews.decisions.nudges import note_seen
from reviews.forms.answers import AnswerForm, ReassignForm
from reviews.forms.fields import show_refusal
from reviews.forms.targets import target_faults
from reviews.models import PASSING_ON, Answer, Decision, Draft, ItemKind, ReviewItem
from reviews.quality import note_showing
from reviews.remediation import others_of, prepare, way_of
from reviews.selectors import access_decision, access_item, list_decisions
from reviews.views import workbench
from reviews.views.bench import Bench, chooser_of, native_of
from reviews.views.following import after_answer, neighbours
from reviews.views.people import offer_people, suggesting
from reviews.views.requests import PageRequest
from reviews.views.talk import talk_of
from reviews.views.wishes import kept_query, wish_of

PAGE, PREVIEW, STATE = "reviews/item_detail.html", "reviews/_item_preview.html", "reviews/_item_state.html"


@require_safe
@page()
def item_detail(request: PageRequest, item_id: UUID) -> HttpResponse:
    """The workbench. As a fragment: only the state of the answer, which changes by itself."""
    item = access_item(actor=request.actor, item_id=item_id)
    if request.headers.get("HX-Target", "").startswith("item-state"):
        decisions = list(list_decisions(item, actor=request.actor))
        context = {"item": item, **workbench.state_of(item, decisions, request.actor, timezone.now())}
        return render_page(request, PAGE, context, fragment=STATE)
    if item.kind == ItemKind.OWNERSHIP:
        query = request.META.get("QUERY_STRING", "")
        return redirect(reverse("reviews:ownership_item", args=[item.pk]) + (f"?{query}" if query else ""))
    note_showing(item_id=item.pk, actor=request.actor, now=timezone.now())
    note_seen(item_id=item.pk, actor=request.actor, now=timezone.now())
    return show_item(request, item)


def show_item(
    request: PageRequest, item: ReviewItem, *, more: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """The page as the person left it: with their draft, unless the address asks for an answer or a suggestion."""
    draft = list_drafts(request.actor).filter(item=item).first()
    style, answer = request.GET.get("style", ""), request.GET.get("answer", "")
    if draft is None or style or (answer and answer != draft.answer):
        bench = Bench.of_item(item, timezone.now(), style)
        return _show(request, item, bench, given={"answer": answer}, draft=draft, more=more, status=status)
    typed = _typed(draft)
    bench = Bench.of_item(item, timezone.now(), typed.get("style", ""))
    form = offer_people(AnswerForm(typed, item=item, held=bench.held, pieces=bench.pieces), request, item)
    form.is_valid()
    return _show(request, item, bench, given=typed, form=form, is_trial=True, draft=draft, more=more, status=status)


def _typed(draft: Draft) -> QueryDict:
    """The form as it was typed. Its version stays out: what counts is the question that is on the page now."""
    typed = QueryDict(mutable=True)
    for name, texts in draft.fields.items():
        typed.setlist(name, texts)
    return typed


@require_POST
@page()
def item_preview(request: PageRequest, item_id: UUID) -> HttpResponse:
    """What the chosen answer would do. Asks the source, changes nothing."""
    item = access_item(actor=request.actor, item_id=item_id)
    bench = _bench(request, item)
    form = _form(request, item, bench)
    preview = _preview(request, item, bench, form)
    if is_fragment(request):
        return render_page(request, PAGE, {"item": item, "preview": preview, "given": request.POST}, fragment=PREVIEW)
    return _show(request, item, bench, given=request.POST, form=form, is_trial=True, preview=preview)


@require_POST
@page()
def item_answer(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Give the answer that the form holds."""
    item = access_item(actor=request.actor, item_id=item_id)
    bench = _bench(request, item)
    form = _form(request, item, bench)
    if not form.is_valid():
        return _show(request, item, bench, given=request.POST, form=form, status=422)
    data = form.cleaned_data
    try:
        decision = decide(
            item=item,
            version=data["version"],
            answer=data["answer"],
            actor=request.actor,
            now=timezone.now(),
            reason=data["reason"],
            until=data["until"],
            target=form.target if data["answer"] == Answer.SCOPE_DOWN else None,
            named_person=data["named_person"],
        )
    except DomainError as refusal:
        return refused(request, item, form, refusal)
    drop_draft(item_id=item.pk, actor=request.actor)
    thanks, goes_on = workbench.thanks_for(item, decision), request.POST.get("then") == "next"
    if goes_on and decision.answer not in PASSING_ON:
        # The page moves on; what was just said stays within reach while it can be taken back.
        given = reverse("reviews:item_detail", args=[item.pk])
        thanks = format_html('{} <a href="{}">See it, or take it back</a>', thanks, given)
    messages.success(request, thanks)
    if goes_on:
        return redirect(after_answer(request, item))
    if decision.answer in PASSING_ON:
        return redirect("reviews:inbox")
    return redirect("reviews:item_detail", item_id=item.pk)


@require_POST
@page()
def item_recall(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Take the answer back and ask again."""
    decision = access_decision(actor=request.actor, decision_id=_uuid(request.POST.get("decision", "")))
    item = access_item(actor=request.actor, item_id=item_id)
    if decision.item_id != item.pk:
        return _show(
            request, item, _bench(request, item), refusal=StaleItem("This answer belongs to another question.")
        )
    try:
        recall(decision=decision, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        fresh = access_item(actor=request.actor, item_id=item_id)
        return _show(request, fresh, _bench(request, fresh), refusal=refusal)
    messages.success(request, "Taken back. Nothing was sent; the question is open again.")
    return redirect("reviews:item_detail", item_id=item.pk)


@require_POST
@page()
def item_reassign(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Hand the question on to a named person."""
    item = access_item(actor=request.actor, item_id=item_id)
    form = offer_people(ReassignForm(request.POST), request, item)
    version = request.POST.get("version", "")
    if not form.is_valid():
        return _show(request, item, _bench(request, item), reassign_form=form, status=422)
    try:
        reassign_item(
            item=item,
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
            to=form.cleaned_data["to"],
            reason=form.cleaned_data["why"],
            actor=request.actor,
            now=timezone.now(),
        )
    except DomainError as refusal:
        show_refusal(form, refusal)
        return _show(request, item, _bench(request, item), reassign_form=form, refusal=refusal)
    messages.success(request, f"Handed on to {form.cleaned_data['to']}.")
    return redirect("reviews:inbox")


def _bench(request: PageRequest, item: ReviewItem) -> Bench:
    return Bench.of_item(item, timezone.now(), request.POST.get("style", ""))


def _form(request: PageRequest, item: ReviewItem, bench: Bench) -> AnswerForm:
    return offer_people(AnswerForm(request.POST, item=item, held=bench.held, pieces=bench.pieces), request, item)


def _preview(request: PageRequest, item: ReviewItem, bench: Bench, form: AnswerForm) -> dict[str, Any]:
    """The consequences of the form as it is, also while it is incomplete."""
    form.is_valid()
    answer = form.cleaned_data.get("answer", "")
    preview: dict[str, Any] = {"answer": answer, "problem": ""}
    if not answer:
        return preview
    if answer == Answer.SCOPE_DOWN:
        if form.target is None:
            return preview | {"problem": " ".join(target_faults(form))}
        trial = bench.try_target(form.target)
        preview["trial"] = trial
        if not trial.is_narrower:
            return preview
    standing = workbench.standing_of(item, request.actor)
    if answer in PASSING_ON:
        return preview | {"passes_on": True}
    # An owner who attests sees it too: what they are asked is whether exactly this may happen.
    prepared = prepare(item=item, answer=answer, target=form.target)
    if answer == Answer.REVOKE:
        preview["replayed"] = bench.try_nothing()
    preview |= {"prepared": prepared, "native": native_of(prepared), "others": others_of(prepared, item.grant)}
    if prepared.action:
        preview["needs_second"], preview["watch_days"] = way_of(item, prepared.action)
    return preview | ({"attests": True, "decider": workbench.decider_of(item)} if standing.attests else {})


def refused(request: PageRequest, item: ReviewItem, form: AnswerForm, refusal: DomainError) -> HttpResponse:
    """The domain said no: the page again, as things are now, with everything that was typed."""
    fresh = access_item(actor=request.actor, item_id=item.pk)
    named = refusal.details.get("fields")
    if isinstance(named, dict) and any(name in form.fields for name in named):
        show_refusal(form, refusal)
    return _show(request, fresh, _bench(request, fresh), given=request.POST, form=form, refusal=refusal)


def _show(
    request: PageRequest,
    item: ReviewItem,
    bench: Bench,
    *,
    given: Any = None,
    form: AnswerForm | None = None,
    is_trial: bool = False,
    preview: dict[str, Any] | None = None,
    reassign_form: ReassignForm | None = None,
    refusal: DomainError | None = None,
    draft: Draft | None = None,
    more: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """is_trial: the form was not sent for good, so what is still missing is no error yet."""
    given = given or {}
    context = workbench.page_of(item, bench, request.actor)
    came_by = _came_by(request)
    context |= neighbours(request.actor, item, wish_of(came_by))
    context |= talk_of(item, request.actor)
    context |= chooser_of(bench, given, form)
    context |= {
        "given": given,
        "chosen": given.get("answer", ""),
        "form": None if is_trial else form,
        "errors": form.errors if form and not is_trial else {},
        "preview": preview,
        "reassign_form": reassign_form or offer_people(ReassignForm(), request, item),
        "suggesting": suggesting(item),
        "refusal": refusal,
        "faster": _faster(item, refusal),
        "page_keys": _keys(context),
        "suggest_url": f"{reverse('reviews:item_detail', args=[item.pk])}?answer=scope_down",
        "preview_url": reverse("reviews:item_preview", args=[item.pk]),
        "line_query": kept_query(came_by),
        "draft": draft,
        "draft_stale": why_stale(draft, item, request.actor) if draft else "",
        "tries_at_once": is_fragment(request) and request.headers.get("HX-Target") == "target",
        **(more or {}),
    }
    status = refusal.status if refusal else status
    return render_page(request, PAGE, context, status=status)


def _came_by(request: PageRequest) -> QueryDict:
    """The part of the inbox from which the person came: in the address, or carried by the form."""
    if request.method == "POST":
        return QueryDict(request.POST.get("back", "")[:2000].encode("ascii", "ignore").decode())
    return request.GET


def _keys(context: dict[str, Any]) -> list[tuple[str, str]]:
    moving = [("n, j", "Next question"), ("p, k", "Previous question"), ("i", "Back to the inbox")]
    asking = [("q", "Ask somebody first")] if context["ask_form"] else []
    if not context["standing"].may_answer:
        return [*moving, *asking]
    answers = [(choice.key, choice.label) for choice in context["choices"]]
    sending = [
        ("c", "Write the reason"),
        ("Ctrl+Enter", "Answer, then the next question"),
        ("d", "Keep as a draft, then the next question"),
        ("Esc", "Leave a field"),
    ]
    return [*answers, *sending, *moving, *asking]


def _faster(item: ReviewItem, refusal: DomainError | None) -> Decision | None:
    """Who changed the question meanwhile, when that is why it was refused."""
    return list_decisions(item).last() if isinstance(refusal, StaleItem) else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
