"""A run that would retire too much waits for a person."""

from typing import Any

import pytest

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from identities.models import Grant, Identity, Source, SyncMode, SyncState
from identities.sync import preview
from identities.sync.guard import Loss, exceeds
from identities.sync.held import NotHeld, accept_held, reject_held

pytestmark = pytest.mark.django_db
PERSON = "7f1f4a52-6f0e-4b0d-9b1c-0d8a3f7f0001"
ADMINISTRATOR = Actor(kind=ActorKind.PERSON, id=PERSON, label="x", roles=frozenset({Role.ADMINISTRATOR}))
AUDITOR = Actor(kind=ActorKind.PERSON, id=PERSON, label="x", roles=frozenset({Role.AUDITOR}))


@pytest.fixture
def source(make_source: Any, send: Any, records: Any) -> Source:
    """Ten identities with a grant each; at most a fifth may go."""
    source = make_source(max_retire_percent=20)
    send(
        source, [*(records.identity(f"i{n}") for n in range(10)), *(records.grant(f"g{n}", f"i{n}") for n in range(10))]
    )
    return source


@pytest.fixture
def held(source: Source, send: Any, records: Any) -> Any:
    return send(
        source,
        [*(records.identity(f"i{n}") for n in range(5)), records.grant("g0", "i0", valid_until="2027-01-01T00:00:00Z")],
    )


@pytest.mark.parametrize(("retired", "current", "percent", "is_held"), [
    (2, 10, 20, False), (3, 10, 20, True), (1, 4, 20, True), (0, 0, 0, False), (1, 1000, 0, True), (10, 10, 100, False),
])  # fmt: skip
def test_the_limit_itself_is_still_allowed(retired: int, current: int, percent: int, is_held: bool) -> None:
    assert exceeds(Loss("grant", retired, current), max_percent=percent) is is_held


def test_a_fifth_may_go(source: Source, send: Any, records: Any) -> None:
    run = send(
        source, [*(records.identity(f"i{n}") for n in range(8)), *(records.grant(f"g{n}", f"i{n}") for n in range(8))]
    )

    assert run.state == SyncState.APPLIED
    assert run.counts["identity"]["retired"] == 2


def test_a_held_run_changes_nothing_and_says_why(source: Source, held: Any) -> None:
    assert held.state == SyncState.HELD
    assert "5 of 10 identities (50 %)" in held.problem["detail"] and "9 of 10 grants (90 %)" in held.problem["detail"]
    assert held.counts["identity"]["retired"] == 5
    assert Identity.objects.filter(retired_at=None).count() == 10
    assert AuditEvent.objects.filter(verb="sync.held").count() == 1


def test_looking_again_at_what_would_change_costs_nothing_until_the_source_changed(
    source: Source, held: Any, now: Any, monkeypatch: Any
) -> None:
    stagings: list[Any] = []
    stage = preview.receive.stage
    monkeypatch.setattr(preview.receive, "stage", lambda *given: stagings.append(given) or stage(*given))

    first, second = (preview.preview_held(run=held, now=now, limit=5) for _ in range(2))

    assert (first.counts, len(stagings)) == (second.counts, 1)
    assert [change.created_at for change in second.changes] == [now] * len(second.changes)
    preview.preview_held(run=held, now=now, limit=5, kind="grant")
    Source.objects.filter(pk=source.pk).update(version=source.version + 1)
    preview.preview_held(run=held, now=now, limit=5)
    assert len(stagings) == 3
    reject_held(run=held, actor=ADMINISTRATOR, now=now, reason="No.")
    with pytest.raises(NotHeld):
        preview.preview_held(run=held, now=now, limit=5)


def test_a_delta_is_guarded_too(source: Source, send: Any, records: Any) -> None:
    run = send(source, [records.retire("grant", f"g{n}") for n in range(3)], mode=SyncMode.DELTA, end=False)

    assert run.state == SyncState.HELD


def test_an_accepted_run_is_applied_as_it_was_sent(source: Source, held: Any, now: Any) -> None:
    run = accept_held(run=held, actor=ADMINISTRATOR, now=now)

    assert run.pk == held.pk and run.state == SyncState.APPLIED and run.held_payload is None
    assert Identity.objects.filter(retired_at=None).count() == 5
    grant = Grant.objects.get(retired_at=None)
    assert grant.versions.get(seen_until=None).valid_until.year == 2027
    assert list(AuditEvent.objects.order_by("occurred_at").values_list("verb", flat=True)).count("sync.accepted") == 1


def test_a_rejected_run_leaves_everything_as_it_was(source: Source, held: Any, now: Any) -> None:
    run = reject_held(run=held, reason="the export was cut short", actor=ADMINISTRATOR, now=now)

    assert run.state == SyncState.REJECTED and run.held_payload is None
    assert Identity.objects.filter(retired_at=None).count() == 10
    assert AuditEvent.objects.filter(verb="sync.rejected").count() == 1


@pytest.mark.parametrize(
    "actor", [AUDITOR, Actor(kind=ActorKind.API_CLIENT, id="t", label="t", scopes=frozenset({"sync:write"}))]
)
def test_only_an_administrator_decides(actor: Actor, held: Any, now: Any) -> None:
    with pytest.raises(Forbidden):
        accept_held(run=held, actor=actor, now=now)
    with pytest.raises(Forbidden):
        reject_held(run=held, reason="", actor=actor, now=now)


def test_a_decided_run_cannot_be_decided_again(held: Any, now: Any) -> None:
    accept_held(run=held, actor=ADMINISTRATOR, now=now)

    with pytest.raises(NotHeld):
        accept_held(run=held, actor=ADMINISTRATOR, now=now)
    with pytest.raises(NotHeld):
        reject_held(run=held, reason="", actor=ADMINISTRATOR, now=now)


def test_a_newer_reading_takes_the_place_of_a_held_one(
    source: Source, held: Any, send: Any, records: Any, now: Any
) -> None:
    send(source, [records.identity("i0")], is_complete=False)

    with pytest.raises(NotHeld):
        accept_held(run=held, actor=ADMINISTRATOR, now=now)
    held.refresh_from_db()
    assert (held.state, held.problem["code"], held.held_payload) == (SyncState.REJECTED, "superseded", None)


def test_a_dry_run_tells_that_it_would_be_held(source: Source, send: Any, records: Any) -> None:
    run = send(source, [records.identity("i0")], dry_run=True)

    assert run.state == SyncState.DRY_RUN and run.problem["code"] == "too-many-retired"
