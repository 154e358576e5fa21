"""Reading by connector: whole or not at all, later again after a failure, once however often it is queued."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from governance import dispatch
from governance.audit.models import AuditEvent
from identities.connectors.contract import Description, ReadIncomplete, SourceUnreachable
from identities.models import Identity, Source, SyncRun, SyncState
from identities.services.sources import NotReadable
from identities.sync import read
from identities.sync.progress import Cancelled
from identities.sync.read import queue_due_sources, read_source
from identities.tasks import preview_source

pytestmark = pytest.mark.django_db


class Desk:
    """A connector whose answers the test writes."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.secrets: Any = None

    def describe(self) -> Description:
        return Description("postgresql", "A desk", {"last_used": False}, ("last use",))

    def read(self) -> Iterator[Any]:
        for record in self.records:
            if isinstance(record, Exception):
                raise record
            yield record


@pytest.fixture
def source(make_source: Any, now: Any) -> Source:
    return make_source(kind="postgresql", next_read_at=now, read_every_seconds=300, max_retire_percent=20)


@pytest.fixture
def desk(monkeypatch: Any) -> Callable[..., Desk]:
    def sit(*records: Any) -> Desk:
        desk = Desk(list(records))

        def connect(kind: str, settings: Any, secrets: Any) -> Desk:
            desk.secrets = secrets
            return desk

        monkeypatch.setattr(read, "connector_for", connect)
        return desk

    return sit


def ended(*records: Any) -> list[Any]:
    return [*records, {"type": "end", "records": len(records)}]


def test_what_the_connector_says_becomes_the_inventory(
    source: Source, desk: Any, records: Any, actor: Any, now: Any
) -> None:
    desk(*ended(records.identity("etl")))

    run = read_source(source_id=source.pk, actor=actor, now=now)

    assert (run.state, run.origin, run.is_complete) == (SyncState.APPLIED, "connector", True)
    assert Identity.objects.get().external_id == "etl"
    source.refresh_from_db()
    assert (source.coverage, source.not_observable) == ({"last_used": False}, ["last use"])
    assert source.next_read_at == now + timedelta(minutes=5) and source.last_success_at == now


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SourceUnreachable("The server did not answer."), "source-unreachable"),
        (ReadIncomplete("One database refused the connector."), "read-incomplete"),
        (KeyError("a bug; password=hunter2"), "connector-failed"),
    ],
)
def test_a_reading_that_stops_in_the_middle_retires_nothing(
    failure: Exception, code: str, source: Source, desk: Any, records: Any, actor: Any, now: Any
) -> None:
    desk(*ended(*(records.identity(f"i{n}") for n in range(10))))
    read_source(source_id=source.pk, actor=actor, now=now)
    desk(records.identity("i0"), failure)

    run = read_source(source_id=source.pk, actor=actor, now=now + timedelta(minutes=5))

    assert (run.state, run.problem["code"]) == (SyncState.FAILED, code)
    assert "hunter2" not in str(run.problem)
    assert Identity.objects.filter(retired_at=None).count() == 10
    assert AuditEvent.objects.filter(verb="sync.failed").count() == 1
    source.refresh_from_db()
    assert source.last_error == run.problem["detail"] and source.last_success_at == now


def test_a_reading_without_its_end_is_refused(source: Source, desk: Any, records: Any, actor: Any, now: Any) -> None:
    desk(records.identity("etl"))

    run = read_source(source_id=source.pk, actor=actor, now=now)

    assert run.state == SyncState.REJECTED and not Identity.objects.exists()


def test_the_pause_doubles_with_every_failure_up_to_an_hour(
    source: Source, desk: Any, records: Any, actor: Any, now: Any
) -> None:
    desk(SourceUnreachable("No answer."))
    pauses = []
    for failure in range(6):
        moment = now + timedelta(hours=failure)
        read_source(source_id=source.pk, actor=actor, now=moment)
        source.refresh_from_db()
        pauses.append((source.next_read_at - moment).total_seconds() / 60)
    assert pauses == [5, 10, 20, 40, 60, 60]

    desk(*ended(records.identity("etl")))
    read_source(source_id=source.pk, actor=actor, now=now + timedelta(hours=7))
    source.refresh_from_db()
    assert source.next_read_at == now + timedelta(hours=7, minutes=5) and source.last_error == ""


def test_a_held_reading_pauses_the_schedule(source: Source, desk: Any, records: Any, actor: Any, now: Any) -> None:
    desk(*ended(*(records.identity(f"i{n}") for n in range(10))))
    read_source(source_id=source.pk, actor=actor, now=now)
    desk(*ended(records.identity("i0")))

    run = read_source(source_id=source.pk, actor=actor, now=now + timedelta(minutes=5))

    source.refresh_from_db()
    assert run.state == SyncState.HELD and source.next_read_at is None


def test_a_missing_secret_ends_the_run_with_its_name(
    source: Source, desk: Any, records: Any, actor: Any, now: Any
) -> None:
    Source.objects.update(settings={"password": "env:NOBODY_SET_THIS"})

    run = read_source(source_id=source.pk, actor=actor, now=now)

    assert run.problem["code"] == "secret-missing" and "NOBODY_SET_THIS" in run.problem["detail"]


def test_secrets_reach_the_connector_and_nothing_else(
    source: Source, desk: Any, records: Any, actor: Any, now: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("LEDGER_PASSWORD", "hunter2")
    (tmp_path / "key").write_text("hunter3\n")
    Source.objects.update(settings={"password": "env:LEDGER_PASSWORD", "key": f"file:{tmp_path / 'key'}", "host": "db"})
    at = desk(*ended(records.identity("etl")))

    run = read_source(source_id=source.pk, actor=actor, now=now)

    assert at.secrets == {"password": "hunter2", "key": "hunter3"}
    said = str([*SyncRun.objects.values(), *Source.objects.values(), *AuditEvent.objects.values()])
    assert run.state == SyncState.APPLIED and "hunter" not in said


def test_a_due_source_is_queued_once(source: Source, make_source: Any, now: Any, monkeypatch: Any) -> None:
    make_source("off", kind="postgresql", next_read_at=now, is_enabled=False)
    make_source("later", kind="postgresql", next_read_at=now + timedelta(seconds=1))
    make_source("pushes", next_read_at=now)
    queued: list[Any] = []
    monkeypatch.setattr(dispatch, "after_commit", lambda name, **arguments: queued.append((name, arguments)))

    assert (queue_due_sources(now=now), queue_due_sources(now=now)) == (1, 0)
    assert queued == [("identities.read_source", {"source_id": str(source.pk)})]


def test_a_pushing_source_cannot_be_read(make_source: Any, actor: Any, now: Any) -> None:
    with pytest.raises(NotReadable):
        read_source(source_id=make_source().pk, actor=actor, now=now)
    assert not SyncRun.objects.exists()


def test_the_command_says_what_changed_or_why_not(source: Source, desk: Any, records: Any) -> None:
    desk(*ended(records.identity("etl"), records.grant("g", "etl")))
    out = StringIO()
    call_command("sync", source.slug, stdout=out)
    assert Identity.objects.count() == 1
    assert "identity: 1 added" in out.getvalue() and "+ grant g" in out.getvalue()

    desk(SourceUnreachable("The server did not answer."))
    with pytest.raises(CommandError, match="did not answer") as failed:
        call_command("sync", source.slug)
    assert failed.value.returncode == 1
    with pytest.raises(CommandError, match="no such source"):
        call_command("sync", "nowhere")


def test_a_held_reading_names_who_would_lose_what_and_has_its_own_code(source: Source, desk: Any, records: Any) -> None:
    desk(*ended(*(records.identity(f"i{n}") for n in range(10)), records.grant("g", "i9")))
    call_command("sync", source.slug, stdout=StringIO())
    desk(*ended(*(records.identity(f"i{n}") for n in range(5))))
    out = StringIO()

    with pytest.raises(CommandError, match="waits for a person") as held:
        call_command("sync", source.slug, stdout=out)

    assert held.value.returncode == 3
    assert "i9: 1 of 1 grants; would be gone itself" in out.getvalue()


def test_a_dry_run_says_what_would_change_and_leaves_everything_alone(
    source: Source, desk: Any, records: Any, actor: Any, now: Any, checksums: Any
) -> None:
    desk(*ended(records.identity("etl"), records.grant("g", "etl")))
    read_source(source_id=source.pk, actor=actor, now=now)
    before, stored = checksums(), Source.objects.values().get()
    desk(*ended(records.identity("etl", name="ETL"), records.identity("new")))
    out = StringIO()

    with pytest.raises(CommandError, match="would retire"):
        call_command("sync", source.slug, dry_run=True, stdout=out)

    assert "etl: 1 of 1 grants" in out.getvalue()
    assert "- grant" in out.getvalue() and "+ name: ETL" in out.getvalue() and "+ identity new" in out.getvalue()
    assert checksums() == before and Source.objects.values().get() == stored
    run = SyncRun.objects.latest("started_at")
    assert run.state == SyncState.DRY_RUN and len(run.preview["changes"]) == 3


def test_a_dry_run_of_a_source_that_does_not_answer_is_no_failure_of_the_source(
    source: Source, desk: Any, actor: Any, now: Any
) -> None:
    desk(SourceUnreachable("No answer."))
    stored = Source.objects.values().get()

    run = read_source(source_id=source.pk, actor=actor, now=now, dry_run=True)

    assert (run.state, run.problem["code"]) == (SyncState.DRY_RUN, "source-unreachable")
    assert Source.objects.values().get() == stored and not AuditEvent.objects.exists()


def test_a_reading_tells_how_far_it_is_while_the_source_is_asked(
    source: Source, desk: Any, records: Any, actor: Any, now: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("identities.sync.progress.EVERY_SECONDS", 0.0)
    told: list[Any] = []
    desk(*ended(records.identity("a"), records.identity("b")))

    read_source(
        source_id=source.pk, actor=actor, now=now, tell=lambda said: told.append((said["phase"], said["records"]))
    )

    assert told[:3] == [("asking", 1), ("asking", 2), ("asking", 3)] and ("writing", 0) in told


def test_a_reading_that_is_cancelled_while_the_source_is_asked_is_no_failure(
    source: Source, desk: Any, records: Any, actor: Any, now: Any
) -> None:
    desk(records.identity("a"), Cancelled("Somebody cancelled this run."))

    run = read_source(source_id=source.pk, actor=actor, now=now)

    assert run.state == SyncState.CANCELLED and not Identity.objects.exists()


def test_a_promised_run_is_carried_out_once(source: Source, desk: Any, records: Any) -> None:
    desk(*ended(records.identity("a")))
    promised = str(uuid4())

    preview_source(source_id=str(source.pk), run_id=promised)
    preview_source(source_id=str(source.pk), run_id=promised)

    run = SyncRun.objects.get()
    assert (str(run.pk), run.state) == (promised, SyncState.DRY_RUN) and not Identity.objects.exists()
