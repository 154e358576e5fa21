"""Where a question stands in the line that its reader came through, and which comes next."""

from typing import Any

from django.http import QueryDict
from django.urls import reverse

from governance.kernel.actors import Actor
from reviews.decisions.asks import seats_among
from reviews.models import ReviewItem
from reviews.queue import MOST_COUNTED, Wish, beside, first_ids, list_waiting
from reviews.states import CampaignState
from reviews.views.requests import PageRequest
from reviews.views.wishes import kept_query, wish_of

LONGEST = 2000


def neighbours(actor: Actor, item: ReviewItem, wish: Wish) -> dict[str, Any]:
    """The questions before and behind this one, and its place among at most a thousand."""
    waiting = list_waiting(actor)
    shown = [each for each in waiting if wish.campaign in (None, each.id)]
    total = sum(each.counted for each in shown) if not wish.where else 0
    is_asked = item.assignee_id == actor.person_id or bool(seats_among([item], actor))
    is_mine = is_asked and item.campaign.state == CampaignState.OPEN
    if not is_mine or item.state not in ("open", "attested"):
        ids = _behind(actor, item, wish, waiting) or first_ids(actor, wish, waiting, 1)
        return {"previous_id": None, "next_id": ids[0] if ids else None, "place": 0, "waiting": total}
    before = beside(actor, wish, waiting, item, backwards=True)
    behind = beside(actor, wish, waiting, item, backwards=False)
    return {
        "previous_id": before[0] if before else None,
        "next_id": behind[0] if behind else None,
        "place": len(before) + 1 if len(before) < MOST_COUNTED else 0,
        "waiting": total,
    }


def after_answer(request: PageRequest, item: ReviewItem) -> str:
    """The address of the next question without a draft, else of the first one, else of the inbox."""
    query = QueryDict(request.POST.get("back", "")[:LONGEST].encode("ascii", "ignore").decode())
    kept, wish = kept_query(query), wish_of(query)
    undrafted = Wish(wish.order, wish.campaign, wish.where, without_drafts=True)
    waiting = list_waiting(request.actor)
    ids = _behind(request.actor, item, undrafted, waiting) or first_ids(request.actor, undrafted, waiting, 1)
    path = reverse("reviews:item_detail", args=[ids[0]]) if ids else reverse("reviews:inbox")
    return f"{path}?{kept}" if kept else path


def _behind(actor: Actor, item: ReviewItem, wish: Wish, waiting: Any) -> list[Any]:
    return beside(actor, wish, waiting, item, backwards=False)
