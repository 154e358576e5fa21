"""What stands in the inbox beside the questions: what one is asked, replies to oneself, what waits for one's release.

Each is a group with a number, and a list of its own in pages. The numbers stop at `MOST_COUNTED`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.kernel.actors import Actor
from governance.web.pagination import SortKey, paginate
from reviews.decisions.releasing import ForRelease, find_for_release
from reviews.decisions.remarks import list_asked_of, list_replies_to
from reviews.models import Remark

MOST_COUNTED = 100
MOST_ASKED = 20
# Two: the first question stands on the first screen of a phone.
MOST_REPLIES = 2
LABELS = {"asked": "Asked of you", "replies": "Replies to you", "releases": "Waiting for your release"}
OLDEST_FIRST = (SortKey("made_at"), SortKey("pk"))
NEWEST_FIRST = (SortKey("made_at", descending=True), SortKey("pk", descending=True))
ORDERS_NEWEST_FIRST = (SortKey("created_at", descending=True), SortKey("pk", descending=True))


@dataclass(frozen=True, slots=True)
class Groups:
    """The beginnings of the groups, enough for their numbers."""

    asked: list[Remark]
    replies: list[Remark]
    releases: ForRelease
    counts: dict[str, int]


def groups_of(actor: Actor, now: datetime) -> Groups:
    """What waits for this person beside the questions, with a fixed number of queries."""
    asked = list(list_asked_of(actor)[: MOST_COUNTED + 1])
    replies = list(list_replies_to(actor)[: MOST_COUNTED + 1])
    releases = find_for_release(actor=actor, now=now)
    counts = {"asked": len(asked), "replies": len(replies), "releases": releases.count(MOST_COUNTED + 1)}
    return Groups(asked, replies, releases, counts)


def page_of_group(actor: Actor, groups: Groups, name: str, cursor: str) -> dict[str, Any]:
    """One page of a group, as its template prints it. Raises BadCursor."""
    if name == "releases":
        releases, first = groups.releases, not cursor
        page = paginate(releases.orders, ORDERS_NEWEST_FIRST, cursor=cursor)
        return {
            "page": page,
            "brakes": releases.brakes if first else [],
            "hurried": releases.hurried if first else [],
            "is_empty": not (page.rows or (first and (releases.brakes or releases.hurried))),
        }
    found, keys = (list_asked_of(actor), OLDEST_FIRST) if name == "asked" else (list_replies_to(actor), NEWEST_FIRST)
    page = paginate(found, keys, cursor=cursor)
    return {"page": page, "is_empty": not page.rows}


def links_of(counts: dict[str, int], current: str, questions: str) -> list[dict[str, Any]]:
    """The groups as links with numbers; none where there is nothing but questions."""
    if not current and not any(counts.values()):
        return []
    shown = [(name, label) for name, label in LABELS.items() if counts[name] or name == current]
    links = [{"label": "Questions", "url": "?", "current": not current, "count": questions}]
    return links + [
        {"label": label, "url": f"?show={name}", "current": name == current, "count": said(counts[name])}
        for name, label in shown
    ]


def said(count: int) -> str:
    """A number up to a hundred."""
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)


def release_words(groups: Groups) -> str:
    """That something waits for this person as the second one, in words; empty where nothing does."""
    count, other = groups.counts["releases"], len(groups.releases.brakes) + len(groups.releases.hurried)
    if not count:
        return ""
    thing, things = ("thing", "things") if other else ("order", "orders")
    if count == 1:
        return f"1 {thing} waits for your release."
    return f"{f'More than {MOST_COUNTED}' if count > MOST_COUNTED else count} {things} wait for your release."
