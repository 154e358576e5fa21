"""A list in an order, as stretches that an index can enter at the right place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Expression, F, Field, Func, Model, Q, Value
from django.db.models.expressions import OrderBy


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of an order. `name` is a queryset path; `nullable` columns put their empty values last."""

    name: str
    descending: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that follow each other in the order. `settled`: so many leading keys are either all filled or all empty."""

    keys: Sequence[SortKey]
    backwards: bool
    condition: Q | Expression | None = None
    settled: int = 0

    def order(self, is_gathered: bool) -> list[OrderBy]:
        """is_gathered: the first key is hidden from the planner, so that it sorts instead of walking along an index."""
        return [self._by(index, key, hide=is_gathered and index == 0) for index, key in enumerate(self.keys)]

    def _by(self, index: int, key: SortKey, *, hide: bool) -> OrderBy:
        descending = key.descending != self.backwards
        column: Any = _Hidden(F(key.name)) if hide else F(key.name)
        if not key.nullable:
            return column.desc() if descending else column.asc()
        # Where no empty value can lie among filled ones, their place is told as an index on the descending key with
        # NULLS LAST has it when it is read in this direction.
        nulls_last = descending if index < self.settled else not self.backwards
        place = {"nulls_last": True} if nulls_last else {"nulls_first": True}
        return column.desc(**place) if descending else column.asc(**place)


def stretches(
    model: type[Model], keys: Sequence[SortKey], values: Sequence[Any] | None, *, backwards: bool
) -> Iterator[Stretch]:
    """The rest of the list behind `values` (before them when reading backwards), nearest first; all of it for None."""
    if values is None:
        yield from _whole(keys, backwards)
    elif not any(key.nullable for key in keys) and len({key.descending for key in keys}) == 1:
        less = keys[0].descending != backwards
        yield Stretch(keys, backwards, _RowComparison(model, keys, values, less=less))
    else:
        for depth in reversed(range(len(keys))):
            same = Q()
            for key, value in zip(keys[:depth], values, strict=False):
                same &= Q(**{f"{key.name}__isnull": True}) if value is None else Q(**{key.name: value})
            for beyond in _beyond(keys[depth], values[depth], backwards):
                yield Stretch(keys, backwards, same & beyond, settled=depth + 1)


def _whole(keys: Sequence[SortKey], backwards: bool) -> Iterator[Stretch]:
    first = keys[0]
    if not first.nullable:
        yield Stretch(keys, backwards)
        return
    filled = Q(**{f"{first.name}__isnull": False})
    for condition in (~filled, filled) if backwards else (filled, ~filled):
        yield Stretch(keys, backwards, condition, settled=1)


def _beyond(key: SortKey, value: Any, backwards: bool) -> Iterator[Q]:
    """What lies further on this column; empty values stand last."""
    if value is None:
        if backwards:
            yield Q(**{f"{key.name}__isnull": False})
        return
    less = key.descending != backwards
    yield Q(**{f"{key.name}__{'lt' if less else 'gt'}": value})
    if key.nullable and not backwards:
        yield Q(**{f"{key.name}__isnull": True})


class _RowComparison(Expression):
    """`(a, b) > (x, y)`: one condition that an index on (a, b) answers by entering at the right place."""

    conditional = True

    def __init__(self, model: type[Model], keys: Sequence[SortKey], values: Sequence[Any], *, less: bool) -> None:
        super().__init__(output_field=BooleanField())
        fields = [_field(model, key.name) for key in keys]
        self.columns: list[Any] = [F(key.name) for key in keys]
        self.values: list[Any] = [
            Value(field.to_python(value), output_field=field) for field, value in zip(fields, values, strict=True)
        ]
        self.operator = "<" if less else ">"

    def get_source_expressions(self) -> list[Any]:
        return [*self.columns, *self.values]

    def set_source_expressions(self, exprs: Sequence[Any]) -> None:
        half = len(exprs) // 2
        self.columns, self.values = list(exprs[:half]), list(exprs[half:])

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        parts: list[str] = []
        parameters: list[Any] = []
        for expression in self.get_source_expressions():
            sql, given = compiler.compile(expression)
            parts.append(sql)
            parameters += given
        half = len(parts) // 2
        return f"(({', '.join(parts[:half])}) {self.operator} ({', '.join(parts[half:])}))", tuple(parameters)


class _Hidden(Func):
    """The same value in a wrapping that no index knows."""

    template = "(ARRAY[%(expressions)s])[1]"


def _field(model: type[Model], path: str) -> "Field[Any, Any]":
    """The column behind a queryset path. Raises FieldDoesNotExist."""
    field: Any = None
    for step in path.split("__"):
        field = model._meta.pk if step == "pk" else model._meta.get_field(step)
        model = field.related_model or model
    return field
