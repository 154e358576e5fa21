"""What cuts in before any grant is looked at: kill switches, drifted tool definitions, whatever else forbids at once.

A guard is asked about every request and answers with the reason to deny, or None. Guards are loaded together with the
other shared facts and kept in memory; a table that a guard is loaded from therefore carries a trigger of
`identities.models.note_triggers.note_trigger(table, function="identities_note_shared")`, so that a switch holds at the
next request of every process.
"""

from collections.abc import Callable
from typing import Protocol

from identities.pdp.index import Principal
from identities.pdp.reasons import Reason
from identities.pdp.requests import Request
from identities.pdp.switches import load_switches


class Guard(Protocol):
    def __call__(self, principal: Principal, request: Request) -> Reason | None: ...


LOADERS: tuple[Callable[[], Guard | None], ...] = (load_switches,)
"""Each reads what stands in its tables and returns a guard, or None where nothing is cut off."""


def load_guards() -> tuple[Guard, ...]:
    return tuple(guard for load in LOADERS if (guard := load()) is not None)


def cut_off(guards: tuple[Guard, ...], principal: Principal, request: Request) -> Reason | None:
    """The first reason of a guard."""
    for guard in guards:
        reason = guard(principal, request)
        if reason is not None:
            return reason
    return None
