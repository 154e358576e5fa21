"""Attempts that the actor's role or token did not allow: each leaves a record, and nobody floods the trail."""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.selectors import count_of_actor
from governance.kernel.actors import Actor

PER_MINUTE = 5
MINUTE = timedelta(minutes=1)
# Somebody who is refused under very many names forgets the earliest of them.
MOST_COUNTED = 10_000


class _Unlisted:
    """How many attempts of whom this process left out of the trail since the last that it recorded."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, actor_id: str) -> None:
        with self._lock:
            if len(self._numbers) >= MOST_COUNTED:
                self._numbers.clear()
            self._numbers[actor_id] = self._numbers.get(actor_id, 0) + 1

    def take(self, actor_id: str) -> int:
        with self._lock:
            return self._numbers.pop(actor_id, 0)


_unlisted = _Unlisted()


def record_refusal(
    *, actor: Actor, place: str, method: str, code: str, objects: Mapping[str, UUID], now: datetime
) -> bool:
    """Write down that the actor was refused at `place` (the name of an address); returns whether it was.

    objects: ids of what the address named. One actor leaves PER_MINUTE records a minute and one more that says that
    others follow; the next one after that minute says how many were left out. Several processes count together what
    is in the trail, and each for itself what is not.
    """
    recent = count_of_actor(actor.id, Verb.ACCESS_REFUSED, since=now - MINUTE, most=PER_MINUTE + 1)
    if recent > PER_MINUTE:
        _unlisted.add(actor.id)
        return False
    context: dict[str, object] = {"method": method, "code": code, **{name: str(pk) for name, pk in objects.items()}}
    if recent == PER_MINUTE:
        context["more_follow"] = True
    if left_out := _unlisted.take(actor.id):
        context["left_out_before"] = left_out
    with transaction.atomic(durable=True):
        log.record(
            verb=Verb.ACCESS_REFUSED,
            actor=actor,
            subject=log.Subject("access", place, place),
            now=now,
            context=context,
            outcome="refused",
        )
    return True
