"""The legal moves of campaigns, items and orders, as tables. Pure Python: no Django, no clock."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from governance.kernel.errors import Conflict

S = TypeVar("S", bound=StrEnum)


class CampaignState(StrEnum):
    DRAFT = "draft"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """OPEN waits for a first answer; ATTESTED waits for a later stage, such as the independent reviewer.

    DECIDED is final unless recalled.
    """

    OPEN = "open"
    ATTESTED = "attested"
    DECIDED = "decided"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class OrderState(StrEnum):
    """AWAITING_SECOND waits for another person's release; PLANNED can be recalled; TASK waits for a person.

    From EXECUTING on the source is being changed. WATCHING: the identity is locked out, and its access is removed on a
    date unless somebody protests.

    SETTLED means that a person has looked at an order that cannot be verified and says why it may rest.
    """

    AWAITING_SECOND = "awaiting_second"
    PLANNED = "planned"
    EXECUTING = "executing"
    WATCHING = "watching"
    APPLIED = "applied"
    VERIFIED = "verified"
    TASK = "task"
    RECALLED = "recalled"
    DRIFTED = "drifted"
    PARTIAL = "partial"
    STILL_EFFECTIVE = "still_effective"
    SESSIONS_REMAIN = "sessions_remain"
    BLOCKED = "blocked"
    FAILED = "failed"
    REAPPEARED = "reappeared"
    RESTORED = "restored"
    SETTLED = "settled"


class AccessRequestState(StrEnum):
    """PENDING waits for an answer, GRANTED holds until its date, others are over. LAPSED: nobody answered in time."""

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    ENDED = "ended"


C, I, O, A = CampaignState, ItemState, OrderState, AccessRequestState  # noqa: E741

CAMPAIGN_MOVES: Mapping[CampaignState, frozenset[CampaignState]] = {
    C.DRAFT: frozenset({C.OPENING, C.CANCELLED}),
    C.OPENING: frozenset({C.OPEN, C.CANCELLED}),
    C.OPEN: frozenset({C.CLOSING, C.CANCELLED}),
    C.CLOSING: frozenset({C.CLOSED}),
    C.CLOSED: frozenset({C.COMPLETED}),
    C.COMPLETED: frozenset(),
    C.CANCELLED: frozenset(),
}

ITEM_MOVES: Mapping[ItemState, frozenset[ItemState]] = {
    I.OPEN: frozenset({I.ATTESTED, I.DECIDED, I.EXPIRED, I.CANCELLED}),
    # A recalled attestation, or access that changed since it was given, asks the owner again; a stage follows a stage.
    I.ATTESTED: frozenset({I.OPEN, I.ATTESTED, I.DECIDED, I.EXPIRED, I.CANCELLED}),
    # A recalled decision opens the question again.
    I.DECIDED: frozenset({I.OPEN, I.ATTESTED}),
    I.EXPIRED: frozenset(),
    I.CANCELLED: frozenset(),
}

ORDER_MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    O.AWAITING_SECOND: frozenset({O.PLANNED, O.TASK, O.RECALLED}),
    O.PLANNED: frozenset({O.EXECUTING, O.RECALLED, O.TASK, O.BLOCKED, O.DRIFTED, O.FAILED}),
    O.EXECUTING: frozenset({O.APPLIED, O.DRIFTED, O.PARTIAL, O.BLOCKED, O.FAILED, O.PLANNED, O.TASK, O.WATCHING}),
    # Its day sends it on; a restoration ends it; a reading may show that somebody unlocked or removed it by hand.
    O.WATCHING: frozenset({O.EXECUTING, O.RESTORED, O.DRIFTED, O.VERIFIED, O.SETTLED}),
    O.APPLIED: frozenset({O.VERIFIED, O.STILL_EFFECTIVE, O.SESSIONS_REMAIN, O.DRIFTED, O.RESTORED}),
    # A rotation waits as a task for its new credential, and is planned once that one is in use.
    O.TASK: frozenset({O.VERIFIED, O.RECALLED, O.FAILED, O.SETTLED, O.PLANNED}),
    O.VERIFIED: frozenset({O.REAPPEARED, O.RESTORED}),
    # These wait for the world to change: every later reading asks again.
    O.STILL_EFFECTIVE: frozenset({O.VERIFIED, O.RESTORED, O.SESSIONS_REMAIN, O.DRIFTED, O.SETTLED}),
    O.SESSIONS_REMAIN: frozenset({O.VERIFIED, O.RESTORED, O.STILL_EFFECTIVE, O.DRIFTED, O.PLANNED, O.SETTLED}),
    O.PARTIAL: frozenset(
        {O.VERIFIED, O.RESTORED, O.STILL_EFFECTIVE, O.SESSIONS_REMAIN, O.DRIFTED, O.PLANNED, O.SETTLED}
    ),
    # Nothing is under way here, yet somebody may do at the source what was wanted.
    # What changed since its release asks for a second person anew.
    O.DRIFTED: frozenset({O.PLANNED, O.AWAITING_SECOND, O.RECALLED, O.VERIFIED, O.SETTLED}),
    O.BLOCKED: frozenset({O.PLANNED, O.AWAITING_SECOND, O.TASK, O.RECALLED, O.VERIFIED, O.SETTLED}),
    O.FAILED: frozenset({O.PLANNED, O.AWAITING_SECOND, O.RECALLED, O.TASK, O.VERIFIED, O.SETTLED}),
    O.REAPPEARED: frozenset({O.PLANNED, O.AWAITING_SECOND, O.RECALLED, O.VERIFIED, O.SETTLED}),
    O.RECALLED: frozenset(),
    O.RESTORED: frozenset(),
    O.SETTLED: frozenset(),
}

ACCESS_REQUEST_MOVES: Mapping[AccessRequestState, frozenset[AccessRequestState]] = {
    A.PENDING: frozenset({A.GRANTED, A.DENIED, A.CANCELLED, A.LAPSED}),
    A.GRANTED: frozenset({A.ENDED}),
    A.DENIED: frozenset(),
    A.CANCELLED: frozenset(),
    A.LAPSED: frozenset(),
    A.ENDED: frozenset(),
}

# Reviews that take no more answers, and those of them that came to their end instead of being called off.
OVER_CAMPAIGNS = frozenset({C.CLOSED, C.COMPLETED, C.CANCELLED})
ENDED_CAMPAIGNS = frozenset({C.CLOSED, C.COMPLETED})

SETTLED_ORDERS = frozenset({O.VERIFIED, O.RECALLED, O.RESTORED, O.SETTLED})
UNSENT_ORDERS = frozenset({O.AWAITING_SECOND, O.PLANNED, O.TASK})
AWAITING_VERIFICATION = frozenset({O.WATCHING, O.APPLIED, O.PARTIAL, O.STILL_EFFECTIVE, O.SESSIONS_REMAIN, O.TASK})
STOPPED_ORDERS = frozenset({O.DRIFTED, O.BLOCKED, O.FAILED, O.REAPPEARED})


class IllegalMove(Conflict):
    """The object is in a state that does not allow this move."""

    code = "illegal-move"


def require_transition(moves: Mapping[S, frozenset[S]], current: S, wanted: S) -> None:
    """Raise IllegalMove unless the table allows going from `current` to `wanted`."""
    if wanted not in moves[current]:
        raise IllegalMove(f"This cannot go from “{current}” to “{wanted}”.", current=current, wanted=wanted)
