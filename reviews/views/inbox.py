"""The inbox: what a person has to answer now, in four orders, and what stands beside that (`inbox_groups`)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from reviews.decisions.drafts import list_drafts
from reviews.models import Answer, ItemKind
from reviews.queue import ORDERS, Waiting, count_waiting, list_waiting, read_folds, read_page
from reviews.views.inbox_groups import (
    LABELS,
    MOST_ASKED,
    MOST_REPLIES,
    groups_of,
    links_of,
    page_of_group,
    release_words,
    said,
)
from reviews.views.requests import PageRequest
from reviews.views.rows import folded_rows, rows_of, sections_of
from reviews.views.tabs import review_tabs
from reviews.views.wishes import CHOICES, RECOMMENDATIONS, USES, columns_of, kept_query, wish_of

PAGE_SIZE = 50
MOST_QUESTIONS = 1000
_COUNTED = {
    "questions": ("open question", "open questions"),
    "asked": ("asked of you", "asked of you"),
    "replies": ("reply to you", "replies to you"),
    "releases": ("for your release", "for your release"),
}
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
    if request.GET.get("show") in LABELS:
        return _group(request, request.GET["show"])
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
        "tabs": review_tabs(request.actor, "inbox"),
        "page_keys": KEYS,
        **(_beside(request, waiting) if not cursor and not is_fragment(request) else {}),
    }
    return render_page(request, "reviews/inbox.html", context, fragment="reviews/_inbox_rows.html")


def _beside(request: PageRequest, waiting: Sequence[Waiting]) -> dict[str, Any]:
    """What stands beside the questions; nobody looks for it where only rows are asked for."""
    groups = groups_of(request.actor, timezone.now())
    only_orders = not groups.releases.brakes and not groups.releases.hurried
    return {
        "remarks": groups.asked[:MOST_ASKED],
        "replies": groups.replies[:MOST_REPLIES],
        "to_release": release_words(groups),
        "release_url": f"{reverse('reviews:order_list')}?view=second" if only_orders else "?show=releases",
        "groups": links_of(groups.counts, "", _questions_in(waiting)),
        "counts": groups.counts,
    }


def _group(request: PageRequest, name: str) -> HttpResponse:
    """The list of one group, in pages."""
    groups = groups_of(request.actor, timezone.now())
    context = {
        "group": name,
        "title": LABELS[name],
        **page_of_group(request.actor, groups, name, request.GET.get("cursor", "")),
        "groups": links_of(groups.counts, name, _questions_in(list_waiting(request.actor))),
        "tabs": review_tabs(request.actor, "inbox"),
    }
    return render_page(request, "reviews/inbox_group.html", context, fragment="reviews/_inbox_group.html")


def _questions_in(waiting: Sequence[Waiting]) -> str:
    total = sum(each.counted for each in waiting)
    return f"{MOST_QUESTIONS}+" if total > MOST_QUESTIONS or any(each.is_more for each in waiting) else str(total)


@require_safe
@page()
def inbox_count(request: PageRequest) -> HttpResponse:
    """The number beside the inbox in the top bar; nothing when nothing waits. It says aloud what it counts."""
    questions = count_waiting(request.actor, 100)
    counts = {"questions": questions, **groups_of(request.actor, timezone.now()).counts}
    total = sum(counts.values())
    text = "99+" if total > 99 else str(total) if total else ""
    parts = [f"{said(count)} {_COUNTED[name][count != 1]}" for name, count in counts.items() if count]
    spoken = f'<span class="visually-hidden"> waiting: {", ".join(parts)}</span>' if parts else ""
    return HttpResponse(f"{text}{spoken}")


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
