"""A pack end to end: what its files say about each other, the database and the trail; twice the same; killed, refused."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from governance.audit.erasure import erase_details
from governance.audit.keys import load_or_create_key
from governance.audit.models import AuditEvent
from governance.audit.notes import open_checkpoint
from governance.kernel.actors import Role, system_actor
from governance.kernel.merkle import leaf_hash, root_of_multiproof
from governance.people.models import User
from identities.models import Identity, Source
from reviews import packs
from reviews.campaigns.acknowledging import acknowledge
from reviews.models import Decision, EvidencePack, Order, ReviewItem
from reviews.packs import building, pinning, places
from reviews.packs.requesting import NotOver, PackNotReady
from reviews.remediation import settle_order
from tests.reviews.packs.conftest import FORMULA, TURNING

FILES = {
    *("audit-log.jsonl", "checkpoint.txt", "proofs/inclusion.json", "scope.json", "sources.csv", "population.csv"),
    *("completeness.json", "reviewers.csv", "seen.jsonl", "decisions.csv", "remediation.csv", "exceptions.csv"),
    *("not_assessable.csv", "acknowledgement.json", "quality.json", "report.html", "VERIFY.md", "manifest.json"),
    *("manifest.note", "policies/versions.json", "policies/deadline.json"),
}


def test_the_files_of_a_pack_agree_with_each_other_the_database_and_the_trail(story: Any, opened: Any) -> None:
    story.read("revoked")
    make = story.make
    settle_order(
        order=story.order("rested"), reason="=The role is gone with its server.", actor=make.actor(story.reviewer),
        now=timezone.now(),
    )  # fmt: skip
    acknowledge(campaign=story.campaign, statement="Seen.", actor=make.actor(story.manager), now=timezone.now())
    pack = story.pack()
    assert pack.state == "ready", pack.problem
    read = opened(pack)

    assert set(read.names) >= FILES
    says_the_trail(read, story, pack)
    says_the_database(read, story)
    says_the_twelve_answers(read, story)
    says_the_report(read)
    says_the_manifest(read, pack)


def says_the_trail(read: Any, story: Any, pack: EvidencePack) -> None:
    """Every event of the review is there, sealed under the checkpoint; the last one of each order gives its state."""
    lines, proof = read.lines("audit-log.jsonl"), read.json("proofs/inclusion.json")
    key = load_or_create_key(settings.AUDIT_KEY_FILE).public_key()
    checkpoint = open_checkpoint(read.text("checkpoint.txt"), key)
    leaves = [leaf_hash(line["payload"].encode()) for line in lines]
    nodes = [bytes.fromhex(node) for node in proof["nodes"]]
    assert root_of_multiproof(proof["size"], proof["indices"], leaves, nodes) == checkpoint.root
    assert proof["indices"] == [line["seq"] - 1 for line in lines]
    assert checkpoint.size == proof["size"] == pack.size
    about = [str(story.campaign.pk), *map(str, ReviewItem.objects.values_list("pk", flat=True))]
    about += map(str, Order.objects.values_list("pk", flat=True))
    assert len(lines) == AuditEvent.objects.filter(subject_id__in=about).count()
    events = [json.loads(line["payload"]) for line in lines]
    last = {event["subject"]["id"]: event["new"]["state"] for event in events if event["subject"]["kind"] == "order"}
    assert last == {row["order"]: row["state"] for row in read.rows("remediation.csv")}
    [verified] = [event for event in events if event["verb"] == "order.verified"]
    [proved] = [row for row in read.rows("remediation.csv") if row["state"] == "verified"]
    assert verified["context"]["run"] == proved["proved_by_run"]
    decided = {event["context"]["decision"] for event in events if event["verb"] in ("item.decided", "item.answered")}
    assert decided <= {row["decision"] for row in read.rows("decisions.csv")}


def says_the_database(read: Any, story: Any) -> None:
    population, decisions = read.rows("population.csv"), read.rows("decisions.csv")
    states = Counter(ReviewItem.objects.values_list("state", flat=True))
    assert Counter(row["state"] for row in population) == states == {"decided": 8, "expired": 2}
    assert {row["item"] for row in population} == {document["item"] for document in read.lines("seen.jsonl")}
    assert {row["decision"] for row in decisions} == set(map(str, Decision.objects.values_list("pk", flat=True)))
    assert sum(row["is_final"] == "yes" for row in decisions) == states["decided"]
    orders = Counter(row["state"] for row in read.rows("remediation.csv"))
    assert orders == Counter(Order.objects.values_list("state", flat=True))
    digest = hashlib.sha256(
        "".join(f"{row['kind']} {row['object']} {row['content_digest']}\n" for row in population).encode()
    ).hexdigest()
    assert digest == story.campaign.frozen["population"] == read.json("completeness.json")["population_of_this_pack"]
    for document in read.lines("seen.jsonl"):
        evidence = orjson.dumps(document["seen"], option=orjson.OPT_SORT_KEYS)
        assert document["seen_sha256"] == hashlib.sha256(evidence).hexdigest()


def says_the_twelve_answers(read: Any, story: Any) -> None:
    whole = read.json("completeness.json")
    assert whole["questions"] == {"expected_at_opening": 10, "written": 10, "is_whole": True}
    assert whole["frozen_before_first_answer"]["is_before_first_answer"] is True
    ledger = next(each for each in whole["sources"] if each["name"] == "Ledger")
    assert (ledger["records_reported"], ledger["objects_stored"], ledger["records_refused"]) == (12, 11, 1)
    verdicts = Counter(row["independence"] for row in read.rows("reviewers.csv"))
    assert verdicts == {
        "owner, access not privileged": 7, "independent": 1, "testimony": 1, "passed on": 1, "taken back": 2,
        "nobody answered": 1,
    }  # fmt: skip
    [proved] = [row for row in read.rows("remediation.csv") if row["state"] == "verified"]
    assert (proved["reading_is_later"], proved["run_is_complete"]) == ("yes", "yes")
    kinds = Counter(row["kind"] for row in read.rows("exceptions.csv"))
    assert kinds == {"approved until a date": 1, "kept against the recommendation": 1, "let rest unproved": 1}
    [rested] = [row for row in read.rows("exceptions.csv") if row["kind"] == "let rest unproved"]
    assert (rested["accepted_by"], rested["reason"]) == ("Rob O'Reviewer", "'=The role is gone with its server.")
    gaps = Counter(row["kind"] for row in read.rows("not_assessable.csv"))
    assert (gaps["not certified"], gaps["use not observable"], gaps["records refused"]) == (2, 9, 1)
    signed = read.json("acknowledgement.json")
    assert signed["is_acknowledged"] is True
    closed = "2026-03-16T10:00:00.000000Z"
    lines = [f"review {story.campaign.pk} {closed} {story.campaign.frozen['population']}\n"]
    lines += sorted(f"item {row['item']} {row['state']}\n" for row in read.rows("population.csv"))
    lines += sorted(f"order {row['order']} {row['state']}\n" for row in read.rows("remediation.csv"))
    assert signed["state_digest_of_this_pack"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    keep = read.json("policies/deadline.json")["rules"]["table"]["standard"]["unused"]["other"]
    assert keep == {"act": "keep"}, "the table that the review goes by, not the default one"
    assert read.json("quality.json")["in_time"]["not_certified"] == 2


def says_the_report(read: Any) -> None:
    report = read.text("report.html")
    assert (
        "<script" not in report
        and "<b>line" not in report
        and "http" not in report.replace("http-equiv", "").replace("http://evil/", "")
    )
    assert "10 accesses were asked about, 1 of them privileged." in report
    assert "8 (80 %) were decided: 8 by people and 0 by the rules for silence. 2 were not certified." in report
    exceptions, gaps = len(read.rows("exceptions.csv")), len(read.rows("not_assessable.csv"))
    assert f"Exceptions<strong>{exceptions}</strong>" in report
    assert f"Not assessable<strong>{gaps}</strong>" in report


def says_the_manifest(read: Any, pack: EvidencePack) -> None:
    manifest = read.json("manifest.json")
    assert {each["path"] for each in manifest["files"]} == set(read.names) - {"manifest.json", "manifest.note"}
    for each in manifest["files"]:
        content = read.zip.read(each["path"])
        assert (each["sha256"], each["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    digest = hashlib.sha256(read.zip.read("manifest.json")).hexdigest()
    assert pack.manifest_sha256 == digest
    assert read.text("manifest.note").startswith(f"remit-evidence/1\n{pack.origin}\n{digest}\n\n— {pack.origin} ")
    assert places.file_of(pack).stat().st_mode & 0o077 == 0


def test_what_people_wrote_neither_runs_in_a_spreadsheet_nor_breaks_a_row(story: Any, opened: Any) -> None:
    read = opened(story.pack())
    for name in ("population.csv", "reviewers.csv", "decisions.csv", "remediation.csv", "not_assessable.csv"):
        rows = read.rows(name)
        assert all(None not in row and None not in row.values() for row in rows), "every row has every column"
        cells = [cell for row in rows for cell in row.values()]
        assert not [cell for cell in cells if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))]
    names = {row["identity"] for row in read.rows("population.csv")}
    assert {f"'{FORMULA}", TURNING} <= names
    assert any(document["seen"]["identity"]["name"] == TURNING for document in read.lines("seen.jsonl"))
    assert "\x07" not in read.text("report.html")


def test_the_same_pack_is_the_same_bytes_whatever_happened_since(
    story: Any, opened: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    acknowledge(campaign=story.campaign, statement="Seen.", actor=story.make.actor(story.manager), now=timezone.now())
    pack = story.pack()
    first = places.file_of(pack).read_bytes()

    # The world goes on: proved, let rest, renamed, read, signed, acknowledged again; and another code page of time.
    story.read("revoked", "narrowed")
    settle_order(
        order=story.order("rested"), reason="Gone.", actor=story.make.actor(story.reviewer), now=timezone.now()
    )
    User.objects.update(name="Somebody Else")
    Source.objects.update(name="Renamed", not_observable=[])
    Identity.objects.update(name="renamed", owner=None)
    acknowledge(campaign=story.campaign, statement="Again.", actor=story.make.actor(story.manager), now=timezone.now())
    later = story.pack()
    monkeypatch.setattr(building, "LINES_BETWEEN_LOOKS", 1)

    again = tmp_path / "again.zip"
    assert packs.write_to(pack=pack, target=again) == pack.sha256
    assert again.read_bytes() == first
    before, after = opened(pack), opened(later)
    assert (before.json("acknowledgement.json")["is_acknowledged"], len(after.rows("exceptions.csv"))) == (True, 3)
    assert Counter(row["state"] for row in after.rows("remediation.csv"))["verified"] == 2


def test_a_signature_is_out_of_date_as_soon_as_an_order_moves_and_the_pack_says_so(story: Any, opened: Any) -> None:
    acknowledge(campaign=story.campaign, statement="Seen.", actor=story.make.actor(story.manager), now=timezone.now())
    story.read("revoked")
    read = opened(story.pack())
    assert read.json("acknowledgement.json")["is_acknowledged"] is False
    assert "Over an earlier state" in read.text("report.html")


def test_what_was_erased_is_said_to_be_and_nothing_else_is_lost(story: Any, opened: Any) -> None:
    before = opened(story.pack())
    event = AuditEvent.objects.filter(verb="item.decided", payload__contains=str(story.item("revoked").pk)).get()
    erase_details(event_ids=[event.pk], actor=system_actor("test"), now=timezone.now(), reason="Asked for.")
    read = opened(story.pack())

    [row] = [row for row in read.rows("decisions.csv") if row["item"] == str(story.item("revoked").pk)]
    assert row["reason"] == "(erased)"
    assert "says Olga" in before.text("decisions.csv") and "says Olga" not in "".join(
        read.text(name) for name in read.names
    )
    [line] = [line for line in read.lines("audit-log.jsonl") if (line["detail"] or {}).get("erased_at")]
    assert json.loads(line["payload"])["id"] == str(event.pk)
    assert "were erased" in read.text("VERIFY.md")


def test_a_pack_is_pinned_again_when_an_order_moved_between_the_signature_and_the_copy(
    story: Any, opened: Any, monkeypatch: Any
) -> None:
    signed, times = pinning.excerpt.signed_now, []

    def sign_and_move(**facts: Any) -> Any:
        checkpoint = signed(**facts)
        if not times:
            story.read("revoked")
        times.append(checkpoint.size)
        return checkpoint

    monkeypatch.setattr(pinning.excerpt, "signed_now", sign_and_move)
    pack = story.pack()
    assert len(times) == 2 and pack.size == times[1]
    states = {row["state"] for row in opened(pack).rows("remediation.csv")}
    assert "verified" in states


def test_a_trail_that_is_not_what_was_signed_makes_no_pack(story: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_auditevent SET payload = replace(payload, 'success', 'refused') WHERE verb = 'campaign.opened'"
        )
    pack = story.pack()
    assert pack.state == "failed"
    assert "not the ones that were signed" in pack.problem or "changed" in pack.problem
    assert not places.file_of(pack).exists()
    assert AuditEvent.objects.filter(verb="evidence_pack.failed", subject_id=str(pack.pk)).count() == 1


def test_a_builder_killed_in_the_middle_is_followed_by_another_that_comes_to_the_same_bytes(
    story: Any, committed_db: Any, tmp_path: Path
) -> None:
    first = story.pack()
    pack = EvidencePack.objects.get(pk=first.pk)
    EvidencePack.objects.filter(pk=pack.pk).update(state="waiting", attempts=0)
    builder = """
import django, signal, os, sys
django.setup()
from django.conf import settings
from django.utils import timezone
from pathlib import Path
settings.AUDIT_CHECKPOINT_DIR, settings.EVIDENCE_DIR = Path(sys.argv[2]), Path(sys.argv[3])
from reviews.packs import building
def die(pin, tally):
    yield "half a file"
    os.kill(os.getpid(), signal.SIGKILL)
building.FILES = tuple((name, die if name == "decisions.csv" else lines) for name, lines in building.FILES)
building.build_pack(pack_id=sys.argv[1], now=timezone.now())
"""
    where = [str(settings.AUDIT_CHECKPOINT_DIR), str(settings.EVIDENCE_DIR)]
    ended = subprocess.run(
        [sys.executable, "-c", builder, str(pack.pk), *where],
        env=os.environ | {"DATABASE_URL": committed_db.url},
        timeout=120,
        check=False,
    )
    assert ended.returncode == -9
    folder = Path(settings.EVIDENCE_DIR)
    assert len(list(folder.glob(f".{pack.pk}*"))) == 1, "what the dead one left"
    pack.refresh_from_db()
    assert pack.state == "building"

    now = timezone.now()
    assert packs.build_due_packs(now=now) == 0, "its lease still runs"
    assert packs.build_pack(pack_id=pack.pk, now=now) is None
    after = now + building.LEASE + timedelta(seconds=1)
    assert packs.build_due_packs(now=after) == 1
    again = packs.build_pack(pack_id=pack.pk, now=after)
    assert again is not None and (again.state, again.sha256) == ("ready", first.sha256)
    assert list(folder.glob(f".{pack.pk}*")) == []
    assert packs.build_pack(pack_id=pack.pk, now=after) is None, "a message that comes twice writes once"


def test_a_builder_that_comes_back_late_says_nothing(story: Any, monkeypatch: Any) -> None:
    asked = packs.request_pack(
        campaign=story.campaign, actor=story.make.actor(story.manager), now=timezone.now(), is_queued=False
    )
    report = building.report_html

    def overtaken(pin: Any, tally: Any) -> Any:
        EvidencePack.objects.filter(pk=asked.pk).update(attempts=7)
        return report(pin, tally)

    monkeypatch.setattr(building, "report_html", overtaken)
    assert packs.build_pack(pack_id=asked.pk, now=timezone.now()) is None
    asked.refresh_from_db()
    assert (asked.state, asked.attempts, places.file_of(asked).exists()) == ("building", 7, False)


def test_a_file_that_is_lost_is_written_again_and_taking_it_out_is_recorded(story: Any) -> None:
    pack, manager = story.pack(), story.make.actor(story.manager)
    places.file_of(pack).unlink()
    with pytest.raises(PackNotReady):
        packs.take_out(pack=pack, actor=manager, now=timezone.now())
    again = packs.build_pack(pack_id=pack.pk, now=timezone.now())
    assert again is not None and again.sha256 == pack.sha256
    path = packs.take_out(pack=again, actor=manager, now=timezone.now())
    assert path.stat().st_size == pack.file_size
    [taken] = AuditEvent.objects.filter(verb="evidence_pack.downloaded")
    assert (taken.actor_id, taken.subject_id) == (str(story.manager.pk), str(pack.pk))


def test_the_command_writes_a_pack_and_writes_it_again(story: Any, tmp_path: Path, capsys: Any) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    call_command("evidence_pack", str(story.campaign.pk), output=str(one))
    pack = EvidencePack.objects.get()
    call_command("evidence_pack", str(story.campaign.pk), output=str(two), pack=str(pack.pk))
    assert one.read_bytes() == two.read_bytes()
    assert hashlib.sha256(one.read_bytes()).hexdigest() == pack.sha256
    assert pack.sha256 in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize("role", [None, *Role])
def test_who_may_ask_for_a_pack(make: Any, role: Role | None) -> None:
    campaign = make.item().campaign
    campaign.__class__.objects.filter(pk=campaign.pk).update(state="closed", closed_at=make.NOW)
    person = make.actor(make.person(*[role] * bool(role)))
    may = role in (Role.ADMINISTRATOR, Role.AUDITOR, Role.CAMPAIGN_MANAGER)
    try:
        packs.request_pack(campaign=campaign, actor=person, now=make.NOW)
    except Exception as refusal:
        assert not may and getattr(refusal, "code", "") == "forbidden"
    else:
        assert may
    assert EvidencePack.objects.count() == may


@pytest.mark.django_db
def test_an_open_review_has_no_evidence_yet_and_a_waiting_pack_is_not_asked_for_twice(make: Any) -> None:
    campaign = make.item().campaign
    auditor = make.actor(make.person(Role.AUDITOR))
    with pytest.raises(NotOver):
        packs.request_pack(campaign=campaign, actor=auditor, now=make.NOW)
    campaign.__class__.objects.filter(pk=campaign.pk).update(state="cancelled", closed_at=make.NOW)
    asked = [packs.request_pack(campaign=campaign, actor=auditor, now=make.NOW) for _ in range(2)]
    assert asked[0].pk == asked[1].pk
    assert AuditEvent.objects.filter(verb="evidence_pack.requested").count() == 1


def test_lines_are_never_gathered(monkeypatch: Any, tmp_path: Path) -> None:
    """An entry takes its lines one by one: what is held at once is a piece, however long the file becomes."""
    from governance.audit.sealed_zip import PIECE, SealedZip

    held, most = 0, 0

    def lines() -> Any:
        nonlocal held, most
        for _ in range(2_000):
            held += 1_000
            most = max(most, held)
            yield "x" * 999 + "\n"

    with SealedZip(tmp_path / "a.zip", "any/1") as archive:
        write = archive._zip.open

        def watched(*args: Any, **more: Any) -> Any:
            file = write(*args, **more)
            real = file.write

            def count(piece: bytes) -> int:
                nonlocal held
                held -= len(piece)
                return real(piece)

            file.write = count
            return file

        monkeypatch.setattr(archive._zip, "open", watched)
        archive.add("long.txt", lines())
    assert most <= PIECE + 1_000
