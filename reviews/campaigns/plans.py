"""What a review asks, of whom and for how long: what a schedule and a review started by hand have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from governance.people.models import User
from identities.selectors.filters import InvalidFilter, InventoryFilter
from reviews import policies
from reviews.models import Campaign, DeadlinePolicy, ItemKind, ReviewerRule

LONGEST_DURATION = 366
LONGEST_SCOPE = 1000

Problem = tuple[str, str]
"""The field, and a sentence that says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """Everything about a review that people choose; the field names are the models'."""

    fallback_reviewer: User
    scope: str = ""
    item_kinds: tuple[str, ...] = (ItemKind.GRANT,)
    duration_days: int = 14
    reviewer_rules: tuple[str, ...] = (ReviewerRule.OWNER,)
    independent_reviewer: User | None = None
    deadline_policy: str = DeadlinePolicy.KEEP_AND_ESCALATE
    policy: Mapping[str, Any] = field(default_factory=dict)


def plan_problems(plan: CampaignPlan) -> list[Problem]:
    """What stands in the way of a review like this; empty where nothing does."""
    independent = plan.independent_reviewer
    checks = (
        ("duration_days", 1 <= plan.duration_days <= LONGEST_DURATION, "Give people 1 to 366 days to answer."),
        (
            "item_kinds",
            _are_some(plan.item_kinds, ItemKind.values),
            "Choose what is reviewed: access, credentials, ownership.",
        ),
        (
            "reviewer_rules",
            _are_some(plan.reviewer_rules, ReviewerRule.values),
            "Choose who is asked, each rule once.",
        ),
        ("deadline_policy", plan.deadline_policy in DeadlinePolicy.values, "Choose what happens at the deadline."),
        (
            "fallback_reviewer",
            _can_answer(plan.fallback_reviewer),
            "The fallback reviewer has left or cannot sign in.",
        ),
        (
            "independent_reviewer",
            independent is None or _can_answer(independent),
            "The independent reviewer has left or cannot sign in.",
        ),
    )
    found = [(name, sentence) for name, is_fine, sentence in checks if not is_fine]
    return [*found, *_scope_problems(plan.scope), *_policy_problems(plan.policy)]


def plan_values(plan: CampaignPlan) -> dict[str, Any]:
    """A checked plan as the models keep it, in canonical form; without the days to answer."""
    return {
        "scope": InventoryFilter.parse(plan.scope).to_text(),
        "item_kinds": [str(kind) for kind in plan.item_kinds],
        "reviewer_rules": [str(rule) for rule in plan.reviewer_rules],
        "fallback_reviewer": plan.fallback_reviewer,
        "independent_reviewer": plan.independent_reviewer,
        "deadline_policy": str(plan.deadline_policy),
        "policy": policies.checked(plan.policy),
    }


def unsaved_campaign(plan: CampaignPlan, *, name: str, manager: User, now: datetime) -> Campaign:
    """The draft that this checked plan makes when it starts now."""
    deadline = now + timedelta(days=plan.duration_days)
    return Campaign(name=name, manager=manager, deadline_at=deadline, **plan_values(plan))


def _are_some(chosen: tuple[str, ...] | list[str], known: list[str]) -> bool:
    return bool(chosen) and len(set(chosen)) == len(chosen) and set(chosen) <= set(known)


def _can_answer(user: User) -> bool:
    return user.is_active and user.left_at is None


def _scope_problems(scope: str) -> list[Problem]:
    try:
        filters = InventoryFilter.parse(scope)
    except InvalidFilter as problem:
        return [("scope", problem.message)]
    if "me" in {filters.owner, filters.finding_assignee}:
        return [("scope", "“me” means nobody in a schedule; name the owner's address.")]
    if filters.retired == "yes":
        return [("scope", "What is retired at the source cannot be reviewed.")]
    if len(filters.to_text()) > LONGEST_SCOPE:
        return [("scope", f"The scope has at most {LONGEST_SCOPE} characters.")]
    return []


def _policy_problems(policy: Mapping[str, Any]) -> list[Problem]:
    try:
        policies.checked(policy)
    except policies.InvalidPolicy as problem:
        return [(f"policy.{name}", sentence) for name, sentence in problem.details["fields"].items()]
    return []
