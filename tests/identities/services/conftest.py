"""Identities without a reading: enough for what people say about them."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Identity, Source
from identities.services.identity_versions import write_versions_of

_numbers = itertools.count(1)


def fill(count: int = 3, **fields: Any) -> list[Identity]:
    """So many identities of one new source, by id, each with the version that a reading would have written."""
    earlier = timezone.now() - timedelta(days=30)
    source = Source.objects.create(slug=f"s{next(_numbers)}", name="Payments", kind="push")
    values = {"kind": "workload", "first_seen_at": earlier, "last_changed_at": earlier, "content_hash": b"\0" * 32}
    made = Identity.objects.bulk_create(
        Identity(source=source, external_id=f"id-{number}", name=f"svc {number}", **(values | fields))
        for number in range(count)
    )
    write_versions_of([identity.pk for identity in made], at=earlier)
    return sorted(made, key=lambda identity: identity.pk)


@pytest.fixture
def identities(db: None) -> Callable[..., list[Identity]]:
    """`identities(3, owner=ada)`"""
    return fill
