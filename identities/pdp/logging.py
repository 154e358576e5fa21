"""What was decided, kept: lines of the decision log and tallies of use, gathered in memory and written in batches.

Nothing waits for it: a process gathers what it decided and writes it after some seconds, when much has come together,
and when it ends. What a process that is killed had gathered and not written is lost, seconds at most; a figure says how
much was given up because the database stayed away. Inside a transaction that has written, it is written with it.

A line names the identity by its id, and action and resource as the grants write them where one of them spoke; whatever
else a caller sent stands there as a digest. So a line holds neither secrets nor names. A tally is exact however lines
are sampled: every permitted (identity, action, resource) counts.
"""

import atexit
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, connection, transaction

from governance.audit.canonical import rfc3339
from governance.audit.stream import Line, append
from governance.waiting import within
from identities.pdp.judging import Verdict
from identities.pdp.policy import Policy
from identities.pdp.reasons import Reason
from identities.pdp.requests import Decision, Request

logger = structlog.get_logger(__name__)
KIND = "decision"
PERMIT = Reason.GRANTED.value
MOST_ACTION, MOST_RESOURCE = 256, 1024
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

Key = tuple[str | None, str, str, str, str, str, int]
"""Identity (its id as text), action, type of the resource and its id or all of it, reason, domain, policy number.

Where a grant spoke, the type is empty and the resource is written as the grant writes it.
"""


@dataclass(slots=True)
class _Count:
    """How often, from when to when, and the id of the last."""

    count: int
    first: datetime
    last: datetime
    evaluation_id: UUID


@dataclass(slots=True)
class _Gathered:
    """What one process gathered since it last wrote."""

    same: dict[Key, _Count] = field(default_factory=dict)
    each: list[tuple[Key, datetime, UUID]] = field(default_factory=list)
    used: dict[Key, _Count] = field(default_factory=dict)
    """Permits that no other part tells of as use: single and sampled lines."""

    def __len__(self) -> int:
        return len(self.same) + len(self.each) + len(self.used)


class Recorder:
    """One per process. Threads add; whoever's turn it is writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathered = _Gathered()
        self._timer: threading.Timer | None = None
        self._seen = 0
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._gathered)

    def add(
        self, policy: Policy, requests: Sequence[Request], verdicts: Sequence[Verdict],
        decisions: Sequence[Decision], now: datetime,
    ) -> None:  # fmt: skip
        """Gather what was decided. Writes at once when there is much; never raises for what the database does."""
        most = settings.DECISION_LOG_MOST
        with self._lock:
            gathered = self._gathered
            for request, verdict, decision in zip(requests, verdicts, decisions, strict=True):
                self.gather(gathered, policy, request, verdict, decision.evaluation_id, now, most)
            is_much = len(gathered) >= most
        if is_much:
            self.flush()
        elif self._timer is None:
            self._wait()

    def gather(
        self, gathered: _Gathered, policy: Policy, request: Request, verdict: Verdict, evaluation_id: UUID,
        now: datetime, most: int,
    ) -> None:  # fmt: skip
        """most: rows that are gathered before they are written."""
        is_permit = verdict.reason is Reason.GRANTED
        how = policy.log_permits if is_permit else policy.log_denies
        key = _key(request, verdict, policy.number)
        if how == "aggregated":
            self._count(gathered.same, key, evaluation_id, now)
            return
        if is_permit:
            self._count(gathered.used, key, evaluation_id, now)
        if how == "sampled":
            self._seen += 1
            if self._seen % policy.one_in:
                return
        # A flood of denials is told by how many they were, so that nobody fills memory by asking for what is refused.
        if len(gathered.each) < most // 2:
            gathered.each.append((key, now, evaluation_id))
        elif not is_permit:
            self._count(gathered.same, key, evaluation_id, now)

    @staticmethod
    def _count(counts: dict[Any, _Count], key: Any, evaluation_id: UUID, now: datetime) -> None:
        found = counts.get(key)
        if found is None:
            counts[key] = _Count(1, now, now, evaluation_id)
        else:
            found.count += 1
            found.last = now
            found.evaluation_id = evaluation_id

    def flush(self) -> int:
        """Write what was gathered; how many rows were written. What cannot be written now is kept, if there is room."""
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

    def _take_back(self, taken: _Gathered) -> None:
        with self._lock:
            if len(self._gathered) + len(taken) > 2 * settings.DECISION_LOG_MOST:
                self.given_up += len(taken)
                logger.error("decisions.log_given_up", rows=len(taken), in_all=self.given_up)
                return
            self._gathered.each = [*taken.each, *self._gathered.each]
            for mine, theirs in ((self._gathered.same, taken.same), (self._gathered.used, taken.used)):
                for key, count in theirs.items():
                    newer = mine.get(key)
                    if newer is not None:
                        count.count += newer.count
                        count.last, count.evaluation_id = newer.last, newer.evaluation_id
                    mine[key] = count
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
    for request, verdict, decision in zip(requests, verdicts, decisions, strict=True):
        here.gather(gathered, policy, request, verdict, decision.evaluation_id, now, settings.DECISION_LOG_MOST)
    _write(gathered)


def _key(request: Request, verdict: Verdict, number: int) -> Key:
    principal, reason = verdict.principal, verdict.reason
    pk = principal.key if principal is not None else None
    if pk is not None and reason._value_ in _SPOKEN:
        return pk, verdict.action, "", verdict.resource, reason._value_, request.domain, number
    return pk, request.action, request.resource_type, request.resource_id, reason._value_, request.domain, number


def digest_of(text: str) -> str:
    """A name that only the caller has said, so that equal ones can be told to be equal."""
    return "sha256:" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _write(gathered: _Gathered) -> None:
    lines = [_line(key, at, evaluation_id, {}) for key, at, evaluation_id in gathered.each]
    for key, found in gathered.same.items():
        more = {"count": found.count, "first_at": rfc3339(found.first)}
        lines.append(_line(key, found.last, found.evaluation_id, more))
    append(lines)
    rows = [row for part in (gathered.same, gathered.used) for row in _tallies(part)]
    if rows:
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)


def _tallies(counts: Mapping[Key, _Count]) -> Iterator[tuple[Any, ...]]:
    """Permits as rows. What is longer than use is written down would, cut short, be use of something else."""
    for (pk, action, _, resource, reason, _, _), found in counts.items():
        if reason == PERMIT and len(action) <= MOST_ACTION and len(resource) <= MOST_RESOURCE:
            yield pk, action, resource, found.count, found.first, found.last


_COPY = """
    COPY identities_decisiontally (identity_id, action, resource, count, first_at, last_at) FROM STDIN
"""


def _line(key: Key, at: datetime, evaluation_id: UUID, more: dict[str, Any]) -> Line:
    """A line says in words what a grant of the identity spoke of, and of anything else a digest."""
    pk, action, kind, resource, reason, domain, number = key
    facts = {
        "evaluation": str(evaluation_id),
        "identity": pk,
        "action": digest_of(action) if kind else action,
        "resource": digest_of(f"{kind}:{resource}") if kind else resource,
        "permit": reason == PERMIT,
        "reason": reason,
        "domain": domain,
        "policy": number,
        **more,
    }
    return Line(at, KIND, facts)
