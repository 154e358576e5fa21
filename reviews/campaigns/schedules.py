"""Write, change, pause and run review schedules."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import require_role
from governance.people.models import ApiToken, User
from reviews.campaigns.intervals import write_reasoning
from reviews.campaigns.plans import CampaignPlan, Problem, plan_problems, plan_values
from reviews.models import ReviewSchedule
from reviews.policies.calendar import InvalidRule, check_rule, dates_after

LONGEST_NAME = 120
SHORTEST_REASON = 10


class InvalidSchedule(DomainError):
    """The schedule cannot be written like this. `details["fields"]` says what is wrong, per field."""

    code = "invalid-schedule"
    title = "This schedule cannot be used"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()), fields=dict(problems))


class StaleSchedule(Conflict):
    """Somebody else changed the schedule meanwhile."""

    code = "stale-schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDraft(CampaignPlan):
    """Everything about a schedule that people choose; the field names are the model's."""

    name: str
    rrule: str
    starts_at: datetime
    interval_reason: str
    time_zone: str = "UTC"


EDITABLE = frozenset(each.name for each in fields(ScheduleDraft))


def create_schedule(*, actor: Actor, now: datetime, manager: User | None = None, **chosen: Any) -> ReviewSchedule:
    """Write a schedule; `chosen` are the fields of `ScheduleDraft`.

    manager: who answers for its campaigns; the actor by default, for API clients whoever issued the token. Raises
    InvalidSchedule (with a sentence per field) and Forbidden.
    """
    require_planner(actor)
    draft = _checked(ScheduleDraft(**chosen))
    created_by = manager or person_behind(actor)
    due = _first_due(draft, now)
    try:
        with transaction.atomic(durable=True):
            schedule = ReviewSchedule.objects.create(**_values(draft), created_by=created_by, next_due_at=due)
            write_reasoning(schedule, by=_author(actor, created_by), now=now)
            words = _words(schedule)
            _record(Verb.SCHEDULE_CREATED, schedule, actor, now, new=_facts(schedule), personal=words)
    except IntegrityError:
        raise InvalidSchedule({"name": "Another schedule has this name."}) from None
    return schedule


def change_schedule(
    *, schedule: ReviewSchedule, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> ReviewSchedule:
    """Change fields of `ScheduleDraft`; campaigns stay as they are. Raises InvalidSchedule, StaleSchedule."""
    unknown = set(changes) - EDITABLE
    if unknown:
        raise InvalidSchedule({name: f"“{name}” cannot be changed." for name in sorted(unknown)})
    try:
        with transaction.atomic(durable=True):
            schedule = _lock(schedule, version, actor)
            draft = _checked(ScheduleDraft(**({name: getattr(schedule, name) for name in EDITABLE} | dict(changes))))
            old, old_words = _facts(schedule), _words(schedule)
            due = _first_due(draft, now) if schedule.is_enabled else schedule.next_due_at
            before = (schedule.interval_reason, schedule.rrule, schedule.starts_at, schedule.time_zone)
            _save(schedule, **_values(draft), next_due_at=due)
            if before != (schedule.interval_reason, schedule.rrule, schedule.starts_at, schedule.time_zone):
                write_reasoning(schedule, by=_author(actor, schedule.created_by), now=now)
            new, words = _facts(schedule), _words(schedule)
            changed = {name for name in new if new[name] != old[name]}
            reworded = {name: [old_words[name], words[name]] for name in words if words[name] != old_words[name]}
            _record(
                Verb.SCHEDULE_CHANGED,
                schedule,
                actor,
                now,
                old={name: old[name] for name in changed},
                new={name: new[name] for name in changed},
                context={"changed": sorted(changed | reworded.keys())},
                personal=reworded,
            )
    except IntegrityError:
        raise InvalidSchedule({"name": "Another schedule has this name."}) from None
    return schedule


def pause_schedule(
    *, schedule: ReviewSchedule, actor: Actor, now: datetime, version: int | None = None, reason: str = ""
) -> ReviewSchedule:
    """Open no further campaigns until resumed."""
    with transaction.atomic(durable=True):
        schedule = _lock(schedule, version, actor)
        if not schedule.is_enabled:
            raise Conflict("This schedule is paused already.")
        _save(schedule, is_enabled=False)
        is_on, is_off = {"is_enabled": True}, {"is_enabled": False}
        _record(Verb.SCHEDULE_PAUSED, schedule, actor, now, old=is_on, new=is_off, reason=reason)
    return schedule


def resume_schedule(
    *, schedule: ReviewSchedule, actor: Actor, now: datetime, version: int | None = None
) -> ReviewSchedule:
    """Run again from the next date on; what fell due during the pause was left out on purpose."""
    with transaction.atomic(durable=True):
        schedule = _lock(schedule, version, actor)
        if schedule.is_enabled:
            raise Conflict("This schedule is running already.")
        following = next_dates(schedule, count=1, after=now)
        old = {"is_enabled": False, "next_due_at": schedule.next_due_at}
        _save(schedule, is_enabled=True, next_due_at=following[0] if following else None)
        due = {"is_enabled": True, "next_due_at": schedule.next_due_at}
        _record(Verb.SCHEDULE_RESUMED, schedule, actor, now, old=old, new=due)
    return schedule


def next_dates(schedule: ReviewSchedule, count: int = 5, *, after: datetime) -> list[datetime]:
    """The next dates of a schedule, in UTC. Works on an unsaved one too, for a preview. Raises InvalidRule."""
    return dates_after(
        schedule.rrule,
        starts_at=schedule.starts_at,
        time_zone=schedule.time_zone,
        after=after,
        count=count,
    )


def require_planner(actor: Actor) -> None:
    """Raise Forbidden unless the actor may plan and start reviews."""
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="reviews:write")


def require_schedule_manager(schedule: ReviewSchedule, actor: Actor) -> None:
    """Campaign managers run their own schedules; administrators and API clients with the scope run any."""
    require_planner(actor)
    is_person = actor.kind is ActorKind.PERSON
    if is_person and not actor.has_role(Role.ADMINISTRATOR) and schedule.created_by_id != actor.person_id:
        raise Forbidden("This schedule belongs to another campaign manager.")


def person_behind(actor: Actor) -> User:
    """Who answers for what the actor opens: the person, or whoever issued the program's token."""
    if actor.kind is ActorKind.PERSON:
        return User.objects.get(pk=actor.id)
    if actor.kind is ActorKind.API_CLIENT:
        return ApiToken.objects.select_related("created_by").get(pk=actor.id).created_by
    raise InvalidSchedule({"manager": "Name the person who answers for this schedule."})


def _author(actor: Actor, manager: User) -> User:
    return manager if actor.kind is ActorKind.SYSTEM else person_behind(actor)


def _lock(schedule: ReviewSchedule, version: int | None, actor: Actor) -> ReviewSchedule:
    locked = (
        ReviewSchedule.objects.select_for_update(of=("self",))
        .select_related("fallback_reviewer", "independent_reviewer")
        .filter(pk=schedule.pk)
        .first()
    )
    if locked is None:
        raise NotFound("There is no such schedule.")
    require_schedule_manager(locked, actor)
    if version is not None and locked.version != version:
        raise StaleSchedule("Somebody else changed this schedule meanwhile. Load it again.", version=locked.version)
    return locked


def _save(schedule: ReviewSchedule, **values: Any) -> None:
    schedule.version += 1
    for name, value in values.items():
        setattr(schedule, name, value)
    schedule.save(update_fields=["version", *values])


def _checked(draft: ScheduleDraft) -> ScheduleDraft:
    problems = dict(_problems(draft))
    if problems:
        raise InvalidSchedule(problems)
    return draft


def _problems(draft: ScheduleDraft) -> list[Problem]:
    checks = (
        (
            "name",
            0 < len(draft.name.strip()) <= LONGEST_NAME and "\x00" not in draft.name,
            f"Give it a name of up to {LONGEST_NAME} characters.",
        ),
        (
            "interval_reason",
            len(draft.interval_reason.strip()) >= SHORTEST_REASON and "\x00" not in draft.interval_reason,
            "Write why this interval is short enough: auditors ask for the reasoning.",
        ),
        ("starts_at", draft.starts_at.tzinfo is not None, "Give the start with its time zone."),
    )
    found = [(name, sentence) for name, is_fine, sentence in checks if not is_fine]
    return [*found, *plan_problems(draft), *_rule_problems(draft)]


def _rule_problems(draft: ScheduleDraft) -> list[Problem]:
    if draft.starts_at.tzinfo is None:
        return []
    shortest = timedelta(seconds=settings.REVIEW_MIN_INTERVAL_SECONDS)
    try:
        check_rule(draft.rrule, starts_at=draft.starts_at, time_zone=draft.time_zone, shortest=shortest)
    except InvalidRule as problem:
        return [(problem.field, problem.message)]
    return []


def _first_due(draft: ScheduleDraft, now: datetime) -> datetime | None:
    dates = dates_after(
        draft.rrule,
        starts_at=draft.starts_at,
        time_zone=draft.time_zone,
        after=now - timedelta(microseconds=1),
        count=1,
    )
    return dates[0] if dates else None


def _values(draft: ScheduleDraft) -> dict[str, Any]:
    values = {name: getattr(draft, name) for name in EDITABLE}
    return values | {
        "name": draft.name.strip(),
        "interval_reason": draft.interval_reason.strip(),
        "rrule": draft.rrule.strip().upper().removeprefix("RRULE:"),
        **plan_values(draft),
    }


def _facts(schedule: ReviewSchedule) -> dict[str, Any]:
    """What the trail keeps of a schedule for ever: ids instead of people, and no scope that names an owner."""
    return {
        "rrule": schedule.rrule,
        "time_zone": schedule.time_zone,
        "starts_at": schedule.starts_at,
        "duration_days": schedule.duration_days,
        "item_kinds": list(schedule.item_kinds),
        "reviewer_rules": list(schedule.reviewer_rules),
        "fallback_reviewer": str(schedule.fallback_reviewer_id),
        "independent_reviewer": str(schedule.independent_reviewer_id) if schedule.independent_reviewer_id else None,
        "deadline_policy": str(schedule.deadline_policy),
        "policy": schedule.policy,
        "scope": "(text)" if "owner=" in schedule.scope else schedule.scope.split("&"),
        "next_due_at": schedule.next_due_at,
    }


def _words(schedule: ReviewSchedule) -> dict[str, str]:
    """What people wrote: it may name people, so it stands beside the trail and can be erased."""
    return {"name": schedule.name, "interval_reason": schedule.interval_reason, "scope": schedule.scope}


def _record(verb: Verb, schedule: ReviewSchedule, actor: Actor, now: datetime, **parts: Any) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("schedule", str(schedule.pk), "review schedule"),
        now=now,
        **parts,
    )
