"""What a person changes while choosing: pieces that go, places made smaller, conditions and an end added."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from governance.kernel.limits import limited
from governance.kernel.permissions import Condition, PatternSet, Permission, Statement
from reviews.evidence.pieces import Piece, joined, with_denies


@dataclass(frozen=True, slots=True)
class Edit:
    """keep: keys of pieces. places: `place_key` of a held resource pattern to the narrower pattern that was typed."""

    keep: Collection[str]
    places: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    ends_at: datetime | None = None


def place_key(resource: str) -> str:
    """A name for one resource pattern that fits into a form."""
    return sha256(resource.encode()).hexdigest()[:12]


def edited(held: Permission, pieces: Sequence[Piece], edit: Edit) -> Permission:
    """What would remain. Whether it lies inside what is held is not decided here. Raises NotSayable."""
    kept = [_made_smaller(piece.statement, edit.places) for piece in pieces if piece.key in edit.keep]
    return limited(with_denies(held, joined(kept)), edit.conditions, edit.ends_at)


def _made_smaller(statement: Statement, places: Mapping[str, str]) -> Statement:
    narrower = places.get(place_key(statement.resources.include[0]))
    if narrower is None:
        return statement
    return replace(statement, resources=PatternSet((narrower,), statement.resources.exclude))
