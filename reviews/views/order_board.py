"""The orders at a glance: how many stand in which state and for how long, what is stuck, why, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Min, Q, QuerySet
from django.urls import reverse

from reviews.models import Order, OrderAction
from reviews.remediation.urgency import is_called_urgent
from reviews.remediation.windows import Calendar, Hold
from reviews.selectors import BRAKED
from reviews.states import OrderState

LOOK = (
    OrderState.FAILED,
    OrderState.BLOCKED,
    OrderState.REAPPEARED,
    OrderState.STILL_EFFECTIVE,
    OrderState.DRIFTED,
    OrderState.PARTIAL,
    OrderState.SESSIONS_REMAIN,
)
# In the order of an order's life; what has ended is no part of the overview.
UNDER_WAY = (
    OrderState.AWAITING_SECOND,
    OrderState.PLANNED,
    OrderState.EXECUTING,
    OrderState.WATCHING,
    OrderState.APPLIED,
    OrderState.TASK,
)


@dataclass(frozen=True, slots=True)
class StateCount:
    """One state of the overview; `oldest`: since when the first of them has stood there; `label`: if not its own."""

    state: str
    count: int
    oldest: datetime
    url: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Orders that do not move by themselves, or not now, for one reason."""

    title: str
    count: int
    oldest: datetime
    why: str
    following: str
    url: str
    tone: str = "warn"


@dataclass(frozen=True, slots=True)
class Board:
    states: Sequence[StateCount]
    stuck: Sequence[Stuck]


def board_of(orders: QuerySet[Order], calendar: Calendar) -> Board:
    """The overview of these orders, with one query, and a second one where there are windows or freezes."""
    rows = {row["state"]: row for row in _counts(orders)}
    states = [each for state in (*UNDER_WAY, *LOOK) if state in rows for each in _state_counts(state, rows[state])]
    stuck = [_group(state, rows[state]) for state in LOOK if state in rows]
    stuck += _waiting_for_people(rows) + _repeated(rows) + _held(orders, calendar)
    return Board(states, stuck)


def why_of(order: Order, hold: Hold | None) -> str:
    """In one line why the order stands where it stands; empty where its state says it all."""
    if order.state == OrderState.PLANNED:
        return _why_planned(order, hold)
    if order.state == OrderState.WATCHING or order.state in LOOK:
        return order.outcome
    if order.state == OrderState.RECALLED and order.second_by_id:
        return f"Refused: {order.second_reason}"
    return ""


def _why_planned(order: Order, hold: Hold | None) -> str:
    if order.is_braked:
        return order.outcome
    if hold is not None:
        return hold.sentence
    if order.attempts:
        return f"Next attempt {order.execute_after:%-d %b, %H:%M} UTC. {order.outcome}"
    return ""


def _state_counts(state: OrderState, row: Mapping[str, Any]) -> Iterator[StateCount]:
    """What a brake holds is planned, and counted apart: it does not move before people have released it."""
    moving = row["count"] - row["braked"]
    if moving:
        yield StateCount(state, moving, row["moving_since"], _url(state=state))
    if row["braked"]:
        yield StateCount("held", row["braked"], row["braked_since"], reverse("reviews:brake_list"), "Held")


def _counts(orders: QuerySet[Order]) -> list[Any]:
    return list(
        orders.filter(state__in=[*UNDER_WAY, *LOOK])
        .order_by()
        .values("state")
        .annotate(
            count=Count("pk"),
            oldest=Min("state_since"),
            moving_since=Min("state_since", filter=~BRAKED),
            braked=Count("pk", filter=BRAKED),
            braked_since=Min("state_since", filter=BRAKED),
            repeated=Count("pk", filter=Q(attempts__gt=0)),
            repeated_since=Min("created_at", filter=Q(attempts__gt=0)),
            undone=Count("pk", filter=Q(task_reported_at=None)),
            undone_since=Min("state_since", filter=Q(task_reported_at=None)),
            protested=Count("pk", filter=Q(protested_at__isnull=False)),
        )
    )


def _group(state: OrderState, row: Mapping[str, Any]) -> Stuck:
    title, why, following, tone = _WORDS[state]
    return Stuck(title, row["count"], row["oldest"], why, following, _url(state=state), tone)


def _waiting_for_people(rows: Mapping[str, Mapping[str, Any]]) -> list[Stuck]:
    found = []
    if row := rows.get(OrderState.AWAITING_SECOND):
        found.append(
            Stuck(
                "Waiting for a second person",
                row["count"],
                row["oldest"],
                "The review’s rules ask for a release before anything is sent.",
                "Somebody who neither decided nor answers for the identity releases or refuses.",
                _url(state=OrderState.AWAITING_SECOND),
            )
        )
    if (row := rows.get(OrderState.TASK)) and row["undone"]:
        found.append(
            Stuck(
                "Tasks that nobody reported as done",
                row["undone"],
                row["undone_since"],
                "Remit cannot make these changes itself.",
                "Make the change at the source, then say so with a proof.",
                _url(state=OrderState.TASK),
                "info",
            )
        )
    return found


def _repeated(rows: Mapping[str, Mapping[str, Any]]) -> list[Stuck]:
    row = rows.get(OrderState.PLANNED)
    if not row or not row["repeated"]:
        return []
    return [
        Stuck(
            "Tried, and tried again later",
            row["repeated"],
            row["repeated_since"],
            "The source did not answer, or its secret is missing.",
            "Nothing yet: they are repeated by themselves. See that the source can be reached.",
            _url(state=OrderState.PLANNED),
            "info",
        )
    ]


def _held(orders: QuerySet[Order], calendar: Calendar) -> list[Stuck]:
    if calendar.is_empty:
        return []
    due = orders.filter(state=OrderState.PLANNED, execute_after__lte=calendar.now).exclude(action=OrderAction.RESTORE)
    due = due.exclude(is_called_urgent())
    rows = due.order_by("source__name").values("source_id", "source__slug", "source__name")
    found = []
    for row in rows.annotate(count=Count("pk"), oldest=Min("execute_after")):
        hold = calendar.hold_of(row["source_id"])
        if hold is not None:
            following = _what_ends(hold)
            url = _url(state=OrderState.PLANNED, source=row["source__slug"])
            title = f"Held at {row['source__name']}"
            found.append(Stuck(title, row["count"], row["oldest"], hold.sentence, following, url, "info"))
    return found


def _what_ends(hold: Hold) -> str:
    if hold.is_of_restore:
        return "Read the source, look at its orders, then let them go on."
    return "Nothing: they go on by themselves." if hold.until else "Change the windows or lift the freeze."


def _url(**query: str) -> str:
    return f"?{urlencode({'view': 'all'} | {name: str(value) for name, value in query.items()})}"


_WORDS = {
    OrderState.FAILED: (
        "Given up",
        "The source could not be reached, or its settings or secret are wrong.",
        "Put the source right, then plan again and send.",
        "danger",
    ),
    OrderState.BLOCKED: (
        "Blocked by the source",
        "The source did not allow the change; nothing was changed.",
        "Remove the obstacle that each names, or make the change by hand.",
        "danger",
    ),
    OrderState.REAPPEARED: (
        "Came back",
        "Access that was gone is there again.",
        "Find out what gave it back (often infrastructure code), then plan again.",
        "danger",
    ),
    OrderState.STILL_EFFECTIVE: (
        "Still effective another way",
        "The identity can do the same through other access.",
        "Take that other access away too.",
        "danger",
    ),
    OrderState.DRIFTED: (
        "Changed meanwhile",
        "The source no longer looked as planned, or somebody put the access back.",
        "Look at what is held now, then plan again.",
        "warn",
    ),
    OrderState.PARTIAL: (
        "Stopped on the way",
        "Some steps are done, not all.",
        "Plan again and send: it goes on where it stopped.",
        "warn",
    ),
    OrderState.SESSIONS_REMAIN: (
        "Live sessions remain",
        "Sessions from before the change can still use the access.",
        "Wait for them to end, or send again to end them.",
        "warn",
    ),
}
