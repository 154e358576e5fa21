"""What was decided, kept: lines of the decision log and tallies of use, gathered in memory and written in batches.

Nothing waits for it: a process gathers what it decided, and a thread writes it after some seconds and when much has
come together; what is left is written when the process ends. Who asks writes only where more comes than the thread can
write. What a process that is killed had gathered and not written is lost, seconds at most; a figure says how much was
given up because the database stayed away. Inside a transaction that has written, it is written with it.

A line tells what was decided of one identity, entry by entry. It names the identity by its id, and action and resource
as the grants write them where one of them spoke; whatever else a caller sent stands there as a digest. So a line holds
neither secrets nor names. A tally is exact however entries are sampled: every permitted (identity, action, resource)
counts.
"""

import atexit
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, connection, transaction

from governance.audit.canonical import elements_of, list_of, rfc3339
from governance.audit.stream import Line, append
from governance.waiting import within
from identities.pdp.index import Principal
from identities.pdp.judging import Verdict
from identities.pdp.policy import Policy
from identities.pdp.reasons import Reason
from identities.pdp.requests import Decision, Request

logger = structlog.get_logger(__name__)
KIND = "decisions"
PERMIT = Reason.GRANTED.value
MOST_ACTION, MOST_RESOURCE = 256, 1024
MOST_ENTRIES = 200
# After so long what is being written is taken back: a database that hangs must not keep it.
WRITE_SECONDS = 30.0
# Reasons that a grant of the identity gave: only then are the words of the request ones that the inventory knows.
_BY_GRANTS = frozenset(Reason) - {
    *(Reason.UNKNOWN_IDENTITY, Reason.AMBIGUOUS_IDENTITY, Reason.UNKNOWN_DOMAIN, Reason.UNKNOWN_RESOURCE),
    *(Reason.RETIRED, Reason.DISABLED, Reason.STALE, Reason.NO_GRANT, Reason.KILLED, Reason.MALFORMED),
    *(Reason.UNTRUSTED, Reason.UNKNOWN_CREDENTIAL, Reason.CREDENTIAL_DISABLED, Reason.CREDENTIAL_EXPIRED),
    Reason.UNAVAILABLE,
}
_SPOKEN = frozenset(reason._value_ for reason in _BY_GRANTS)

Whose = tuple[str | None, str, int]
"""Whose decisions a line tells: identity (its id as text; None for nobody known), domain, policy number."""

What = tuple[str, str, str, str]
"""What an entry tells: action, type of the resource and its id or all of it, reason.

Where a grant spoke, the type is empty and the resource is written as the grant writes it.
"""

Entry = tuple[Any, ...]
"""An entry as it is written: action, resource, reason, evaluation; of several decisions also their number and since
when.
"""

Times = tuple[int, datetime, datetime, UUID]
"""How often, from when to when, and the id of the last."""


@dataclass(slots=True)
class _Told:
    """What one process has to tell of one identity since it last wrote."""

    last: datetime
    same: dict[What, Times] = field(default_factory=dict)
    each: list[tuple[int, bytes]] = field(default_factory=list)
    """Moments with entries of one decision each, as text: thousands of objects would be work for the collector."""
    used: dict[What, Times] = field(default_factory=dict)
    """Permits that no other part tells of as use: single and sampled entries."""


class _Gathered:
    """What one process gathered since it last wrote. singles: entries that tell of one decision each."""

    def __init__(self) -> None:
        self.told: dict[Whose, _Told] = {}
        self.rows = self.singles = 0

    def __len__(self) -> int:
        return self.rows

    def of(self, whose: Whose, now: datetime) -> _Told:
        found = self.told.get(whose)
        if found is None:
            found = self.told[whose] = _Told(now)
        found.last = max(now, found.last)
        return found

    def count(self, counts: dict[What, Times], what: What, now: datetime, evaluation_id: UUID) -> None:
        """One more of the same."""
        found = counts.get(what)
        if found is None:
            counts[what] = 1, now, now, evaluation_id
            self.rows += 1
        else:
            counts[what] = found[0] + 1, found[1], now, evaluation_id

    def take_back(self, older: "_Gathered") -> None:
        """Add what was gathered before this and could not be written."""
        for whose, before in older.told.items():
            mine = self.of(whose, before.last)
            mine.each = [*before.each, *mine.each]
            for counts, earlier in ((mine.same, before.same), (mine.used, before.used)):
                for what, found in earlier.items():
                    newer = counts.get(what)
                    counts[what] = found if newer is None else (found[0] + newer[0], found[1], *newer[2:])
                    self.rows -= newer is not None
        self.singles += older.singles
        self.rows += older.rows


class Recorder:
    """One per process. Threads add; one at a time writes."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Anew: what the parent of a forked process gathered is the parent's to write, and its threads stay there."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._gathered = _Gathered()
        self._timer: threading.Timer | None = None
        self._writer: threading.Thread | None = None
        self._seen = 0
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._gathered)

    def add(
        self, policy: Policy, requests: Sequence[Request], verdicts: Sequence[Verdict],
        decisions: Sequence[Decision], now: datetime,
    ) -> None:  # fmt: skip
        """Gather what was decided, and see to it that it is written; never raises for what the database does."""
        most = settings.DECISION_LOG_MOST
        with self._lock:
            self.gather(self._gathered, policy, requests, verdicts, decisions, now, most)
            waiting = len(self._gathered)
        if waiting >= most:
            self._write_now(is_behind=waiting >= 2 * most)
        elif self._timer is None:
            self._wait()

    def gather(
        self, gathered: _Gathered, policy: Policy, requests: Sequence[Request], verdicts: Sequence[Verdict],
        decisions: Sequence[Decision], now: datetime, most: int,
    ) -> None:  # fmt: skip
        """most: rows that are gathered before they are written."""
        number, permits, denies = policy.number, policy.log_permits, policy.log_denies
        at = rfc3339(now)
        of: tuple[Principal | None, str] | None = None
        singles: list[Entry] = []
        found: list[tuple[_Told, list[Entry]]] = []
        for request, verdict, decision in zip(requests, verdicts, decisions, strict=True):
            kind, principal, action, resource, _ = verdict
            if of is None or of[0] is not principal or of[1] != request.domain:
                of = principal, request.domain
                whose = principal.key if principal is not None else None, request.domain, number
                told, singles = gathered.of(whose, now), []
                found.append((told, singles))
            reason, evaluation_id = kind._value_, decision.evaluation_id
            if principal is not None and reason in _SPOKEN:
                what = action, "", resource, reason
            else:
                what = request.action, request.resource_type, request.resource_id, reason
            is_permit = reason == PERMIT
            how = permits if is_permit else denies
            if how == "aggregated":
                gathered.count(told.same, what, now, evaluation_id)
                continue
            if is_permit:
                gathered.count(told.used, what, now, evaluation_id)
            if how == "sampled":
                self._seen += 1
                if self._seen % policy.one_in:
                    continue
            # A flood of denials is told by how many they were, so that nobody fills memory by asking for what is
            # refused.
            if gathered.singles < most // 2:
                singles.append(_entry(what, evaluation_id))
                gathered.singles += 1
                gathered.rows += 1
            elif not is_permit:
                gathered.count(told.same, what, now, evaluation_id)
        for told, singles in found:
            told.each += _written(at, singles)

    def flush(self) -> int:
        """Write what was gathered; how many rows were written. What cannot be written now is kept, if there is room.

        Waits for whoever is writing, so that afterwards everything that was added before is written.
        """
        with self._writing:
            with self._lock:
                taken, self._gathered = self._gathered, _Gathered()
                self._stop_waiting()
            if not len(taken):
                return 0
            try:
                with transaction.atomic():
                    _write(taken)
            except (Error, RuntimeError) as problem:
                # RuntimeError: no database may be used here, as at the end of an interpreter.
                logger.warning("decisions.not_logged", error=str(problem).partition("\n")[0], rows=len(taken))
                if not connection.in_atomic_block:
                    connection.close()
                self._take_back(taken)
                return 0
            return len(taken)

    def _write_now(self, *, is_behind: bool) -> None:
        """By a thread, or right here where the thread is behind or none is wanted."""
        if is_behind or settings.DECISION_LOG_SECONDS <= 0:
            self.flush()
            return
        with self._lock:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(target=self._when_due, name="decision-log", daemon=True)
                self._writer.start()

    def _take_back(self, taken: _Gathered) -> None:
        with self._lock:
            if len(self._gathered) + len(taken) > 2 * settings.DECISION_LOG_MOST:
                self.given_up += len(taken)
                logger.error("decisions.log_given_up", rows=len(taken), in_all=self.given_up)
                return
            self._gathered.take_back(taken)
        self._wait()

    def _wait(self) -> None:
        with self._lock:
            if self._timer is None and settings.DECISION_LOG_SECONDS > 0:
                self._timer = threading.Timer(settings.DECISION_LOG_SECONDS, self._when_due)
                self._timer.daemon = True
                self._timer.start()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _when_due(self) -> None:
        try:
            with within(WRITE_SECONDS):
                self.flush()
        finally:
            connection.close()


RECORDER = Recorder()
atexit.register(RECORDER.flush)
os.register_at_fork(after_in_child=RECORDER.begin)


def keep(
    policy: Policy, requests: Sequence[Request], verdicts: Sequence[Verdict], decisions: Sequence[Decision], *,
    now: datetime, is_shared: bool,
) -> None:  # fmt: skip
    """Keep what was decided. is_shared: whether others see what it was decided by; else it is written right here."""
    if is_shared:
        RECORDER.add(policy, requests, verdicts, decisions, now)
        return
    here = Recorder()
    gathered = _Gathered()
    here.gather(gathered, policy, requests, verdicts, decisions, now, settings.DECISION_LOG_MOST)
    _write(gathered)


@lru_cache(maxsize=8_192)
def digest_of(text: str) -> str:
    """A name that only the caller has said, so that equal ones can be told to be equal."""
    return "sha256:" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _write(gathered: _Gathered) -> None:
    append(line for whose, told in gathered.told.items() for line in _lines(whose, told))
    rows = "".join(row for (pk, _, _), told in gathered.told.items() for row in _tallies(pk, told))
    if rows:
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write(rows)


_COPY = """
    COPY identities_decisiontally (identity_id, action, resource, count, first_at, last_at) FROM STDIN
"""


def _tallies(pk: str | None, told: _Told) -> Iterator[str]:
    """Permits as rows. What is longer than use is written down would, cut short, be use of something else."""
    for counts in (told.same, told.used):
        for (action, _, resource, reason), (count, first, last, _) in counts.items():
            if reason == PERMIT and len(action) <= MOST_ACTION and len(resource) <= MOST_RESOURCE:
                at = rfc3339(last)
                since = at if first is last else rfc3339(first)
                yield f"{pk}\t{_copied(action)}\t{_copied(resource)}\t{count}\t{since}\t{at}\n"


def _copied(text: str) -> str:
    """A text in the form in which COPY reads it, with whatever means something there escaped."""
    text = text.replace("\\", "\\\\")
    return text if text.isprintable() else text.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _lines(whose: Whose, told: _Told) -> Iterator[Line]:
    """What is told of one identity: single entries, then those that tell of several decisions, some hundred a line."""
    pk, domain, number = whose
    counted: dict[str, list[Entry]] = {}
    for what, (count, first, last, evaluation_id) in told.same.items():
        several = (count, rfc3339(first)) if count > 1 else ()
        counted.setdefault(rfc3339(last), []).append((*_entry(what, evaluation_id), *several))
    written = (part for at, entries in counted.items() for part in _written(at, entries))
    for part in _packed((*told.each, *written)):
        facts = {"domain": domain, "identity": pk, "moments": list_of(part), "policy": number}
        yield Line(told.last, KIND, facts, is_portable=True)


def _entry(what: What, evaluation_id: UUID) -> Entry:
    """An entry says in words what a grant of the identity spoke of, and of anything else a digest."""
    action, kind, resource, reason = what
    if kind:
        return digest_of(action), digest_of(f"{kind}:{resource}"), reason, evaluation_id
    return action, resource, reason, evaluation_id


def _written(at: str, entries: list[Entry]) -> Iterator[tuple[int, bytes]]:
    """Entries of one moment as text, as many at once as fit into a line, each time with how many these are."""
    for place in range(0, len(entries), MOST_ENTRIES):
        part = entries[place : place + MOST_ENTRIES]
        yield len(part), elements_of([{"at": at, "decisions": part}])


def _packed(written: Iterable[tuple[int, bytes]]) -> Iterator[list[bytes]]:
    """The same by lines."""
    entries = 0
    part: list[bytes] = []
    for number, text in written:
        if part and entries + number > MOST_ENTRIES:
            yield part
            entries, part = 0, []
        entries += number
        part.append(text)
    if part:
        yield part
