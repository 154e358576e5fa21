"""Carrying a plan out: once, in one transaction, only from the state it was made for, and checked before the commit."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from identities.connectors.contract import Execution, ExecutionState, Plan, SourceUnreachable
from identities.connectors.postgresql.assembly import BEGIN, COMMIT, OPENING, Part, end_sessions, parts_of, statements
from identities.connectors.postgresql.facets import Facet, State, difference, state_hash
from identities.connectors.postgresql.session import Connection, Settings, connect, plain_error

ATTEMPTS = 4
_PAUSE = 0.2
_TIMEOUT = re.compile(r"SET LOCAL lock_timeout = '\d{1,4}s'")

_TRY_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)


class _LostConnection(Exception):
    """The connection broke; whether a commit went through is found out by looking again."""


def execute(settings: Settings, plan: Plan) -> Execution:
    """Apply the plan. Another call finds the work done and changes nothing. Raises SourceUnreachable.

    A plan over several databases that was cut off between two of them is carried on by the next call.
    """
    parts = parts_of(plan)
    fault = _fault(plan, parts)
    if fault:
        return Execution(ExecutionState.BLOCKED, fault)
    if len(parts) > 1:
        drifted = _drifted_somewhere(settings, parts)
        if drifted:
            return Execution(ExecutionState.DRIFTED, drifted)
    texts = [step.text for step in plan.steps]
    done = Execution(ExecutionState.ALREADY_APPLIED)
    states = []
    for number, part in enumerate(parts, start=1):
        steps, texts = _split(texts)
        done = _execute_part(settings, part, _Work(steps, texts if number == len(parts) else []))
        if done.state not in (ExecutionState.APPLIED, ExecutionState.ALREADY_APPLIED):
            if ExecutionState.APPLIED not in states:
                return done
            reason = f"Step {number} of {len(parts)}, in database {part.database}, could not be done: {done.reason}"
            return Execution(ExecutionState.PARTIAL, reason, done.evidence)
        states.append(done.state)
    if ExecutionState.APPLIED in states:
        return Execution(ExecutionState.APPLIED, "", done.evidence)
    return done


@dataclass(frozen=True, slots=True)
class _Work:
    """The statements of one transaction, and those that follow its commit."""

    steps: Sequence[str]
    following: Sequence[str]


def _split(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first transaction of these statements (BEGIN … COMMIT) and what comes after it."""
    begin, end = texts.index(BEGIN), texts.index(COMMIT)
    return list(texts[begin : end + 1]), list(texts[end + 1 :])


def _drifted_somewhere(settings: Settings, parts: Sequence[Part]) -> str:
    """What stands in the way in any of the databases, before the first of them is changed."""
    for part in parts:
        with connect(settings, part.database) as connection:
            try:
                found = [facet.read(connection) for facet in part.facets]
            except psycopg.Error as error:
                raise SourceUnreachable(f"Reading from {part.database!r} failed: {plain_error(error)}") from error
        before, after = [facet.before for facet in part.facets], [facet.after for facet in part.facets]
        if found not in (before, after):
            return f"In database {part.database}: {_drift(part.facets, before, found)}"
    return ""


def _execute_part(settings: Settings, part: Part, work: _Work) -> Execution:
    was_lost = False
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE * attempt)
        try:
            with connect(settings, part.database) as connection:
                done = _attempt(connection, work, part.facets)
        except _LostConnection as error:
            was_lost = True
            if attempt == ATTEMPTS - 1:
                raise SourceUnreachable(f"The connection broke while the plan ran: {error}") from error
            continue
        if done is None:
            continue
        if was_lost and done.state is ExecutionState.ALREADY_APPLIED:
            return Execution(ExecutionState.APPLIED, "", {**done.evidence, "confirmed_after_reconnecting": True})
        return done
    return Execution(
        ExecutionState.BLOCKED,
        "Other transactions keep what would be changed locked, or keep changing it; nothing was changed.",
    )


def _fault(plan: Plan, parts: Sequence[Part]) -> str:
    """Why this stored plan must not run: it is not, word for word, what was planned."""
    facets = [facet for part in parts for facet in part.facets]
    hashes = (state_hash(facets, [f.before for f in facets]), state_hash(facets, [f.after for f in facets]))
    expected = [step.text for step in statements(parts, plan.pre_image["connected_as"], 0)]
    texts = [step.text for step in plan.steps]
    trailing = texts[len(expected) :]
    endings = [end_sessions(plan.pre_image["ends_sessions_of"]).text] if plan.pre_image.get("ends_sessions_of") else []
    is_same = _without_timeout(texts[: len(expected)]) == _without_timeout(expected) and trailing == endings
    if hashes != (plan.pre_hash, plan.post_hash) or not is_same:
        return "The stored plan is not what was planned; make a new one."
    return ""


def _without_timeout(texts: Sequence[str]) -> list[str]:
    """The setting may have been changed since the plan was made; everything else must be the same."""
    return [text for text in texts if not _TIMEOUT.fullmatch(text)]


def _attempt(connection: Connection, work: _Work, facets: Sequence[Facet]) -> Execution | None:
    """One try; None when it may simply be tried again. Raises _LostConnection."""
    try:
        done = _change(connection, work, facets)
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and (connection.closed or connection.broken):
            raise _LostConnection(plain_error(error)) from error
        is_collision = isinstance(error, errors.InternalError_) and "concurrently" in str(error)
        if is_collision or isinstance(error, _TRY_AGAIN):
            return None
        return Execution(ExecutionState.BLOCKED, f"The server refused, and nothing was changed: {plain_error(error)}")
    is_in_place = done.state in (ExecutionState.APPLIED, ExecutionState.ALREADY_APPLIED)
    return _finish(connection, work, done) if is_in_place else done


def _change(connection: Connection, work: _Work, facets: Sequence[Facet]) -> Execution:
    """The transaction. Its first steps open it; then the state decides whether the rest may run."""
    before, after = [facet.before for facet in facets], [facet.after for facet in facets]
    for text in work.steps[:OPENING]:
        connection.execute(_text(text))
    found = [facet.read(connection) for facet in facets]
    if found == after:
        connection.execute("ROLLBACK")
        return Execution(ExecutionState.ALREADY_APPLIED, "The server is in the wanted state already.", _states(found))
    if found != before:
        connection.execute("ROLLBACK")
        return Execution(ExecutionState.DRIFTED, _drift(facets, before, found), _states(found))
    row = connection.execute("SELECT pg_current_xact_id()::text, clock_timestamp()").fetchone()
    for text in work.steps[OPENING:-1]:
        connection.execute(_text(text))
    reached = [facet.read(connection) for facet in facets]
    if reached != after:
        connection.execute("ROLLBACK")
        reason = f"The server accepted the statements without their effect: {_drift(facets, after, reached)}"
        return Execution(ExecutionState.BLOCKED, reason, _states(reached))
    connection.execute(_text(COMMIT))
    transaction_id, at = row or ("", None)
    evidence = {
        "transaction": transaction_id,
        "executed_at": at.isoformat() if at else None,
        "server_version": connection.info.server_version,
        "connected_as": connection.info.user,
        **_states(reached),
    }
    return Execution(ExecutionState.APPLIED, "", evidence)


def _text(text: str) -> Any:
    """The statement as it stands: names were quoted when the plan was made, and `_fault` compared it since."""
    return text.encode()


def _finish(connection: Connection, work: _Work, done: Execution) -> Execution:
    """What comes after the commit: ending sessions. A repeated call does it again, in case the first was cut off."""
    ended: list[int] = []
    for text in work.following:
        try:
            rows = connection.execute(_text(text)).fetchall()
        except psycopg.Error as error:
            reason = f"The change is made, but open sessions could not be ended: {plain_error(error)}"
            return Execution(ExecutionState.PARTIAL, reason, done.evidence)
        remaining = [pid for pid, is_ended in rows if not is_ended]
        ended += [pid for pid, is_ended in rows if is_ended]
        if remaining:
            reason = f"The change is made, but {len(remaining)} open sessions did not end in time."
            return Execution(ExecutionState.PARTIAL, reason, {**done.evidence, "sessions_ended": len(ended)})
    return Execution(done.state, done.reason, {**done.evidence, "sessions_ended": len(ended)})


def _states(states: Sequence[State]) -> dict[str, Any]:
    return {"state": [dict(state) for state in states]}


def _drift(facets: Sequence[Facet], expected: Sequence[Mapping[str, Any]], found: Sequence[State]) -> str:
    parts = [
        f"{facet.title()}: {difference(wanted, state)}"
        for facet, wanted, state in zip(facets, expected, found, strict=True)
        if wanted != state
    ]
    return "; ".join(parts)
