"""What is known about the use of an item's access, asked anew while somebody decides.

The item keeps what its reviewer was shown when the review opened; this is the same question on what was seen since, cut
into the pieces that scoping down keeps or removes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from django.db.models import Q

from governance.kernel import dialects
from governance.kernel.permissions import (
    NotExpressible,
    PatternSet,
    Permission,
    Statement,
    describe,
    difference_samples,
    includes,
    subtract,
)
from governance.kernel.rightsizing import Replay, replay
from identities.models import Identity, Usage, UsageWindow
from reviews.decisions.targets import held_permission
from reviews.models import ReviewItem
from reviews.recommend import NOT_OBSERVABLE, GrantFacts, Seen, Use, Window, use_of

# One tick box each; Django refuses forms of more than a thousand fields.
MOST_PIECES = 900
MOST_REMOVED_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything logs showed of one identity, and what they could show."""

    uses: Sequence[Seen]
    windows: Sequence[Window]

    def use_of(self, permission: Permission, now: datetime) -> Use:
        """Used, unused or not observable, for this part of what is held."""
        facts = GrantFacts(
            permission=permission, now=now, min_observed=timedelta(), uses=self.uses, windows=self.windows
        )
        return use_of(facts)


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


@dataclass(frozen=True, slots=True)
class Replayed:
    """Observed calls against what would remain. refused: (action, resource, calls, last seen)."""

    calls: int
    refused_calls: int
    refused: Sequence[Seen]
    unknown: int
    not_observable: Sequence[str]


def observe(identity: Identity) -> Observed:
    """Two queries: what was seen of the identity, and through which logs it could be seen."""
    uses = [
        Seen(row.action, row.resource, row.last_seen_at, row.count)
        for row in Usage.objects.filter(identity=identity).order_by("-last_seen_at", "pk")
    ]
    rows = UsageWindow.objects.filter(Q(identity=identity) | Q(identity=None, source=identity.source_id))
    windows = [
        Window(
            log=row.log,
            observed_from=row.observed_from,
            observed_until=row.observed_until,
            actions=tuple(row.observable.get("actions", ())),
            resources=tuple(row.observable.get("resources", ())),
        )
        for row in rows.order_by("pk")
    ]
    return Observed(uses, windows)


def pieces_of(item: ReviewItem, observed: Observed, now: datetime) -> list[Piece]:
    """What is held, and what the recommendation keeps of it, cut into pieces; empty when there are too many to choose.

    A pattern such as "every table" stays one piece; the recommendation adds the single tables that were used, so that
    they can be kept without the pattern.
    """
    held = held_permission(item)
    statements = list(_single(held))
    if item.recommended_target:
        statements += _single(Permission.from_json(item.recommended_target))
    statements = list(dict.fromkeys(statements))
    if len(statements) > MOST_PIECES:
        return []
    return [_piece(held.dialect, statement, observed, now) for statement in statements]


def recommended_keys(item: ReviewItem) -> set[str]:
    """The pieces that the recommendation keeps."""
    if not item.recommended_target:
        return set()
    target = Permission.from_json(item.recommended_target)
    return {_key(statement) for statement in _single(target)}


def target_of(item: ReviewItem, pieces: Iterable[Piece]) -> Permission:
    """What remains when exactly these pieces are kept: merged into few statements, denies unchanged."""
    held = held_permission(item)
    kept = _merged(pieces)
    denies = [statement for statement in held.statements if statement.effect == "deny"] if kept else []
    return Permission(held.dialect, (*kept, *denies))


def _merged(pieces: Iterable[Piece]) -> list[Statement]:
    return _joined(piece.statement for piece in pieces)


def _joined(statements: Iterable[Statement]) -> list[Statement]:
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


def replay_target(item: ReviewItem, target: Permission, observed: Observed, now: datetime) -> Replayed:
    """Which observed calls would have been refused, had only `target` been held; and which use nobody could see."""
    held = held_permission(item)
    calls = {(use.action, use.resource): use for use in observed.uses}
    before: Replay = replay(calls, held)
    relevant = [use for pair, use in calls.items() if pair not in set(before.refused)]
    after = replay([(use.action, use.resource) for use in relevant], target)
    refused = [calls[pair] for pair in after.refused]
    return Replayed(
        calls=sum(use.count for use in relevant),
        refused_calls=sum(use.count for use in refused),
        refused=refused,
        unknown=after.unknown,
        not_observable=_not_observable(held, target, observed, now),
    )


def _not_observable(held: Permission, target: Permission, observed: Observed, now: datetime) -> list[str]:
    """Sentences about what goes and could not have been seen in use."""
    removed = Permission(held.dialect, tuple(_removed(held, target)))
    pieces = [_piece(held.dialect, statement, observed, now) for statement in _single(removed)]
    unseen = [piece for piece in pieces if piece.use.state == NOT_OBSERVABLE]
    return describe(Permission(held.dialect, tuple(_merged(unseen))))


def difference(held: Permission, target: Permission) -> list[tuple[str, str]]:
    """(kept or removed, sentence) in plain words."""
    kept = [("kept", sentence) for sentence in describe(target)]
    removed = describe(Permission(held.dialect, tuple(_removed(held, target))))
    return kept + [("removed", sentence) for sentence in removed]


def _removed(held: Permission, target: Permission) -> list[Statement]:
    """What goes: the difference as far as it can be written, and every right that neither it nor what stays holds.

    The second part matters because taking the right to read out of a permission also takes the right to pass it on.
    """
    try:
        found = list(subtract(held, target).statements)
    except NotExpressible:
        samples = difference_samples(held, target, limit=MOST_REMOVED_SHOWN)
        return [Statement(PatternSet((each.action,)), PatternSet((each.resource,))) for each in samples]
    named = Permission(held.dialect, (*target.statements, *found))
    if includes(named, held).holds:
        return found
    lost = [each for each in _single(held) if not includes(named, Permission(held.dialect, (each,))).holds]
    return [*found, *_joined(lost)]


def _single(permission: Permission) -> Iterable[Statement]:
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


def _key(statement: Statement) -> str:
    return sha256(repr(statement).encode()).hexdigest()[:16]


def _piece(dialect: str, statement: Statement, observed: Observed, now: datetime) -> Piece:
    alone = Permission(dialect, (statement,))
    action = statement.actions.include[0]
    if dialects.get(dialect).literal_actions and action != "*":
        # Reading a table is no use of owning it, nor of passing the right on, though both contain it.
        observed = replace(observed, uses=[use for use in observed.uses if use.action == action])
    [text] = describe(alone)
    return Piece(_key(statement), statement, text, observed.use_of(alone, now))
