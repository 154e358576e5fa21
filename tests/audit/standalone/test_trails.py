"""The stand-alone verifier finds every damage to an exported trail and names the event."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from governance.audit.standalone import remit_verify
from tests.audit.standalone.building import KEY, ORIGIN, OTHER_KEY, Trail, compact, key_line, record

PROGRAM = Path(remit_verify.__file__)


def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    report = remit_verify.check(remit_verify.parser().parse_args([*map(str, arguments), "--key", key_line(), "--json"]))
    return report.exit_code, report.as_dict()


def check(path: Path) -> tuple[int, dict[str, Any]]:
    return run("verify-trail", path, "--checkpoints", path.parent / "checkpoints")


def found(report: dict[str, Any]) -> set[tuple[str, int | None]]:
    return {(problem["code"], problem["seq"]) for problem in report["problems"]}


@pytest.fixture
def trail() -> Trail:
    return Trail(13)


def test_an_untouched_trail_is_intact(trail: Trail, tmp_path: Path) -> None:
    code, report = check(trail.write(tmp_path, 4, 11))

    assert (code, report["problems"]) == (0, [])
    assert report["result"] == "intact"
    assert (report["size"], report["events"], report["details_kept"]) == (13, 13, 3)
    assert (report["checkpoints_matched"], report["newest_checkpoint"]) == (2, 11)
    assert report["head"] == json.loads(trail.lines[-1])["entry_hash"]
    assert "Events 12 to 13 are newer than the newest checkpoint." in report["notices"]


@pytest.mark.parametrize("size", [1, 2, 3, 1023, 1024, 1025, 2600])
def test_trails_of_every_size_have_the_roots_that_were_signed(size: int, tmp_path: Path) -> None:
    sizes = {1, size // 2 or 1, max(1, size - 1), size}

    code, report = check(Trail(size).write(tmp_path, *sizes))

    assert (code, report["checkpoints_matched"]) == (0, len(sizes))


def test_the_quick_way_and_the_close_look_agree(trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Trail(40).write(tmp_path, 39)
    quick = check(path)[1]
    monkeypatch.setattr(remit_verify, "read_batch", lambda *_: None)

    assert check(path)[1] == quick


def test_most_lines_go_the_quick_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    close_look = remit_verify.Walk._look_closer
    monkeypatch.setattr(remit_verify.Walk, "_look_closer", lambda *facts: looked_at.append(1) or close_look(*facts))

    check(Trail(1000).write(tmp_path, 1000))

    assert len(looked_at) < 230  # one in five has texts that need escapes; the rest are new shapes


@pytest.mark.parametrize("place", range(0, 700, 3))
def test_one_flipped_bit_anywhere_in_a_line_is_found_and_the_event_named(place: int, tmp_path: Path) -> None:
    trail = Trail(6)
    lines = [line.encode() for line in trail.lines]
    changed = bytearray(lines[3])  # it has a detail, and texts with escapes
    if place >= len(changed) - 1:
        pytest.skip("the line is shorter")
    changed[place] ^= 1 << place % 7
    path = trail.write(tmp_path, 6)
    path.write_bytes(b"".join([*lines[:3], bytes(changed), *lines[4:]]))

    code, report = check(path)

    assert code == 1
    assert any(problem["line"] in (4, 5) and problem["seq"] in (4, 5) for problem in report["problems"]), report


@pytest.mark.parametrize("seq", [1, 2, 7, 12])
def test_a_dropped_line_is_a_gap(seq: int, trail: Trail, tmp_path: Path) -> None:
    lines = trail.lines
    del lines[seq - 1]

    code, report = check(trail.write(tmp_path, 13, lines=lines))

    assert code == 1
    assert ("gap", seq) in found(report)
    assert ("root", 13) in found(report)


def test_a_tail_that_was_cut_is_found_by_a_checkpoint_alone(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 5, 12, lines=trail.lines[:10])

    assert check(path)[0] == 1
    assert found(check(path)[1]) == {("cut", 10)}
    assert run("verify-trail", path)[0] == 0


@pytest.mark.parametrize("first", [0, 3, 10])
def test_two_swapped_lines_are_found(first: int, trail: Trail, tmp_path: Path) -> None:
    lines = trail.lines
    lines[first], lines[first + 1] = lines[first + 1], lines[first]

    code, report = check(trail.write(tmp_path, 13, lines=lines))

    assert code == 1
    assert ("order", first + 1) in found(report)


def test_a_line_that_stands_twice_is_found(trail: Trail, tmp_path: Path) -> None:
    lines = trail.lines
    lines.insert(4, lines[4])

    assert ("order", 5) in found(check(trail.write(tmp_path, 13, lines=lines))[1])


def test_a_trail_that_was_rewritten_as_a_whole_is_found_by_its_checkpoint_alone(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 4, 13)
    trail.payloads[6] = trail.payloads[6].replace("keep", "gone")
    path.write_text("".join(trail.lines))

    code, report = check(path)

    assert (code, found(report)) == (1, {("root", 13)})
    assert run("verify-trail", path)[0] == 0


def test_a_changed_detail_is_found_and_an_erased_one_is_said(trail: Trail, tmp_path: Path) -> None:
    trail.erased = {4}
    trail.details[7] = '{"reason":"another"}'

    code, report = check(trail.write(tmp_path, 13))

    assert (code, found(report)) == (1, {("detail", 8)})
    assert report["details_erased"] == 1
    assert "1 details were erased; their events are proved all the same." in report["notices"]


def test_a_detail_that_was_deleted_or_given_is_found(trail: Trail, tmp_path: Path) -> None:
    trail.details[3], trail.details[4] = None, '{"reason":"never"}'

    assert found(check(trail.write(tmp_path, 13))[1]) == {("detail", 4), ("detail", 5)}


def test_retired_events_are_named_and_everything_else_still_verifies(trail: Trail, tmp_path: Path) -> None:
    trail.retired = {1, 2, 3, 4, 5}

    code, report = check(trail.write(tmp_path, 4, 13))

    assert (code, report["retired"], report["checkpoints_matched"]) == (0, [[1, 5]], 2)
    assert any("Events 1 to 5 were retired" in notice for notice in report["notices"])


@pytest.mark.parametrize("name", ["payload_hash", "leaf_hash", "entry_hash"])
def test_a_retired_event_with_another_hash_is_found(name: str, trail: Trail, tmp_path: Path) -> None:
    trail.retired = {1, 2, 3}
    lines = trail.lines
    facts = json.loads(lines[1])
    lines[1] = compact(facts | {name: "ab" * 32}, ascii_only=True) + "\n"

    code, report = check(trail.write(tmp_path, 13, lines=lines))

    assert code == 1
    assert found(report) & {("entry", 2), ("root", 13)}


@pytest.mark.parametrize(
    "payload",
    [
        record(3).replace('"keep"', '"keep" '),
        record(3).replace('"outcome":"success"', '"outcome":"success","outcome":"failure"'),
        record(3, new={"n": 1}).replace('"n":1', '"n":1.0'),
        record(3, new={"n": 1}).replace('"n":1', '"n":9007199254740993'),
        record(3, new={"n": 1}).replace('"n":1', '"n":-0'),
        record(3, new={"a": 1, "b": 2}).replace('"a":1,"b":2', '"b":2,"a":1'),
        record(3, new={"ä": 1}),
        record(3, new={"n": 1}).replace('"n":1', '"n":NaN'),
        record(3, v=2),
        record(3, v=True),
        record(3, detail=7),
        record(3, more=1),
        "[1]",
        "{}",
        "",
        '{"a":' * 900 + "1" + "}" * 900,
    ],
)
def test_a_sealed_payload_that_is_no_canonical_record_is_found(payload: str, tmp_path: Path) -> None:
    trail = Trail(5)
    trail.payloads[2] = payload

    assert found(check(trail.write(tmp_path, 5))[1]) == {("payload", 3)}


def test_a_shape_learned_once_lets_nothing_else_through(tmp_path: Path) -> None:
    good = [record(3, new={"text": f"{n}", "n": n}) for n in range(20)]
    bad = [
        good[0].replace('"n":0', '"n":00'),
        good[0].replace('"text":"0"', '"text":0'),
        good[0].replace('"text":"0"', '"text":"0","text2":"0"'),
        good[0].replace('"n":0', '"n": 0'),
        good[0] + " ",
    ]
    trail = Trail(25, payloads=[*good, *bad], details=[None] * 25)

    assert found(check(trail.write(tmp_path, 25))[1]) == {("payload", 21), ("payload", 24), ("payload", 25)}


@pytest.mark.parametrize(
    "line",
    [
        "\n",
        "{}\n",
        "null\n",
        "[[[[\n",
        "not json\n",
        '{"detail":null}\n',
        "[" * 100_000 + "\n",
        '{"seq":' + "9" * 5000 + "}\n",
        "\x00\x00\n",
        "\ud800\n",
    ],
)
def test_a_line_that_is_none_is_named_and_reading_goes_on(line: str, trail: Trail, tmp_path: Path) -> None:
    lines = [each.encode() for each in trail.lines]
    lines[4] = line.encode("utf-8", "surrogatepass")
    path = trail.write(tmp_path, 3, 13)
    path.write_bytes(b"".join(lines))

    code, report = check(path)

    assert code == 1
    assert found(report) == {("line", 5), ("root", 13)}
    assert report["problems"][0]["line"] == 5


@pytest.mark.parametrize("change", [str.upper, lambda text: text.replace(":", ": ", 1), lambda text: text + " "])
def test_a_line_in_another_writing_is_refused(change: Any, trail: Trail, tmp_path: Path) -> None:
    lines = trail.lines
    lines[4] = change(lines[4].rstrip("\n")) + "\n"

    assert ("line", 5) in found(check(trail.write(tmp_path, 13, lines=lines))[1])


def test_a_text_escaped_in_another_way_is_refused(tmp_path: Path) -> None:
    trail = Trail(3, payloads=[record(3, request="a/b")], details=[None])
    lines = trail.lines
    lines[0] = lines[0].replace("a/b", "a\\/b")

    assert found(check(trail.write(tmp_path, 3, lines=lines))[1]) == {("line", 1), ("root", 3)}


def test_an_endless_line_ends_with_a_sentence(trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remit_verify, "MAX_LINE", 5000)
    path = trail.write(tmp_path, 13)
    path.write_text("".join(trail.lines[:3]) + "x" * 20_000)

    code, report = check(path)

    assert code == 1
    assert report["problems"][0]["message"] == "Line 4 is longer than 5,000 bytes; reading stopped there."


def test_a_last_line_that_was_cut_off_is_found(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 12)
    path.write_text("".join(trail.lines)[:-40])

    assert check(path)[1]["problems"][0]["message"] == "Line 13 is cut off."


def test_an_empty_file_is_not_called_intact(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, lines=[])

    assert run("verify-trail", path)[0] == 2
    assert run("verify-trail", path)[1]["intact"] is None


def test_without_any_checkpoint_that_fits_nothing_is_called_intact(trail: Trail, tmp_path: Path) -> None:
    assert check(trail.write(tmp_path))[0] == 2


@pytest.mark.parametrize(
    "forge",
    [
        lambda trail: trail.checkpoint(4, key=OTHER_KEY),
        lambda trail: trail.checkpoint(4).replace("\n4\n", "\n5\n"),
        lambda trail: trail.checkpoint(4, origin="other.example/audit/1"),
        lambda trail: trail.checkpoint(5),
        lambda trail: trail.checkpoint(4)[:-1],
        lambda trail: re.sub(r"— .*", "", trail.checkpoint(4)),
        lambda trail: "",
        lambda trail: "\x00" * 500,
        lambda trail: trail.checkpoint(4).replace("\n4\n", "\n04\n"),
        lambda trail: _other_unused_bits(trail.checkpoint(4)),
    ],
)
def test_a_forged_checkpoint_is_found(forge: Any, trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 4, 13)
    (tmp_path / "checkpoints" / "4.checkpoint").write_text(forge(trail))

    code, report = check(path)

    assert code == 1
    assert report["problems"][0]["code"] == "checkpoint"
    assert report["problems"][0]["file"] == "4.checkpoint"


def _other_unused_bits(note: str) -> str:
    """The same note with a signature line that decodes to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = note[-3]
    return note[:-3] + alphabet[alphabet.index(last) ^ 1] + note[-2:]


def test_two_checkpoints_of_one_size_with_two_roots_are_two_histories(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 13)
    other = Trail(13)
    other.payloads[2] = record(2)
    (tmp_path / "checkpoints" / "latest").write_text(other.checkpoint())

    code, report = check(path)

    assert code == 1
    assert "two histories of one log" in report["problems"][0]["message"]


def test_a_witness_beside_the_signature_changes_nothing(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 13)
    file = tmp_path / "checkpoints" / "13.checkpoint"
    file.write_text(file.read_text() + "— witness.example AAAAAA==\n")

    assert check(path)[0] == 0


@pytest.mark.parametrize(
    "key",
    [
        "",
        "no key",
        key_line()[:-4] + "AAA=",
        key_line().replace("+", "-"),
        key_line(origin="other").replace("other", ORIGIN, 1),
        "/nowhere/verifier.key",
        "x" * 5000,
        "\x00",
    ],
)
def test_a_key_that_is_none_means_that_nothing_was_checked(key: str, trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 13)
    options = remit_verify.parser().parse_args(["verify-trail", str(path), f"--key={key}"])

    report = remit_verify.check(options)

    assert report.exit_code == 2
    assert report.not_checked.endswith(".")


@pytest.mark.parametrize("path", ["nowhere.jsonl", "."])
def test_a_file_that_cannot_be_read_means_that_nothing_was_checked(path: str, tmp_path: Path) -> None:
    code, report = run("verify-trail", tmp_path / path)

    assert code == 2
    assert "cannot be read" in report["not_checked"]


def test_the_file_runs_alone_with_nothing_but_the_standard_library(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 4, 13)
    (tmp_path / "verifier.key").write_text(key_line() + "\n")
    alone = tmp_path / "alone.py"
    alone.write_bytes(PROGRAM.read_bytes())
    arguments = [
        "verify-trail",
        str(path),
        "--checkpoints",
        str(tmp_path / "checkpoints"),
        "--key",
        str(tmp_path / "verifier.key"),
    ]

    done = subprocess.run(
        [sys.executable, "-I", "-S", str(alone), *arguments], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Intact.\n")


def test_a_person_reads_where_it_broke(trail: Trail, tmp_path: Path, capsysbinary: Any) -> None:
    lines = trail.lines
    lines[2] = lines[2].replace("keep", "gone")
    path = trail.write(tmp_path, 13, lines=lines)

    code = remit_verify.main(
        ["verify-trail", str(path), "--checkpoints", str(tmp_path / "checkpoints"), "--key", key_line()]
    )

    text = capsysbinary.readouterr().out.decode()
    assert code == 1
    assert re.search(r"BROKEN +Event 3, or its link, was changed after it was sealed. \[trail.jsonl, line 3\]", text)
    assert text.endswith("NOT intact: 2 problems.\n")


def test_it_imports_nothing_of_ours() -> None:
    imports = re.findall(r"^\s*(?:from|import) ([\w.]+)", PROGRAM.read_text(), re.MULTILINE)

    outside = {name.split(".")[0] for name in imports} - set(sys.stdlib_module_names)
    assert outside == {"cryptography"}


def test_the_key_of_a_log_signs_for_no_other_log(trail: Trail, tmp_path: Path) -> None:
    path = trail.write(tmp_path, 13)
    options = ["verify-trail", str(path), "--checkpoints", str(tmp_path / "checkpoints")]
    options += ["--key", key_line(KEY, "other.example/audit/1")]

    report = remit_verify.check(remit_verify.parser().parse_args(options))

    assert report.exit_code == 1
    assert "no key of that name was given" in report.problems[0]["message"]
