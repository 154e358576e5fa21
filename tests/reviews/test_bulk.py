import pytest

from governance.audit.models import AuditEvent
from reviews.decisions import AnswerNotPossible, TooManyItems, decide, decide_many
from reviews.models import Decision, Order, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(make):
    owner = make.person()
    grants = [make.grant(make.identity(owner=owner)) for _ in range(3)]
    campaign = make.campaign()
    return owner, [make.get_item(campaign, grant) for grant in grants]


def test_every_row_gets_its_own_answer_and_its_own_record(make, three):
    owner, items = three
    stranger = make.item()
    decide(item=items[1], version=1, answer="approve", actor=make.actor(owner), now=make.NOW)
    make.change_grant(items[2].grant, make.NARROWER)
    wanted = [*(item.pk for item in items), stranger.pk]

    results = decide_many(item_ids=wanted, answer="revoke", actor=make.actor(owner), now=make.NOW)

    assert [(result.item_id, result.ok) for result in results] == list(
        zip(wanted, [True, False, False, False], strict=True)
    )
    assert [result.code for result in results] == ["", "stale-item", "access-changed", "not-assigned"]
    assert all(result.problem for result in results[1:])
    assert AuditEvent.objects.filter(verb="item.decided").count() == 2
    assert Order.objects.count() == 1
    assert Decision.objects.get(answer="revoke").is_bulk


def test_a_row_that_changed_since_it_was_seen_is_left_alone(make, three):
    owner, items = three
    seen = {item.pk: item.version for item in items} | {items[0].pk: 0}
    results = decide_many(item_ids=list(seen), answer="approve", actor=make.actor(owner), now=make.NOW, versions=seen)
    assert [result.ok for result in results] == [False, True, True]


def test_an_item_that_does_not_exist_looks_like_one_of_somebody_else(make, three):
    owner, _ = three
    other = make.item()
    missing = ReviewItem().pk
    results = decide_many(item_ids=[other.pk, missing], answer="approve", actor=make.actor(owner), now=make.NOW)
    assert results[0].problem == results[1].problem


def test_a_repeated_row_is_answered_once(make, three):
    owner, items = three
    results = decide_many(item_ids=[items[0].pk] * 2, answer="approve", actor=make.actor(owner), now=make.NOW)
    assert len(results) == 1


def test_too_many_rows_and_answers_with_a_date_are_refused_as_a_whole(make, three):
    owner, items = three
    with pytest.raises(TooManyItems):
        decide_many(
            item_ids=[ReviewItem().pk for _ in range(501)], answer="approve", actor=make.actor(owner), now=make.NOW
        )
    with pytest.raises(AnswerNotPossible):
        decide_many(item_ids=[items[0].pk], answer="approve_until", actor=make.actor(owner), now=make.NOW)


def test_scoping_down_in_bulk_gives_each_row_its_own_recommended_target(make):
    owner = make.person()
    grants = [make.grant(make.identity(owner=owner)) for _ in range(3)]
    for grant, action in zip(grants, ["SELECT", "INSERT", "SELECT"], strict=True):
        make.window(grant.source)
        make.use(grant.identity, action, "table:ledger/public/payments")
    make.use(grants[2].identity, "INSERT", "table:ledger/public/payments")
    make.use(grants[2].identity, "SELECT", "table:ledger/public/refunds")
    make.use(grants[2].identity, "INSERT", "table:ledger/public/refunds")
    campaign = make.campaign()
    items = [make.get_item(campaign, grant) for grant in grants]

    results = decide_many(
        item_ids=[item.pk for item in items], answer="scope_down", actor=make.actor(owner), now=make.NOW
    )

    assert [result.code for result in results] == ["", "", "nothing-recommended"]
    kept = [Decision.objects.get(item=item) for item in items[:2]]
    assert [decision.target["statements"][0]["actions"] for decision in kept] == [["SELECT"], ["INSERT"]]
    assert all(decision.proof["holds"] and decision.is_bulk for decision in kept)
    assert Order.objects.filter(action="narrow").count() == 2
