"""Many questions in one transaction: their plans before it, as far as time allows, and another try after a deadlock."""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import TypeVar

from django.db import OperationalError
from psycopg.errors import DeadlockDetected

from reviews.remediation import Prepared

MOST_TRIES = 3
# Whoever dies loses no more than the plans of so long; a worker's time (`reviews.tasks`) holds many of it.
PLANNING_SECONDS = 30
R = TypeVar("R")
T = TypeVar("T")


def plan_for_a_while(wanted: Iterable[T], plan: Callable[[T], Prepared]) -> list[tuple[T, Prepared]]:
    """The first of these with their plans: at least one, and no more than are made in half a minute.

    Calls sources, so outside transactions only.
    """
    ends, planned = monotonic() + PLANNING_SECONDS, list[tuple[T, Prepared]]()
    for each in wanted:
        if planned and monotonic() >= ends:
            break
        planned.append((each, plan(each)))
    return planned


def again_after_deadlock(call: Callable[[], R]) -> R:
    """A reading writes grants in an order of its own; whoever of two is the database's victim simply tries again."""
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            return call()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")
