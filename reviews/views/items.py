"""One question: look at it, see what an answer would do, give it, take it back, hand it on."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, includes
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from reviews import evidence
from reviews.decisions import StaleItem, check_target, decide, reassign_item, recall
from reviews.decisions.answers import PASSING_ON
from reviews.decisions.targets import held_permission
from reviews.forms import AnswerForm, ReassignForm, show_refusal
from reviews.models import Answer, Decision, ReviewItem
from reviews.remediation import Prepared, prepare
from reviews.selectors import access_decision, access_item, list_decisions
from reviews.views import workbench
from reviews.views.requests import PageRequest
from reviews.views.workbench import Bench

PAGE, PREVIEW, STATE = "reviews/item_detail.html", "reviews/_item_preview.html", "reviews/_item_state.html"


@require_safe
@page()
def item_detail(request: PageRequest, item_id: UUID) -> HttpResponse:
    """The workbench. As a fragment: only the state of the answer, which changes by itself."""
    item = access_item(actor=request.actor, item_id=item_id)
    if request.headers.get("HX-Target", "").startswith("item-state"):
        decisions = list(list_decisions(item))
        context = {"item": item, **workbench.state_of(item, decisions, request.actor, timezone.now())}
        return render_page(request, PAGE, context, fragment=STATE)
    return _show(request, _bench(item), given={"answer": request.GET.get("answer", "")})


@require_POST
@page()
def item_preview(request: PageRequest, item_id: UUID) -> HttpResponse:
    """What the chosen answer would do. Asks the source, changes nothing."""
    bench = _bench(access_item(actor=request.actor, item_id=item_id))
    preview = _preview(request, bench, _form(request, bench))
    if is_fragment(request):
        return render_page(request, PAGE, {"preview": preview, "given": request.POST}, fragment=PREVIEW)
    return _show(request, bench, given=request.POST, preview=preview)


@require_POST
@page()
def item_answer(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Give the answer that the form holds."""
    item = access_item(actor=request.actor, item_id=item_id)
    bench = _bench(item)
    form = _form(request, bench)
    if not form.is_valid():
        return _show(request, bench, given=request.POST, form=form, status=422)
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
            target=_target(bench, form) if data["answer"] == Answer.SCOPE_DOWN else None,
            named_person=data["named_person"],
        )
    except DomainError as refusal:
        return _refused(request, item, form, refusal)
    messages.success(request, _thanks(item, decision))
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
        return _show(request, _bench(item), refusal=StaleItem("This answer belongs to another question."))
    try:
        recall(decision=decision, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return _show(request, _bench(access_item(actor=request.actor, item_id=item_id)), refusal=refusal)
    messages.success(request, "Taken back. Nothing was sent; the question is open again.")
    return redirect("reviews:item_detail", item_id=item.pk)


@require_POST
@page()
def item_reassign(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Hand the question on to a named person."""
    item = access_item(actor=request.actor, item_id=item_id)
    form = ReassignForm(request.POST)
    version = request.POST.get("version", "")
    if not form.is_valid():
        return _show(request, _bench(item), reassign_form=form, status=422)
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
        return _show(request, _bench(item), reassign_form=form, refusal=refusal)
    messages.success(request, f"Handed on to {form.cleaned_data['to']}.")
    return redirect("reviews:inbox")


def _bench(item: ReviewItem) -> Bench:
    return Bench.of(item, timezone.now())


def _form(request: PageRequest, bench: Bench) -> AnswerForm:
    return AnswerForm(request.POST, item=bench.item, keys=[piece.key for piece in bench.pieces])


def _target(bench: Bench, form: AnswerForm) -> Permission:
    """What shall remain: as written by hand, else the pieces that were kept."""
    written: Permission | None = form.cleaned_data.get("target_json")
    if written is not None:
        return written
    kept = set(form.cleaned_data.get("keep") or ())
    return evidence.target_of(bench.item, [piece for piece in bench.pieces if piece.key in kept])


def _preview(request: PageRequest, bench: Bench, form: AnswerForm) -> dict[str, Any]:
    """The consequences of the form as it is, also while it is incomplete."""
    form.is_valid()
    item, answer = bench.item, form.cleaned_data.get("answer", "")
    preview: dict[str, Any] = {"answer": answer, "problem": ""}
    if not answer:
        return preview
    target = None
    if answer == Answer.SCOPE_DOWN:
        faults = [str(fault) for name in ("target_json", "keep") for fault in form.errors.get(name, [])]
        if faults:
            return preview | {"problem": " ".join(faults)}
        target = _target(bench, form)
        preview |= _consequences(bench, target)
        if not preview["is_inside"]:
            return preview
    standing = workbench.standing_of(item, request.actor)
    if standing.attests:
        return preview | {"attests": True, "decider": workbench.decider_of(item)}
    if answer in PASSING_ON:
        return preview | {"passes_on": True}
    return preview | _plan(prepare(item=item, answer=answer, target=target))


def _consequences(bench: Bench, target: Permission) -> dict[str, Any]:
    """Proof or counter-example, the replay of observed calls, and what stays and goes."""
    item = bench.item
    verdict = check_target(item=item, target=target)
    found: dict[str, Any] = {"verdict": verdict, "is_inside": verdict.holds}
    if target.is_empty:
        return found | {"is_inside": False, "is_empty": True}
    if not verdict.holds:
        return found
    held = held_permission(item)
    if includes(target, held).holds:
        return found | {"is_inside": False, "is_equal": True}
    return found | {
        "replayed": evidence.replay_target(item, target, bench.observed, bench.now),
        "lines": evidence.difference(held, target),
    }


def _plan(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    text = "\n".join(f"{step.text}{'  -- ' + step.note if step.note else ''}" for step in plan.steps) if plan else ""
    return {"prepared": prepared, "plan_text": text}


def _refused(request: PageRequest, item: ReviewItem, form: AnswerForm, refusal: DomainError) -> HttpResponse:
    """The domain said no: the page again, as things are now, with everything that was typed."""
    fresh = access_item(actor=request.actor, item_id=item.pk)
    named = refusal.details.get("fields")
    if isinstance(named, dict) and any(name in form.fields for name in named):
        show_refusal(form, refusal)
    return _show(request, _bench(fresh), given=request.POST, form=form, refusal=refusal)


def _show(
    request: PageRequest,
    bench: Bench,
    *,
    given: Any = None,
    form: AnswerForm | None = None,
    preview: dict[str, Any] | None = None,
    reassign_form: ReassignForm | None = None,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    given = given or {}
    item = bench.item
    context = workbench.page_of(bench, request.actor)
    context |= workbench.neighbours(request.actor, item)
    chosen = given.get("answer", "")
    kept = set(given.getlist("keep")) if hasattr(given, "getlist") and chosen else evidence.recommended_keys(item)
    if not kept and not hasattr(given, "getlist"):
        kept = {piece.key for piece in bench.pieces if piece.use.state != "unused"}
    context |= {
        "given": given,
        "chosen": chosen,
        "kept": kept,
        "target_text": given.get("target_json") or _target_text(item),
        "form": form,
        "errors": form.errors if form else {},
        "preview": preview,
        "reassign_form": reassign_form or ReassignForm(),
        "refusal": refusal,
        "faster": _faster(item, refusal),
        "page_keys": _keys(context),
    }
    status = refusal.status if refusal else status
    return render_page(request, PAGE, context, status=status)


def _keys(context: dict[str, Any]) -> list[tuple[str, str]]:
    if not context["standing"].may_answer:
        return [("n", "Next question"), ("p", "Previous question")]
    answers = [(choice.key, choice.label) for choice in context["choices"]]
    return [*answers, ("n", "Next question"), ("p", "Previous question")]


def _target_text(item: ReviewItem) -> str:
    held = item.grant_version.permission if item.grant_version else None
    return json.dumps(item.recommended_target or held, indent=2) if held else ""


def _faster(item: ReviewItem, refusal: DomainError | None) -> Decision | None:
    """Who changed the question meanwhile, when that is why it was refused."""
    return list_decisions(item).last() if isinstance(refusal, StaleItem) else None


def _thanks(item: ReviewItem, decision: Decision) -> str:
    if decision.answer in PASSING_ON:
        return "Thank you. Somebody else is asked now."
    if decision.is_attestation:
        return f"Thank you. {workbench.decider_of(item)} decides with what you said."
    return f"Decided: {Answer(decision.answer).label.lower()}."


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
