"""Write a pack: take it under a lease, pin it if that is not done, write all files as they stream out of the database.

The row is the truth and the message a hint. Whoever dies leaves a lease that runs out and a file that nobody sees; the
next builder begins anew from the same pin and comes to the same bytes. Taking a pack counts its attempts, and an end is
written only under the attempt that was taken: a builder that comes back late finds somebody else's number.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.keys import load_or_create_key
from governance.audit.notes import Checkpoint
from governance.audit.sealed_zip import SealedZip
from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from reviews.models import Decision, EvidencePack, PackedOrder, PackState
from reviews.packs import places
from reviews.packs.content import Pin, Tally
from reviews.packs.decisions import decisions_csv
from reviews.packs.exceptions import exceptions_csv
from reviews.packs.gaps import gaps_csv
from reviews.packs.guide import verifier_program, verify_md
from reviews.packs.pinning import pin
from reviews.packs.population import population_csv, seen_jsonl
from reviews.packs.quality import quality_json
from reviews.packs.remediation import remediation_csv
from reviews.packs.report import report_html
from reviews.packs.requesting import pack_subject
from reviews.packs.reviewers import reviewers_csv
from reviews.packs.scope import acknowledgement_json, policies, scope_json
from reviews.packs.sources import completeness_json, sources_csv
from reviews.packs.trail import (
    audit_log,
    checkpoint_text,
    frozen_before,
    inclusion,
    single_proofs,
)

logger = structlog.get_logger(__name__)
BUILDER = system_actor("packer")
LEASE = timedelta(minutes=2)
SECONDS_BETWEEN_NOTES = 1.0
LINES_BETWEEN_LOOKS = 500
MOST_ATTEMPTS = 5
FORMAT = "remit-evidence/1"

File = Callable[[Pin, Tally], Iterator[str]]
# In this order: the trail first, because it knows what was erased; the report last, because it says what was counted.
FILES: tuple[tuple[str, File], ...] = (
    ("audit-log.jsonl", audit_log),
    ("checkpoint.txt", checkpoint_text),
    ("proofs/inclusion.json", inclusion),
    ("scope.json", scope_json),
    ("sources.csv", sources_csv),
    ("population.csv", population_csv),
    ("completeness.json", completeness_json),
    ("reviewers.csv", reviewers_csv),
    ("seen.jsonl", seen_jsonl),
    ("decisions.csv", decisions_csv),
    ("remediation.csv", remediation_csv),
    ("exceptions.csv", exceptions_csv),
    ("not_assessable.csv", gaps_csv),
    ("acknowledgement.json", acknowledgement_json),
    ("quality.json", quality_json),
)


class Overtaken(Exception):
    """Another builder has taken the pack since; this one has nothing left to say."""


def build_due_packs(*, now: datetime) -> int:
    """Queue every pack that waits and every one whose builder died. Returns how many were queued."""
    due = list(_due(now).order_by("requested_at").values_list("pk", flat=True)[:20])
    with transaction.atomic(durable=True):
        for pk in due:
            dispatch.after_commit("reviews.build_pack", pack_id=str(pk))
    return len(due)


def build_pack(*, pack_id: UUID | str, now: datetime) -> EvidencePack | None:
    """Write one pack. Does nothing when it is written, or somebody else is at it; None then.

    Raises nothing that a domain refuses: it is kept with the pack as its problem.
    """
    pack = _take(pack_id, now)
    if pack is None:
        return None
    try:
        if pack.size is None:
            pin(pack, actor=BUILDER, now=now)
        return _end(pack, _write(pack))
    except Overtaken:
        logger.warning("evidence_pack.overtaken", pack=str(pack.pk), attempt=pack.attempts)
    except DomainError as problem:
        _fail(pack, problem)
    return None


def write_to(*, pack: EvidencePack, target: Path) -> str:
    """Write a pinned pack to another file; its sha256. For commands and tests: the same pin gives the same bytes."""
    with places.draft_of(target) as draft:
        _pack_into(draft, Pin.of(pack), _Progress())
        return _hash_of(draft)


def _due(now: datetime) -> QuerySet[EvidencePack]:
    return EvidencePack.objects.filter(Q(state=PackState.WAITING) | Q(state=PackState.BUILDING, leased_until__lte=now))


def _take(pack_id: UUID | str, now: datetime) -> EvidencePack | None:
    with transaction.atomic(durable=True):
        pack = _due(now).select_for_update(skip_locked=True).filter(pk=pack_id).first()
        if pack is None:
            return None
        pack.attempts += 1
        pack.state, pack.leased_until, pack.progress = PackState.BUILDING, now + LEASE, {}
        pack.save(update_fields=["attempts", "state", "leased_until", "progress"])
        if pack.attempts > MOST_ATTEMPTS:
            _write_failure(pack, f"Given up: {MOST_ATTEMPTS} builders were lost while they wrote it.", "builders-lost")
            return None
    return pack


@dataclass(frozen=True, slots=True)
class _Written:
    file_size: int
    sha256: str
    manifest_sha256: str


def _write(pack: EvidencePack) -> _Written:
    pinned = Pin.of(pack)
    with places.draft_of(places.file_of(pack)) as draft:
        manifest = _pack_into(draft, pinned, _Progress(pack, _expected(pinned)))
        written = _Written(draft.stat().st_size, _hash_of(draft), hashlib.sha256(manifest.encode()).hexdigest())
        if not _is_ours(pack).exists():
            raise Overtaken
    return written


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack_into(path: Path, pinned: Pin, progress: "_Progress") -> str:
    """All files in their order; returns the manifest's text."""
    tally = Tally()
    with SealedZip(path, FORMAT) as archive:
        for name, lines in FILES:
            archive.add(name, progress.through(name, lines(pinned, tally)))
            if name == "audit-log.jsonl":
                tally.frozen_before = frozen_before(pinned, tally)
        for name, text in policies(pinned, tally).items():
            archive.add(name, text)
        for name, proof in single_proofs(pinned, tally).items():
            archive.add(name, [proof])
        archive.add("report.html", report_html(pinned, tally))
        archive.add("VERIFY.md", verify_md(pinned, tally))
        program = verifier_program()
        if program is not None:
            archive.add("remit_verify.py", [program])
        return archive.seal(
            checkpoint=Checkpoint(pinned.origin, pinned.size, pinned.root, pinned.note),
            key=load_or_create_key(settings.AUDIT_KEY_FILE),
            campaign={"id": str(pinned.campaign), "name": pinned.review["name"]},
        )


def _expected(pinned: Pin) -> dict[str, int]:
    """About how many lines the long files will have, for the bar: some may have a few more."""
    questions = pinned.items().count()
    answers = Decision.objects.filter(item__campaign=pinned.campaign).count()
    orders = PackedOrder.objects.filter(pack=pinned.pack).count()
    return {
        "audit-log.jsonl": questions + answers + 4 * orders,
        "population.csv": questions,
        "reviewers.csv": max(questions, answers),
        "seen.jsonl": questions,
        "decisions.csv": answers,
        "remediation.csv": orders,
    }


@dataclass(slots=True)
class _Progress:
    """Says on the row how far it is and keeps the lease; silent without a row. Raises Overtaken."""

    pack: EvidencePack | None = None
    expected: dict[str, int] = field(default_factory=dict)
    before: int = 0
    noted_at: float = 0.0

    def through(self, name: str, lines: Iterator[str]) -> Iterator[str]:
        """The lines as they are, counted."""
        self._note(name, 0)
        for done, line in enumerate(lines, start=1):
            if not done % LINES_BETWEEN_LOOKS:
                self._note(name, done)
            yield line
        self.before += self.expected.get(name, 0)

    def _note(self, name: str, done: int) -> None:
        if self.pack is None or time.monotonic() - self.noted_at < SECONDS_BETWEEN_NOTES:
            return
        self.noted_at = time.monotonic()
        whole = sum(self.expected.values()) or 1
        progress = {"file": name, "done": min(self.before + min(done, self.expected.get(name, 0)), whole), "of": whole}
        if not _is_ours(self.pack).update(progress=progress, leased_until=timezone.now() + LEASE):
            raise Overtaken


def _is_ours(pack: EvidencePack) -> QuerySet[EvidencePack]:
    return EvidencePack.objects.filter(pk=pack.pk, attempts=pack.attempts, state=PackState.BUILDING)


def _end(pack: EvidencePack, written: _Written) -> EvidencePack | None:
    now = timezone.now()
    with transaction.atomic(durable=True):
        locked = _is_ours(pack).select_for_update().first()
        if locked is None:
            raise Overtaken
        locked.state, locked.ready_at, locked.leased_until, locked.problem = PackState.READY, now, None, ""
        locked.file_size, locked.sha256 = written.file_size, written.sha256
        locked.manifest_sha256, locked.progress = written.manifest_sha256, {}
        locked.save()
        log.record(
            verb=Verb.EVIDENCE_PACK_BUILT,
            actor=BUILDER,
            subject=pack_subject(locked),
            now=now,
            context={
                "campaign": str(locked.campaign_id),
                "size": locked.size,
                "sha256": locked.sha256,
                "manifest": locked.manifest_sha256,
            },
        )
    return locked


def _fail(pack: EvidencePack, problem: DomainError) -> None:
    logger.error("evidence_pack.failed", pack=str(pack.pk), code=problem.code, problem=problem.message)
    with transaction.atomic(durable=True):
        locked = _is_ours(pack).select_for_update().first()
        if locked is not None:
            _write_failure(locked, problem.message, problem.code)


def _write_failure(pack: EvidencePack, problem: str, code: str) -> None:
    pack.state, pack.problem, pack.leased_until = PackState.FAILED, problem, None
    pack.save(update_fields=["state", "problem", "leased_until"])
    log.record(
        verb=Verb.EVIDENCE_PACK_FAILED,
        actor=BUILDER,
        subject=pack_subject(pack),
        now=timezone.now(),
        context={"campaign": str(pack.campaign_id), "code": code},
    )
