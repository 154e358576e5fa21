"""Scores now, as of a date, and what moved them; the picture comes from counts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef
from django.test.utils import CaptureQueriesContext

from governance.kernel.actors import Role, system_actor
from governance.kernel.permissions import Permission
from governance.kernel.privileges import segments_of
from identities.models import Grant, GrantVersion, Identity, Source, SyncMode
from identities.posture.evaluate import evaluate_changes
from identities.selectors import posture_scores as scores
from identities.selectors.posture_picture import count_by_segment
from tests.identities.posture.conftest import ADMIN, LATER, identity
from tests.identities.sync.conftest import Records

DAY = timedelta(days=1)
EVERYTHING = system_actor("test")


def test_what_changed_between_two_dates_is_told_factor_by_factor(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.grant("orders", "reader", permission=ADMIN)], mode=SyncMode.DELTA)
    evaluate_changes(now=LATER + DAY)
    reader = identity("reader").pk

    moved = scores.difference_between(reader, LATER, LATER + DAY)

    assert moved.first is not None and moved.second is not None
    assert (moved.first.box, moved.second.box) == ("unproven_contained", "unproven_broad")
    by_name = {each.name: each for each in moved.factors}
    assert by_name["privilege"].is_moved
    assert (by_name["privilege"].input_before, "admin" in by_name["privilege"].input_after) == ("read", True)
    assert not by_name["duration"].is_moved
    assert "NHI5-A" in moved.failed_new
    assert scores.difference_between(reader, LATER + DAY, LATER + 2 * DAY).is_empty


def test_an_identity_counts_in_every_segment_that_it_reaches_and_once_in_each(
    judged: Source, send: Callable[..., Any]
) -> None:
    several = {
        "dialect": "aws",
        "statements": [{"actions": ["sqs:SendMessage", "s3:GetObject"], "resources": ["*"]}],
    }
    held = [Records.grant(name, "reader", permission=several) for name in ("several", "again")]
    send(judged, held, mode=SyncMode.DELTA)
    evaluate_changes(now=LATER + DAY)

    segments, _ = count_by_segment(actor=EVERYTHING, total=3)

    boxes = dict(segments)
    reaching = {name: Identity.objects.filter(Exists(reaching_grants(name))).count() for name in boxes}
    assert {name: sum(counted.values()) for name, counted in boxes.items()} == reaching
    assert reaching["storage"] > 0 and reaching["queues"] > 0


def reaching_grants(segment: str) -> Any:
    """Grants, of whoever is asked about, whose content reaches it: told by the kernel itself."""
    reaching = [
        version.grant_id
        for version in GrantVersion.objects.filter(seen_until=None)
        if segment in segments_of(Permission.from_json(version.permission))
    ]
    return Grant.objects.filter(identity=OuterRef("pk"), pk__in=reaching, retired_at=None)


def test_before_it_was_judged_there_is_no_score(judged: Source) -> None:
    reader = identity("reader").pk

    assert scores.posture_as_of([reader], LATER - DAY) == {}
    assert scores.posture_as_of([reader], LATER)[reader].box == "unproven_contained"
    assert scores.difference_between(reader, LATER - DAY, LATER).first is None
    assert [version.seen_until for version in scores.list_versions_of(reader)] == [None]


def test_the_picture_and_its_movement_come_from_counts(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.grant("orders", "reader", permission=ADMIN)], mode=SyncMode.DELTA)
    evaluate_changes(now=LATER + DAY)

    with CaptureQueriesContext(connection) as asked:
        movement = scores.movement_since(LATER, actor=EVERYTHING)
    assert len(asked) == 2
    assert all("identities_identityposture" not in each["sql"] for each in asked)
    assert movement.now.boxes["unproven_broad"] == 2 and movement.of("unproven_broad") == 1
    assert movement.now.share_of("unproven_broad") == 2 / 3
    assert scores.movement_since(LATER - DAY, actor=EVERYTHING).of("unproven_broad") is None
    assert [day.boxes["unproven_broad"] for day in scores.list_days(since=LATER.date(), actor=EVERYTHING)] == [1, 2]


def test_who_sees_few_identities_gets_their_picture_counted(
    judged: Source, make_user: Callable[..., Any], actor_of: Callable[..., Any]
) -> None:
    olga = make_user(Role.OWNER)
    Identity.objects.filter(external_id="admin").update(owner=olga)

    seen = scores.picture(actor=actor_of(olga))

    assert (seen.identities, seen.boxes["unproven_broad"]) == (1, 1)
    assert scores.picture(actor=EVERYTHING).identities == 3
    assert scores.list_by_box(box="unproven_broad", actor=actor_of(olga)).count() == 1


def test_who_moved_is_listed_with_the_box_before(judged: Source, send: Callable[..., Any]) -> None:
    send(judged, [Records.grant("orders", "reader", permission=ADMIN)], mode=SyncMode.DELTA)
    evaluate_changes(now=LATER + DAY)

    (moved,) = scores.list_moved(since=LATER, actor=EVERYTHING)

    assert (moved.identity.external_id, moved.box_before, moved.box) == (
        *("reader", "unproven_contained", "unproven_broad"),
    )
