"""A sync client: a token, a source, and a short way to send."""

import gzip
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from identities.models import Source


@pytest.fixture
def shared_cache(db: None) -> None:
    """The real cache table, empty: throttling counts there."""
    call_command("createcachetable", verbosity=0)


@pytest.fixture
def api(shared_cache: None, make_token: Callable[..., Any]) -> Callable[..., Client]:
    """`api("sync:write")`: a client whose token has these scopes (all, when none is named)."""

    def make(*scopes: str) -> Client:
        _, plain = make_token(scopes) if scopes else make_token()
        return Client(headers={"Authorization": f"Bearer {plain}"}, raise_request_exception=True)

    return make


@pytest.fixture
def source(db: None) -> Source:
    return Source.objects.create(slug="aws", name="AWS", kind="push", environment="production", max_retire_percent=50)


@pytest.fixture
def push() -> Callable[..., Any]:
    """`push(client, records, mode="delta", key="k")`: records are objects (an end record is added), or raw bytes."""

    def go(client: Client, records: Iterable[Any] | bytes, *, slug: str = "aws", key: str = "", **more: Any) -> Any:
        headers = more.pop("headers", {}) | ({"Idempotency-Key": key} if key else {})
        if isinstance(records, bytes):
            body = records
        else:
            lines = [json.dumps(record).encode() for record in records]
            body = b"\n".join([*lines, b'{"type":"end","records":%d}' % len(lines)]) + b"\n"
        if more.pop("packed", False):
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        content_type = more.pop("content_type", "application/x-ndjson")
        return client.post(
            f"/api/v1/sources/{slug}/syncs/", body, content_type=content_type, headers=headers, query_params=more
        )

    return go
