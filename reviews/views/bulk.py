"""Answering from the list: one key drafts a row; several rows are answered together after a look at each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from reviews.decisions import BulkResult, decide_many, drop_draft, reason_is_required, save_draft
from reviews.decisions.bulk import MOST_ITEMS, foresee_many
from reviews.decisions.judging import ONE_AT_A_TIME
from reviews.forms.answers import BulkForm
from reviews.models import Answer, ItemKind, ReviewItem
from reviews.queue import Wish, first_ids, list_waiting
from reviews.selectors import list_inbox
from reviews.views.inbox import draft_totals
from reviews.views.requests import PageRequest
from reviews.views.rows import MEANT, may_take, rows_of
from reviews.views.wishes import columns_of, kept_query, uuid_of, wish_of
from reviews.views.workbench import question_of

PAGE = "reviews/items_bulk.html"
Line = tuple[ReviewItem, BulkResult]
KEPT = "Kept as it is; nothing changes at the source."
# What each answer comes to, and its tone; by kind of question, for the same button means three things.
COMES_OF_IT = {
    ("approve", ItemKind.GRANT): (KEPT, "success"),
    ("approve", ItemKind.CREDENTIAL): (KEPT, "success"),
    ("approve", ItemKind.OWNERSHIP): ("You answer for it from then on.", "info"),
    ("revoke", ItemKind.GRANT): ("Its removal is ordered, and can be taken back until it is sent.", "success"),
    ("revoke", ItemKind.CREDENTIAL): (
        "Its deactivation is ordered, and can be taken back until it is sent.",
        "success",
    ),
    ("revoke", ItemKind.OWNERSHIP): (
        "It is locked out, by an order or a task; can be taken back until that is sent.",
        "success",
    ),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody ticked: versions by item, and whether there was more than can be answered at once."""

    versions: dict[UUID, int]
    is_cut: bool = False


@require_POST
@page()
def items_bulk(request: PageRequest) -> HttpResponse:
    """First say what would happen to each row, then do it. `quick` drafts the answer of a single row."""
    if request.POST.get("quick", ""):
        return _quick(request, request.POST["quick"])
    answer = request.POST.get("every") or request.POST.get("answer", "")
    data = {"answer": answer, "reason": request.POST.get("reason", "")}
    form, chosen = BulkForm(data), _chosen(request)
    if not form.is_valid() or not chosen.versions:
        messages.info(request, "Choose at least one question and what to answer.")
        return redirect(_back(request))
    items = list(list_inbox(actor=request.actor).filter(pk__in=chosen.versions).order_by("rank", "identity_name", "pk"))
    answer, reason = form.cleaned_data["answer"], form.cleaned_data["reason"]
    if request.POST.get("step") == "apply":
        return _apply(request, items, answer, chosen, reason)
    lines = _lines(items, _each_kind(items, answer, chosen, request, foresee_many))
    return render_page(request, PAGE, _context(request, answer, form, lines, chosen, len(items)))


# --- one row ----------------------------------------------------------------------------------------------------------


def _quick(request: PageRequest, quick: str) -> HttpResponse:
    """ "approve:<id>@<version>": draft it; "undo:…": forget the draft. Where words are needed, the question opens."""
    how, _, ident = quick.partition(":")
    item_id, _, version = ident.partition("@")
    item = list_inbox(actor=request.actor).filter(pk=uuid_of(item_id) or UUID(int=0)).first()
    if item is None or how not in ("approve", "revoke", "take", "undo"):
        messages.info(request, "This question no longer waits for you.")
        return redirect(_back(request))
    if how == "undo":
        drop_draft(item_id=item.pk, actor=request.actor)
        return _row_again(request, item)
    answer = Answer(item.recommendation) if how == "take" and may_take(item) else MEANT.get((how, ItemKind(item.kind)))
    if answer is None or reason_is_required(item, answer):
        return _open(request, item, answer or item.recommendation)
    is_known = version.isascii() and version.isdigit() and len(version) < 9
    try:
        _draft(request, item, answer, int(version) if is_known else item.version)
    except DomainError as refusal:
        messages.error(request, f"{item.identity.name}: {refusal.message}")
        return redirect(_back(request))
    return _row_again(request, item)


def _draft(request: PageRequest, item: ReviewItem, answer: Answer, version: int) -> None:
    target = Permission.from_json(item.recommended_target) if answer == Answer.SCOPE_DOWN else None
    fields = {"answer": [answer.value]} | ({"style": ["recommended"]} if target else {})
    save_draft(
        item=item,
        version=version,
        actor=request.actor,
        now=timezone.now(),
        answer=answer,
        target=target,
        fields=fields,
    )


def _open(request: PageRequest, item: ReviewItem, answer: str) -> HttpResponse:
    kept = kept_query(_query(request))
    url = f"{reverse('reviews:item_detail', args=[item.pk])}?answer={answer}{'&' + kept if kept else ''}#answer"
    if is_fragment(request):
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def _row_again(request: PageRequest, item: ReviewItem) -> HttpResponse:
    """Only this row and the totals for a page that asked for them; else the list at the same place."""
    if not is_fragment(request):
        return redirect(_back(request))
    query = _query(request)
    columns = columns_of(query)
    [row] = rows_of([item], request.actor, columns)
    context = {"row": row, "columns": columns, "kept": kept_query(query), "drafts": draft_totals(request)}
    return render(request, "reviews/_inbox_row_again.html", context)


# --- many rows --------------------------------------------------------------------------------------------------------


def _apply(request: PageRequest, items: list[ReviewItem], answer: str, chosen: Chosen, reason: str) -> HttpResponse:
    try:
        results = _each_kind(items, answer, chosen, request, decide_many, reason=reason)
    except DomainError as refusal:
        messages.error(request, refusal.message)
        return redirect(_back(request))
    lines = _lines(items, results)
    done = sum(result.ok for _, result in lines)
    context = {
        "lines": lines,
        "done": done,
        "refused": len(lines) - done,
        "answer": answer,
        "is_done": True,
        "back": _back(request),
    }
    return render_page(request, PAGE, context)


def _each_kind(
    items: list[ReviewItem], answer: str, chosen: Chosen, request: PageRequest, call: Any, **more: Any
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
                versions=chosen.versions,
                **more,
            )
    return results


def _lines(items: list[ReviewItem], results: list[BulkResult]) -> list[Line]:
    by_id = {result.item_id: result for result in results}
    return [(item, by_id[item.pk]) for item in items]


def _context(
    request: PageRequest, answer: str, form: BulkForm, lines: Sequence[Line], chosen: Chosen, found: int
) -> dict[str, Any]:
    will = sum(result.ok for _, result in lines)
    return {
        "answer": answer,
        "verb": "Approve" if answer == "approve" else "Revoke",
        "form": form,
        "lines": [(item, result, question_of(item)) for item, result in lines],
        "reasons": reasons_of(lines, answer),
        "seen": [f"{item.pk}:{chosen.versions[item.pk]}" for item, result in lines if result.ok],
        "will": will,
        "refused": len(lines) - will,
        "gone": len(chosen.versions) - found,
        "is_cut": chosen.is_cut,
        "most": MOST_ITEMS,
        "kept": kept_query(_query(request)),
        "back": _back(request),
    }


def reasons_of(lines: Sequence[Line], answer: str) -> list[tuple[int, str, str]]:
    """Why rows will change or not, with how many: (count, sentence, tone), what changes first."""
    counted = Counter(_reason_of(item, result, answer) for item, result in lines)
    order = {"success": 0, "info": 1, "warn": 2}
    found = [(count, sentence, tone) for (sentence, tone), count in counted.items()]
    return sorted(found, key=lambda each: (order[each[2]], -each[0], each[1]))


def _reason_of(item: ReviewItem, result: BulkResult, answer: str) -> tuple[str, str]:
    if not result.ok:
        return (ONE_AT_A_TIME if item.is_privileged else result.problem), "warn"
    if result.is_attestation:
        return "You attest, and somebody independent decides.", "info"
    return COMES_OF_IT[answer, ItemKind(item.kind)]


# --- what was ticked --------------------------------------------------------------------------------------------------


def _chosen(request: PageRequest) -> Chosen:
    """Ticked rows ("id:version" or "fold:…"), or with `every` all that the filter shows. At most 500."""
    values = request.POST.getlist("item")
    if request.POST.get("every"):
        return _of_wishes(request, [wish_of(_query(request))], {})
    wishes = [wish for value in values if (wish := _fold_wish(value))]
    return _of_wishes(request, wishes, _seen(values))


def _of_wishes(request: PageRequest, wishes: Sequence[Wish], seen: dict[UUID, int]) -> Chosen:
    """The questions of folded rows are answered as they are now: nobody looked at each of them."""
    ids = list(seen)
    waiting = list_waiting(request.actor) if wishes else []
    for wish in wishes:
        ids += first_ids(request.actor, wish, waiting, MOST_ITEMS + 1)
    ids = list(dict.fromkeys(ids))
    kept = ids[:MOST_ITEMS]
    known = dict(ReviewItem.objects.filter(pk__in=kept).values_list("pk", "version")) if wishes else {}
    return Chosen({pk: seen.get(pk, known.get(pk, 0)) for pk in kept}, len(ids) > MOST_ITEMS)


def _fold_wish(value: str) -> Wish | None:
    parts = value.split(":")
    campaign = uuid_of(parts[1]) if len(parts) == 5 and parts[0] == "fold" else None
    if campaign is None:
        return None
    _, _, sameness, use_state, recommendation = (part.replace("\x00", "") for part in parts)
    where = {"sameness": sameness, "use_state": use_state, "recommendation": recommendation, "rank": 1}
    return replace(Wish(), campaign=campaign, where=where)


def _seen(values: list[str]) -> dict[UUID, int]:
    """ "id:version" of each ticked row; what cannot be read was not ticked by anybody."""
    found = {}
    for value in values[:MOST_ITEMS]:
        ident, _, version = value.partition(":")
        pk = uuid_of(ident)
        if pk and version.isascii() and version.isdigit() and len(version) < 9:
            found[pk] = int(version)
    return found


def _query(request: PageRequest) -> QueryDict:
    return QueryDict(request.POST.get("back", "")[:2000].encode("ascii", "ignore").decode())


def _back(request: PageRequest) -> str:
    """The inbox as it was, with its filters and its place."""
    query = _query(request)
    kept = kept_query(query)
    cursor = query.get("cursor", "")
    if cursor:
        extra = QueryDict(mutable=True)
        extra["cursor"] = cursor
        kept = f"{kept}&{extra.urlencode()}" if kept else extra.urlencode()
    return reverse("reviews:inbox") + (f"?{kept}" if kept else "")
