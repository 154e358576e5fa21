"""Memory of what requests are decided by, and why it never outlives a revocation.

Before each decision (or batch) one statement asks the database for notes of transactions that the last such question
did not see yet, by the snapshot that it was answered under. Whatever committed before a request began is therefore
either not remembered, or noted and forgotten now. ADR 0035 argues it step by step.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from identities.models.decision_news import MOST_NOTES
from identities.pdp.index import Loaded, Principal, Programs, read_principals
from identities.pdp.shared import SharedFacts, read_shared

# A memory that was not asked for so long begins anew; notes are kept longer than that (`usage.forget_notes`).
LONGEST_PAUSE_SECONDS = 600.0
# Threads look at the database's clock one after the other and come here in any order.
SLACK_SECONDS = 30.0
MOST_NAMES = 500_000

_NEWS = "SELECT identities_decision_news(%s)"


NameKey = tuple[frozenset[UUID], str]
"""Sources, and a name that one of them may know."""


class Name(NamedTuple):
    """What a name means among some sources: one identity, or else several or nobody."""

    id: UUID | None
    is_several: bool = False


class Memory:
    """What this process remembers. Shared by its threads.

    An entry is read after a check and kept only if nothing was forgotten meanwhile: what was read before a change must
    not be kept after the change's note was taken. `most_bytes` bounds the estimated size; the least used goes first.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most = most_bytes
        self._lock = threading.RLock()
        self._snapshot = ""
        self._incarnation = ""
        self._checked_at = self._checked_here = 0.0
        self._forgotten = 0
        self._principals: OrderedDict[UUID, Principal] = OrderedDict()
        self._programs = Programs()
        self._names: dict[NameKey, Name] = {}
        self._shared: SharedFacts | None = None
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes, estimated."""
        return self._size + self._programs.size

    def __len__(self) -> int:
        return len(self._principals)

    def view(self) -> "View":
        """What may be decided by at this moment. One statement; raises what the database raises."""
        snapshot = self._snapshot
        with connection.cursor() as cursor:
            cursor.execute(_NEWS, [snapshot or None])
            now_seen, incarnation, clock_text, doing, *notes = cursor.fetchone()[0].split(" ")
        clock = float(clock_text)
        if doing == "writing" and connection.in_atomic_block:
            # Whoever asks in the middle of their own changes is answered from these, and they are nobody else's yet.
            return View(Memory(), is_shared=False)
        with self._lock:
            if not snapshot or incarnation != self._incarnation or self._has_paused(clock) or len(notes) > MOST_NOTES:
                self._forget_everything()
            else:
                for note in notes:
                    self._take(note)
            # Another thread may have gone further meanwhile. Going back only takes notes twice.
            self._snapshot, self._incarnation = now_seen, incarnation
            self._checked_at, self._checked_here = clock, time.monotonic()
        return View(self)

    def _has_paused(self, clock: float) -> bool:
        """Whether notes may have been removed since the last check, by the database's clock or by ours."""
        pause = clock - self._checked_at
        is_set_back = pause < -SLACK_SECONDS
        return is_set_back or max(pause, time.monotonic() - self._checked_here) > LONGEST_PAUSE_SECONDS

    def forget(self) -> None:
        """Remember nothing; the next question reads anew."""
        with self._lock:
            self._snapshot = ""
            self._forget_everything()

    def _take(self, note: str) -> None:
        scope, _, object_id = note.partition(":")
        self._forgotten += 1
        if scope == "identity":
            self._drop([UUID(object_id)])
        elif scope == "source":
            source_id = UUID(object_id)
            self._drop([each.id for each in self._principals.values() if each.source_id == source_id])
        elif scope == "names":
            self._names.clear()
        elif scope == "shared":
            self._shared = None
        else:
            self._forget_everything()

    def _forget_everything(self) -> None:
        self._forgotten += 1
        self._principals.clear()
        self._programs.clear()
        self._names.clear()
        self._shared = None
        self._size = 0

    def _drop(self, ids: Iterable[UUID]) -> None:
        for pk in ids:
            found = self._principals.pop(pk, None)
            if found is not None:
                self._size -= found.size
                self._programs.release(found.digests)

    # --- what views ask ---------------------------------------------------------------------------------------------

    def recall(self, pk: UUID) -> Principal | None:
        found = self._principals.get(pk)
        if found is not None:
            # Another thread may have just forgotten it; what was found is as fresh as this view.
            with suppress(KeyError):
                self._principals.move_to_end(pk)
        return found

    def read(self, ids: Collection[UUID]) -> dict[UUID, Principal]:
        """Read identities and remember them."""
        forgotten = self._forgotten
        loaded = read_principals(ids, self._programs)
        with self._lock:
            if forgotten == self._forgotten:
                self._remember(loaded)
        return loaded.principals

    def _remember(self, loaded: Loaded) -> None:
        most = self._most if self._most is not None else settings.DECISION_MEMORY_MB * 1024 * 1024
        for pk, principal in loaded.principals.items():
            self._drop([pk])
            self._programs.hold(principal.digests, loaded.programs)
            self._principals[pk] = principal
            self._size += principal.size
        while self.size > most and len(self._principals) > 1:
            self._drop([next(iter(self._principals))])

    def shared(self) -> SharedFacts:
        found = self._shared
        if found is None:
            forgotten = self._forgotten
            found = read_shared()
            with self._lock:
                if forgotten == self._forgotten:
                    self._shared = found
        return found

    def name(self, key: NameKey) -> Name | None:
        return self._names.get(key)

    def read_named(self, read: Callable[[], dict[NameKey, Name]]) -> dict[NameKey, Name]:
        """Read what names mean and remember it."""
        forgotten = self._forgotten
        found = read()
        with self._lock:
            if forgotten == self._forgotten:
                if len(self._names) + len(found) > MOST_NAMES:
                    self._names.clear()
                self._names.update(found)
        return found


class View:
    """What was checked just now. Valid for the decisions of one call, on the thread that asked."""

    __slots__ = ("_memory", "is_shared", "shared")

    def __init__(self, memory: Memory, *, is_shared: bool = True) -> None:
        self._memory = memory
        self.is_shared = is_shared
        self.shared = memory.shared()

    def principals(self, ids: Iterable[UUID]) -> dict[UUID, Principal]:
        """Those of these identities that exist."""
        found: dict[UUID, Principal] = {}
        missing: list[UUID] = []
        for pk in ids:
            known = self._memory.recall(pk)
            if known is None:
                missing.append(pk)
            else:
                found[pk] = known
        if missing:
            found |= self._memory.read(missing)
        return found

    def name(self, key: NameKey) -> Name | None:
        return self._memory.name(key)

    def read_named(self, read: Callable[[], dict[NameKey, Name]]) -> dict[NameKey, Name]:
        return self._memory.read_named(read)


MEMORY = Memory()


def facts() -> dict[str, Any]:
    """How much this process remembers, for its figures."""
    return {"identities": len(MEMORY), "bytes": MEMORY.size}
