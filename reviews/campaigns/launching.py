"""Start one review now, without a schedule; and see beforehand what that would mean."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.people.models import User
from identities.services.request_keys import Once, remember, require_new
from reviews.campaigns.opening import EMPTY, campaign_subject, population_of
from reviews.campaigns.plans import CampaignPlan, plan_problems, unsaved_campaign
from reviews.campaigns.preview import Preview, preview_campaign
from reviews.campaigns.schedules import person_behind, require_planner
from reviews.models import Campaign
from reviews.states import CampaignState

LONGEST_NAME = 200


class InvalidReview(DomainError):
    """The review cannot be started like this. `details["fields"]` says what is wrong, per field."""

    code = "invalid-review"
    title = "This review cannot be used"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()), fields=dict(problems))


class NothingToReview(DomainError):
    """The scope matches nothing: a review that asks nothing would prove nothing."""

    code = "nothing-to-review"
    title = "There is nothing to review"


def preview_launch(*, actor: Actor, now: datetime, manager: User | None = None, **chosen: Any) -> Preview:
    """What a review like this would ask and take away; `chosen` are the fields of `CampaignPlan`. Writes nothing.

    manager: who would answer for it; the actor by default, for API clients whoever issued the token. Raises Forbidden
    and InvalidReview.
    """
    require_planner(actor)
    plan = _checked(CampaignPlan(**chosen), [])
    campaign = unsaved_campaign(plan, name="Preview", manager=manager or person_behind(actor), now=now)
    return preview_campaign(campaign=campaign, now=now)


def launch_campaign(
    *,
    name: str,
    actor: Actor,
    now: datetime,
    manager: User | None = None,
    once: Once[Campaign] | None = None,
    **chosen: Any,
) -> Campaign:
    """Draft a review that opens at once; `chosen` are the fields of `CampaignPlan`.

    once: the key of a request that must not be carried out twice. Raises Forbidden, InvalidReview, NothingToReview;
    with a key AlreadyDone and KeyReused.
    """
    require_planner(actor)
    is_named = 0 < len(name.strip()) <= LONGEST_NAME and "\x00" not in name
    problems = [] if is_named else [("name", f"Give it a name of up to {LONGEST_NAME} characters.")]
    plan = _checked(CampaignPlan(**chosen), problems)
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        manager = manager or person_behind(actor)
        campaign = unsaved_campaign(plan, name=name.strip(), manager=manager, now=now)
        if not any(population_of(campaign, kind, now).exists() for kind in campaign.item_kinds):
            raise NothingToReview(EMPTY, fields={"scope": EMPTY})
        campaign.save(force_insert=True)
        campaign.refresh_from_db()
        _record(campaign, actor, now)
        dispatch.after_commit("reviews.open_campaign", campaign_id=str(campaign.pk))
        if once is not None:
            remember(once, campaign, now=now)
    return campaign


def _checked(plan: CampaignPlan, problems: list[tuple[str, str]]) -> CampaignPlan:
    found = dict([*problems, *plan_problems(plan)])
    if found:
        raise InvalidReview(found)
    return plan


def _record(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """People by their ids, and no scope that names one."""
    independent = campaign.independent_reviewer_id
    log.record(
        verb=Verb.CAMPAIGN_CREATED,
        actor=actor,
        subject=campaign_subject(campaign),
        now=now,
        new={"state": str(CampaignState.DRAFT), "deadline_at": campaign.deadline_at},
        context={
            "why": "launched",
            "manager": str(campaign.manager_id),
            "item_kinds": list(campaign.item_kinds),
            "reviewer_rules": list(campaign.reviewer_rules),
            "fallback_reviewer": str(campaign.fallback_reviewer_id),
            "independent_reviewer": str(independent) if independent else None,
            "deadline_policy": campaign.deadline_policy,
            "policy": campaign.policy,
            "scope": [] if "owner=" in campaign.scope else campaign.scope.split("&"),
        },
    )
