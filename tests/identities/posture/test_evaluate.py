"""The engine judges what changed and nothing else, and whoever is stopped in the middle has written nothing half."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from governance.people.models import Team, User
from identities.models import (
    Finding,
    Identity,
    IdentityPosture,
    PostureCursor,
    PostureMark,
    PostureMeasure,
    PosturePolicy,
    PostureVersion,
    Source,
    SyncMode,
)
from identities.posture import evaluate as engine
from identities.posture.evaluate import Evaluated, evaluate, evaluate_all, evaluate_changes
from identities.posture.policy import first_document
from identities.services.identities import edit_identity
from tests.identities.posture.conftest import ADMIN, LATER, estate, identity, posture
from tests.identities.sync.conftest import NOW, Records

DAY = timedelta(days=1)


def test_the_first_look_judges_everybody_and_the_second_nobody(judged: Source) -> None:
    assert IdentityPosture.objects.count() == PostureVersion.objects.count() == 3
    assert posture("admin").box == "unproven_broad"
    # 30 + 15 (an account) + 15 + 12 to 15 (data not labelled) + 0 to 10 (no log) + 5 + 5
    assert (posture("admin").exposure_low, posture("admin").exposure_high) == (82, 95)
    assert posture("idle").worst_case == 0

    assert evaluate_changes(now=LATER + timedelta(minutes=1)) == Evaluated()


def test_a_finding_opens_for_what_fails(judged: Source) -> None:
    failed = Finding.objects.filter(rule="NHI5-A", identity__external_id="admin")

    assert failed.exists()
    assert "NHI5-A" in posture("admin").failed


def test_only_what_a_reading_changed_is_judged_again(judged: Source, send: Callable[..., Any]) -> None:
    before = posture("admin").assessed_at
    send(judged, [Records.grant("orders", "reader", permission=ADMIN)], mode=SyncMode.DELTA)

    assert evaluate_changes(now=LATER + DAY / 24) == Evaluated(looked_at=1, judged=1)
    assert posture("reader").box == "unproven_broad"
    assert posture("admin").assessed_at == before
    assert list(PostureVersion.objects.filter(identity=identity("reader")).values_list("seen_until", flat=True)) != [
        None
    ]


def test_who_handed_a_grant_on_is_judged_too(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.grant("all", "reader", permission=ADMIN)], mode=SyncMode.DELTA)

    assert evaluate_changes(now=LATER + DAY / 24).judged == 2
    assert posture("admin").worst_case == 0


def test_the_same_reading_again_costs_nothing(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, estate())

    assert evaluate_changes(now=LATER + DAY / 24) == Evaluated()


def test_what_people_say_is_looked_at(judged: Source, admin_actor: Any, make_user: Callable[..., User]) -> None:
    thing = identity("reader")
    assert "NHI1-B" in posture("reader").failed

    edit_identity(identity=thing, version=1, changes={"owner": make_user(name="Olga")}, actor=admin_actor, now=LATER)

    assert evaluate_changes(now=LATER).judged == 1
    assert "NHI1-B" not in posture("reader").failed


def test_an_owner_who_leaves_and_comes_back_is_noticed(judged: Source, make_user: Callable[..., User]) -> None:
    olga = make_user(name="Olga")
    Identity.objects.filter(external_id="reader").update(owner=olga)
    evaluate([identity("reader").pk], now=LATER)

    User.objects.filter(pk=olga.pk).update(left_at=LATER, left_recorded_at=LATER, is_active=False)
    evaluate_changes(now=LATER)
    assert "NHI1-A" in posture("reader").failed

    User.objects.filter(pk=olga.pk).update(left_at=None, left_recorded_at=None, is_active=True)
    evaluate_changes(now=LATER)
    assert "NHI1-A" not in posture("reader").failed


def test_a_team_that_loses_its_last_member_is_noticed(judged: Source, make_user: Callable[..., User]) -> None:
    olga = make_user(name="Olga")
    team = Team.objects.create(name="Ledger")
    team.members.add(olga)
    Identity.objects.filter(external_id="reader").update(team=team)
    evaluate([identity("reader").pk], now=LATER)
    evaluate_changes(now=LATER)

    User.objects.filter(pk=olga.pk).update(left_at=LATER, left_recorded_at=LATER, is_active=False)

    assert evaluate_changes(now=LATER).judged == 1


def test_time_alone_is_enough(judged: Source) -> None:
    assert "stale" not in posture("admin").not_assessable.get("NHI5-A", [])
    due = posture("admin").due_at
    assert due is not None

    assert evaluate([identity("admin").pk], now=due - timedelta(seconds=1)).judged == 0
    assert evaluate([identity("admin").pk], now=due).judged == 1


def test_a_source_that_grows_stale_has_all_of_its_identities_judged(judged: Source) -> None:
    assert evaluate_changes(now=NOW + 2 * DAY).judged == 3
    assert Finding.objects.filter(rule="POP-2", object_id=judged.pk).exists()


def test_a_new_policy_has_everybody_judged_by_it(judged: Source) -> None:
    document = first_document()
    document["weights"] |= {"privilege": 40, "breadth": 10}
    PosturePolicy.objects.create(number=2, document=document, created_at=LATER)

    assert evaluate_changes(now=LATER).judged == 3
    assert set(IdentityPosture.objects.values_list("policy_id", flat=True)) == {2}
    assert not PostureCursor.objects.get().is_passing


def test_a_pass_that_was_cut_off_goes_on_where_it_stopped(judged: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CHUNK", 1)
    wanted, judge = [], engine.judge

    def fail_at_the_second(facts: Any, *args: Any, **more: Any) -> Any:
        wanted.append(facts.id)
        if len(wanted) == 2:
            raise KeyboardInterrupt
        return judge(facts, *args, **more)

    PosturePolicy.objects.create(number=2, document=first_document(), created_at=LATER)
    monkeypatch.setattr(engine, "judge", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        evaluate_changes(now=LATER)
    assert IdentityPosture.objects.filter(policy=2).count() == 1

    assert evaluate_changes(now=LATER).judged == 2
    assert len(wanted) == 4  # the one in the middle twice
    assert IdentityPosture.objects.filter(policy=2).count() == 3


def test_marks_stay_until_what_they_mark_is_judged(
    judged: Source, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(judged, [Records.grant("orders", "reader", permission=ADMIN)], mode=SyncMode.DELTA)
    judge = engine.judge

    def killed(*args: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "judge", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate_changes(now=LATER)
    assert PostureMark.objects.count() == 1
    assert posture("reader").box != "unproven_broad"

    monkeypatch.setattr(engine, "judge", judge)
    assert evaluate_changes(now=LATER).judged == 1
    assert not PostureMark.objects.exists()


def test_who_is_gone_has_no_posture_but_a_history(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.retire("identity", "admin")], mode=SyncMode.DELTA)

    assert evaluate_changes(now=LATER).gone == 1
    assert not IdentityPosture.objects.filter(identity__external_id="admin").exists()
    assert PostureVersion.objects.get(identity__external_id="admin").seen_until is not None
    assert not Finding.objects.exclude(state="fixed").filter(identity__external_id="admin").exists()


def test_the_counts_of_the_picture_move_with_what_is_written(judged: Source, send: Callable[..., Any]) -> None:
    counts = PostureMeasure.objects.get()
    assert (counts.identities, counts.unproven_broad, counts.unproven_contained) == (3, 1, 2)

    send(judged, [Records.retire("identity", "admin")], mode=SyncMode.DELTA)
    evaluate_changes(now=LATER + DAY)

    then, today = PostureMeasure.objects.order_by("day")
    assert (then.identities, then.unproven_broad) == (3, 1)
    assert (today.identities, today.unproven_broad, today.unproven_contained) == (2, 0, 2)


def test_evaluating_everything_twice_writes_once(judged: Source) -> None:
    before = dict(IdentityPosture.objects.values_list("pk", "assessed_at"))

    assert evaluate_all(now=LATER + timedelta(minutes=5)) == Evaluated(looked_at=3)
    assert dict(IdentityPosture.objects.values_list("pk", "assessed_at")) == before


def test_new_use_after_silence_is_looked_at(judged: Source, send: Callable[..., Any]) -> None:
    log = Records.window()
    send(judged, [Records.usage("admin"), log], mode=SyncMode.DELTA)

    evaluate_changes(now=LATER)

    found = posture("admin")
    assert found.has_excess is True
    assert next(each for each in found.factors if each["name"] == "unused")["input"].endswith("unused")


def test_the_window_of_one_identity_that_only_goes_on_marks_nobody(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.window(identity="reader")], mode=SyncMode.DELTA)
    evaluate_changes(now=LATER)

    send(judged, [Records.window(identity="reader", until="2026-11-23T01:00:00Z")], mode=SyncMode.DELTA)
    assert evaluate_changes(now=LATER) == Evaluated()
