"""Scenarios loaded as any inventory is: by the API, from the records that docs/authzen.md shows."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from identities.models import Source

PAGE = Path(__file__).resolve().parents[3] / "docs" / "authzen.md"
RECORDS = dict(re.findall(r"cat > (\w+)\.ndjson <<'END'\n(.*?)^END", PAGE.read_text(), re.MULTILINE | re.DOTALL))
DOMAINS: dict[str, dict[str, Any]] = {
    found["slug"]: found for found in map(json.loads, re.findall(r"-d '(\{\"slug\".*?\"subject_types\".*?)'$", PAGE.read_text(), re.M))
}  # fmt: skip


@pytest.fixture
def manager(make_token: Callable[..., Any]) -> Client:
    """A program that may load inventories and write domains down."""
    call_command("createcachetable", verbosity=0)
    _, plain = make_token(["sync:write", "inventory:read", "inventory:write"])
    return Client(headers={"Authorization": f"Bearer {plain}"})


@pytest.fixture
def load(manager: Client) -> Callable[..., Any]:
    """`load("todo")` of the page, or `load("x", records=[…], subject_types={"user": []})`: a source and its domain."""

    def go(slug: str, records: list[dict[str, Any]] | None = None, **domain: Any) -> Source:
        body = RECORDS[slug] if records is None else as_lines(records)
        created = post(manager, "/api/v1/sources/", {"slug": slug, "name": slug.title(), "kind": "push"})
        assert created.status_code == 201, created.content
        sent = manager.post(
            f"/api/v1/sources/{slug}/syncs/?complete=true", body.encode(), content_type="application/x-ndjson"
        )
        assert sent.status_code == 201, sent.content
        wish = DOMAINS.get(slug, {"slug": slug, "name": slug.title(), "sources": [slug]}) | domain
        if wish.get("subject_types"):
            made = post(manager, "/api/v1/domains/", wish)
            assert made.status_code == 201, made.content
        return Source.objects.get(slug=slug)

    return go


@pytest.fixture
def pep(make_token: Callable[..., Any]) -> Client:
    """A policy enforcement point: a program with nothing but the scope to ask."""
    _, plain = make_token(["pdp:decide"])
    return Client(headers={"Authorization": f"Bearer {plain}"}, raise_request_exception=False)


@pytest.fixture
def ask(pep: Client) -> Callable[..., Any]:
    """`ask("evaluation", {…}, domain="todo")`: the decoded answer, which must be a 200."""

    def go(place: str, body: Any, *, domain: str = "certification") -> Any:
        response = post(pep, f"{'/d/' + domain if domain else ''}/access/v1/{place}", body)
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == "application/json"
        return response.json()

    return go


def post(client: Client, path: str, body: Any, **more: Any) -> Any:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(path, data, content_type=more.pop("content_type", "application/json"), **more)


def as_lines(records: list[dict[str, Any]]) -> str:
    lines = [json.dumps(record) for record in records]
    return "\n".join([*lines, json.dumps({"type": "end", "records": len(lines)})]) + "\n"


def question(subject: str, action: str, resource: str, /, **more: Any) -> dict[str, Any]:
    """`question("user:alice", "read", "record:record-1", resource={"status": "x"})`; keywords are properties."""
    (kind, who), (of, what) = subject.split(":", 1), resource.split(":", 1)
    parts: dict[str, Any] = {
        "subject": {"type": kind, "id": who},
        "action": {"name": action},
        "resource": {"type": of, "id": what},
    }
    for part, properties in more.items():
        if part == "context":
            parts["context"] = properties
        else:
            parts[part]["properties"] = properties
    return parts
