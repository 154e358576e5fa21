"""The inbox: what a person has to answer now, and answering many at once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import paginate
from reviews.decisions import BulkResult, decide_many, reason_is_required
from reviews.decisions.bulk import foresee_many
from reviews.forms.answers import BulkForm
from reviews.models import Answer, ItemKind, ReviewItem
from reviews.selectors import list_inbox
from reviews.views.requests import PageRequest
from reviews.views.tabs import review_tabs
from reviews.views.workbench import INBOX_ORDER, plain_of, question_of

MOST_SENTENCES = 2
RECOMMENDATIONS = [
    ("approve", "Approve"),
    ("scope_down", "Scope down"),
    ("revoke", "Revoke"),
    ("keep", "Keep"),
    ("rotate", "Rotate"),
    ("deactivate", "Deactivate"),
    ("none", "Nothing"),
]
# One word for the person, the fitting answer for each kind of question.
MEANT = {
    ("approve", ItemKind.GRANT): Answer.APPROVE,
    ("approve", ItemKind.CREDENTIAL): Answer.KEEP,
    ("approve", ItemKind.OWNERSHIP): Answer.MINE,
    ("revoke", ItemKind.GRANT): Answer.REVOKE,
    ("revoke", ItemKind.CREDENTIAL): Answer.DEACTIVATE,
    ("revoke", ItemKind.OWNERSHIP): Answer.RETIRE,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One question as the list prints it."""

    item: ReviewItem
    sentences: list[str]
    more: int
    use: dict[str, Any]
    reason: str


@require_safe
@page()
def inbox(request: PageRequest) -> HttpResponse:
    """Open questions by campaign, the privileged ones first."""
    everything = list_inbox(actor=request.actor)
    items = _filtered(everything, request)
    found = paginate(items, INBOX_ORDER, cursor=request.GET.get("cursor", ""), size=50)
    context = {
        "page": found,
        "rows": [row_of(item) for item in found.rows],
        "campaigns": _campaigns(everything),
        "kinds": ItemKind.choices,
        "recommendations": RECOMMENDATIONS,
        "is_filtered": any(request.GET.get(name) for name in ("campaign", "kind", "recommendation")),
        "tabs": review_tabs(request.actor, "inbox"),
        "page_keys": [
            ("a", "Approve the row"),
            ("r", "Revoke the row"),
            ("x", "Select, then approve or revoke together"),
        ],
    }
    return render_page(request, "reviews/inbox.html", context, fragment="reviews/_inbox_rows.html")


@require_safe
@page()
def inbox_count(request: PageRequest) -> HttpResponse:
    """The number beside the inbox in the top bar; nothing when nothing waits."""
    waiting = list_inbox(actor=request.actor).order_by().count()
    text = "99+" if waiting > 99 else str(waiting) if waiting else ""
    spoken = f'<span class="visually-hidden"> open question{pluralize(waiting)}</span>' if waiting else ""
    return HttpResponse(f"{text}{spoken}")


@require_POST
@page()
def items_bulk(request: PageRequest) -> HttpResponse:
    """First say what would happen to each row, then do it. A single row that needs no reason is answered at once."""
    quick = request.POST.get("quick", "")
    if quick:
        return _quick(request, quick)
    form = BulkForm(request.POST)
    seen = _seen(request.POST.getlist("item"))
    if not form.is_valid() or not seen:
        messages.info(request, "Choose at least one question and what to answer.")
        return redirect("reviews:inbox")
    items = list(list_inbox(actor=request.actor).filter(pk__in=seen))
    answer, reason = form.cleaned_data["answer"], form.cleaned_data["reason"]
    foreseen = _each_kind(items, answer, seen, request, foresee_many, reason=reason)
    needs_reason = any(reason_is_required(item, MEANT[answer, ItemKind(item.kind)]) for item in items)
    lines = _lines(items, foreseen)
    if request.POST.get("step") == "apply":
        if needs_reason and not reason.strip():
            form.add_error("reason", "Say why in a few words: privileged access is never answered without a reason.")
        else:
            return _apply(request, items, answer, seen, reason)
    context = _bulk_context(answer, form, lines, seen, len(seen) - len(items), needs_reason)
    return render_page(request, "reviews/items_bulk.html", context, status=422 if form.errors else 200)


def row_of(item: ReviewItem) -> Row:
    """What one row says: at most two sentences, and the first reason of the recommendation."""
    sentences = plain_of(item) if item.kind == ItemKind.GRANT else []
    return Row(
        item=item,
        sentences=sentences[:MOST_SENTENCES],
        more=max(0, len(sentences) - MOST_SENTENCES),
        use=item.seen.get("use") or {"state": "not_observable", "text": "Use cannot be observed."},
        reason=_main_reason(item),
    )


def _main_reason(item: ReviewItem) -> str:
    """The first reason; where access shall shrink, the second, which says what was never used."""
    reasons = item.recommendation_reasons
    if item.recommendation == Answer.SCOPE_DOWN and len(reasons) > 1:
        return str(reasons[1])
    return str(reasons[0]) if reasons else ""


def _filtered(items: QuerySet[ReviewItem], request: PageRequest) -> QuerySet[ReviewItem]:
    """Unknown values filter nothing: an old link still opens the inbox."""
    campaign = _uuid(request.GET.get("campaign", ""))
    kind, advice = request.GET.get("kind", ""), request.GET.get("recommendation", "")
    if campaign:
        items = items.filter(campaign=campaign)
    if kind in ItemKind.values:
        items = items.filter(kind=kind)
    if advice in dict(RECOMMENDATIONS):
        items = items.filter(recommendation="" if advice == "none" else advice)
    return items


def _campaigns(items: QuerySet[ReviewItem]) -> list[dict[str, Any]]:
    """Campaigns with a question for this person: id, name, how many, until when."""
    counted = (
        items.order_by()
        .values("campaign_id", "campaign__name")
        .annotate(
            total=Count("pk"),
            privileged=Count("pk", filter=Q(is_privileged=True)),
            deadline=Max("campaign__deadline_at"),
        )
    )
    return [dict(row) for row in counted.order_by("deadline", "campaign_id")]


def _quick(request: PageRequest, quick: str) -> HttpResponse:
    answer, _, ident = quick.partition(":")
    item_id, _, version = ident.partition("@")
    item = list_inbox(actor=request.actor).filter(pk=_uuid(item_id) or UUID(int=0)).first()
    if item is None or answer not in ("approve", "revoke"):
        messages.info(request, "This question no longer waits for you.")
        return redirect("reviews:inbox")
    meant = MEANT[answer, ItemKind(item.kind)]
    if reason_is_required(item, meant):
        return redirect(f"{reverse('reviews:item_detail', args=[item.pk])}?answer={meant}#answer")
    [result] = decide_many(
        item_ids=[item.pk],
        answer=meant,
        actor=request.actor,
        now=timezone.now(),
        versions={item.pk: int(version)} if version.isdigit() and len(version) < 9 else None,
    )
    if result.ok:
        messages.success(request, f"{item.identity.name}: {meant.label.lower()}. Open it to take it back.")
    else:
        messages.error(request, f"{item.identity.name}: {result.problem}")
    return redirect("reviews:inbox")


def _apply(
    request: PageRequest, items: list[ReviewItem], answer: str, seen: dict[UUID, int], reason: str
) -> HttpResponse:
    try:
        results = _each_kind(items, answer, seen, request, decide_many, reason=reason)
    except DomainError as refusal:
        messages.error(request, refusal.message)
        return redirect("reviews:inbox")
    lines = _lines(items, results)
    done = sum(result.ok for _, result in lines)
    context = {"lines": lines, "done": done, "refused": len(lines) - done, "answer": answer, "is_done": True}
    return render_page(request, "reviews/items_bulk.html", context)


def _each_kind(
    items: list[ReviewItem], answer: str, seen: dict[UUID, int], request: PageRequest, call: Any, *, reason: str
) -> list[BulkResult]:
    results: list[BulkResult] = []
    for kind in ItemKind:
        ids = [item.pk for item in items if item.kind == kind]
        if ids:
            results += call(
                item_ids=ids,
                answer=MEANT[answer, kind],
                actor=request.actor,
                now=timezone.now(),
                reason=reason,
                versions=seen,
            )
    return results


def _lines(items: list[ReviewItem], results: list[BulkResult]) -> list[tuple[ReviewItem, BulkResult]]:
    by_id = {result.item_id: result for result in results}
    return [(item, by_id[item.pk]) for item in items]


def _bulk_context(
    answer: str, form: BulkForm, lines: Any, seen: dict[UUID, int], gone: int, needs_reason: bool
) -> dict[str, Any]:
    will = sum(result.ok for _, result in lines)
    return {
        "answer": answer,
        "verb": "Approve" if answer == "approve" else "Revoke",
        "form": form,
        "lines": [(item, result, question_of(item)) for item, result in lines],
        "seen": [f"{pk}:{version}" for pk, version in seen.items()],
        "will": will,
        "refused": len(lines) - will,
        "gone": gone,
        "needs_reason": needs_reason,
    }


def _seen(values: list[str]) -> dict[UUID, int]:
    """ "id:version" of each ticked row; what cannot be read was not ticked by anybody."""
    found = {}
    for value in values[:500]:
        ident, _, version = value.partition(":")
        pk = _uuid(ident)
        if pk and version.isascii() and version.isdigit() and len(version) < 9:
            found[pk] = int(version)
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
