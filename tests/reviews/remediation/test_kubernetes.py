"""The whole way on a real API server: read, decide, change, verify, restore; judged by real calls of real tokens."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Credential, Grant
from reviews import remediation
from reviews.models import Order
from reviews.remediation import restore_order
from reviews.states import OrderState
from tests.database import CommittedDatabase
from tests.plugins.cluster import Gate, Namespace

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

READ_MAPS = {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "delete"]}
WORKER = """
import sys
import django
django.setup()
from datetime import datetime
from reviews.remediation import execute_order
execute_order(order_id=sys.argv[1], now=datetime.fromisoformat(sys.argv[2]))
"""


@pytest.fixture
def story(
    own_trail: None,
    committed_db: Any,
    make_story: Callable[..., Any],
    gate: Gate,
    connector_bearer: str,
    tmp_path: Path,
) -> Any:
    """A cluster that was not read yet; the connector reaches it through the gate."""
    secret = tmp_path / "bearer"
    secret.write_text(connector_bearer)
    return make_story(kind="kubernetes", name="Cluster", settings={"server": gate.url, "token": f"file:{secret}"})


@pytest.fixture
def app(namespace: Namespace) -> str:
    """An account that may read and delete config maps and secrets by a role that another account has, too."""
    who = namespace.make_account("app")
    namespace.make_account("other")
    namespace.make_role("keeper", READ_MAPS)
    namespace.bind("keepers", "keeper", "app", "other")
    namespace.make_map("rates", eur="1")
    return who


def narrowed(namespace: Namespace) -> dict[str, Any]:
    return {
        "dialect": "kubernetes",
        "statements": [{"actions": ["get"], "resources": [f"api:{namespace.name}//configmaps//rates"]}],
    }


def can(namespace: Namespace, account: str = "app") -> dict[str, bool]:
    """What real calls with a real token of the account are answered."""
    bearer = namespace.token(account)
    calls = {
        "get": namespace.status("GET", "configmaps", "rates", bearer=bearer),
        "list": namespace.status("GET", "configmaps", bearer=bearer),
        "secrets": namespace.status("GET", "secrets", bearer=bearer),
    }
    assert set(calls.values()) <= {200, 403}
    return {name: status == 200 for name, status in calls.items()}


ALL, NONE = dict.fromkeys(("get", "list", "secrets"), True), dict.fromkeys(("get", "list", "secrets"), False)
ONLY_GET = NONE | {"get": True}


def restore(story: Any, order: Order) -> Order:
    wish = {"reason": "The month-end close needs it.", "days": 14, "actor": story.actor, "now": timezone.now()}
    return story.carry_out(restore_order(order=story.again(order), **wish))


def test_a_shared_role_is_narrowed_for_one_account_verified_and_restored(
    story: Any, namespace: Namespace, app: str, verbs_of: Callable[[Order], list[str]]
) -> None:
    story.read()
    grant = story.grant(app, "keeper")
    assert grant.shared_with == 1
    assert can(namespace) == ALL

    order = story.carry_out(story.decide(grant, "scope_down", narrowed(namespace)))

    assert order.state == OrderState.APPLIED, order.outcome
    assert can(namespace) == ONLY_GET
    assert can(namespace, "other") == ALL, "the role itself was not touched"
    story.read()
    order = story.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    assert Grant.objects.get(pk=grant.pk).retired_at is not None
    assert story.grant(app, "remit-app").identity.external_id == app

    restoration = restore(story, order)

    assert restoration.state == OrderState.APPLIED, restoration.outcome
    assert can(namespace) == ALL
    story.read()
    assert story.again(restoration).state == OrderState.VERIFIED
    assert story.again(order).state == OrderState.RESTORED
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified", "order.restored"]
    assert not Grant.objects.filter(identity__external_id=app, label__contains="remit-", retired_at=None).exists()


def test_a_revoked_binding_is_gone_and_comes_back_as_it_was(story: Any, namespace: Namespace, app: str) -> None:
    namespace.bind("mine", "keeper", "app", labels={"team": "payments"})
    namespace.cluster.call("DELETE", namespace.path("rolebindings", "keepers"))
    story.read()
    before = namespace.cluster.call("GET", namespace.path("rolebindings", "mine")).json()

    order = story.verified(app, "mine")

    assert can(namespace) == NONE
    assert namespace.cluster.call("GET", namespace.path("rolebindings", "mine")).status_code == 404
    restoration = restore(story, order)
    story.read()
    assert story.again(restoration).state == OrderState.VERIFIED
    assert can(namespace) == ALL
    after = namespace.cluster.call("GET", namespace.path("rolebindings", "mine")).json()
    assert (after["roleRef"], after["subjects"]) == (before["roleRef"], before["subjects"])
    assert after["metadata"]["labels"] == before["metadata"]["labels"] == {"team": "payments"}


def test_a_group_that_gives_the_same_keeps_the_order_open(story: Any, namespace: Namespace, app: str) -> None:
    group = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Group",
        "name": f"system:serviceaccounts:{namespace.name}",
    }
    namespace.bind("everybody", "keeper", group)
    story.read()

    order = story.revoked(app, "keepers")
    story.read()

    order = story.again(order)
    assert order.state == OrderState.STILL_EFFECTIVE
    assert "everybody" in order.outcome
    assert can(namespace) == ALL
    namespace.cluster.call("DELETE", namespace.path("rolebindings", "everybody"))
    story.read()
    assert story.again(order).state == OrderState.VERIFIED
    assert can(namespace) == NONE


def test_what_comes_back_is_noticed(story: Any, namespace: Namespace, app: str) -> None:
    story.read()
    order = story.verified(app, "keepers")

    namespace.cluster.call("DELETE", namespace.path("rolebindings", "keepers"))
    namespace.bind("keepers", "keeper", "other", "app")
    story.read()

    assert story.again(order).state == OrderState.REAPPEARED


def test_a_binding_that_somebody_changed_meanwhile_stops_the_order(story: Any, namespace: Namespace, app: str) -> None:
    story.read()
    order = story.decide(story.grant(app, "keepers"), "revoke")
    namespace.make_account("third")
    body = {"subjects": namespace.subjects("app", "other", "third")}
    namespace.cluster.call(
        "PATCH", namespace.path("rolebindings", "keepers"), body, kind="application/merge-patch+json"
    )

    order = story.carry_out(order)

    assert order.state == OrderState.DRIFTED
    assert can(namespace) == ALL


def test_a_token_without_an_end_is_ended_for_ever(story: Any, namespace: Namespace, app: str) -> None:
    bearer = namespace.make_legacy_token("app", "old")
    assert namespace.status("GET", "configmaps", "rates", bearer=bearer) == 200
    story.read()
    credential = Credential.objects.get(source=story.source, external_id=f"secret:{namespace.name}/old")
    assert credential.never_expires

    order = story.carry_out(story.decide(credential, "deactivate"))

    assert order.state == OrderState.APPLIED, order.outcome
    assert order.plan["irreversible"]
    namespace.until(lambda: namespace.status("GET", "configmaps", "rates", bearer=bearer) == 401)
    story.read()
    namespace.until(lambda: story.read() and story.again(order).state == OrderState.VERIFIED)
    assert can(namespace)["get"], "tokens that are issued on request are not touched"


@pytest.fixture
def scene(
    story: Any, gate: Gate, namespace: Namespace, app: str
) -> Iterator[tuple[Order, list[subprocess.Popen[str]]]]:
    """A dated order that narrows by three requests, and the workers that were started for it."""
    story.read()
    order = story.decide(story.grant(app, "keepers"), "scope_down", narrowed(namespace))
    gate.changes = 0
    workers: list[subprocess.Popen[str]] = []
    yield order, workers
    for worker in workers:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize(
    ("place", "number", "meanwhile"),
    [
        ("hold_before", 1, ALL),
        ("hold_after", 1, ALL),
        ("hold_after", 2, ALL),
        ("hold_before", 3, ALL),
        ("hold_after", 3, ONLY_GET),
    ],
)
def test_a_worker_killed_between_any_two_requests_loses_and_doubles_nothing(
    story: Any, gate: Gate, namespace: Namespace, committed_db: CommittedDatabase, scene: Any, verbs_of: Any,
    place: str, number: int, meanwhile: dict[str, bool],
) -> None:  # fmt: skip
    order, workers = scene
    due = order.execute_after + timedelta(seconds=1)
    setattr(gate, place, number)
    workers.append(
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(order.pk), due.isoformat()],
            env=os.environ | {"DATABASE_URL": committed_db.url},
            text=True,
        )
    )
    assert gate.held.wait(60), "the worker did not get there"
    workers[0].send_signal(signal.SIGKILL)
    workers[0].communicate()
    assert can(namespace) == meanwhile
    gate.hold_before = gate.hold_after = 0
    gate.opened.set()

    later = due + timedelta(hours=1)
    assert remediation.drain_orders(now=later) == 1
    remediation.execute_order(order_id=str(order.pk), now=later)

    order = story.again(order)
    assert order.state == OrderState.APPLIED, order.outcome
    assert can(namespace) == ONLY_GET
    assert can(namespace, "other") == ALL
    roles = namespace.cluster.call("GET", namespace.path("roles")).json()["items"]
    assert len(roles) == 2, "the shared role and one of its own"
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied"]
    story.read()
    assert story.again(order).state == OrderState.VERIFIED
