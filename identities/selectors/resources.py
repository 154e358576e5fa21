"""Registered resources, by the names that decisions use."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from governance.kernel.dialects.authzen import resource_text
from identities.models import Resource

Named = tuple[str, str]
"""Type and id of a resource."""


def stored_resources(source_ids: Collection[UUID], names: Collection[Named]) -> dict[Named, dict[str, Any]]:
    """The properties of those of these resources that are registered. One query.

    Where several sources register one name, a property that they disagree on has all of their values: no plain
    condition takes such a property for one of them.
    """
    texts = {resource_text(*name): name for name in names}
    found: dict[Named, dict[str, Any]] = {}
    rows = Resource.objects.filter(source__in=source_ids, external_id__in=list(texts), retired_at=None)
    for text, properties in rows.order_by("id").values_list("external_id", "properties"):
        name = texts[text]
        found[name] = _joined(found[name], properties) if name in found else properties
    return found


def resources_after(source_ids: Collection[UUID], resource_type: str, after: str, limit: int) -> list[str]:
    """The next registered resources of one type, as their texts, each once. after: a text, empty at the start."""
    kind = resource_text(resource_type, "").removesuffix(":")
    rows = Resource.objects.filter(
        source__in=source_ids, resource_type=kind, external_id__gt=after, retired_at=None
    ).order_by("external_id")
    return list(rows.values_list("external_id", flat=True).distinct()[:limit])


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(first)
    for name, value in second.items():
        if name in joined and joined[name] != value:
            joined[name] = [*_listed(joined[name]), *_listed(value)]
        else:
            joined[name] = value
    return joined


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
