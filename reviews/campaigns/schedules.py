"""Write, change, pause and run review schedules."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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
from identities.selectors.filters import InvalidFilter, InventoryFilter
from reviews import policies
from reviews.models import DeadlinePolicy, ItemKind, ReviewerRule, ReviewSchedule
from reviews.policies.calendar import InvalidRule, check_rule, dates_after

LONGEST_DURATION = 366
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
class ScheduleDraft:
    """Everything about a schedule that people choose; the field names are the model's."""

    name: str
    rrule: str
    starts_at: datetime
    interval_reason: str
    fallback_reviewer: User
    scope: str = ""
    item_kinds: tuple[str, ...] = (ItemKind.GRANT,)
    time_zone: str = "UTC"
    duration_days: int = 14
    reviewer_rules: tuple[str, ...] = (ReviewerRule.OWNER,)
    independent_reviewer: User | None = None
    deadline_policy: str = DeadlinePolicy.KEEP_AND_ESCALATE
    policy: Mapping[str, Any] = field(default_factory=dict)


EDITABLE = frozenset(each.name for each in fields(ScheduleDraft))


def create_schedule(*, actor: Actor, now: datetime, manager: User | None = None, **chosen: Any) -> ReviewSchedule:
    """Write a schedule; `chosen` are the fields of `ScheduleDraft`.

    manager: who answers for its campaigns; the actor by default, for API clients whoever issued the token. Raises
    InvalidSchedule (with a sentence per field) and Forbidden.
    """
    _require_planner(actor)
    draft = _checked(ScheduleDraft(**chosen))
    created_by = manager or person_behind(actor)
    due = _first_due(draft, now)
    try:
        with transaction.atomic(durable=True):
            schedule = ReviewSchedule.objects.create(**_values(draft), created_by=created_by, next_due_at=due)
            _record(Verb.SCHEDULE_CREATED, schedule, actor, now, new=_facts(schedule))
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
            old = _facts(schedule)
            due = _first_due(draft, now) if schedule.is_enabled else schedule.next_due_at
            _save(schedule, **_values(draft), next_due_at=due)
            new = _facts(schedule)
            changed = {name for name in new if new[name] != old[name]}
            _record(
                Verb.SCHEDULE_CHANGED,
                schedule,
                actor,
                now,
                old={name: old[name] for name in changed},
                new={name: new[name] for name in changed},
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
        _record(Verb.SCHEDULE_PAUSED, schedule, actor, now, new={"is_enabled": False}, reason=reason)
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
        _save(schedule, is_enabled=True, next_due_at=following[0] if following else None)
        due = {"is_enabled": True, "next_due_at": schedule.next_due_at}
        _record(Verb.SCHEDULE_RESUMED, schedule, actor, now, new=due)
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


def _require_planner(actor: Actor) -> None:
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="reviews:write")


def require_schedule_manager(schedule: ReviewSchedule, actor: Actor) -> None:
    """Campaign managers run their own schedules; administrators and API clients with the scope run any."""
    _require_planner(actor)
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


def _problems(draft: ScheduleDraft) -> list[tuple[str, str]]:
    checks = (
        (
            "name",
            0 < len(draft.name.strip()) <= 120 and "\x00" not in draft.name,
            "Give it a name of up to 120 characters.",
        ),
        (
            "interval_reason",
            len(draft.interval_reason.strip()) >= SHORTEST_REASON and "\x00" not in draft.interval_reason,
            "Write why this interval is short enough: auditors ask for the reasoning.",
        ),
        ("duration_days", 1 <= draft.duration_days <= LONGEST_DURATION, "Give people 1 to 366 days to answer."),
        (
            "item_kinds",
            _are_some(draft.item_kinds, ItemKind.values),
            "Choose what is reviewed: access, credentials or both.",
        ),
        (
            "reviewer_rules",
            _are_some(draft.reviewer_rules, ReviewerRule.values),
            "Choose who is asked, each rule once.",
        ),
        ("deadline_policy", draft.deadline_policy in DeadlinePolicy.values, "Choose what happens at the deadline."),
        (
            "fallback_reviewer",
            _can_answer(draft.fallback_reviewer),
            "The fallback reviewer has left or cannot sign in.",
        ),
        (
            "independent_reviewer",
            draft.independent_reviewer is None or _can_answer(draft.independent_reviewer),
            "The independent reviewer has left or cannot sign in.",
        ),
        ("starts_at", draft.starts_at.tzinfo is not None, "Give the start with its time zone."),
    )
    found = [(name, sentence) for name, is_fine, sentence in checks if not is_fine]
    return [*found, *_scope_problems(draft.scope), *_rule_problems(draft), *_policy_problems(draft.policy)]


def _are_some(chosen: tuple[str, ...] | list[str], known: list[str]) -> bool:
    return bool(chosen) and len(set(chosen)) == len(chosen) and set(chosen) <= set(known)


def _can_answer(user: User) -> bool:
    return user.is_active and user.left_at is None


def _scope_problems(scope: str) -> list[tuple[str, str]]:
    try:
        filters = InventoryFilter.parse(scope)
    except InvalidFilter as problem:
        return [("scope", problem.message)]
    if filters.owner == "me":
        return [("scope", "“me” means nobody in a schedule; name the owner's address.")]
    if filters.retired == "yes":
        return [("scope", "What is retired at the source cannot be reviewed.")]
    return []


def _rule_problems(draft: ScheduleDraft) -> list[tuple[str, str]]:
    if draft.starts_at.tzinfo is None:
        return []
    shortest = timedelta(seconds=settings.REVIEW_MIN_INTERVAL_SECONDS)
    try:
        check_rule(draft.rrule, starts_at=draft.starts_at, time_zone=draft.time_zone, shortest=shortest)
    except InvalidRule as problem:
        return [(problem.field, problem.message)]
    return []


def _policy_problems(policy: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        policies.checked(policy)
    except policies.InvalidPolicy as problem:
        return [(f"policy.{name}", sentence) for name, sentence in problem.details["fields"].items()]
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
        "scope": InventoryFilter.parse(draft.scope).to_text(),
        "rrule": draft.rrule.strip().upper().removeprefix("RRULE:"),
        "policy": policies.checked(draft.policy),
        "item_kinds": [str(kind) for kind in draft.item_kinds],
        "reviewer_rules": [str(rule) for rule in draft.reviewer_rules],
    }


def _facts(schedule: ReviewSchedule) -> dict[str, Any]:
    """What the trail keeps of a schedule: ids instead of people, and the scope by its digest (it may name a person)."""
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
        "scope": [] if "owner=" in schedule.scope else schedule.scope.split("&"),
        "next_due_at": schedule.next_due_at,
    }


def _record(verb: Verb, schedule: ReviewSchedule, actor: Actor, now: datetime, **parts: Any) -> None:
    log.record(
        verb=verb,
        actor=actor,
        subject=log.Subject("schedule", str(schedule.pk), "review schedule"),
        now=now,
        **parts,
    )
