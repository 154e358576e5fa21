"""What several answers to one question amount to. Pure functions; `docs/reviews.md` prints their tables.

Answers reduce to three kinds: accept (keep it), reduce (keep less, or renew it) and deny (take it away). What comes out
depends only on which kinds were given and on whether somebody stayed silent, never on who answered first or how many
said the same. Silence alone never accepts. Nobody to ask is no outcome of answers at all: it has a word of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import reduce
from itertools import chain, combinations

from governance.kernel.algebra import NotExpressible, union
from governance.kernel.inclusion import includes
from governance.kernel.permissions import Permission


class Kind(StrEnum):
    ACCEPT = "accept"
    REDUCE = "reduce"
    DENY = "deny"


class Outcome(StrEnum):
    """NONE: people were asked and what they said settles nothing. NOBODY: there was nobody to ask."""

    ACCEPT = "accept"
    REDUCE = "reduce"
    DENY = "deny"
    NONE = "none"
    NOBODY = "nobody"


class Strategy(StrEnum):
    """How the answers of several people become one. `label` and `sentence` are what pages print."""

    label: str
    sentence: str

    def __new__(cls, value: str, label: str = "", sentence: str = "") -> "Strategy":
        member = str.__new__(cls, value)
        member._value_ = value
        member.label, member.sentence = label, sentence
        return member

    ONE_ACCEPT_ACCEPTS = (
        "one_accept_accepts",
        "One accept accepts",
        "The mildest answer stands: one person who accepts is enough.",
    )
    ALL_MUST_ACCEPT = (
        "all_must_accept",
        "All must accept",
        "Everybody has to be heard, and the strictest answer stands; whoever is silent leaves it undecided.",
    )
    ONE_DENY_DENIES = (
        "one_deny_denies",
        "One deny denies",
        "The strictest answer that was given stands, whoever else is silent.",
    )
    ACCEPTED_IF_NOT_DENIED = (
        "accepted_if_not_denied",
        "Accepted if not denied",
        "One deny denies; otherwise one accept outweighs every wish to reduce.",
    )


_MILDEST = (Kind.ACCEPT, Kind.REDUCE, Kind.DENY)
_STRICTEST = (Kind.DENY, Kind.REDUCE, Kind.ACCEPT)
_NOT_DENIED = (Kind.DENY, Kind.ACCEPT, Kind.REDUCE)
# The first kind that somebody gave stands.
_PRECEDENCE = {
    Strategy.ONE_ACCEPT_ACCEPTS: _MILDEST,
    Strategy.ALL_MUST_ACCEPT: _STRICTEST,
    Strategy.ONE_DENY_DENIES: _STRICTEST,
    Strategy.ACCEPTED_IF_NOT_DENIED: _NOT_DENIED,
}


def outcome_of(strategy: Strategy, given: Iterable[Kind], *, silent: int = 0) -> Outcome:
    """What the answers amount to when nobody else will answer. silent: how many were asked and did not answer."""
    kinds = set(given)
    if not kinds:
        return Outcome.NONE if silent else Outcome.NOBODY
    first = next(kind for kind in _PRECEDENCE[strategy] if kind in kinds)
    if strategy is Strategy.ALL_MUST_ACCEPT and silent and first is not Kind.DENY:
        return Outcome.NONE
    return Outcome(first)


def settled(strategy: Strategy, given: Iterable[Kind], *, waiting: int) -> Outcome | None:
    """The outcome, once no further answer (nor silence) can change it; else None. waiting: who may still answer.

    A reduction is settled only when everybody has answered: a further one may ask for something else to stay.
    """
    kinds = list(given)
    if not waiting:
        return outcome_of(strategy, kinds)
    ends = {
        outcome_of(strategy, [*kinds, *more], silent=silent)
        for more in _selections(Kind, waiting)
        for silent in _silences(len(more), waiting)
    }
    only = ends.pop()
    return None if ends or only is Outcome.REDUCE else only


def _selections(kinds: Iterable[Kind], most: int) -> Iterator[tuple[Kind, ...]]:
    """Every set of different kinds that so many people could give."""
    every = list(kinds)
    return chain.from_iterable(combinations(every, size) for size in range(min(len(every), most) + 1))


def _silences(different: int, waiting: int) -> Sequence[int]:
    # Where nobody has answered, all of them are silent; else the rest may have said the same, or nothing.
    left = waiting - different
    return (left,) if not different else tuple({0, left})


def agreed_target(held: Permission, targets: Sequence[Permission]) -> Permission | None:
    """What remains when several people want different things to remain: whatever one of them wants to stay, stays.

    The union of targets that lie inside `held` lies inside it too; that is proved here once more. None where they
    agree on nothing to take away, or where no permission can be written that keeps what each of them wants kept.
    """
    for one in targets:
        if all(includes(one, each).holds for each in targets):
            return one if _is_smaller(held, one) else None
    try:
        joined = reduce(union, targets)
    except NotExpressible:
        return None
    # A deny of one side would take away what another wants to stay.
    keeps_all = all(includes(joined, each).holds for each in targets)
    return joined if keeps_all and _is_smaller(held, joined) else None


def _is_smaller(held: Permission, target: Permission) -> bool:
    return includes(held, target).holds and not includes(target, held).holds


GIVEN: tuple[tuple[Kind, ...], ...] = tuple(
    kinds for size in range(len(Kind) + 1) for kinds in combinations(tuple(Kind), size)
)


def truth_table() -> list[tuple[str, ...]]:
    """Rows of (answers given, whether somebody is silent, outcome per strategy in the order of `Strategy`)."""
    return [
        (
            " + ".join(kinds) or "-",
            "yes" if silent else "no",
            *(str(outcome_of(strategy, kinds, silent=silent)) for strategy in Strategy),
        )
        for kinds in GIVEN
        for silent in (0, 1)
    ]


def early_table() -> list[tuple[str, ...]]:
    """Rows of (answers given, per strategy: the outcome that somebody who is still asked cannot change, or "-")."""
    return [
        (
            " + ".join(kinds) or "-",
            *(str(settled(strategy, kinds, waiting=2) or "-") for strategy in Strategy),
        )
        for kinds in GIVEN
    ]
