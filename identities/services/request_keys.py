"""Carry a program's request out once, however often it is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import connection

from governance.kernel.errors import DomainError
from identities.models import RequestKey

KEPT_FOR = timedelta(days=30)
T = TypeVar("T")


class KeyReused(DomainError):
    """The idempotency key stands for another request already."""

    code = "idempotency-key-reused"
    title = "This idempotency key was used for something else"


@dataclass(frozen=True, slots=True)
class Once(Generic[T]):
    """A request with a key of its sender. told: the answer to keep, made of what the request came to (plain JSON)."""

    client: str
    key: str
    request_hash: str
    told: Callable[[T], dict[str, Any]]


class AlreadyDone(Exception):
    """The request was carried out before; `answer` is what its sender was told then."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__("This request was carried out before.")
        self.answer = answer


def require_new(once: Once[Any]) -> None:
    """Inside the request's transaction, before anything else: another one with this key waits until this has ended.

    Raises AlreadyDone, KeyReused.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7266348002))", [f"{once.client}\n{once.key}"])
    earlier = RequestKey.objects.filter(client=once.client, key=once.key).first()
    if earlier is None:
        return
    if earlier.request_hash != once.request_hash:
        raise KeyReused("The same Idempotency-Key came with another body or other parameters; use a new key.")
    raise AlreadyDone(earlier.answer)


def remember(once: Once[T], outcome: T, *, now: datetime) -> None:
    """Keep the answer under the key, in the transaction of the request. Old keys are forgotten."""
    RequestKey.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    RequestKey.objects.create(
        client=once.client, key=once.key, request_hash=once.request_hash, answer=once.told(outcome), created_at=now
    )
