"""What a page says about a reading: how far it is, what it changed in numbers, what a held one would take from whom."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.kernel.actors import Actor
from governance.people.models import User
from governance.web.templatetags.remit import number
from identities.connectors.registry import formats
from identities.models import ChangeAction, SyncRun, SyncState
from identities.sync.cancel import may_cancel
from identities.sync.differences import Loser
from identities.views.change_lines import KIND_NAMES

COUNTED = ("added", "changed", "retired", "unchanged")
COUNT_NAMES = {**KIND_NAMES, "usage": "Usage", "usage_window": "Usage window"}
PHASES = {
    "asking": "Asking the source",
    "converting": "Reading the file",
    "reading": "Reading and checking records",
    "comparing": "Comparing with the inventory",
    "deriving": "Working out what permissions allow",
    "writing": "Writing what changed",
    "history": "Writing the history",
}


@dataclass(frozen=True, slots=True)
class CountLine:
    """What became of the objects of one kind."""

    kind: str
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """A reading under way. `percent` is of the bytes, and None where nobody knows how many there are."""

    url: str
    cancel_url: str
    phase: str
    records: int
    percent: int | None
    size: str
    elapsed: str
    is_ending: bool
    may_cancel: bool


@dataclass(frozen=True, slots=True)
class LoserLine:
    """Who would lose how much."""

    name: str
    external_id: str
    url: str
    grants: int
    of_grants: int
    privileged: int
    credentials: int
    is_retired: bool


def progress_of(run: SyncRun, actor: Actor, now: datetime) -> ProgressLine | None:
    """How far a running reading is; None for one that is over."""
    if run.state != SyncState.RUNNING:
        return None
    said = run.progress or {}
    done, total = int(said.get("bytes", 0)), int(said.get("of_bytes", 0))
    phase = str(said.get("phase", ""))
    return ProgressLine(
        url=reverse("identities:sync_run_detail", args=[run.pk]),
        cancel_url=reverse("identities:sync_run_cancel", args=[run.pk]),
        phase=PHASES.get(phase, phase.replace("_", " ").capitalize()) or "Beginning",
        records=int(said.get("records", 0)),
        percent=min(100, done * 100 // total) if total else None,
        size=f"{spoken_bytes(done)} of {spoken_bytes(total)}" if total else "",
        elapsed=spoken_time((now - run.started_at).total_seconds()),
        is_ending=run.cancel_requested_at is not None,
        may_cancel=may_cancel(actor, run),
    )


def count_lines(run: SyncRun) -> list[CountLine]:
    """The counts of a run as a table: kinds as rows."""
    lines = []
    for kind, name in COUNT_NAMES.items():
        counts: dict[str, Any] = run.counts.get(kind, {})
        numbers = [counts.get(action, 0) for action in COUNTED]
        if any(numbers):
            lines.append(CountLine(name, numbers))
    return lines


def total_of(run: SyncRun, action: str) -> int:
    """How many objects of all kinds the run added, changed or retired, without counting them."""
    return sum(run.counts.get(kind, {}).get(action, 0) for kind in KIND_NAMES)


def summary_of(run: SyncRun) -> str:
    """What a reading changed, in a few words. New figures of use, which most readings bring, are no change."""
    changed = [f"{number(total)} {action}" for action in ChangeAction.values if (total := total_of(run, action))]
    if changed or run.state == SyncState.RUNNING:
        return ", ".join(changed)
    return "only figures of use" if tells_of_use(run) else "nothing changed"


def tells_of_use(run: SyncRun) -> bool:
    """Whether the reading brought new figures of use."""
    counts = [run.counts.get(kind, {}) for kind in COUNT_NAMES.keys() - KIND_NAMES.keys()]
    return any(each.get(action, 0) for each in counts for action in ChangeAction.values)


def nothing_of(run: SyncRun, chosen: str) -> dict[str, str]:
    """Title and text where no object is listed: of one kind of change (`chosen`), or of any."""
    if chosen and any(total_of(run, action) for action in ChangeAction.values):
        return {"title": f"Nothing was {chosen}", "text": "What else the reading changed stands under the other tabs."}
    if tells_of_use(run):
        text = "Every object is as it was before. How they are used was counted anew: the numbers stand above."
        return {"title": "Nothing changed but figures of use", "text": text}
    return {"title": "Nothing changed", "text": "The source looked just as before, which is an answer too."}


def loser_line(loser: Loser) -> LoserLine:
    """An identity that would lose something."""
    return LoserLine(
        name=loser.name,
        external_id=loser.external_id,
        url=reverse("identities:identity_detail", args=[loser.identity_id]),
        grants=loser.grants,
        of_grants=loser.of_grants,
        privileged=loser.privileged,
        credentials=loser.credentials,
        is_retired=loser.is_retired,
    )


def note_lines(run: SyncRun) -> dict[str, Any]:
    """What the reader of a file had to say: its format, what it counted, and sentences; empty for other runs."""
    titles = {each.name: each.title for each in formats()}
    name = str(run.notes.get("format", ""))
    return {
        "format": titles.get(name, name),
        "counts": sorted(run.notes.get("counts", {}).items()),
        "sentences": run.notes.get("sentences", []),
    }


def origin_of(run: SyncRun) -> str:
    """Where the reading came from, as it stands within a sentence: "sent through the API"."""
    words = run.get_origin_display()
    return words[0].lower() + words[1:]


def started_by(run: SyncRun) -> str:
    """Who or what asked for the reading, in words."""
    if run.actor_id.startswith("system:"):
        return f"Remit {run.actor_id.removeprefix('system:')}"
    try:
        person = User.objects.filter(pk=UUID(run.actor_id)).first()
    except ValueError:
        return run.actor_id
    return person.name if person else "an API client"


def spoken_time(seconds: float) -> str:
    """How long something has taken: "8 s", "3 min 05 s", "1 h 02 min"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def spoken_bytes(size: int) -> str:
    """A size in its largest unit: "512 B", "3.4 MB"."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{number(size)} B"
