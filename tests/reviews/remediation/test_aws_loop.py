"""The whole way at AWS: a decision, the changed account, real calls with real keys, the proof, and back again."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from identities.models import Credential, Source
from reviews import remediation
from reviews.models import Order
from reviews.states import OrderState
from tests.database import CommittedDatabase
from tests.plugins.aws import ACCOUNT, Cloud, allow, document

APP = f"arn:aws:iam::{ACCOUNT}:user/app"
WORKER = """
import sys
import django
django.setup()
from datetime import datetime
from reviews.remediation import execute_order
execute_order(order_id=sys.argv[1], now=datetime.fromisoformat(sys.argv[2]))
"""


def target(*actions: str) -> dict[str, Any]:
    return {"dialect": "aws", "statements": [{"actions": list(actions), "resources": ["*"]}]}


def list_users(iam: Any) -> Any:
    return iam.list_users()


def list_roles(iam: Any) -> Any:
    return iam.list_roles()


@pytest.fixture
def account(own_trail: None, committed_db: Any, cloud: Cloud, make_story: Callable[..., Any]) -> Any:
    return make_story(kind="aws", name="Payments account", settings=cloud.settings)


def share_wide_policy(cloud: Cloud) -> dict[str, str]:
    key = cloud.make_user("app")
    cloud.make_user("other")
    arn = cloud.make_policy("wide", allow("iam:ListUsers", "iam:ListRoles"))
    for name in ("app", "other"):
        cloud.iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return key


def test_a_shared_policy_is_narrowed_for_one_verified_and_restored(
    account: Any, cloud: Cloud, verbs_of: Callable[[Order], list[str]]
) -> None:
    key = share_wide_policy(cloud)
    account.read()

    order = account.decide(account.grant(APP, "wide"), "scope_down", target("iam:ListUsers"))
    assert cloud.can(key, list_roles), "a decision alone changes nothing"
    order = account.carry_out(order)

    assert order.state == OrderState.APPLIED, order.outcome
    assert cloud.can(key, list_users)
    assert not cloud.can(key, list_roles)
    attached = cloud.iam.list_attached_user_policies(UserName="other")["AttachedPolicies"]
    assert [each["PolicyName"] for each in attached] == ["wide"], "nobody else is touched"
    account.read()
    order = account.again(order)
    assert order.state == OrderState.VERIFIED, order.outcome
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]

    restoration = remediation.restore_order(
        order=order, reason="Needed after all.", days=7, actor=account.actor, now=timezone.now()
    )
    restoration = account.carry_out(restoration)

    assert restoration.state == OrderState.APPLIED, restoration.outcome
    assert cloud.can(key, list_roles)
    account.read()
    assert account.again(restoration).state == OrderState.VERIFIED
    assert account.again(order).state == OrderState.RESTORED


def test_what_another_policy_still_gives_keeps_the_order_open(account: Any, cloud: Cloud) -> None:
    key = cloud.make_user("app", allow("iam:ListUsers"))
    cloud.iam.attach_user_policy(UserName="app", PolicyArn=cloud.make_policy("also", allow("iam:List*")))
    account.read()

    order = account.carry_out(account.decide(account.grant(APP, "own"), "revoke"))
    account.read()

    order = account.again(order)
    assert order.state == OrderState.STILL_EFFECTIVE
    assert "policy also" in order.outcome
    assert cloud.can(key, list_users), "it said so because it is so"
    cloud.iam.detach_user_policy(UserName="app", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/also")
    account.read()
    assert account.again(order).state == OrderState.VERIFIED


def test_a_policy_that_comes_back_is_noticed(account: Any, cloud: Cloud) -> None:
    cloud.make_user("app", allow("iam:ListUsers"))
    account.read()
    order = account.carry_out(account.decide(account.grant(APP, "own"), "revoke"))
    account.read()
    assert account.again(order).state == OrderState.VERIFIED

    cloud.iam.put_user_policy(UserName="app", PolicyName="own", PolicyDocument=document(allow("iam:ListUsers")))
    account.read()

    assert account.again(order).state == OrderState.REAPPEARED


def test_a_deactivated_key_is_confirmed_by_a_later_reading(account: Any, cloud: Cloud) -> None:
    key = cloud.make_user("app", allow("iam:ListUsers"))["AccessKeyId"]
    account.read()

    order = account.carry_out(account.decide(Credential.objects.get(external_id=key), "deactivate"))

    assert order.state == OrderState.APPLIED, order.outcome
    assert cloud.iam.list_access_keys(UserName="app")["AccessKeyMetadata"][0]["Status"] == "Inactive"
    account.read()
    assert account.again(order).state == OrderState.VERIFIED


def test_what_aws_manages_becomes_a_task(account: Any, cloud: Cloud) -> None:
    role = cloud.iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]
    cloud.iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=cloud.make_policy("p", allow("ec2:*")))
    account.read()

    order = account.decide(account.grant(role["Arn"], "p"), "revoke")

    assert order.state == OrderState.TASK
    assert "AWS manages this access itself" in order.instructions


class Gate:
    """Stands between Remit and the account: lets so many changes through, and never answers the last of them."""

    def __init__(self, address: str) -> None:
        self.target = urlsplit(address)
        self.changes_left = -1
        self.reached, self.opened = threading.Event(), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                action = parse_qs(body.decode()).get("Action", [""])[0]
                connection = http.client.HTTPConnection(gate.target.hostname or "", gate.target.port, timeout=30)
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                data = answer.read()
                if not action.startswith(("Get", "List", "Generate", "Assume")):
                    gate.changes_left -= 1
                    if gate.changes_left == 0:
                        gate.reached.set()
                        gate.opened.wait(30)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/xml"))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def gate(aws_address: str) -> Iterator[Gate]:
    found = Gate(aws_address)
    yield found
    found.opened.set()
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("changes", [1, 2, 3])
def test_a_worker_killed_between_two_calls_leaves_nothing_half_done(
    account: Any, cloud: Cloud, gate: Gate, committed_db: CommittedDatabase, changes: int,
    verbs_of: Callable[[Order], list[str]],
) -> None:  # fmt: skip
    key = share_wide_policy(cloud)
    account.read()
    order = account.decide(account.grant(APP, "wide"), "scope_down", target("iam:ListUsers"))
    assert len(order.plan["steps"]) == 3
    Source.objects.filter(pk=account.source.pk).update(settings=cloud.settings | {"endpoint_url": gate.address})
    gate.changes_left = changes
    due = order.execute_after + timedelta(seconds=1)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(order.pk), due.isoformat()],
        env=os.environ | {"DATABASE_URL": committed_db.url},
    )
    try:
        assert gate.reached.wait(60), "the worker did not get so far"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    assert cloud.can(key, list_users), "nothing that stays was ever away"
    assert account.again(order).state == OrderState.EXECUTING

    later = due + timedelta(hours=1)
    assert remediation.drain_orders(now=later) == 1
    remediation.execute_order(order_id=str(order.pk), now=later)

    order = account.again(order)
    assert order.state == OrderState.APPLIED, order.outcome
    assert cloud.can(key, list_users)
    assert not cloud.can(key, list_roles)
    policies = cloud.iam.list_policies(Scope="Local")["Policies"]
    assert len([each for each in policies if each["PolicyName"].startswith("Remit-")]) == 1, "nothing is doubled"
    account.read()
    assert account.again(order).state == OrderState.VERIFIED
    assert verbs_of(order) == ["order.planned", "order.sent", "order.applied", "order.verified"]
