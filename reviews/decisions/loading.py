"""Objects by the hundred: read with a few of their columns, or new ones to be written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.expressions import RawSQL
from django.db.models.fields import NOT_PROVIDED

M = TypeVar("M", bound=Model)
Among = RawSQL | list[UUID]


def among(ids: Iterable[UUID]) -> Among:
    """For `pk__in`: many ids as one text. Five hundred parameters are looked at several times on their way.

    One is left as it is: so many tables are joined to a single question that PostgreSQL keeps the order in which they
    are written, and a subquery, which comes last, would be looked into after all of them were joined.
    """
    listed = list(ids)
    if len(listed) == 1:
        return listed
    return RawSQL("SELECT unnest(%s::uuid[])", [f"{{{','.join([pk.hex for pk in listed])}}}"])


def load(found: QuerySet[M], names: Sequence[str]) -> list[M]:
    """The objects of a query with these columns (`id`, `campaign_id`); any other is read where it is asked for."""
    model = found.model
    return [_made(model, zip(names, row, strict=True), is_new=False) for row in found.values_list(*names)]


def load_objects(
    found: QuerySet[Any], wanted: Mapping[str, tuple[type[Model], Sequence[str]]]
) -> Iterator[dict[str, Model | None]]:
    """What the rows refer to by these names, with these columns of it (`id` first); row by row, in the order of ids."""
    columns = [f"{name}__{column}" for name, (_, columns) in wanted.items() for column in columns]
    parts, start = [], 0
    for name, (model, names) in wanted.items():
        parts.append((name, model, names, start, start + len(names)))
        start += len(names)
    for row in found.order_by("pk").values_list(*columns):
        yield {
            name: None if row[at] is None else _made(model, zip(names, row[at:end], strict=True), is_new=False)
            for name, model, names, at, end in parts
        }


def new(model: type[M], **values: object) -> M:
    """An object to be written, by columns (`id`, `item_id`); the others get what they are when nothing is said."""
    return _made(model, _defaults(model) | values, is_new=True)


def with_objects(row: M, **objects: Model | None) -> M:
    """The same object, with these that it refers to at hand. Its columns say so already."""
    row._state.fields_cache.update(objects)
    return row


def _made(model: type[M], values: Mapping[str, object] | Iterable[tuple[str, object]], *, is_new: bool) -> M:
    """What `Model.__init__` makes, which looks at every field by itself and takes ten times as long."""
    made = model.__new__(model)
    made.__dict__.update(values)
    made._state = ModelState()
    made._state.adding = is_new
    return made


@cache
def _defaults(model: type[Model]) -> dict[str, object]:
    """What needs no call to be made: a key, or a list of one's own, has to be given."""
    given = [
        field for field in model._meta.concrete_fields if field.default is NOT_PROVIDED or not callable(field.default)
    ]
    return {field.attname: field.get_default() for field in given if not field.primary_key}
