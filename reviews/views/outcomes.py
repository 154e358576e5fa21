"""What became of an order in plain words, which of its steps are done, and what a person can do next."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reviews.models import DeadlinePolicy, Order
from reviews.remediation.windows import Hold
from reviews.states import CampaignState, OrderState

_STEP_NAMED = re.compile(r"\bstep (\d+) of \d+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """tone as everywhere; text says what is the case now; following: what a person can do, or that nothing is to do."""

    tone: str
    title: str
    text: str
    following: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the plan. state: done, stopped (the one that did not succeed) or waiting."""

    number: int
    text: str
    note: str
    state: str


def outcome_of(order: Order, hold: Hold | None = None) -> Outcome:
    """The order's state as a person sees it. hold: the window or freeze that keeps it from being sent."""
    if hold is not None and order.state == OrderState.PLANNED:
        return Outcome("warn", "Held.", hold.sentence, ("Nothing for you to do: it goes on by itself.",))
    return _OUTCOMES[OrderState(order.state)](order)


def steps_done(order: Order) -> int:
    """How many steps of the plan are carried out, as far as the order's evidence says."""
    if not order.plan:
        return 0
    done = order.evidence.get("done")
    if isinstance(done, int):
        return done
    if order.state == OrderState.PARTIAL:
        # A connector that counts in words only.
        named = _STEP_NAMED.search(order.outcome)
        return int(named.group(1)) - 1 if named else 0
    return len(order.plan["steps"]) if order.applied_at else 0


def step_lines(order: Order) -> list[StepLine]:
    """Every step of the plan with what became of it."""
    steps = order.plan["steps"] if order.plan else []
    done, has_stopped = steps_done(order), order.state in _STOPPED
    return [
        StepLine(
            number,
            step["text"],
            step["note"],
            "done" if number <= done else "stopped" if has_stopped and number == done + 1 else "waiting",
        )
        for number, step in enumerate(steps, start=1)
    ]


_STOPPED = frozenset({OrderState.PARTIAL, OrderState.BLOCKED})
_NOTHING_TO_DO = ("Nothing for you to do.",)
_TAKE_BACK = ("Until it is sent, whoever decided can take the answer back.",)
_AGAIN = "Choose “Plan again and send”: it is planned against the source as it is now."
_REST = "Or let it rest with a reason, if that is acceptable."


def _awaiting_second(order: Order) -> Outcome:
    return Outcome(
        "warn",
        "Waits for a second person.",
        "Nothing is sent before somebody who did not decide this, and does not answer for the identity, releases it.",
        (
            "A second person releases or refuses it, with a reason.",
            *(("Whoever decided can still take the answer back.",) if _can_be_taken_back(order) else ()),
        ),
    )


def _watching(order: Order) -> Outcome:
    return Outcome(
        "info",
        "Locked out, and watched.",
        order.outcome,
        ("If this broke something, say so: the lock is taken off at once.", "Otherwise nothing: it goes on by itself."),
    )


def _planned(order: Order) -> Outcome:
    if order.is_braked:
        return Outcome(
            "warn",
            "Held.",
            "Nothing is sent until two people release it.",
            _TAKE_BACK if _can_be_taken_back(order) else (),
        )
    if order.attempts:
        when = f"Next attempt: {order.execute_after:%-d %B %Y, %H:%M:%S} UTC."
        return Outcome("warn", "It will be tried again.", f"{order.outcome} {when}", _NOTHING_TO_DO)
    return Outcome(
        "neutral",
        "Not sent yet.",
        order.outcome or "Nothing has changed at the source.",
        _TAKE_BACK if _can_be_taken_back(order) else ("Nothing for you to do: it is sent by itself.",),
    )


def _can_be_taken_back(order: Order) -> bool:
    """What people answered, while the review takes answers. Restorations and what a deadline decided are no answers."""
    if order.decision is None or order.item is None:
        return False
    by_people = order.decision.decided_by_policy not in DeadlinePolicy.values
    return by_people and order.item.campaign.state == CampaignState.OPEN


def _executing(order: Order) -> Outcome:
    return Outcome("info", "Being carried out.", "A worker is making the change at the source.", _NOTHING_TO_DO)


def _applied(order: Order) -> Outcome:
    resumed = order.evidence.get("resumed_at")
    after = f" It was interrupted and went on at step {resumed + 1}." if isinstance(resumed, int) and resumed else ""
    shows = "shows the access again" if order.restores_id else "no longer shows the access"
    return Outcome(
        "info",
        "Changed, not proved yet.",
        f"The source accepted the change.{after} It counts as done when a later reading {shows}.",
        ("Nothing for you to do: the source is read again by itself.",),
    )


def _verified(order: Order) -> Outcome:
    return Outcome("success", "Done and proved.", order.outcome or "A later reading of the source confirms it.")


def _still_effective(order: Order) -> Outcome:
    return Outcome(
        "danger",
        "Still effective another way.",
        "What was decided is removed here, and the identity can do the same through other access that it holds:",
        (
            "Narrow or take away that other access too; this order then closes at the next reading.",
            _REST,
        ),
    )


def _sessions_remain(order: Order) -> Outcome:
    count = order.evidence.get("sessions")
    who = "One session" if count == 1 else f"{count} sessions" if count else "Sessions"
    return Outcome(
        "warn",
        "Live sessions remain.",
        f"The access is removed for whoever signs in from now on. {who} that began before the change can still use it. "
        f"{'' if count else order.outcome}".strip(),
        (
            "Choose “Plan again and send”: it tries once more to end them.",
            "Or wait: every later reading looks again, and the order closes when they have ended.",
        ),
    )


def _drifted(order: Order) -> Outcome:
    if order.applied_at:
        return Outcome(
            "warn",
            "Somebody put it back.",
            order.outcome or "The source was changed, but a later reading shows the access again.",
            ("Find out who or what put it back (often infrastructure code).", _AGAIN, _REST),
        )
    return Outcome(
        "warn",
        "The source had changed, so nothing was done.",
        order.outcome or "The source no longer looks as it did when this was planned.",
        ("Look at what the identity holds now.", _AGAIN, _REST),
    )


def _blocked(order: Order) -> Outcome:
    return Outcome(
        "danger",
        "Blocked.",
        f"The source did not allow it, and nothing was changed. {order.outcome}".strip(),
        (
            "Remove the obstacle that is named here, then choose “Plan again and send”.",
            "Or make the change at the source by hand: a later reading closes this order.",
            _REST,
        ),
    )


def _partial(order: Order) -> Outcome:
    total = len(order.plan["steps"]) if order.plan else 0
    return Outcome(
        "warn",
        f"Stopped after step {steps_done(order)} of {total}." if total else "Only partly done.",
        f"{order.outcome} What is done stays done, and at no step did the identity hold more than before.".strip(),
        ("Choose “Plan again and send”: it goes on where it stopped.", _REST),
    )


def _failed(order: Order) -> Outcome:
    return Outcome(
        "danger",
        "Given up.",
        order.outcome,
        ("See that the source can be reached and that its secret is right.", _AGAIN, _REST),
    )


def _reappeared(order: Order) -> Outcome:
    return Outcome(
        "danger",
        "It came back.",
        "A reading had shown that the access was gone. A later one shows it again.",
        ("Find out who or what gave it back (often infrastructure code).", _AGAIN, _REST),
    )


def _task(order: Order) -> Outcome:
    if order.task_reported_at:
        return Outcome("info", "Reported as done.", "A later snapshot of the source closes the order.", _NOTHING_TO_DO)
    return Outcome(
        "info",
        "A person has to do this.",
        "Remit cannot make this change at the source itself.",
        ("Make the change that is described here, then say so.",),
    )


def _recalled(order: Order) -> Outcome:
    if order.second_by_id:
        said = f"{order.outcome} {order.second_reason}"
        return Outcome("neutral", "Refused by a second person.", said)
    return Outcome("neutral", "Taken back.", "It was taken back before it was sent. Nothing was changed.")


def _restored(order: Order) -> Outcome:
    return Outcome("neutral", "Restored.", order.outcome or "The access is back, for a limited time.")


def _settled(order: Order) -> Outcome:
    return Outcome("neutral", "Settled by a person.", "Not proved by a reading; a person looked and let it rest.")


_OUTCOMES: dict[OrderState, Callable[[Order], Outcome]] = {
    OrderState.AWAITING_SECOND: _awaiting_second,
    OrderState.PLANNED: _planned,
    OrderState.EXECUTING: _executing,
    OrderState.WATCHING: _watching,
    OrderState.APPLIED: _applied,
    OrderState.VERIFIED: _verified,
    OrderState.TASK: _task,
    OrderState.RECALLED: _recalled,
    OrderState.DRIFTED: _drifted,
    OrderState.PARTIAL: _partial,
    OrderState.STILL_EFFECTIVE: _still_effective,
    OrderState.SESSIONS_REMAIN: _sessions_remain,
    OrderState.BLOCKED: _blocked,
    OrderState.FAILED: _failed,
    OrderState.REAPPEARED: _reappeared,
    OrderState.RESTORED: _restored,
    OrderState.SETTLED: _settled,
}
