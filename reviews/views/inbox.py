"""The inbox: what a person has to answer now, in four orders, and what others asked them."""

from collections import Counter
from typing import Any

from django.http import HttpResponse
from django.template.defaultfilters import pluralize
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from reviews.decisions import list_awaiting
from reviews.decisions.drafts import list_drafts
from reviews.decisions.remarks import list_asked_of
from reviews.models import Answer, ItemKind
from reviews.queue import ORDERS, count_waiting, list_waiting, read_folds, read_page
from reviews.views.requests import PageRequest
from reviews.views.rows import folded_rows, rows_of, sections_of
from reviews.views.tabs import review_tabs
from reviews.views.wishes import CHOICES, RECOMMENDATIONS, USES, columns_of, kept_query, wish_of

PAGE_SIZE = 50
MOST_ASKED = 20
MOST_TOLD = 100
FILTER_NAMES = ("campaign", "source", "same", *CHOICES)
KEYS = [
    ("a", "Draft: approve or keep"),
    ("r", "Draft: revoke or deactivate"),
    ("y", "Draft what is recommended"),
    ("u", "Undo the draft"),
    ("s", "Scope down or rotate"),
    ("m", "Not mine"),
    ("w", "Don’t know: who?"),
    ("q", "Ask somebody first"),
    ("o", "Open a folded row"),
    ("x", "Select, then approve or revoke together"),
    ("f", "Filter"),
    ("v", "Next view"),
    ("S", "Look over and submit the drafts"),
]


@require_safe
@page()
def inbox(request: PageRequest) -> HttpResponse:
    """Open questions by campaign, the privileged ones first; the order, filters and columns stand in the address."""
    wish, columns = wish_of(request.GET), columns_of(request.GET)
    waiting = list_waiting(request.actor)
    cursor = request.GET.get("cursor", "")
    if wish.order.name == "permission":
        found = read_folds(request.actor, wish, waiting, cursor, PAGE_SIZE)
        rows = folded_rows(found.rows, request.actor, columns, request.GET)
    else:
        found = read_page(request.actor, wish, waiting, cursor, PAGE_SIZE)
        rows = rows_of(found.rows, request.actor, columns)
    context = {
        "page": found,
        "sections": sections_of(rows, wish, waiting),
        "columns": columns,
        "waiting": waiting,
        "kinds": ItemKind.choices,
        "uses": USES,
        "recommendations": RECOMMENDATIONS,
        "is_filtered": any(request.GET.get(name) for name in FILTER_NAMES),
        "views": _views(request, wish.order.name),
        "kept": kept_query(request.GET),
        "drafts": draft_totals(request),
        "remarks": list(list_asked_of(request.actor)[:MOST_ASKED]) if not cursor else [],
        "to_release": _to_release(request) if not cursor else "",
        "tabs": review_tabs(request.actor, "inbox"),
        "page_keys": KEYS,
    }
    return render_page(request, "reviews/inbox.html", context, fragment="reviews/_inbox_rows.html")


@require_safe
@page()
def inbox_count(request: PageRequest) -> HttpResponse:
    """The number beside the inbox in the top bar; nothing when nothing waits."""
    waiting = count_waiting(request.actor, 100)
    text = "99+" if waiting > 99 else str(waiting) if waiting else ""
    spoken = f'<span class="visually-hidden"> open question{pluralize(waiting)}</span>' if waiting else ""
    return HttpResponse(f"{text}{spoken}")


def _to_release(request: PageRequest) -> str:
    """That orders wait for this person as the second one, in words; nobody looks among the orders unasked."""
    if is_fragment(request):
        return ""
    count = list_awaiting(actor=request.actor)[: MOST_TOLD + 1].count()
    if count == 1:
        return "1 order waits for your release."
    return f"{f'More than {MOST_TOLD}' if count > MOST_TOLD else count} orders wait for your release." if count else ""


def draft_totals(request: PageRequest) -> dict[str, Any]:
    """How many answers are drafted: `total`, and by answer as (label, count), what lacks something last; one query."""
    found = list_drafts(request.actor).select_related(None).values_list("answer", "problem")[:501]
    counted = Counter(Answer(answer).label.lower() if answer and not problem else "" for answer, problem in found)
    unfinished = counted.pop("", 0)
    by_answer = sorted(counted.items()) + ([("unfinished", unfinished)] if unfinished else [])
    return {"total": sum(count for _, count in by_answer), "by_answer": by_answer}


def _views(request: PageRequest, current: str) -> list[dict[str, Any]]:
    """Links to the orders, which keep the filters; `is_next` is the one that the key `v` goes to."""
    names = list(ORDERS)
    following = names[(names.index(current) + 1) % len(names)]
    views = []
    for order in ORDERS.values():
        query = request.GET.copy()
        query.pop("cursor", None)
        query["by"] = order.name
        views.append(
            {
                "label": order.label,
                "url": f"?{kept_query(query)}",
                "current": order.name == current,
                "is_next": order.name == following,
            }
        )
    return views
