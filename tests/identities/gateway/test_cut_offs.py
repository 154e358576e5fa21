"""Kill switches: who may stop what, who may let it run again, and the review that follows."""

from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Forbidden
from governance.people.access import MAIL_LINK, actor_for_token
from identities.models import CutOff, Identity
from identities.pdp.deciding import decide
from identities.pdp.requests import Request
from identities.selectors.gateway import standing_cuts
from identities.services.cut_offs import (
    CutOffAlready,
    NoTarget,
    ReasonMissing,
    SecondPersonNeeded,
    Target,
    cut_off,
    restore_access,
)
from identities.services.gateway_servers import register_server
from reviews.campaigns.cutting import ask_about_cut_offs
from reviews.models import Campaign, ReviewItem
from tests.identities.gateway.conftest import make_admin

NOW = timezone.now()


def stop(target: Target, actor: Actor, reason: str = "It went wild.") -> CutOff:
    return cut_off(target=target, reason=reason, actor=actor, now=NOW)


def may_call(identity: Identity, tool: str = "git_log", server: str = "git") -> str:
    """The decision point's reason, for whoever asks."""
    request = Request("identity", str(identity.pk), tool, "server", server)
    return str(decide(request, now=timezone.now()).reason)


@pytest.fixture
def git(admin_actor: Actor, settings: Any) -> Any:
    return register_server(name="git", url="https://git.example.org/mcp", actor=admin_actor, now=NOW)


def test_a_cut_off_agent_is_denied_by_the_decision_point_and_let_through_again_afterwards(
    agents: dict[str, Identity], admin_actor: Actor
) -> None:
    before = may_call(agents["coder"])
    row = stop(Target(identity=agents["coder"]), admin_actor)
    during = may_call(agents["coder"])
    restore_access(cut_off_id=row.pk, reason="Mended.", actor=make_admin(), now=NOW)

    assert (before, during, may_call(agents["coder"])) == ("granted", "killed", "granted")


def test_a_server_and_one_tool_of_it_are_cut_off_for_every_agent_and_nothing_else_is(
    agents: dict[str, Identity], admin_actor: Actor, git: Any
) -> None:
    stop(Target(server=git, tool="git_log"), admin_actor)

    assert (may_call(agents["coder"]), may_call(agents["coder"], "git_status")) == ("killed", "granted")
    assert may_call(agents["clock"], "get_current_time", "time") == "granted"

    stop(Target(server=git), admin_actor)

    assert may_call(agents["coder"], "git_status") == "killed"


@pytest.mark.parametrize("part", ["owner", "backup_owner", "sponsor", "team"])
def test_whoever_answers_for_an_agent_may_stop_it_and_not_let_it_run_again(
    agents: dict[str, Identity], make_user: Any, actor_of: Any, part: str
) -> None:
    from governance.people.models import Team

    ada = make_user(Role.OWNER, Role.ADMINISTRATOR)
    value: Any = ada
    if part == "team":
        value = Team.objects.create(name="agents")
        value.members.add(ada)
    Identity.objects.filter(pk=agents["coder"].pk).update(**{part: value})
    row = stop(Target(identity=agents["coder"]), make_admin())

    with pytest.raises(SecondPersonNeeded, match="answer for this agent"):
        restore_access(cut_off_id=row.pk, reason="I think so.", actor=actor_of(ada), now=NOW)
    restore_access(cut_off_id=row.pk, reason="Mended.", actor=make_admin(), now=NOW)

    assert stop(Target(identity=agents["coder"]), actor_of(ada)).kind == "agent"


def test_whoever_cut_it_off_does_not_give_it_back_not_even_through_a_program(
    agents: dict[str, Identity], admin_actor: Actor, make_token: Any
) -> None:
    token, _ = make_token(["clients:narrow"])
    row = stop(Target(identity=agents["coder"]), actor_for_token(token))

    assert row.cut_by_id == admin_actor.person_id
    with pytest.raises(SecondPersonNeeded, match="yourself"):
        restore_access(cut_off_id=row.pk, reason="Never mind.", actor=admin_actor, now=NOW)


def test_others_may_not_stop_an_agent_and_programs_never_give_back(
    agents: dict[str, Identity], make_user: Any, actor_of: Any, make_token: Any, git: Any
) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=agents["coder"].pk).update(owner=owner)

    with pytest.raises(Forbidden):
        stop(Target(identity=agents["coder"]), actor_of(make_user(Role.OWNER)))
    with pytest.raises(Forbidden):
        stop(Target(identity=agents["coder"]), actor_of(owner, MAIL_LINK))
    with pytest.raises(Forbidden):
        stop(Target(server=git), actor_of(owner))
    row = stop(Target(identity=agents["coder"]), actor_of(owner))
    token, _ = make_token()
    with pytest.raises(Forbidden):
        restore_access(cut_off_id=row.pk, reason="Robots agree.", actor=actor_for_token(token), now=NOW)


def test_what_is_cut_off_cannot_be_cut_off_again_and_needs_a_reason(
    agents: dict[str, Identity], admin_actor: Actor, git: Any
) -> None:
    stop(Target(server=git, tool="git_log"), admin_actor)

    with pytest.raises(CutOffAlready):
        stop(Target(server=git, tool="git_log"), admin_actor)
    with pytest.raises(ReasonMissing):
        stop(Target(server=git), admin_actor, reason="  ")
    for target in (Target(), Target(tool="git_log"), Target(identity=agents["coder"], server=git)):
        with pytest.raises(NoTarget):
            stop(target, admin_actor)
    assert standing_cuts().tools == {("git", "git_log")}


def test_a_review_opens_on_what_stood_behind_the_switch_once(agents: dict[str, Identity], admin_actor: Actor) -> None:
    row = stop(Target(identity=agents["coder"]), admin_actor)

    opened = [ask_about_cut_offs(now=NOW), ask_about_cut_offs(now=NOW)]

    row.refresh_from_db()
    campaign = Campaign.objects.get(pk=row.review)
    [item] = ReviewItem.objects.filter(campaign=campaign)
    assert opened == [1, 0]
    assert (campaign.state, campaign.frozen["cut_off"]["id"]) == ("open", str(row.pk))
    assert item.identity_id == agents["coder"].pk


def test_the_review_of_a_tool_asks_about_every_agent_that_may_call_it(
    agents: dict[str, Identity], admin_actor: Actor, git: Any
) -> None:
    row = stop(Target(server=git, tool="git_log"), admin_actor)
    idle = stop(Target(identity=agents["idle"]), admin_actor)

    ask_about_cut_offs(now=NOW)

    row.refresh_from_db()
    idle.refresh_from_db()
    assert list(ReviewItem.objects.filter(campaign=row.review).values_list("identity", flat=True)) == [
        agents["coder"].pk
    ]
    assert idle.review is None and idle.review_looked_at is not None
