"""The stand-alone verifier finds every damage to an evidence pack and names the file."""

import json
import stat
import struct
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from governance.audit.standalone import remit_verify
from governance.kernel.merkle import consistency_proof
from tests.audit.standalone.building import OTHER_KEY, PackBuilder, Trail, compact, key_line, zipped

Change = Callable[[dict[str, bytes]], None]
TRAIL = Trail(11)
OTHER_TRAIL = Trail(11, payloads=["{}"], details=[None])
FILES = sorted(PackBuilder(TRAIL).entries())


def run(path: Path, *more: str | Path) -> tuple[int, dict[str, Any]]:
    arguments = ["verify-pack", str(path), *map(str, more), "--key", key_line(), "--json"]
    report = remit_verify.check(remit_verify.parser().parse_args(arguments))
    return report.exit_code, report.as_dict()


def found(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(problem["code"], problem["file"]) for problem in report["problems"]}


def raw(tmp_path: Path, entries: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    path = tmp_path / "pack.zip"
    path.write_bytes(zipped(entries.items() if isinstance(entries, dict) else entries))
    return path


@pytest.fixture
def pack() -> PackBuilder:
    return PackBuilder(TRAIL)


def test_an_untouched_pack_is_intact(pack: PackBuilder, tmp_path: Path) -> None:
    code, report = run(pack.write(tmp_path / "pack.zip"))

    assert (code, report["problems"], report["notices"]) == (0, [], [])
    assert (report["files"], report["events"], report["proved"], report["single_proofs"]) == (6, 4, 4, 1)
    assert report["checkpoint"]["size"] == 11


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, 0.99])
def test_one_flipped_byte_in_any_file_is_found_and_the_file_named(name: str, place: float, tmp_path: Path) -> None:
    entries = PackBuilder(TRAIL).entries()
    changed = bytearray(entries[name])
    changed[int(place * len(changed))] ^= 1
    entries[name] = bytes(changed)

    code, report = run(raw(tmp_path, entries))

    assert code == 1
    assert report["problems"][0]["file"] in (["manifest.json", "manifest.note"] if "manifest" in name else [name])


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(name: str, pack: PackBuilder, tmp_path: Path) -> None:
    entries = pack.entries()
    del entries[name]

    code, report = run(raw(tmp_path, entries))

    assert code == 1
    assert ("missing", name) in found(report)


def test_a_pack_signed_with_another_key_is_refused(pack: PackBuilder, tmp_path: Path) -> None:
    pack.key = OTHER_KEY

    code, report = run(pack.write(tmp_path / "pack.zip"))

    assert (code, found(report)) == (1, {("manifest", "manifest.note")})


def test_a_manifest_signed_rightly_over_a_foreign_checkpoint_is_refused(pack: PackBuilder, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["checkpoint.txt"] = TRAIL.checkpoint(key=OTHER_KEY).encode()

    assert ("checkpoint", "checkpoint.txt") in found(run(pack.write(tmp_path / "pack.zip", change))[1])


def test_another_checkpoint_of_the_same_log_is_not_the_one_of_the_manifest(pack: PackBuilder, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["checkpoint.txt"] = TRAIL.checkpoint(9).encode()

    assert found(run(pack.write(tmp_path / "pack.zip", change))[1]) == {("checkpoint", "checkpoint.txt")}


def lines_changed(change: Callable[[list[bytes]], None]) -> Change:
    def run_change(files: dict[str, bytes]) -> None:
        lines = files["audit-log.jsonl"].splitlines(keepends=True)
        change(lines)
        files["audit-log.jsonl"] = b"".join(lines)

    return run_change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: lines.pop(1), "inclusion"),
        (lambda lines: lines.insert(0, lines.pop(1)), "order"),
        (lambda lines: lines.insert(1, lines[1]), "order"),
        (lambda lines: lines.append(TRAIL.lines[10].encode()), "inclusion"),
        (lambda lines: lines.__setitem__(0, lines[0].replace(b"keep", b"gone")), "entry"),
        (lambda lines: lines.__setitem__(0, OTHER_TRAIL.lines[1].encode()), "chain"),
        (lambda lines: lines.__setitem__(3, lines[3].replace(b"because", b"beCause")), "detail"),
        (lambda lines: lines.__setitem__(2, b"{}\n"), "line"),
        (lambda lines: lines.__setitem__(2, b"[" * 50_000 + b"\n"), "line"),
        (lambda lines: lines.__setitem__(3, lines[3][:-1]), "line"),
        (lambda lines: lines.clear(), "inclusion"),
    ],
    ids=["dropped", "swapped", "twice", "added", "edited", "of another trail", "detail", "none", "deep", "cut", "all"],
)
def test_events_that_were_signed_but_do_not_fit_the_proof_are_found(
    change: Any, expected: str, pack: PackBuilder, tmp_path: Path
) -> None:
    """The writer of the pack had the key and still cannot make these true."""
    code, report = run(pack.write(tmp_path / "pack.zip", lines_changed(change)))

    assert code == 1
    assert expected in {problem["code"] for problem in report["problems"]}, report["problems"]
    assert all(
        problem["file"] in ("audit-log.jsonl", "proofs/inclusion.json", "proofs/3.tlog-proof")
        for problem in report["problems"]
    )


def json_changed(name: str, **changes: Any) -> Change:
    def run_change(files: dict[str, bytes]) -> None:
        files[name] = compact(json.loads(files[name]) | changes).encode()

    return run_change


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 10},
        {"indices": [1, 2, 6]},
        {"indices": [2, 1, 6, 7]},
        {"indices": [1, 2, 6, 6]},
        {"indices": [1, 2, 6, True]},
        {"indices": "all"},
        {"nodes": []},
        {"nodes": ["ab" * 32] * 5},
        {"nodes": ["AB" * 32] * 5},
        {"nodes": [1, 2, 3]},
        {"nodes": None},
    ],
)
def test_a_proof_that_proves_nothing_is_refused(changes: dict[str, Any], pack: PackBuilder, tmp_path: Path) -> None:
    code, report = run(pack.write(tmp_path / "pack.zip", json_changed("proofs/inclusion.json", **changes)))

    assert code == 1
    assert ("inclusion", "proofs/inclusion.json") in found(report)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"size":1e400}',
        "\ud800",
        '{"a":1,"a":1}',
        "9" * 10_000,
        '{"size":18446744073709551617}',
    ],
)
def test_a_proof_that_is_no_json_is_named(text: str, pack: PackBuilder, tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["proofs/inclusion.json"] = text.encode("utf-8", "surrogatepass")

    code, report = run(pack.write(tmp_path / "pack.zip", change))

    assert code == 1
    assert {file for _, file in found(report)} == {"proofs/inclusion.json"}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("index 2", "index 3"),
        lambda text: text.replace("index 2", "index 02"),
        lambda text: text.replace("v1", "v9"),
        lambda text: text.replace("index 2\n", "index 2\nAAAA\n"),
        lambda text: text.replace("index 2\n", f"index 2\n{'A' * 43}=\n"),
        lambda text: text.partition("\n\n")[0],
        lambda text: text.partition("\n\n")[0] + "\n\n" + TRAIL.checkpoint(10),
        lambda text: text.partition("\n\n")[0] + "\n\n" + TRAIL.checkpoint(key=OTHER_KEY),
        lambda text: "",
    ],
)
def test_a_single_proof_that_proves_nothing_is_named(change: Any, pack: PackBuilder, tmp_path: Path) -> None:
    def run_change(files: dict[str, bytes]) -> None:
        files["proofs/3.tlog-proof"] = change(files["proofs/3.tlog-proof"].decode()).encode()

    assert found(run(pack.write(tmp_path / "pack.zip", run_change))[1]) == {("proof", "proofs/3.tlog-proof")}


def test_a_single_proof_of_an_event_that_is_not_in_the_pack_is_named(pack: PackBuilder, tmp_path: Path) -> None:
    pack.milestones = (3, 5)

    assert found(run(pack.write(tmp_path / "pack.zip"))[1]) == {("proof", "proofs/5.tlog-proof")}


@pytest.mark.parametrize(
    "name",
    [
        "../escape.txt", "/etc/passwd", "a/../../b", "a\\b", "C:x", "a//b", "./a", "folder/", "new\nline", "x" * 500, "a/",
    ],
)  # fmt: skip
def test_a_name_that_would_leave_the_folder_is_refused(name: str, pack: PackBuilder, tmp_path: Path) -> None:
    code, report = run(raw(tmp_path, [*pack.entries().items(), (name, b"")]))

    assert code == 1
    assert "name" in {problem["code"] for problem in report["problems"]}


def test_an_entry_that_nobody_listed_is_named(pack: PackBuilder, tmp_path: Path) -> None:
    assert found(run(raw(tmp_path, pack.entries() | {"more.csv": b""}))[1]) == {("extra", "more.csv")}


@pytest.mark.parametrize("name", ["decisions.csv", "Decisions.CSV", "manifest.json"])
def test_an_entry_that_is_there_twice_is_named(name: str, pack: PackBuilder, tmp_path: Path) -> None:
    with pytest.warns(UserWarning) if name in FILES else nullcontext():
        path = raw(tmp_path, [*pack.entries().items(), (name, b"other")])

    assert found(run(path)[1]) == {("duplicate", name)}


def test_a_link_in_a_pack_is_refused(pack: PackBuilder, tmp_path: Path) -> None:
    path = pack.write(tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    assert found(run(path)[1]) == {("name", "link")}


def test_a_small_file_that_unpacks_to_a_large_one_stops_at_its_listed_size(pack: PackBuilder, tmp_path: Path) -> None:
    entries = pack.entries() | {"decisions.csv": b"0" * 30_000_000}

    code, report = run(raw(tmp_path, entries))

    assert (code, found(report)) == (1, {("size", "decisions.csv")})
    assert "unpacks to more than the 26 bytes" in report["problems"][0]["message"]


def test_a_manifest_that_unpacks_to_a_large_one_is_not_read(
    pack: PackBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remit_verify, "MAX_MANIFEST", 10_000)

    assert found(run(raw(tmp_path, pack.entries() | {"manifest.json": b" " * 2**20}))[1]) == {("size", "manifest.json")}


@pytest.mark.parametrize(
    "change",
    [
        {"files": "all"},
        {"files": [{"path": "a", "sha256": "", "size": 1}]},
        {"files": [{"path": "a", "sha256": "ab" * 32, "size": -1}]},
        {"files": [{"path": "a", "sha256": "ab" * 32, "size": True}]},
        {"files": [{"path": "a", "sha256": "ab" * 32, "size": 1}] * 2},
        {"files": [None]},
        {"format": "remit-evidence/9"},
        {"checkpoint": None},
        {"checkpoint": {"origin": [], "size": {}, "root": 1}},
        {"checkpoint": {"size": 11}},
        {"events": 9},
    ],
)
def test_a_signed_manifest_of_wrong_content_is_named(change: dict[str, Any], pack: PackBuilder, tmp_path: Path) -> None:
    entries = pack.entries()
    manifest = compact(json.loads(entries["manifest.json"]) | change).encode()

    code, report = run(raw(tmp_path, entries | {"manifest.json": manifest, "manifest.note": pack.note(manifest)}))

    assert code == 1
    assert report["problems"][0]["code"] in {"manifest", "checkpoint", "count", "extra"}


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{", b"[" * 100_000, b" {}", b"\xff\xfe{}", b'{"a":1,"a":2}', b"1e9"]
)
def test_a_signed_manifest_that_is_none_is_named(manifest: bytes, pack: PackBuilder, tmp_path: Path) -> None:
    entries = pack.entries() | {"manifest.json": manifest, "manifest.note": pack.note(manifest)}

    assert found(run(raw(tmp_path, entries))[1]) == {("manifest", "manifest.json")}


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"\x00" * 3000, zipped([])])
def test_what_is_no_pack_could_not_be_checked(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(data)

    code, report = run(path)

    assert code == 2
    assert report["not_checked"].endswith(".")


@pytest.mark.parametrize("path", ["nowhere.zip", "."])
def test_a_pack_that_cannot_be_read_could_not_be_checked(path: str, tmp_path: Path) -> None:
    assert run(tmp_path / path)[0] == 2


def test_a_zip_damaged_anywhere_ends_with_a_sentence(pack: PackBuilder, tmp_path: Path) -> None:
    """Every place of the file, also those that only the format of ZIP knows."""
    whole = pack.write(tmp_path / "whole.zip").read_bytes()
    path = tmp_path / "pack.zip"
    for place in range(0, len(whole), 17):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        code, report = run(path)
        assert code in (0, 1, 2)
        assert code != 1 or report["problems"]
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert run(path)[0] in (1, 2)


def test_a_zip_that_lies_about_a_size_is_found(pack: PackBuilder, tmp_path: Path) -> None:
    data = bytearray(pack.write(tmp_path / "pack.zip").read_bytes())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 1)
    (tmp_path / "pack.zip").write_bytes(data)

    assert run(tmp_path / "pack.zip")[0] == 1


def test_an_older_checkpoint_that_was_kept_is_proved_to_be_the_beginning(pack: PackBuilder, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(TRAIL.checkpoint(5))

    code, report = run(pack.write(tmp_path / "pack.zip"), "--older-checkpoint", kept)

    assert (code, report["consistent_with"]) == (0, 5)


def test_an_older_checkpoint_of_another_history_is_found(pack: PackBuilder, tmp_path: Path) -> None:
    other = Trail(11)
    other.payloads[1] = other.payloads[0]
    kept = tmp_path / "kept"
    kept.write_text(other.checkpoint(5))

    code, report = run(pack.write(tmp_path / "pack.zip"), "--older-checkpoint", kept)

    assert (code, {problem["code"] for problem in report["problems"]}) == (1, {"consistency"})


def test_a_checkpoint_of_the_same_size_needs_no_proof(pack: PackBuilder, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(TRAIL.checkpoint())

    assert run(pack.write(tmp_path / "pack.zip"), "--older-checkpoint", kept)[1]["consistent_with"] == 11


def test_without_a_proof_between_the_two_nothing_is_called_intact_until_one_is_given(
    pack: PackBuilder, tmp_path: Path
) -> None:
    kept, proof = tmp_path / "kept", tmp_path / "proof.json"
    kept.write_text(TRAIL.checkpoint(7))
    path = pack.write(tmp_path / "pack.zip")

    code, report = run(path, "--older-checkpoint", kept)
    assert code == 2
    assert "no proof between 7 and 11 events" in report["not_checked"]

    nodes = [node.hex() for node in consistency_proof(TRAIL.leaves, 7)]
    proof.write_text(compact({"old_size": 7, "new_size": 11, "nodes": nodes}))
    assert run(path, "--older-checkpoint", kept, "--consistency", proof)[1]["consistent_with"] == 7
    proof.write_text(compact({"old_size": 7, "new_size": 11, "nodes": nodes[1:]}))
    assert run(path, "--older-checkpoint", kept, "--consistency", proof)[0] == 1


@pytest.mark.parametrize("text", ["", "no note", TRAIL.checkpoint(5, key=OTHER_KEY), TRAIL.checkpoint(5, origin="x/1")])
def test_an_older_checkpoint_that_is_none_could_not_be_compared(text: str, pack: PackBuilder, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(text)

    code, report = run(pack.write(tmp_path / "pack.zip"), "--older-checkpoint", kept)

    assert code == 2
    assert "older checkpoint" in report["not_checked"]


def test_erased_details_are_said_and_the_pack_is_intact(tmp_path: Path) -> None:
    trail = Trail(11, erased={8})

    code, report = run(PackBuilder(trail).write(tmp_path / "pack.zip"))

    assert (code, report["details_erased"]) == (0, 1)
    assert "1 details were erased" in report["notices"][0]


def test_an_archive_of_retired_events_is_checked_by_the_same_rules(pack: PackBuilder, tmp_path: Path) -> None:
    pack.format, pack.facts, pack.seqs, pack.milestones = "remit-archive/1", {"events": 6}, (1, 2, 3, 4, 5, 6), ()

    code, report = run(pack.write(tmp_path / "archive.zip"))

    assert (code, report["format"], report["proved"]) == (0, "remit-archive/1", 6)
