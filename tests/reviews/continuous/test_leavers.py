"""When the accountable person is gone, somebody else is asked what shall become of the access."""

from governance.kernel.actors import Role
from governance.people.accounts import mark_left
from reviews.models import Trigger, WatchHit
from tests.reviews import conftest as make


def leave(estate, person):
    boss = make.actor(make.make_person(Role.ADMINISTRATOR))
    mark_left(user_id=person.pk, left_at=estate.now, actor=boss, now=estate.now)
    estate.later(minutes=1)


def test_all_access_of_a_leavers_identities_goes_into_one_review_for_whoever_comes_next(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect(estate.grant("second"), estate.identity("other"), estate.grant("third", identity="other"))
    leave(estate, estate.owner)

    [campaign] = estate.tick()

    items = estate.inbox(estate.fallback)
    assert {item.grant.external_id for item in items} == {"reads", "second", "third"}
    assert {item.campaign for item in items} == {campaign}
    facts = items[0].seen["trigger"]["facts"]
    assert (facts["owner"], facts["said_by"]) == (str(estate.owner.pk), "people")
    assert "Olga" not in str(items[0].seen)


def test_a_leaving_is_noticed_once(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect()
    leave(estate, estate.owner)
    estate.tick()
    assert (estate.tick(), WatchHit.objects.count()) == ([], 1)


def test_the_next_owner_leaving_is_another_leaving(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect()
    leave(estate, estate.owner)
    estate.tick()
    estate.answer(estate.inbox(estate.fallback)[0])
    second = make.make_person(Role.OWNER)
    identity = estate.get_identity()
    identity.owner = second
    identity.save()
    assert estate.tick() == []
    leave(estate, second)
    assert len(estate.tick()) == 1


def test_an_identity_that_has_another_owner_by_then_is_not_asked_about(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect()
    leave(estate, estate.owner)
    from reviews import continuous

    continuous.watch(now=estate.now)
    identity = estate.get_identity()
    identity.owner = make.make_person(Role.OWNER)
    identity.save()
    assert estate.tick() == []
    assert WatchHit.objects.get().outcome == "moot"


def test_a_source_that_no_longer_names_the_owner_says_so_too(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect()
    estate.sync(estate.identity(owner=""))
    estate.tick()
    [item] = estate.inbox()
    assert item.seen["trigger"]["facts"] == {"owner": str(estate.owner.pk), "said_by": "source"}


def test_a_source_that_names_somebody_else_than_remit_does_says_nothing_new(estate):
    estate.watch(Trigger.OWNER_LEFT)
    estate.connect()
    estate.sync(estate.identity("other", owner="x@example.org"), estate.grant("third", identity="other"))
    estate.sync(estate.identity("other", owner="y@example.org"))
    assert estate.tick() == []
