"""The trail as a file: whole, in order, provable, and resumable wherever it was cut."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from governance.audit import export
from governance.audit.actions import Verb
from governance.audit.erasure import erase_details
from governance.audit.export import CSV, CSV_HEADER, NDJSON, SealedEvent, begin_export, csv_row, read_stretch
from governance.audit.lines import SealedRow, line_of
from governance.audit.log import Record, Subject, record_many
from governance.audit.selectors import TrailFilter, list_events
from governance.kernel.actors import Actor

MakeEvent = Callable[..., UUID]


@pytest.fixture
def trail(db: None, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Eleven events over four blocks, one of them with words that were erased."""
    monkeypatch.setattr(export, "BLOCK", 3)
    with transaction.atomic():
        events = record_many(
            Record(
                verb=[Verb.ITEM_DECIDED, Verb.ORDER_SENT][n % 2],
                actor=actor,
                subject=Subject("item", str(n), "Ünïcode" if n == 4 else ""),
                now=now,
                reason=f"=HYPERLINK({n})" if n % 3 == 0 else "",
            )
            for n in range(10)
        )
    connection.check_constraints()
    erase_details(event_ids=[events[3]], actor=actor, now=now, reason="asked for")
    connection.check_constraints()
    return events


def all_lines(after: int = 0, **wanted: Any) -> list[dict[str, Any]]:
    stretch = export.Stretch(after=after, through=export.newest_position())
    events = read_stretch(stretch, TrailFilter(**wanted) if wanted else None)
    return [json.loads(line_of(event.row)) for event in events]


def test_the_chain_can_be_computed_anew_from_the_lines_alone(trail: list[UUID]) -> None:
    before = b"\x00" * 32
    lines = all_lines()

    for number, line in enumerate(lines, start=1):
        payload_hash = hashlib.sha256(line["payload"].encode()).digest()
        entry = hashlib.sha256(b"chain.v1\x00" + before + number.to_bytes(8, "big") + payload_hash).digest()
        assert (line["seq"], line["prev_hash"], line["entry_hash"]) == (number, before.hex(), entry.hex())
        before = entry
        commitment = json.loads(line["payload"])["detail"]
        if line["detail"] and "text" in line["detail"]:
            told = hashlib.sha256(bytes.fromhex(line["detail"]["salt"]) + line["detail"]["text"].encode()).hexdigest()
            assert told == commitment
        else:
            assert (commitment is None) == (line["detail"] is None)
    assert len(lines) == 11


def test_a_line_is_ascii_with_its_keys_in_order_and_no_spaces(trail: list[UUID]) -> None:
    (event,) = read_stretch(export.Stretch(after=4, through=5))

    line = line_of(event.row)

    assert line.isascii() and line.endswith("}\n") and line.count("\n") == 1
    assert line.startswith('{"detail":') and list(json.loads(line)) == sorted(json.loads(line))
    assert "Ünïcode" in json.loads(json.loads(line)["payload"])["subject"]["label"]


def test_words_that_were_erased_say_when_and_nothing_else(trail: list[UUID]) -> None:
    (line,) = [line for line in all_lines() if str(trail[3]) in line["payload"] and line["seq"] == 4]

    assert list(line["detail"]) == ["erased_at"]


@pytest.mark.parametrize("cut_after", [0, 1, 3, 4, 10, 11])
def test_going_on_behind_any_line_loses_and_repeats_nothing(trail: list[UUID], cut_after: int) -> None:
    whole = all_lines()

    assert whole[:cut_after] + all_lines(after=cut_after) == whole


def test_a_filter_keeps_the_order_and_the_numbers(trail: list[UUID]) -> None:
    assert [line["seq"] for line in all_lines(verb="order.sent")] == [2, 4, 6, 8, 10]
    assert [line["seq"] for line in all_lines(after=4, verb="order")] == [6, 8, 10]


def test_one_block_is_in_memory_at_a_time(trail: list[UUID], django_assert_num_queries: Any) -> None:
    events = read_stretch(export.Stretch(after=0, through=11))

    with django_assert_num_queries(2):
        next(events)
    with django_assert_num_queries(3):
        assert len(list(events)) == 10


def test_an_export_is_recorded_before_it_starts_and_is_not_part_of_itself(
    trail: list[UUID], actor: Actor, now: datetime
) -> None:
    wanted = TrailFilter(verb="order", actor_id="Ada Ochieng")

    stretch = begin_export(form=CSV, after=2, wanted=wanted, actor=actor, now=now)
    connection.check_constraints()

    assert (stretch.after, stretch.through) == (2, 11)
    (row,) = list_events(verb="audit.exported").rows
    assert row.new == {"format": "csv", "after": 2, "through": 11, "filter": {"verb": "order", "actor_id": "(text)"}}


def test_asking_again_when_nothing_is_new_leaves_no_record(trail: list[UUID], actor: Actor, now: datetime) -> None:
    stretch = begin_export(form=NDJSON, after=11, actor=actor, now=now)
    connection.check_constraints()

    assert (stretch.after, stretch.through) == (11, 11)
    assert list(read_stretch(stretch)) == [] and list_events(verb="audit.exported").rows == []


def test_an_event_that_was_retired_is_told_by_its_hashes() -> None:
    row = SealedRow(7, b"\x03" * 32, b"\x01" * 32, b"\x02" * 32, b"\x04" * 32, None, None, None, None)

    line = json.loads(line_of(row))
    assert (line["payload"], line["payload_hash"], line["leaf_hash"]) == (None, "03" * 32, "04" * 32)
    cells = csv_row(SealedEvent(UUID(int=7), row))
    assert cells[0] == 7 and len(cells) == len(CSV_HEADER)


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: Any) -> None:
    call_command("export_audit", *map(str, arguments), stderr=io.StringIO())
    connection.check_constraints()


def test_the_command_goes_on_with_a_file_that_was_cut_in_a_line(trail: list[UUID], tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    run(file)
    text = file.read_bytes()
    whole = [json.loads(line)["seq"] for line in text.splitlines()]
    file.write_bytes(text[: len(text) * 2 // 3])

    run("--resume", file)

    seqs = [json.loads(line)["seq"] for line in file.read_bytes().splitlines()]
    assert whole == list(range(1, 12)) and seqs == list(range(1, len(seqs) + 1)) and len(seqs) >= 12
    assert file.read_bytes().startswith(text)


def test_the_command_does_not_write_over_a_file_or_behind_something_else(trail: list[UUID], tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    file.write_text("notes\n")

    with pytest.raises(CommandError, match="exists already"):
        run(file)
    with pytest.raises(CommandError, match="does not end with a line"):
        run("--resume", file)
    with pytest.raises(CommandError, match="needs a FILE"):
        run("--resume", "--csv", file)
    assert file.read_text() == "notes\n"


def test_cells_that_a_spreadsheet_would_run_are_made_harmless(trail: list[UUID], tmp_path: Path) -> None:
    file = tmp_path / "trail.csv"
    run("--csv", file)

    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))

    assert [row["reason"] for row in rows[:7]] == ["'=HYPERLINK(0)", "", "", "", "", "", "'=HYPERLINK(6)"]
    assert [int(row["seq"]) for row in rows] == list(range(1, 12))
    assert rows[3]["erased_at"] and rows[0]["what_happened"] == "A reviewer decided on a question."
