"""Files of other formats: recognised, brought into records, and refused with a clear answer where they must be."""

import gzip
import io
import json
import random
import resource
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from django.core.management import CommandError, call_command

from governance.audit.models import AuditEvent
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from identities.connectors import registry
from identities.connectors.csv_rows import CsvRows
from identities.connectors.files import FileRefused, Holds, Notes
from identities.models import Grant, Identity, Source, SyncRun, SyncState, Usage
from identities.sync.importing import Import, format_of, import_file
from identities.sync.lines import UnreadableBody
from identities.sync.receive import SyncRefused
from identities.sync.taking_in import NotKept, TakenInBefore, take_in

pytestmark = pytest.mark.django_db

CSV = (
    "identity,kind,dialect,actions,resources\n"
    "etl,bot,aws,sqs:ReceiveMessage,arn:aws:sqs:*:*:orders\n"
    "report,bot,aws,s3:GetObject,*\n"
)


LONG = (CSV + "".join(f"bot-{random.random()},bot,aws,s3:*,*\n" for _ in range(5_000))).encode()


class Gate:
    """A format of this test's own: `GATE <holds>` and one word of JSON per line."""

    title = "Gate log"
    kind = "postgresql"

    def __init__(self, name: str, holds: Holds) -> None:
        self.name, self.holds = name, holds

    def recognises(self, head: bytes) -> bool:
        return head.startswith(b"GATE " + self.holds.encode())

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Any]:
        count = 0
        file.readline()
        for line, data in enumerate(file, start=2):
            record = json.loads(data)
            if record.pop("password", None):
                notes.count("secrets dropped")
                notes.say("Passwords are never taken over.")
            notes.line = line
            count += 1
            yield record
        yield {"type": "end", "records": count}


FORMATS = (CsvRows(), Gate("gate", Holds.INVENTORY), Gate("gate-part", Holds.PART), Gate("gate-log", Holds.USAGE))


@pytest.fixture(autouse=True)
def gates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FORMATS", FORMATS)


@pytest.fixture
def source(make_source: Any) -> Source:
    return make_source(max_retire_percent=20)


@pytest.fixture
def take(actor: Actor, now: Any) -> Any:
    """`take(source, data, **wish)`: one minute after the one before."""
    clock = {"now": now}

    def go(source: Source, data: str | bytes, *, by: Actor = actor, **wish: Any) -> SyncRun:
        clock["now"] += timedelta(minutes=1)
        body = data.encode() if isinstance(data, str) else data
        return import_file(source=source, file=BytesIO(body), wish=Import(**wish), actor=by, now=clock["now"])

    return go


def gate(holds: str, *records: dict[str, Any]) -> str:
    return f"GATE {holds}\n" + "\n".join(json.dumps(each) for each in records)


def people() -> set[str]:
    return set(Identity.objects.filter(retired_at=None).values_list("external_id", flat=True))


@pytest.mark.parametrize("is_packed", [False, True])
def test_an_inventory_goes_in_as_a_complete_snapshot(is_packed: bool, source: Source, take: Any) -> None:
    run = take(source, gzip.compress(CSV.encode()) if is_packed else CSV)

    assert (run.state, run.is_complete, run.origin) == (SyncState.APPLIED, True, "file"), run.problem
    assert people() == {"etl", "report"} and Grant.objects.count() == 2
    assert run.notes == {"format": "csv", "counts": {}, "sentences": []}


def test_what_a_later_export_lacks_is_held_when_it_is_much(source: Source, take: Any) -> None:
    take(source, CSV)

    run = take(source, "\n".join(CSV.splitlines()[:2]))

    assert (run.state, run.problem["code"]) == (SyncState.HELD, "too-many-retired")
    assert people() == {"etl", "report"}


@pytest.mark.parametrize("wish", [{"is_part": True}, {"format": "gate-part"}])
def test_a_part_of_an_inventory_retires_nothing(wish: Any, source: Source, take: Any, records: Any) -> None:
    Source.objects.update(max_retire_percent=100)
    take(source, CSV)

    run = take(source, gate("inventory", records.identity("new")), **wish)

    assert run.state == SyncState.APPLIED and not run.is_complete
    assert people() == {"etl", "report", "new"}


def test_a_log_adds_use_and_passes_over_whom_nobody_knows(source: Source, take: Any, records: Any) -> None:
    take(source, CSV)
    log = gate("usage", records.usage("etl"), records.usage("stranger"), records.usage("other"), records.window())

    run = take(source, log)

    assert (run.state, run.mode) == (SyncState.APPLIED, "delta"), run.problem
    assert Usage.objects.get().identity.external_id == "etl"
    assert run.notes["counts"] == {"entries of unknown identities": 2}
    assert "other, stranger" in run.notes["sentences"][0]
    assert SyncRun.objects.get(pk=run.pk).notes == run.notes


def test_the_same_log_is_not_counted_twice_unless_asked(source: Source, take: Any, records: Any) -> None:
    take(source, CSV)
    log = gate("usage", records.usage("etl", count=3))

    first, second = take(source, log), take(source, log)
    assert (first.pk, Usage.objects.get().count) == (second.pk, 3)

    take(source, log, again=True)
    assert Usage.objects.get().count == 6


def test_a_log_that_was_refused_may_be_given_again(source: Source, take: Any, records: Any) -> None:
    take(source, CSV)
    log = gate("usage", records.usage("etl", last_seen_at="2026-11-24T00:00:00Z"))

    assert take(source, log).state == SyncState.REJECTED  # it is from tomorrow
    later = import_file(
        source=source, file=BytesIO(log.encode()), wish=Import(), actor=Actor(kind=ActorKind.SYSTEM, id="s", label="s"),
        now=SyncRun.objects.latest("started_at").started_at + timedelta(days=2),
    )  # fmt: skip

    assert later.state == SyncState.APPLIED


def test_a_log_may_come_for_a_source_that_is_read_live_and_an_inventory_may_not(
    make_source: Any, take: Any, records: Any
) -> None:
    server, other = make_source("server"), make_source("gone", is_enabled=False)
    take(server, CSV)
    server.kind = "postgresql"
    server.save()

    assert take(server, gate("usage", records.usage("etl"))).state == SyncState.APPLIED
    for data in (gate("inventory", records.identity("x")), CSV):
        with pytest.raises(FileRefused, match="read by Remit itself"):
            take(server, data)
    with pytest.raises(SyncRefused, match="read by Remit itself"):
        take(server, json.dumps(records.identity("x")))
    with pytest.raises(SyncRefused, match="switched off"):
        take(other, CSV)


def test_a_log_of_another_system_is_refused(make_source: Any, take: Any, records: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Gate, "kind", "rabbitmq")
    server = make_source("server", kind="postgresql")

    with pytest.raises(FileRefused, match="a log of rabbitmq"):
        take(server, gate("usage", records.usage("etl")))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x89PNG\r\n\x1a\n", "Nobody here knows"),
        (b"<html></html>", "gate-log"),
        (b'{"a": 1}', "one JSON object per line"),
    ],
)
def test_what_nobody_knows_is_refused_with_what_would_be_known(
    data: bytes, told: str, source: Source, take: Any
) -> None:
    with pytest.raises(FileRefused, match=told):
        take(source, data)
    assert not SyncRun.objects.exists()


def test_a_file_that_may_be_two_things_is_asked_about(source: Source, take: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(registry, "_FORMATS", (CsvRows(), CsvRows()))

    with pytest.raises(FileRefused, match="csv or csv"):
        take(source, CSV)


def test_an_unknown_format_is_named_with_the_known_ones(source: Source, take: Any) -> None:
    with pytest.raises(FileRefused, match=r"no format 'excel'.*csv"):
        take(source, CSV, format="excel")


def test_records_are_known_by_their_first_line() -> None:
    assert format_of(b'{"type":"identity","id":"x"}\n{') is None
    assert format_of(b'\xef\xbb\xbf { "type" : "grant", "id": ') is None
    assert format_of(CSV.encode()).name == "csv"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (gzip.compress(LONG, mtime=0)[:-5_000], "unreadable-body", "cut off"),
        (CSV.encode()[:-3] + b'"', "file-refused", "Line 3"),
        (CSV.encode() + b'x,bot,aws,"s3:*\n', "file-refused", "cut off"),
        (b"GATE inventory\n{]", "file-refused", "begins like Gate log, but could not be understood"),
        (b"GATE usage\n" + b'{"type":"identity","id":"x","kind":"bot"}', "file-refused", "can't hold identity"),
    ],
)
def test_a_file_that_breaks_off_ends_its_run_and_changes_nothing(
    data: bytes, code: str, told: str, source: Source, take: Any, checksums: Any
) -> None:
    take(source, CSV)
    before = {name: each for name, each in checksums().items() if name != "audit_auditevent"}

    run = take(source, data)

    assert (run.state, run.problem["code"]) == (SyncState.REJECTED, code)
    assert told in run.problem["detail"]
    assert {name: each for name, each in checksums().items() if name != "audit_auditevent"} == before
    assert AuditEvent.objects.filter(verb="sync.rejected").count() == 1


def test_a_packed_file_that_breaks_off_at_once_is_refused_before_a_run(source: Source, take: Any) -> None:
    with pytest.raises(UnreadableBody, match="cut off"):
        take(source, gzip.compress(CSV.encode())[:-12])
    assert not SyncRun.objects.exists()


def test_a_bomb_is_not_unpacked(source: Source, take: Any) -> None:
    bomb = gzip.compress(CSV.encode() + b"\n" * 60_000_000)

    assert take(source, bomb).problem["code"] == "too-large"


def test_a_secret_is_refused_by_line_and_never_repeated(source: Source, take: Any) -> None:
    secret = "ghp_" + "a" * 36
    run = take(source, CSV.replace("s3:GetObject", secret))

    error = run.row_errors.get()
    assert (run.state, error.line, error.code) == (SyncState.REJECTED, 3, "secret")
    assert secret not in str([*SyncRun.objects.values(), *AuditEvent.objects.values(), error.reason])


def test_a_faulty_value_is_named_by_the_line_of_the_file(source: Source, take: Any) -> None:
    run = take(source, CSV + "\n\nlate,spaceship,,,\n")

    assert [(error.line, error.pointer) for error in run.row_errors.all()] == [(6, "/kind")]


def test_what_a_format_left_out_is_kept_with_the_run_also_where_it_is_held(
    source: Source, take: Any, records: Any
) -> None:
    take(source, CSV)
    run = take(source, gate("inventory", records.identity("new", password="x")))

    assert run.state == SyncState.HELD
    notes = SyncRun.objects.get(pk=run.pk).notes
    assert notes["counts"] == {"secrets dropped": 1} and notes["sentences"] == ["Passwords are never taken over."]


def test_bad_records_of_a_format_can_be_skipped_and_keep_their_lines(source: Source, take: Any) -> None:
    run = take(source, CSV + "late,spaceship,,,\n", skip_bad=True)

    assert (run.state, run.is_partial) == (SyncState.APPLIED, True)
    told = [json.loads(line) for line in gzip.decompress(run.refused_payload).splitlines()]
    assert [each["line"] for each in told] == [4] and run.row_errors.get().line == 4


def test_a_dry_run_says_who_would_lose_what_and_keeps_it_to_be_taken_in(
    source: Source, take: Any, actor: Actor, now: Any
) -> None:
    Source.objects.update(max_retire_percent=100)
    take(source, CSV)

    dry = take(source, "\n".join(CSV.splitlines()[:2]), dry_run=True, keep=True)
    assert dry.state == SyncState.DRY_RUN and people() == {"etl", "report"}
    assert [each["external_id"] for each in dry.preview["losers"]] == ["report"]

    run = take_in(run=dry, actor=actor, now=now + timedelta(hours=1))
    assert (run.pk, run.state, people()) == (dry.pk, SyncState.APPLIED, {"etl"})
    assert SyncRun.objects.get(pk=run.pk).held_payload is None
    with pytest.raises(NotKept):
        take_in(run=dry, actor=actor, now=now + timedelta(hours=2))


def test_a_log_is_taken_in_once_whichever_way_it_came(
    source: Source, take: Any, records: Any, actor: Actor, now: Any
) -> None:
    take(source, CSV)
    log = gate("usage", records.usage("etl", count=3), records.usage("stranger"))
    dry = take(source, log, dry_run=True, keep=True)
    take(source, log)

    with pytest.raises(TakenInBefore):
        take_in(run=dry, actor=actor, now=now + timedelta(hours=1))
    assert Usage.objects.get().count == 3


def test_what_a_dry_run_would_remove_too_much_of_is_held_when_taken_in(
    source: Source, take: Any, actor: Actor, now: Any
) -> None:
    take(source, CSV)
    dry = take(source, "\n".join(CSV.splitlines()[:2]), dry_run=True, keep=True)
    assert dry.problem["code"] == "too-many-retired"

    assert take_in(run=dry, actor=actor, now=now + timedelta(hours=1)).state == SyncState.HELD


def test_only_administrators_and_senders_import(source: Source, take: Any, make_user: Any) -> None:
    for roles, scopes in ((frozenset({Role.AUDITOR, Role.REVIEWER}), frozenset()), (frozenset(), {"inventory:write"})):
        kind = ActorKind.PERSON if roles else ActorKind.API_CLIENT
        by = Actor(kind=kind, id="x", label="x", roles=roles, scopes=frozenset(scopes))
        with pytest.raises(Forbidden):
            take(source, CSV, by=by)
    assert not SyncRun.objects.exists()


def test_the_command_says_what_changed_and_what_was_left_out(source: Source, tmp_path: Path, records: Any) -> None:
    file = tmp_path / "gate"
    file.write_text(gate("inventory", records.identity("etl", password="x"), records.grant("g", "etl")))
    out = StringIO()

    call_command("import", source.slug, str(file), stdout=out)

    told = out.getvalue()
    assert "identity: 1 added" in told and "1: secrets dropped" in told and "Passwords are never taken over." in told
    assert "+ identity etl" in told and "+ grant g" in told


def test_the_command_ends_with_its_own_code_where_a_person_must_look(source: Source, take: Any, tmp_path: Path) -> None:
    take(source, CSV)
    file = tmp_path / "less.csv"
    file.write_text("\n".join(CSV.splitlines()[:2]))
    out = StringIO()

    with pytest.raises(CommandError, match="waits for a person") as held:
        call_command("import", source.slug, str(file), stdout=out)

    assert held.value.returncode == 3
    assert "report: 1 of 1 grants" in out.getvalue() and "would be gone itself" in out.getvalue()


def test_a_stream_that_cannot_be_rewound_is_taken_in_too(source: Source, monkeypatch: Any) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": Pipe(CSV.encode())}))

    call_command("import", source.slug, "-", stdout=StringIO())

    assert people() == {"etl", "report"}


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """The format alone: what the engine does with records is measured by the bench."""
    file = tmp_path / "many.csv"
    with file.open("w") as out:
        out.write("identity,kind,dialect,actions,resources\n")
        for number in range(200_000):
            out.write(f"robot-{number},bot,aws,s3:GetObject,arn:aws:s3:::bucket-{number}/*\n")
    with file.open("rb") as rows:
        reading = CsvRows().records(rows, Notes())
        for _ in range(1_000):
            next(reading)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = sum(1 for _ in reading)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert count == 400_001 - 1_000
    assert grown < 16 * 1024, f"{grown / 1024:.0f} MB more"
