"""Write and change the rules of watching: which triggers open reviews, who is asked, and how long they have."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import require_role
from governance.people.models import User
from identities.selectors.filters import InvalidFilter, InventoryFilter
from reviews.campaigns.schedules import person_behind
from reviews.models import DeadlinePolicy, ReviewerRule, ReviewWatch, Trigger

LIMITS = {
    "days_to_answer": (1, 90, "Give people 1 to 90 days to answer."),
    "settle_minutes": (0, 1_440, "Let things settle for 0 to 1,440 minutes."),
    "most_questions": (1, 100_000, "Allow 1 to 100,000 open questions per source."),
    "quiet_days": (1, 730, "Count as dormant after 1 to 730 days."),
}
ONE_EACH = "There is a rule for this trigger and this part of the inventory already."


class InvalidWatch(DomainError):
    """The rule cannot be kept like this. `details["fields"]` says what is wrong, per field."""

    code = "invalid-watch"
    title = "This rule cannot be used"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()), fields=dict(problems))


class StaleWatch(Conflict):
    """Somebody else changed the rule meanwhile."""

    code = "stale-watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchDraft:
    """Everything about a watch that people choose; the field names are the model's."""

    trigger: str
    fallback_reviewer: User
    scope: str = ""
    is_enabled: bool = True
    reviewer_rules: tuple[str, ...] = (ReviewerRule.OWNER, ReviewerRule.BACKUP)
    independent_reviewer: User | None = None
    deadline_policy: str = DeadlinePolicy.KEEP_AND_ESCALATE
    days_to_answer: int = 7
    settle_minutes: int = 10
    most_questions: int = 500
    quiet_days: int = 90


EDITABLE = frozenset(each.name for each in fields(WatchDraft)) - {"trigger"}


def create_watch(*, actor: Actor, now: datetime, **chosen: Any) -> ReviewWatch:
    """Write a rule; `chosen` are the fields of `WatchDraft`. Its reviews are managed by the actor, or by whoever issued
    the actor's token. Raises InvalidWatch (with a sentence per field) and Forbidden.
    """
    _require_planner(actor)
    draft = _checked(WatchDraft(**chosen))
    created_by = person_behind(actor)
    try:
        with transaction.atomic(durable=True):
            watch = ReviewWatch.objects.create(**_values(draft), trigger=draft.trigger, created_by=created_by)
            _record(Verb.WATCH_CREATED, watch, actor, now, new=_facts(watch))
    except IntegrityError:
        raise InvalidWatch({"scope": ONE_EACH}) from None
    return watch


def change_watch(
    *, watch: ReviewWatch, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> ReviewWatch:
    """Change fields of `WatchDraft` but the trigger; reviews that are open stay as they are.

    A watch that is switched off notices nothing; what waits then keeps waiting until it is on again. Raises
    InvalidWatch, StaleWatch, Forbidden.
    """
    unknown = set(changes) - EDITABLE
    if unknown:
        raise InvalidWatch({name: f"“{name}” cannot be changed." for name in sorted(unknown)})
    try:
        with transaction.atomic(durable=True):
            watch = _lock(watch, version, actor)
            kept = {name: getattr(watch, name) for name in EDITABLE}
            draft = _checked(WatchDraft(**(kept | dict(changes)), trigger=watch.trigger))
            old, old_scope, values = _facts(watch), watch.scope, _values(draft)
            watch.version += 1
            for name, value in values.items():
                setattr(watch, name, value)
            watch.save(update_fields=["version", *values])
            new = _facts(watch)
            changed = {name for name in new if new[name] != old[name]}
            _record(
                Verb.WATCH_CHANGED,
                watch,
                actor,
                now,
                old={name: old[name] for name in changed},
                new={name: new[name] for name in changed},
                personal={"scope": [old_scope, watch.scope]} if watch.scope != old_scope else None,
            )
    except IntegrityError:
        raise InvalidWatch({"scope": ONE_EACH}) from None
    return watch


def require_watch_manager(watch: ReviewWatch, actor: Actor) -> None:
    """Campaign managers change their own rules; administrators and API clients with the scope change any."""
    _require_planner(actor)
    is_person = actor.kind is ActorKind.PERSON
    if is_person and not actor.has_role(Role.ADMINISTRATOR) and watch.created_by_id != actor.person_id:
        raise Forbidden("This rule belongs to another campaign manager.")


def _require_planner(actor: Actor) -> None:
    require_role(actor, Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, scope="reviews:write")


def _lock(watch: ReviewWatch, version: int, actor: Actor) -> ReviewWatch:
    locked = (
        ReviewWatch.objects.select_for_update(of=("self",))
        .select_related("fallback_reviewer", "independent_reviewer")
        .filter(pk=watch.pk)
        .first()
    )
    if locked is None:
        raise NotFound("There is no such rule.")
    require_watch_manager(locked, actor)
    if locked.version != version:
        raise StaleWatch("Somebody else changed this rule meanwhile. Load it again.", version=locked.version)
    return locked


def _checked(draft: WatchDraft) -> WatchDraft:
    problems = dict(_problems(draft))
    if problems:
        raise InvalidWatch(problems)
    return draft


def _problems(draft: WatchDraft) -> list[tuple[str, str]]:
    rules = draft.reviewer_rules
    checks = (
        ("trigger", draft.trigger in Trigger.values, "Choose what opens a review."),
        (
            "reviewer_rules",
            bool(rules) and len(set(rules)) == len(rules) and set(rules) <= set(ReviewerRule.values),
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
    )
    found = [(name, sentence) for name, is_fine, sentence in checks if not is_fine]
    for name, (least, most, sentence) in LIMITS.items():
        if not least <= getattr(draft, name) <= most:
            found.append((name, sentence))
    return [*found, *_scope_problems(draft.scope)]


def _can_answer(user: User) -> bool:
    return user.is_active and user.left_at is None


def _scope_problems(scope: str) -> list[tuple[str, str]]:
    try:
        filters = InventoryFilter.parse(scope)
    except InvalidFilter as problem:
        return [("scope", problem.message)]
    if "me" in {filters.owner, filters.finding_assignee}:
        return [("scope", "“me” means nobody here; name the owner's address.")]
    if filters.retired == "yes":
        return [("scope", "What is retired at the source cannot be reviewed.")]
    return []


def _values(draft: WatchDraft) -> dict[str, Any]:
    values = {name: getattr(draft, name) for name in EDITABLE}
    return values | {
        "scope": InventoryFilter.parse(draft.scope).to_text(),
        "reviewer_rules": [str(rule) for rule in draft.reviewer_rules],
    }


def _facts(watch: ReviewWatch) -> dict[str, Any]:
    """What the trail keeps of a watch: ids instead of people, and no scope that may name a person."""
    return {
        "trigger": str(watch.trigger),
        "scope": "(text)" if "owner=" in watch.scope else watch.scope.split("&"),
        "is_enabled": watch.is_enabled,
        "reviewer_rules": list(watch.reviewer_rules),
        "fallback_reviewer": str(watch.fallback_reviewer_id),
        "independent_reviewer": str(watch.independent_reviewer_id) if watch.independent_reviewer_id else None,
        "deadline_policy": str(watch.deadline_policy),
        **{name: getattr(watch, name) for name in LIMITS},
    }


def _record(verb: Verb, watch: ReviewWatch, actor: Actor, now: datetime, **parts: Any) -> None:
    log.record(verb=verb, actor=actor, subject=log.Subject("watch", str(watch.pk), "review watch"), now=now, **parts)
