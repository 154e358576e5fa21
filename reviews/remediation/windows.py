"""Change windows and freezes: when orders may run, who said so, and until when an order is held.

Nothing about holding is stored on an order. Whether it may run is asked anew each time a worker wants to take it, so
an order goes on by itself when the window opens, whoever was down meanwhile. Restorations are never held: they undo a
change, and somebody waits for them. What a worker has begun is finished too: half a change is worse than a late one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError
from governance.people.access import require_role
from identities.models import Source
from reviews.models import ChangeWindow, Freeze, RestoreHold
from reviews.policies.calendar import InvalidRule, check_rule, dates_after, dates_between

MANAGERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
LONGEST_WINDOW = 7 * 24 * 60
LONGEST_FREEZE = timedelta(days=366)
# Freezes and windows that follow on each other without a gap; nobody looks further ahead than that.
MOST_HOPS = 100


class InvalidWindow(DomainError):
    """The window or freeze cannot be used like this. `details["fields"]` says what is wrong, per field."""

    code = "invalid-window"
    title = "This cannot be used"


class NothingToEnd(Conflict):
    """The window was removed already, or the freeze is over."""

    code = "nothing-to-end"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why orders at one source wait now. until: when they go on, or None where no such date is in sight."""

    until: datetime | None
    reasons: tuple[str, ...]
    is_of_restore: bool = False

    @property
    def sentence(self) -> str:
        """As people read it."""
        if self.is_of_restore:
            return f"Held until a person has looked at the source: {'; '.join(self.reasons)}."
        when = f"Held until {self.until:%a %-d %b %Y, %H:%M} UTC" if self.until else "Held, and no window is in sight"
        return f"{when}: {'; '.join(self.reasons)}."


class Calendar:
    """Windows, freezes and the holds of a restore at one moment, read with three queries for any number of sources."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._windows = list(ChangeWindow.objects.filter(removed_at=None).order_by("created_at", "pk"))
        held = RestoreHold.objects.filter(ended_at=None)
        self.restored: dict[UUID, datetime] = dict(held.values_list("source_id", "state_of"))
        self._freezes = list(Freeze.objects.filter(lifted_at=None, ends_at__gt=now).order_by("starts_at", "pk"))

    @property
    def is_empty(self) -> bool:
        """Whether orders run at any time at every source."""
        return not self._windows and not self._freezes and not self.restored

    def hold_of(self, source_id: UUID, at: datetime | None = None) -> Hold | None:
        """Why orders at this source wait, or None when they may run. at: now, or a later moment."""
        if (state_of := self.restored.get(source_id)) is not None:
            return Hold(None, (f"the database was restored to {state_of:%-d %b %Y, %H:%M} UTC",), is_of_restore=True)
        windows = self._windows_of(source_id)
        freezes = [each for each in self._freezes if each.source_id in (None, source_id)]
        reasons: list[str] = []
        moment = at or self.now
        for _ in range(MOST_HOPS):
            freeze = next((each for each in freezes if each.starts_at <= moment < each.ends_at), None)
            if freeze is not None:
                reasons.append(f"freeze, {freeze.reason}")
                moment = freeze.ends_at
            elif windows and not any(_is_open(window, moment) for window in windows):
                reasons.append("outside the change window " + " and ".join(f"“{window.name}”" for window in windows))
                following = [date for window in windows if (date := _opens_after(window, moment))]
                if not following:
                    return Hold(None, tuple(dict.fromkeys(reasons)))
                moment = min(following)
            else:
                return Hold(moment, tuple(dict.fromkeys(reasons))) if reasons else None
        return Hold(None, tuple(dict.fromkeys(reasons)))

    def held(self, source_ids: Iterable[UUID]) -> dict[UUID, Hold]:
        """The held ones among these sources."""
        if self.is_empty:
            return {}
        return {source: hold for source in set(source_ids) if (hold := self.hold_of(source)) is not None}

    def _windows_of(self, source_id: UUID) -> list[ChangeWindow]:
        own = [window for window in self._windows if window.source_id == source_id]
        return own or [window for window in self._windows if window.source_id is None]


def open_dates(window: ChangeWindow, count: int, *, after: datetime) -> list[datetime]:
    """When the window opens next."""
    return dates_after(window.rrule, starts_at=window.starts_at, time_zone=window.time_zone, after=after, count=count)


def create_window(
    *,
    name: str,
    rrule: str,
    starts_at: datetime,
    time_zone: str,
    duration_minutes: int,
    source: Source | None,
    actor: Actor,
    now: datetime,
) -> ChangeWindow:
    """Let orders run in these hours only, at one source or at all. Raises InvalidWindow, InvalidRule, Forbidden."""
    require_role(actor, *MANAGERS, scope="reviews:write")
    problems = {}
    if not name.strip() or len(name) > 120:
        problems["name"] = "Give it a name of at most 120 characters."
    if not 1 <= duration_minutes <= LONGEST_WINDOW:
        problems["duration_minutes"] = f"A window lasts 1 to {LONGEST_WINDOW} minutes."
    try:
        check_rule(rrule, starts_at=starts_at, time_zone=time_zone, shortest=timedelta(0))
    except InvalidRule as problem:
        problems[problem.field] = problem.message
    if problems:
        raise InvalidWindow(" ".join(problems.values()), fields=problems)
    with transaction.atomic(durable=True):
        window = ChangeWindow.objects.create(
            name=name.strip(),
            rrule=rrule,
            starts_at=starts_at,
            time_zone=time_zone,
            duration_minutes=duration_minutes,
            source=source,
            created_by_id=actor.person_id,
        )
        facts = {"rrule": rrule, "time_zone": time_zone, "minutes": duration_minutes, "starts_at": starts_at}
        _record(Verb.WINDOW_CREATED, "change_window", window, actor, now, new=facts, personal={"name": window.name})
    return window


def remove_window(*, window: ChangeWindow, actor: Actor, now: datetime) -> ChangeWindow:
    """The window no longer applies; orders that it alone held go on. Raises NothingToEnd, Forbidden."""
    require_role(actor, *MANAGERS, scope="reviews:write")
    with transaction.atomic(durable=True):
        window = ChangeWindow.objects.select_for_update().get(pk=window.pk)
        if window.removed_at is not None:
            raise NothingToEnd("This window was removed already.")
        window.removed_at = now
        window.save(update_fields=["removed_at"])
        ended = {"removed_at": now}
        _record(Verb.WINDOW_REMOVED, "change_window", window, actor, now, old={"removed_at": None}, new=ended)
        dispatch.after_commit("reviews.drain_orders")
    return window


def create_freeze(
    *, reason: str, starts_at: datetime, ends_at: datetime, source: Source | None, actor: Actor, now: datetime
) -> Freeze:
    """Let no order run for a time, at one source or at any. Raises InvalidWindow, Forbidden."""
    require_role(actor, *MANAGERS, scope="reviews:write")
    problems = {}
    if not reason.strip() or len(reason) > 300:
        problems["reason"] = "Say why, in at most 300 characters."
    if ends_at <= starts_at:
        problems["ends_at"] = "A freeze ends after it starts."
    elif ends_at <= now:
        problems["ends_at"] = "This freeze would be over already."
    elif ends_at - starts_at > LONGEST_FREEZE:
        problems["ends_at"] = f"A freeze lasts at most {LONGEST_FREEZE.days} days."
    if problems:
        raise InvalidWindow(" ".join(problems.values()), fields=problems)
    with transaction.atomic(durable=True):
        freeze = Freeze.objects.create(
            reason=reason.strip(), starts_at=starts_at, ends_at=ends_at, source=source, created_by_id=actor.person_id
        )
        facts = {"starts_at": starts_at, "ends_at": ends_at}
        _record(Verb.FREEZE_CREATED, "freeze", freeze, actor, now, new=facts, reason=freeze.reason)
    return freeze


def lift_freeze(*, freeze: Freeze, actor: Actor, now: datetime) -> Freeze:
    """End a freeze before its time; what it held goes on. Raises NothingToEnd, Forbidden."""
    require_role(actor, *MANAGERS, scope="reviews:write")
    with transaction.atomic(durable=True):
        freeze = Freeze.objects.select_for_update().get(pk=freeze.pk)
        if freeze.lifted_at is not None or freeze.ends_at <= now:
            raise NothingToEnd("This freeze is over already.")
        freeze.lifted_at = now
        freeze.save(update_fields=["lifted_at"])
        _record(Verb.FREEZE_LIFTED, "freeze", freeze, actor, now, old={"lifted_at": None}, new={"lifted_at": now})
        dispatch.after_commit("reviews.drain_orders")
    return freeze


def list_windows() -> Sequence[ChangeWindow]:
    """The windows that apply, those for every source first."""
    windows = ChangeWindow.objects.filter(removed_at=None).select_related("source", "created_by")
    return list(windows.order_by("source__name", "created_at", "pk"))


def list_freezes(*, now: datetime) -> Sequence[Freeze]:
    """Freezes that hold or will hold, the next to end first."""
    freezes = Freeze.objects.filter(Q(ends_at__gt=now), lifted_at=None).select_related("source", "created_by")
    return list(freezes.order_by("starts_at", "pk"))


def _is_open(window: ChangeWindow, moment: datetime) -> bool:
    lasts = timedelta(minutes=window.duration_minutes)
    opened = dates_between(
        window.rrule,
        starts_at=window.starts_at,
        time_zone=window.time_zone,
        first=moment - lasts,
        last=moment,
    )
    return any(date <= moment < date + lasts for date in opened)


def _opens_after(window: ChangeWindow, moment: datetime) -> datetime | None:
    following = open_dates(window, 1, after=moment)
    return following[0] if following else None


def _record(
    verb: Verb,
    kind: str,
    thing: ChangeWindow | Freeze,
    actor: Actor,
    now: datetime,
    *,
    new: dict[str, Any],
    old: dict[str, Any] | None = None,
    reason: str = "",
    personal: dict[str, Any] | None = None,
) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject(kind, str(thing.pk)),
        now=now,
        old=old,
        new=new,
        reason=reason,
        personal=personal,
        context={"source": str(thing.source_id) if thing.source_id else None},
    )
