"""`manage.py import`."""

import gzip
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from identities.models import Identity

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path, as_lines: Any, records: Any) -> Path:
    path = tmp_path / "snapshot.ndjson"
    path.write_bytes(b"\n".join(as_lines([records.identity("etl"), records.grant("g", "etl")])))
    return path


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_file_is_taken_in_packed_or_not(is_packed: bool, file: Path, make_source: Any) -> None:
    if is_packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    source, out = make_source(), StringIO()

    call_command("import", source.slug, str(file), complete=True, stdout=out)

    assert Identity.objects.count() == 1
    assert "grant: 1 added" in out.getvalue() and "applied" in out.getvalue()


def test_a_dry_run_changes_nothing(file: Path, make_source: Any, checksums: Any) -> None:
    source, before = make_source(), checksums()

    call_command("import", source.slug, str(file), complete=True, dry_run=True, stdout=StringIO())

    assert checksums() == before


def test_every_bad_line_is_told_and_the_command_fails(file: Path, make_source: Any) -> None:
    file.write_text('{"type":"identity","id":"x","kind":"robot"}\n')
    err = StringIO()

    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("import", make_source().slug, str(file), stderr=err)

    assert "line 1 /kind: must be one of" in err.getvalue()


def test_a_missing_file_or_source_is_said(make_source: Any, file: Path) -> None:
    with pytest.raises(CommandError, match="can't be read"):
        call_command("import", make_source().slug, "/nowhere/at/all")
    with pytest.raises(CommandError, match="no such source"):
        call_command("import", "nowhere", str(file))


def test_bad_records_can_be_skipped(file: Path, make_source: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make_source()
    file.write_text('{"type":"identity","id":"a","kind":"bot"}\n{"type":"identity","id":"b","kind":"ghost"}\n')

    call_command("import", "aws-production", str(file), "--skip-bad")

    assert list(Identity.objects.values_list("external_id", flat=True)) == ["a"]
    assert "1 records were refused" in capsys.readouterr().err


def test_a_long_import_says_how_far_it_is(
    file: Path, make_source: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_source()
    monkeypatch.setattr("identities.sync.progress.EVERY_SECONDS", 0.0)
    monkeypatch.setattr("identities.sync.progress.EVERY_LINES", 10)
    file.write_text("".join(f'{{"type":"identity","id":"i{n}","kind":"bot"}}\n' for n in range(30)))

    call_command("import", "aws-production", str(file), "--verbosity", "2")

    told = capsys.readouterr().err
    assert "Reading and checking records: 10 records, " in told
    assert "Writing what changed: 30 records, 100 % of the file" in told
