"""Remit's own API, read by a connector: what it makes of the lists, and of answers that are none."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef, NotPossible, ReadIncomplete, SourceUnreachable
from identities.connectors.remit import Remit
from identities.connectors.remit.records import records
from identities.connectors.settings import BadSettings

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SECRET = "remit_0a1b2c3d_" + "x" * 43


def token(**fields: Any) -> dict[str, Any]:
    values = {
        "id": "5f1c", "name": "etl", "prefix": "11111111", "scopes": ["sync:write"], "withheld_scopes": [],
        "created_by": "ann@example.org", "created_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z",
        "last_used_at": None, "revoked_at": None,
    }  # fmt: skip
    return values | fields


def source(**fields: Any) -> dict[str, Any]:
    values = {
        "id": "77", "slug": "ledger", "name": "Ledger", "kind": "postgresql", "is_enabled": True,
        "environment": "production", "owner": None, "created_at": "2026-01-01T00:00:00Z", "last_success_at": None,
        "settings": {"host": "h", "password": "env:LEDGER"}, "capabilities": ["read", "revoke"],
    }  # fmt: skip
    return values | fields


def webhook(**fields: Any) -> dict[str, Any]:
    values = {
        "id": "99", "name": "ops", "url": "https://hooks.example.org/services/T0/secret-part", "purpose": "events",
        "verbs": ["order"], "is_enabled": True, "created_by": "ann@example.org", "created_at": "2026-01-01T00:00:00Z",
        "secret_made_at": "2026-03-01T00:00:00Z", "last_success_at": "2026-11-20T00:00:00Z",
    }  # fmt: skip
    return values | fields


@contextmanager
def answering(answer: Callable[[str], tuple[int, Any]]) -> Iterator[str]:
    """A server on a free port that answers every GET as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def lists(
    tokens: list[dict[str, Any]], sources: list[dict[str, Any]], webhooks: Sequence[dict[str, Any]] = ()
) -> Callable[[str], tuple[int, Any]]:
    """The three lists, a row a page."""

    def answer(path: str) -> tuple[int, Any]:
        rows = tokens if "/tokens/" in path else webhooks if "/webhooks/" in path else sources
        at = int(path.partition("cursor=")[2] or 0)
        following = f"https://elsewhere.example/?cursor={at + 1}" if at + 1 < len(rows) else None
        return 200, {"results": rows[at : at + 1], "next": following}

    return answer


def connector(address: str) -> Remit:
    return Remit({"address": address, "token": "env:X"}, {"token": SECRET})


def test_lists_are_read_to_their_last_page_and_no_address_of_the_answer_is_followed() -> None:
    with answering(lists([token(id=str(n)) for n in range(3)], [source()])) as address:
        found = list(connector(address).read())

    assert [each["type"] for each in found].count("grant") == 4
    assert found[-1] == {"type": "end", "records": len(found) - 1}


def test_tokens_and_connectors_become_identities_with_grants_and_credentials() -> None:
    rows = [
        token(), token(id="gone", revoked_at="2026-02-01T00:00:00Z"), token(id="old", expires_at="2026-02-01T00:00:00Z"),
        token(id="empty", scopes=[], withheld_scopes=["sync:write"]),
    ]  # fmt: skip

    found = list(records(rows, [source(), source(id="78", slug="off", is_enabled=False)], [], NOW))

    states = {each["id"]: each["status"] for each in found if each["type"] == "identity"}
    assert states == {"token:5f1c": "active", "token:old": "disabled", "token:empty": "disabled",
                      "source:77": "active", "source:78": "disabled"}  # fmt: skip
    grants = {each["id"] for each in found if each["type"] == "grant"}
    assert grants == {"token:5f1c/scopes", "token:old/scopes", "source:77/connector"}
    stored = {each["storage"] for each in found if each["type"] == "credential"}
    assert stored == {"as a hash", "env:LEDGER"}


def test_a_webhook_is_an_identity_whose_secret_has_an_age_and_whose_address_stays_out() -> None:
    found = list(records([], [], [webhook(), webhook(id="98", name="off", is_enabled=False)], NOW))

    identity, secret, grant = [each for each in found if "98" not in each["id"]]
    assert (identity["id"], identity["name"], identity["owner"]) == ("webhook:99", "Webhook ops", "ann@example.org")
    assert identity["created_at"] == secret["created_at"] == "2026-01-01T00:00:00Z"
    assert identity["last_used_at"] == secret["last_used_at"] == "2026-11-20T00:00:00Z"
    assert (secret["id"], secret["last_rotated_at"]) == ("webhook:99/secret", "2026-03-01T00:00:00Z")
    assert grant["permission"] == scopes("webhook:events").to_json()
    assert [each["status"] for each in found if each["id"] == "webhook:98"] == ["disabled"]
    assert not any(each["type"] == "grant" and "98" in each["id"] for each in found), "nothing is told to it"
    assert identity["attributes"]["host"] == "hooks.example.org"
    assert "secret-part" not in json.dumps(found)


def test_a_token_that_may_not_see_webhooks_fails_the_reading_and_names_the_scope() -> None:
    def answer(path: str) -> tuple[int, Any]:
        return (403, {"detail": "no"}) if "/webhooks/" in path else (200, {"results": [], "next": None})

    with answering(answer) as address, pytest.raises(ReadIncomplete, match="webhooks:read"):
        list(connector(address).read())


def test_a_webhook_is_switched_off_as_a_whole_and_never_narrowed() -> None:
    row = webhook()
    (grant,) = [each for each in records([], [], [row], NOW) if each["type"] == "grant"]
    held = GrantRef(grant["identity"], grant["id"], Permission.from_json(grant["permission"]), (), grant["native_ref"])

    with answering(lists([], [], [row])) as address:
        plan = connector(address).plan_revoke(held)
        with pytest.raises(NotPossible, match="set up"):
            connector(address).plan_narrow(held, scopes("webhook:events"))
        ended = connector(address).plan_deactivate("webhook:99", "webhook:99/secret")
    assert plan.steps[0].call["path"] == ended.steps[0].call["path"] == "/api/v1/webhooks/99/switch-off/"
    assert plan.inverse[0].call["path"] == "/api/v1/webhooks/99/switch-on/"
    assert plan.summary == "Switches the webhook ops off."
    with answering(lists([], [], [webhook(is_enabled=False)])) as address, pytest.raises(NotPossible, match="already"):
        connector(address).plan_revoke(held)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>", ReadIncomplete),
        (200, {"results": [{"id": 1}], "next": None}, ReadIncomplete),
        (200, [], ReadIncomplete),
        (403, {"detail": "no"}, ReadIncomplete),
        (404, b"", ReadIncomplete),
        (401, b"", SourceUnreachable),
        (503, b"", SourceUnreachable),
        (302, b"", ReadIncomplete),
    ],
)
def test_an_answer_that_is_not_remits_fails_the_reading_and_shows_no_secret(
    status: int, body: Any, error: type[Exception]
) -> None:
    with answering(lambda path: (status, body)) as address, pytest.raises(error) as caught:
        list(connector(address).read())

    assert SECRET not in str(caught.value)


def test_a_list_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identities.connectors.remit.api.MOST_PAGES", 5)

    with (
        answering(lambda path: (200, {"results": [], "next": "?cursor=again"})) as address,
        pytest.raises(ReadIncomplete),
    ):
        list(connector(address).read())


def grant_of(row: dict[str, Any]) -> GrantRef:
    (found,) = [each for each in records([row], [], [], NOW) if each["type"] == "grant"]
    permission = Permission.from_json(found["permission"])
    return GrantRef(found["identity"], found["id"], permission, (), found["native_ref"])


def scopes(*names: str, **more: Any) -> Permission:
    statement = {"actions": list(names), "resources": ["remit"], **more}
    return Permission.from_json({"dialect": "scopes", "statements": [statement]})


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (scopes("people:write"), "not inside"),
        (scopes("*"), "Name the scopes"),
        (scopes("sync:write", until="2026-12-24T00:00:00Z"), "end date"),
    ],
)
def test_a_target_that_is_no_list_of_held_scopes_is_refused(target: Permission, why: str) -> None:
    row = token(scopes=["sync:write", "inventory:read"])

    with answering(lists([row], [])) as address, pytest.raises(NotPossible, match=why):
        connector(address).plan_narrow(grant_of(row), target)


def test_the_connector_spares_its_own_token_and_sources_that_are_remit() -> None:
    own, itself = token(prefix="0a1b2c3d"), source(kind="remit")

    with answering(lists([own], [itself])) as address:
        for attempt in (
            lambda: connector(address).plan_revoke(grant_of(own)),
            lambda: connector(address).plan_quarantine("source:77"),
            lambda: connector(address).plan_deactivate("source:77", "source:77/password"),
        ):
            with pytest.raises(NotPossible):
                attempt()


def test_a_plan_that_was_altered_in_storage_does_not_run() -> None:
    row = token()

    with answering(lists([row], [])) as address:
        plan = connector(address).plan_revoke(grant_of(row))
        data = plan.to_json()
        data["steps"][0]["call"]["path"] = "/api/v1/people/"
        altered = type(plan).from_json(data)

        assert connector(address).execute(altered).state == "blocked"


@pytest.mark.parametrize("address", ["remit.example.org", "ftp://x", "https://a:b@x", "https://x/?q=1", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadSettings):
        Remit({"address": address, "token": "env:X"}, {})
