"""What is held, cut into the pieces that can stay or go, and put together again from those that stay."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from governance.kernel import dialects
from governance.kernel.permissions import PatternSet, Permission, Statement, describe
from reviews.evidence.observing import Observed
from reviews.recommend import Use

# One tick box each; Django refuses forms of more than a thousand fields.
MOST_PIECES = 900


@dataclass(frozen=True, slots=True)
class Piece:
    """The smallest thing that can stay or go: one action on one resource, under the statement's conditions.

    key names the content, so it means the same in every request. text is a sentence, use what is known about it.
    """

    key: str
    statement: Statement
    text: str
    use: Use

    @property
    def action(self) -> str:
        return self.statement.actions.include[0]

    @property
    def resource(self) -> str:
        return self.statement.resources.include[0]


def pieces_of(
    held: Permission, observed: Observed, now: datetime, *, also: Iterable[Permission | None] = ()
) -> list[Piece]:
    """What is held in pieces; empty when there are too many to choose from.

    A pattern such as "every table" stays one piece; `also` (what is suggested or proposed) adds the single tables that
    were used, so that they can be kept without the pattern.
    """
    statements = dict.fromkeys(single(held))
    for permission in also:
        if permission is not None:
            statements |= dict.fromkeys(single(permission))
    if len(statements) > MOST_PIECES:
        return []
    return pieces_with_use(held.dialect, statements, observed, now)


def keys_of(target: Permission | None) -> set[str]:
    """The pieces of which this permission consists."""
    return {_key(statement) for statement in single(target)} if target is not None else set()


def target_of(held: Permission, pieces: Iterable[Piece]) -> Permission:
    """What remains when exactly these pieces are kept: merged into few statements, denies unchanged."""
    return with_denies(held, joined(piece.statement for piece in pieces))


def with_denies(held: Permission, kept: list[Statement]) -> Permission:
    """These statements and whatever is denied today: a deny never goes by narrowing."""
    denies = [statement for statement in held.statements if statement.effect == "deny"] if kept else []
    return Permission(held.dialect, (*kept, *denies))


def joined(statements: Iterable[Statement]) -> list[Statement]:
    """First all actions on one resource together, then all resources with the same actions."""
    by_place: dict[Statement, list[str]] = {}
    for statement in statements:
        place = replace(statement, actions=PatternSet((), statement.actions.exclude))
        by_place.setdefault(place, []).append(statement.actions.include[0])
    by_actions: dict[Statement, list[str]] = {}
    for place, actions in by_place.items():
        together = replace(
            place,
            actions=PatternSet(tuple(dict.fromkeys(actions)), place.actions.exclude),
            resources=PatternSet((), place.resources.exclude),
        )
        by_actions.setdefault(together, []).append(place.resources.include[0])
    return [
        replace(each, resources=PatternSet(tuple(dict.fromkeys(places)), each.resources.exclude))
        for each, places in by_actions.items()
    ]


def single(permission: Permission) -> Iterable[Statement]:
    """The allowing statements, one action on one resource each."""
    dialect = dialects.get(permission.dialect)
    allows = [each for each in permission.statements if each.effect == "allow"]
    for statement in (spelled for each in allows for spelled in dialect.spelled(each)):
        for resource in statement.resources.include:
            for action in statement.actions.include:
                if resource == "*" or dialect.makes_sense(action, resource):
                    yield replace(
                        statement,
                        actions=PatternSet((action,), statement.actions.exclude),
                        resources=PatternSet((resource,), statement.resources.exclude),
                    )


def pieces_with_use(dialect: str, statements: Iterable[Statement], observed: Observed, now: datetime) -> list[Piece]:
    """Single rights with their sentences and what is known about their use."""
    near: dict[str, Observed] = {}
    pieces = []
    for statement in statements:
        resource = statement.resources.include[0]
        if resource not in near:
            near[resource] = _seen_near(dialect, resource, observed)
        pieces.append(_piece(dialect, statement, near[resource], now))
    return pieces


def _seen_near(dialect: str, resource: str, observed: Observed) -> Observed:
    """Only the use that may concern the resource: hundreds of rights need not be held against thousands of calls."""
    words = dialects.get(dialect)
    language = words.resource(resource)
    uses = [use for use in observed.uses if language.may_contain(words.fold_resource(use.resource))]
    return replace(observed, uses=uses)


def _piece(dialect: str, statement: Statement, observed: Observed, now: datetime) -> Piece:
    alone = Permission(dialect, (statement,))
    action = statement.actions.include[0]
    if dialects.get(dialect).literal_actions and action != "*":
        # Reading a table is no use of owning it, nor of passing the right on, though both contain it.
        observed = replace(observed, uses=[use for use in observed.uses if use.action == action])
    [text] = describe(alone)
    return Piece(_key(statement), statement, text, observed.use_of(alone, now))


def _key(statement: Statement) -> str:
    return sha256(repr(statement).encode()).hexdigest()[:16]
