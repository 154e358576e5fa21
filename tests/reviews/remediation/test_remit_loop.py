"""Remit governs itself: read through its own REST API on a real address, narrowed, refused there, verified, restored."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.test.testcases import LiveServerThread
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.models import ApiToken
from governance.people.tokens import create_token
from identities import provisioning
from identities.connectors.remit import Remit
from identities.models import Credential, Grant, Identity, Source
from reviews.models import Order
from reviews.notices.endpoints import EndpointWish, create_endpoint
from reviews.remediation import restore_order
from reviews.states import OrderState
from tests.database import CommittedDatabase

CONNECTOR_SCOPES = ["people:read", "inventory:read", "webhooks:read", "clients:narrow", "clients:restore"]


class Client:
    """A program with a token of its own, at the running product."""

    def __init__(self, site: str, name: str, scopes: list[str], actor: Any) -> None:
        self.site, self.name = site, name
        self.token, self.secret = create_token(
            name=name, scopes=scopes, expires_at=timezone.now() + timedelta(days=90), actor=actor, now=timezone.now()
        )

    def get(self, path: str) -> int:
        headers = {"Authorization": f"Bearer {self.secret}"}
        return httpx.get(f"{self.site}{path}", headers=headers, trust_env=False).status_code


@pytest.fixture
def site(committed_db: Any) -> Iterator[str]:
    """The product on an address."""
    call_command("createcachetable", verbosity=0)
    server = LiveServerThread("127.0.0.1", static_handler=lambda application: application)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


@pytest.fixture
def administrator(site: str, make: Any) -> Any:
    return make.actor(make.person(Role.ADMINISTRATOR))


@pytest.fixture
def exporter(site: str, administrator: Any) -> Client:
    """A program that reads the inventory and people."""
    return Client(site, "exporter", ["inventory:read", "people:read"], administrator)


@pytest.fixture
def connector(site: str, administrator: Any) -> Client:
    return Client(site, "remit itself", CONNECTOR_SCOPES, administrator)


@pytest.fixture
def remit_story(
    own_trail: None, exporter: Client, connector: Client, make_story: Any, site: str, tmp_path: Path
) -> Any:
    secret = tmp_path / "token"
    secret.write_text(connector.secret)
    story = make_story(kind="remit", name="Remit", settings={"address": site, "token": f"file:{secret}"})
    # Whoever answers for a token owns it here, and is no one to decide on it.
    story.rules = ["source_owner"]
    return story


def scopes_grant(story: Any, name: str) -> Grant:
    return Grant.objects.get(source=story.source, label=f"Scopes of {name}")


def only(*scopes: str) -> dict[str, Any]:
    return {"dialect": "scopes", "statements": [{"actions": list(scopes), "resources": ["remit"]}]}


def test_a_narrowed_token_is_refused_what_it_lost_keeps_the_rest_and_gets_it_back(
    remit_story: Any, exporter: Client, verbs_of: Callable[[Order], list[str]]
) -> None:
    remit_story.read()
    assert (exporter.get("/api/v1/people/"), exporter.get("/api/v1/identities/")) == (200, 200)

    order = remit_story.decide(scopes_grant(remit_story, "exporter"), "scope_down", only("inventory:read"))
    order = remit_story.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert (exporter.get("/api/v1/people/"), exporter.get("/api/v1/identities/")) == (403, 200)
    remit_story.read()
    order = remit_story.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]

    restoration = restore_order(
        order=order, reason="Needed again.", days=7, actor=remit_story.actor, now=timezone.now()
    )
    restoration = remit_story.carry_out(restoration)

    assert restoration.state == OrderState.APPLIED, restoration.outcome
    assert exporter.get("/api/v1/people/") == 200
    remit_story.read()
    assert remit_story.again(order).state == OrderState.RESTORED


def test_a_revoked_client_is_cut_off_at_once_and_shown_as_disabled(remit_story: Any, exporter: Client) -> None:
    remit_story.read()
    assert exporter.get("/api/v1/identities/") == 200

    order = remit_story.carry_out(remit_story.decide(scopes_grant(remit_story, "exporter"), "revoke"))

    assert order.state == OrderState.APPLIED, order.outcome
    assert exporter.get("/api/v1/identities/") == 401
    remit_story.read()
    assert remit_story.again(order).state == OrderState.VERIFIED
    identity = Identity.objects.get(source=remit_story.source, name="exporter")
    assert identity.status == "disabled"
    restoration = restore_order(
        order=remit_story.again(order), reason="Needed.", days=7, actor=remit_story.actor, now=timezone.now()
    )
    assert remit_story.carry_out(restoration).state == OrderState.APPLIED
    assert exporter.get("/api/v1/identities/") == 200


def test_a_token_is_a_credential_that_can_be_ended(remit_story: Any, exporter: Client) -> None:
    remit_story.read()
    credential = Credential.objects.get(source=remit_story.source, identity__name="exporter")
    assert (credential.kind, credential.expires_at) == ("token", exporter.token.expires_at)

    order = remit_story.carry_out(remit_story.decide(credential, "deactivate"))
    remit_story.read()

    assert exporter.get("/api/v1/identities/") == 401
    assert remit_story.again(order).state == OrderState.VERIFIED, remit_story.again(order).outcome


def test_a_connector_is_an_identity_with_its_reference_and_is_switched_off(remit_story: Any, site: str) -> None:
    ledger = Source.objects.create(
        slug="ledger", name="Ledger", kind="postgresql", capabilities=["read", "revoke"],
        settings={"host": "h", "user": "u", "databases": ["d"], "password": "env:LEDGER"},
    )  # fmt: skip
    remit_story.read()
    identity = Identity.objects.get(source=remit_story.source, name="Connector of Ledger")
    credential = Credential.objects.get(identity=identity)
    assert (identity.kind, credential.storage) == ("machine", "env:LEDGER")
    grant = Grant.objects.get(identity=identity)
    version = grant.versions.get()
    assert version.permission["statements"][0]["actions"] == ["connector:read", "connector:revoke"]

    order = remit_story.carry_out(remit_story.decide(grant, "revoke"))
    remit_story.read()

    ledger.refresh_from_db()
    assert not ledger.is_enabled
    assert remit_story.again(order).state == OrderState.VERIFIED, remit_story.again(order).outcome
    with pytest.raises(Exception, match="switched off"):
        provisioning.connector_of(ledger)
    restoration = restore_order(
        order=remit_story.again(order), reason="Needed.", days=7, actor=remit_story.actor, now=timezone.now()
    )
    assert remit_story.carry_out(restoration).state == OrderState.APPLIED
    ledger.refresh_from_db()
    assert ledger.is_enabled


def test_a_webhook_is_an_identity_with_its_secret_and_is_switched_off(
    remit_story: Any, site: str, administrator: Any, exporter: Client, verbs_of: Callable[[Order], list[str]]
) -> None:
    wish = EndpointWish(name="ops", url="https://93.184.216.34/hook", verbs=["order"])
    endpoint, secret = create_endpoint(wish=wish, actor=administrator, now=timezone.now())
    remit_story.read()
    identity = Identity.objects.get(source=remit_story.source, name="Webhook ops")
    credential = Credential.objects.get(identity=identity)
    assert (credential.created_at, credential.last_rotated_at) == (endpoint.created_at, endpoint.secret_made_at)
    assert identity.owner is not None or identity.source_owner, "whoever made it answers for it"
    assert secret not in str(identity.attributes) + str(credential.attributes)

    order = remit_story.carry_out(remit_story.decide(Grant.objects.get(identity=identity), "revoke"))

    assert order.state == OrderState.APPLIED, order.outcome
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.off_reason) == (False, "Switched off by a program.")
    remit_story.read()
    order = remit_story.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]
    identity.refresh_from_db()
    assert identity.status == "disabled"

    restoration = restore_order(order=order, reason="Needed.", days=7, actor=remit_story.actor, now=timezone.now())
    assert remit_story.carry_out(restoration).state == OrderState.APPLIED
    endpoint.refresh_from_db()
    assert endpoint.is_enabled


def test_taking_away_is_no_right_to_send_or_to_change_a_webhook(
    site: str, administrator: Any, connector: Client
) -> None:
    wish = EndpointWish(name="ops", url="https://93.184.216.34/hook")
    endpoint, _ = create_endpoint(wish=wish, actor=administrator, now=timezone.now())
    headers = {"Authorization": f"Bearer {connector.secret}"}
    for path in ("rotate/", "test/", ""):
        url = f"{site}/api/v1/webhooks/{endpoint.pk}/{path}"
        method = "POST" if path else "DELETE"
        assert httpx.request(method, url, json={}, headers=headers, trust_env=False).status_code == 403


def test_the_connectors_own_token_takes_nothing_from_itself_and_can_widen_nothing(
    remit_story: Any, connector: Client, exporter: Client, site: str
) -> None:
    remit_story.read()
    own = remit_story.decide(scopes_grant(remit_story, "remit itself"), "revoke")
    assert own.state == OrderState.TASK, "a person has to do that"

    headers = {"Authorization": f"Bearer {connector.secret}"}

    def post(path: str, body: Any) -> int:
        return httpx.post(f"{site}/api/v1/{path}", json=body, headers=headers, trust_env=False).status_code

    until = (timezone.now() + timedelta(days=1)).isoformat()
    assert post("tokens/", {"name": "x", "scopes": ["inventory:read"], "expires_at": until}) == 403
    assert post(f"tokens/{exporter.token.pk}/give-back/", {"scopes": ["people:write"]}) in (400, 409, 422)
    assert post(f"tokens/{connector.token.pk}/give-back/", {"scopes": ["inventory:read"]}) == 403
    assert post("sources/", {"slug": "x", "name": "x", "kind": "push"}) == 403
    assert post("people/", {"email": "x@example.org", "name": "X"}) == 403
    exporter.token.refresh_from_db()
    assert exporter.token.scopes == ["inventory:read", "people:read"]


def test_a_connection_test_says_what_the_token_lacks_and_what_it_has_too_much(
    site: str, administrator: Any, connector: Client
) -> None:
    lacking = Client(site, "poor", ["people:read", "inventory:read", "webhooks:read"], administrator)
    wide = Client(site, "wide", [*CONNECTOR_SCOPES, "people:write"], administrator)

    def states(client: Client) -> dict[str, str]:
        made = Remit({"address": site, "token": "env:X"}, {"token": client.secret})
        return {check.title: check.state for check in made.check()}

    good = {"Read API tokens, sources and webhooks": "ok", "Take away": "ok", "Give back": "ok"}
    assert states(connector) == good
    assert states(lacking) == good | {"Take away": "warning", "Give back": "warning"}
    assert states(wide)["Nothing more than needed"] == "warning"


def test_without_the_right_to_give_back_a_restoration_is_blocked_and_says_why(
    remit_story: Any, exporter: Client, connector: Client
) -> None:
    remit_story.read()
    order = remit_story.carry_out(remit_story.decide(scopes_grant(remit_story, "exporter"), "revoke"))
    remit_story.read()
    kept = [scope for scope in CONNECTOR_SCOPES if scope != "clients:restore"]
    ApiToken.objects.filter(pk=connector.token.pk).update(scopes=kept)

    restoration = remit_story.carry_out(
        restore_order(
            order=remit_story.again(order), reason="Needed.", days=7, actor=remit_story.actor, now=timezone.now()
        )
    )

    assert restoration.state == OrderState.BLOCKED
    assert "clients:restore" in restoration.outcome


def test_a_token_that_was_changed_meanwhile_is_drifted_and_left_alone(remit_story: Any, exporter: Client) -> None:
    remit_story.read()
    order = remit_story.decide(scopes_grant(remit_story, "exporter"), "revoke")
    ApiToken.objects.filter(pk=exporter.token.pk).update(scopes=["people:read"])

    order = remit_story.carry_out(order)

    assert order.state == OrderState.DRIFTED, order.outcome
    assert exporter.get("/api/v1/people/") == 200


WORKER = """
import os, signal, sys
import django
django.setup()
from datetime import datetime
from identities.connectors.remit.api import Api
real = Api.post
def cut(self, path, body):
    if sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, path, body)
    os.kill(os.getpid(), signal.SIGKILL)
Api.post = cut
from reviews.remediation import execute_order
execute_order(order_id=sys.argv[1], now=datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_worker_killed_around_the_request_loses_and_doubles_nothing(
    remit_story: Any, exporter: Client, committed_db: CommittedDatabase, place: str,
    verbs_of: Callable[[Order], list[str]],
) -> None:  # fmt: skip
    remit_story.read()
    order = remit_story.decide(scopes_grant(remit_story, "exporter"), "revoke")
    due = order.execute_after + timedelta(seconds=1)

    killed = subprocess.run(
        [sys.executable, "-c", WORKER, str(order.pk), due.isoformat(), place],
        env=os.environ | {"DATABASE_URL": committed_db.url},
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    assert exporter.get("/api/v1/people/") == (200 if place == "before" else 401)
    order = remit_story.take_up_again(order, due + timedelta(hours=1))
    assert order.state == OrderState.APPLIED, order.outcome
    assert exporter.get("/api/v1/people/") == 401
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied"]
    remit_story.read()
    assert remit_story.again(order).state == OrderState.VERIFIED
