"""Access on request: who may ask and answer, what holds then, and how it ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import DomainError, Forbidden
from identities.models import Change, Grant, GrantVersion, KnownPermission, SyncRun
from identities.pdp.deciding import decide
from identities.pdp.requests import Request
from identities.selectors.filters import InventoryFilter
from reviews import access_requests
from reviews.access_requests.answering import AnsweredTooLate
from reviews.access_requests.asking import InvalidAccessRequest, RequestedAlready
from reviews.access_requests.people import OwnRequest
from reviews.decisions.independence import Conflict, SelfReview, is_attestation, parties_of, ruled_out
from reviews.models import AccessRequest, ReviewMail
from reviews.states import IllegalMove

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def may(desk: Any, now: Any) -> bool:
    asked = Request("identity", str(desk.identity.pk), "INSERT", "table", "table:ledger/public/refunds")
    return decide(asked, now=now).permit


def test_what_was_granted_holds_until_its_end_and_not_a_moment_longer(desk: Any, make: Any) -> None:
    request = desk.ask()
    assert not may(desk, make.NOW), "asking alone gives nothing"

    access_requests.grant_request(request=request, until=make.NOW + HOUR, actor=desk.other, now=make.NOW)
    assert may(desk, make.NOW + timedelta(minutes=59))
    assert not may(desk, make.NOW + HOUR), "its end needs nobody to carry it out"

    access_requests.end_due_access(now=make.NOW + HOUR)
    request.refresh_from_db()
    assert (request.state, request.still_effective) == ("ended", "")
    assert request.verified_at == make.NOW + HOUR
    assert not Grant.objects.filter(retired_at=None).exists()


def test_neither_who_asked_nor_who_granted_reviews_it(desk: Any, make: Any) -> None:
    request = desk.ask()
    access_requests.grant_request(request=request, actor=desk.other, now=make.NOW)
    (parties,) = parties_of([(desk.identity.pk, Grant.objects.get().pk, False)])

    assert ruled_out(desk.asker.person_id, parties) is Conflict.ASKER
    assert ruled_out(desk.other.person_id, parties) is Conflict.CREATOR
    with pytest.raises(SelfReview, match="you asked for this access"):
        is_attestation(desk.asker.person_id, parties, [])
    (about_the_rest,) = parties_of([(desk.identity.pk, None, False)])
    assert ruled_out(desk.asker.person_id, about_the_rest) is None


def test_a_grant_on_request_stands_in_the_inventory_like_any_other(desk: Any, make: Any) -> None:
    request = desk.ask()
    access_requests.grant_request(request=request, actor=desk.other, now=make.NOW)
    grant = Grant.objects.get()
    version = GrantVersion.objects.get(grant=grant)

    assert version.valid_until == request.until
    assert KnownPermission.objects.filter(digest=version.digest).exists(), "“who could” finds it"
    desk.identity.refresh_from_db()
    assert desk.identity.grant_count == 1
    access_requests.end_access(request=request, reason="Done.", actor=desk.asker, now=make.NOW + HOUR)
    desk.identity.refresh_from_db()
    assert desk.identity.grant_count == 0
    said = Change.objects.order_by("run__feed_number").values_list("action", "run__feed_number")
    assert list(said) == [("added", 1), ("retired", 2)], "each has its place in the feed"
    assert SyncRun.objects.filter(state="applied").count() == 2
    assert InventoryFilter.parse("standing=no")


def test_what_ends_although_another_grant_gives_the_same_says_by_which(desk: Any, make: Any) -> None:
    held = make.grant(desk.identity, make.HELD)
    request = desk.ask()
    access_requests.grant_request(request=request, actor=desk.other, now=make.NOW)
    access_requests.end_access(request=request, reason="Done.", actor=desk.asker, now=make.NOW)
    access_requests.end_due_access(now=make.NOW)
    request.refresh_from_db()
    assert held.label in request.still_effective


def test_nobody_answers_for_themself_nor_for_those_who_would_gain(desk: Any, make: Any) -> None:
    request = desk.ask()
    holder = make.person(Role.REVIEWER)
    make.credential(desk.identity, holder=holder)
    for person in (desk.owner, holder, make.person(Role.CAMPAIGN_MANAGER), make.person(Role.AUDITOR)):
        with pytest.raises(Forbidden):
            access_requests.grant_request(request=request, actor=make.actor(person), now=make.NOW)
    with pytest.raises(Forbidden):
        access_requests.grant_request(request=request, actor=make.actor(desk.owner, "mail_link"), now=make.NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        AccessRequest.objects.filter(pk=request.pk).update(answered_by=desk.owner)


def test_an_owner_answers_what_others_ask_for_unless_it_is_privileged(desk: Any, make: Any) -> None:
    boss = make.actor(make.person(Role.ADMINISTRATOR))
    plain, privileged = desk.ask(actor=boss), desk.ask(make.PRIVILEGED, actor=boss)
    access_requests.grant_request(request=plain, actor=desk.asker, now=make.NOW)
    with pytest.raises(OwnRequest):
        access_requests.grant_request(request=privileged, actor=desk.asker, now=make.NOW)
    access_requests.grant_request(request=privileged, actor=desk.other, now=make.NOW)


def test_a_program_asks_and_whoever_issued_its_token_does_not_answer(desk: Any, make: Any) -> None:
    from governance.people.models import ApiToken

    issuer = make.person(Role.ADMINISTRATOR)
    token = ApiToken.objects.create(
        name="runtime", prefix="rt", secret_hash="x" * 64, scopes=["access:request"], created_by=issuer,
        created_at=make.NOW, expires_at=make.NOW + timedelta(days=1),
    )  # fmt: skip
    program = Actor(ActorKind.API_CLIENT, str(token.pk), "API token rt", scopes=frozenset({"access:request"}))
    with pytest.raises(Forbidden):
        desk.ask(actor=program, is_emergency=True, hours=1)
    request = desk.ask(actor=program)
    with pytest.raises(OwnRequest):
        access_requests.grant_request(request=request, actor=make.actor(issuer), now=make.NOW)
    with pytest.raises(Forbidden):
        access_requests.grant_request(request=request, actor=program, now=make.NOW)
    access_requests.grant_request(request=request, actor=desk.other, now=make.NOW)


def test_an_emergency_holds_at_once_is_told_and_is_looked_at_by_somebody_else(desk: Any, make: Any) -> None:
    boss = make.person(Role.ADMINISTRATOR)
    with pytest.raises(InvalidAccessRequest):
        desk.ask(is_emergency=True, hours=2)
    request = desk.ask(is_emergency=True, hours=1)
    assert may(desk, make.NOW)
    assert ReviewMail.objects.filter(kind="access", person=boss).exists()

    with pytest.raises(DomainError):
        access_requests.look_back(request=request, was_justified=True, note="!", actor=desk.other, now=make.NOW)
    access_requests.end_due_access(now=make.NOW + HOUR)
    with pytest.raises(Forbidden):
        access_requests.look_back(request=request, was_justified=True, note="Fine.", actor=desk.asker, now=make.NOW)
    looked = access_requests.look_back(
        request=request, was_justified=False, note="The queue was enough.", actor=desk.other, now=make.NOW + HOUR
    )
    assert looked.was_justified is False
    with pytest.raises(DomainError):
        access_requests.look_back(request=request, was_justified=True, note="No.", actor=make.actor(boss), now=make.NOW)


def test_what_nobody_answers_lapses_and_what_is_over_stays_over(desk: Any, make: Any) -> None:
    request = desk.ask(hours=100)
    late = make.NOW + timedelta(hours=24)
    with pytest.raises(AnsweredTooLate):
        access_requests.grant_request(request=request, actor=desk.other, now=late)
    access_requests.end_due_access(now=late)
    request.refresh_from_db()
    assert request.state == "lapsed"
    for act in (access_requests.grant_request, access_requests.cancel_request):
        who = desk.other if act is access_requests.grant_request else desk.asker
        with pytest.raises(IllegalMove):
            act(request=request, actor=who, now=late)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"hours": 0}, "until"),
        ({"hours": 24 * 31}, "until"),
        ({"reason": "  "}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"permission": {"dialect": "postgresql", "statements": []}}, "permission"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(desk: Any, given: dict[str, Any], field: str) -> None:
    hours = given.pop("hours", 4)
    with pytest.raises(InvalidAccessRequest) as refused:
        desk.ask(hours=hours, **given)
    assert set(refused.value.details["fields"]) == {field}
    assert not AccessRequest.objects.exists()


def test_the_same_access_is_not_asked_for_twice_at_a_time(desk: Any, make: Any) -> None:
    first = desk.ask()
    with pytest.raises(RequestedAlready):
        desk.ask()
    access_requests.deny_request(request=first, reason="Not now.", actor=desk.other, now=make.NOW)
    desk.ask()


def test_whoever_answers_something_that_changed_meanwhile_is_told(desk: Any, make: Any) -> None:
    request = desk.ask()
    access_requests.cancel_request(request=request, actor=desk.asker, now=make.NOW)
    with pytest.raises(DomainError) as refused:
        access_requests.grant_request(request=request, actor=desk.other, now=make.NOW, version=1)
    assert refused.value.code == "stale-request"
