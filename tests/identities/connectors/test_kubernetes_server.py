"""The connector on a real API server: what it reads, changes and verifies, judged by real calls of real tokens."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from identities.connectors.contract import (
    ExecutionState,
    NotPossible,
    Plan,
    SourceChanged,
    SourceUnreachable,
    Step,
    VerificationState,
)
from identities.connectors.files import Notes
from identities.connectors.kubernetes import Kubernetes
from identities.connectors.kubernetes.audit import AuditLog
from tests.plugins.cluster import CONNECTOR_RULES, RBAC, Cluster, Gate, Namespace
from tests.plugins.kubernetes_walk import STATES, grants, permission, walk

pytestmark = [pytest.mark.kubernetes]

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "delete"]}


@pytest.fixture
def connect(cluster: Cluster, connector_bearer: str) -> Callable[..., Kubernetes]:
    def go(bearer: str = connector_bearer, **settings: Any) -> Kubernetes:
        values = {"server": cluster.url, "ca_file": cluster.ca_file, "token": "env:UNUSED"} | settings
        return Kubernetes(values, {"token": bearer})

    return go


@pytest.fixture
def app(namespace: Namespace) -> str:
    """An account that may read and delete config maps by a role and a binding that are its own."""
    who = namespace.make_account("app")
    namespace.make_role("maps", MAPS)
    namespace.bind("keepers", "maps", "app")
    return who


def stored(plan: Plan) -> Plan:
    """The plan as an order keeps it."""
    return Plan.from_json(json.loads(json.dumps(plan.to_json())))


def test_a_cluster_is_read_whole(namespace: Namespace, connect: Callable[..., Kubernetes], cluster: Cluster) -> None:
    who = namespace.make_account("app")
    namespace.make_role("reader", READ_PODS)
    namespace.bind("readers", "reader", "app", "ghost", {"kind": "User", "name": "alice"})
    namespace.bind("nowhere", "missing", "app")
    namespace.make_legacy_token("app", "old")

    records = list(connect().read())

    assert records[-1] == {"type": "end", "records": len(records) - 1}
    identities = {each["id"]: each for each in records if each["type"] == "identity"}
    assert identities[who]["attributes"]["exists"] is True
    ghost = f"system:serviceaccount:{namespace.name}:ghost"
    assert identities[ghost]["attributes"]["exists"] is False
    assert "whoever creates it" in identities[ghost]["attributes"]["dangling"]
    assert "alice" not in identities
    assert {"system:anonymous", "group:system:masters", "system:kube-scheduler"} <= set(identities)
    mine = grants(connect(), who)
    assert mine["readers"].permission.to_json()["statements"] == [
        {"actions": ["get", "list", "watch"], "resources": [f"api:{namespace.name}//pods//*"]}
    ]
    assert mine["nowhere"].permission.is_empty
    assert "no access until somebody creates it" in next(e["label"] for e in records if "nowhere" in e.get("label", ""))
    assert mine["system:basic-user"].native_ref["kind"] == "group"
    tokens = [each for each in records if each["type"] == "credential" and each["identity"] == who]
    assert {each["kind"] for each in tokens} == {"platform_issued", "token"}
    bindings = cluster.call("GET", f"{RBAC}/clusterrolebindings").json()["items"]
    own = {each["id"].split("/")[1] for each in records if each["type"] == "grant" and each["id"].startswith("cluster")}
    empty = {each["metadata"]["name"] for each in bindings if not each.get("subjects")}
    assert own == {each["metadata"]["name"] for each in bindings} - empty


def test_creating_an_account_of_a_dangling_name_inherits_what_is_bound(namespace: Namespace) -> None:
    namespace.make_role("maps", MAPS)
    namespace.bind("early", "maps", "later")
    namespace.make_account("later")

    assert namespace.status("GET", "configmaps", bearer=namespace.token("later")) == 200


def test_revoking_ends_the_access_at_once_and_a_second_run_changes_nothing(
    namespace: Namespace, connect: Callable[..., Kubernetes]
) -> None:
    who = namespace.make_account("app")
    namespace.make_account("other")
    namespace.make_role("maps", MAPS)
    namespace.bind("keepers", "maps", "other", "app")
    bearer, connector = namespace.token("app"), connect()
    plan = stored(connector.plan_revoke(grants(connector, who)["keepers"]))
    assert not plan.side_effects and not plan.irreversible
    assert connector.verify(plan).state is VerificationState.STILL_PRESENT
    assert namespace.status("GET", "configmaps", bearer=bearer) == 200

    done = connector.execute(plan)

    assert done.state is ExecutionState.APPLIED, done.reason
    assert namespace.status("GET", "configmaps", bearer=bearer) == 403
    assert namespace.status("GET", "configmaps", bearer=namespace.token("other")) == 200
    assert connector.execute(plan).state is ExecutionState.ALREADY_APPLIED
    assert connector.verify(plan, since=datetime.now(UTC)).state is VerificationState.GONE
    back = connector.execute(stored(connector.plan_restore(plan)))
    assert back.state is ExecutionState.APPLIED, back.reason
    assert namespace.status("GET", "configmaps", bearer=bearer) == 200


def test_a_cluster_wide_grant_is_narrowed_to_one_namespace_and_the_rest_of_the_cluster(
    namespace: Namespace, cluster: Cluster, connect: Callable[..., Kubernetes]
) -> None:
    who = namespace.make_account("app")
    name = f"wide-{namespace.name}"
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "nodes"], "verbs": ["*"]},
        {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
    ]
    cluster.make(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    cluster.make(
        f"{RBAC}/clusterrolebindings",
        {"metadata": {"name": name}, "roleRef": reference, "subjects": namespace.subjects("app")},
    )
    namespace.make_map("rates", eur="1")
    bearer, connector = namespace.token("app"), connect()
    target = permission(
        (["get", "list"], [f"api:{namespace.name}//configmaps//*"]),
        (["list"], ["api://nodes//"]),
        (["get"], ["url:/metrics"]),
    )

    plan = stored(connector.plan_narrow(grants(connector, who)[name], target))
    assert [step.text.split()[0] for step in plan.steps] == ["POST", "POST", "POST", "POST", "DELETE"]
    done = connector.execute(plan)

    assert done.state is ExecutionState.APPLIED, done.reason
    verified = connector.verify(plan)
    assert (verified.state, verified.lost) == (VerificationState.GONE, ()), verified
    assert cluster.call("GET", "/metrics", bearer=bearer).status_code == 200
    assert cluster.call("GET", "/api/v1/nodes", bearer=bearer).status_code == 200
    assert namespace.status("GET", "configmaps", "rates", bearer=bearer) == 200
    assert namespace.status("DELETE", "configmaps", "rates", bearer=bearer) == 403
    assert cluster.call("GET", "/api/v1/configmaps", bearer=bearer).status_code == 403

    back = connector.execute(stored(connector.plan_restore(plan)))
    assert back.state is ExecutionState.APPLIED, back.reason
    assert cluster.call("GET", "/api/v1/configmaps", bearer=bearer).status_code == 200
    assert set(grants(connector, who)) & {name} and not any(n.startswith("remit-") for n in grants(connector, who))
    cluster.call("DELETE", f"{RBAC}/clusterrolebindings/{name}")


def test_narrowing_what_was_narrowed_leaves_nothing_behind(
    namespace: Namespace, app: str, connect: Callable[..., Kubernetes]
) -> None:
    connector = connect()
    where = [f"api:{namespace.name}//configmaps//*"]
    connector.execute(connector.plan_narrow(grants(connector, app)["keepers"], permission((["get", "list"], where))))
    (first,) = [name for name in grants(connector, app) if name.startswith("remit-")]

    done = connector.execute(connector.plan_narrow(grants(connector, app)[first], permission((["get"], where))))

    assert done.state is ExecutionState.APPLIED, done.reason
    roles = namespace.cluster.call("GET", namespace.path("roles")).json()["items"]
    assert len(roles) == 2 and first not in [role["metadata"]["name"] for role in roles]


def test_a_watch_that_was_opened_before_goes_on_and_is_waited_for(
    namespace: Namespace, connect: Callable[..., Kubernetes]
) -> None:
    who = namespace.make_account("app")
    namespace.make_role("maps", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["watch"]})
    namespace.bind("watchers", "maps", "app")
    bearer, connector = namespace.token("app"), connect()
    plan = stored(connector.plan_revoke(grants(connector, who)["watchers"]))
    seen: list[str] = []
    ready = threading.Event()

    def watch() -> None:
        with httpx.Client(verify=namespace.cluster.trust, trust_env=False, timeout=30) as client:
            headers = {"Authorization": f"Bearer {bearer}"}
            path = f"{namespace.cluster.url}{namespace.path('configmaps')}?watch=1&timeoutSeconds=20"
            with client.stream("GET", path, headers=headers) as answer:
                ready.set()
                for line in answer.iter_lines():
                    seen.append(json.loads(line)["object"]["metadata"]["name"])
                    if seen[-1] == "after":
                        return

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert ready.wait(10)
    executed_at = datetime.now(UTC)
    assert connector.execute(plan).state is ExecutionState.APPLIED

    namespace.make_map("after", x="1")

    watcher.join(30)
    assert "after" in seen, "the open watch still hears of new objects"
    found = connector.verify(plan, since=executed_at)
    assert found.state is VerificationState.SESSIONS_REMAIN
    assert "watch" in found.reason
    later = connect(watch_minutes=0).verify(plan, since=executed_at - timedelta(seconds=1))
    assert later.state is VerificationState.GONE


def test_another_path_is_named_also_when_no_binding_shows_it(
    namespace: Namespace, connect: Callable[..., Kubernetes], cluster: Cluster
) -> None:
    who = namespace.make_account("app")
    namespace.make_role("maps", MAPS)
    namespace.bind("first", "maps", "app")
    as_user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who}
    namespace.bind("second", "maps", as_user)
    connector = connect()
    plan = connector.plan_revoke(grants(connector, who)["first"])
    connector.execute(plan)

    found = connector.verify(plan)

    assert found.state is VerificationState.STILL_EFFECTIVE
    assert {via for _, _, via in found.still_effective} == {f"via RoleBinding second of namespace {namespace.name}"}


def test_an_account_is_locked_out_and_let_in_again(namespace: Namespace, connect: Callable[..., Kubernetes]) -> None:
    who = namespace.make_account("app")
    namespace.make_account("other")
    namespace.make_role("maps", MAPS)
    namespace.make_role("pods", READ_PODS)
    namespace.bind("keepers", "maps", "app", "other")
    namespace.bind("readers", "pods", "app")
    bearer, connector = namespace.token("app"), connect(watch_minutes=0)

    plan = stored(connector.plan_quarantine(who))
    assert connector.execute(plan).state is ExecutionState.APPLIED

    assert namespace.status("GET", "configmaps", bearer=bearer) == 403
    assert namespace.status("GET", "pods", bearer=bearer) == 403
    assert namespace.status("GET", "configmaps", bearer=namespace.token("other")) == 200
    assert connector.verify(plan, since=datetime.now(UTC)).state is VerificationState.GONE
    status = {each["id"]: each["status"] for each in connector.read() if each["type"] == "identity"}
    assert status[who] == "disabled"
    back = connector.execute(stored(connector.plan_restore(plan)))
    assert back.state is ExecutionState.APPLIED, back.reason
    assert namespace.status("GET", "pods", bearer=bearer) == 200
    status = {each["id"]: each["status"] for each in connector.read() if each["type"] == "identity"}
    assert status[who] == "active"


@pytest.mark.parametrize(
    ("binding", "says"),
    [("system:basic-user", "group system:authenticated"), ("system:discovery", "group system:authenticated")],
)
def test_what_a_group_gives_is_not_taken_from_one_member(
    namespace: Namespace, connect: Callable[..., Kubernetes], binding: str, says: str
) -> None:
    who = namespace.make_account("app")
    connector = connect()

    with pytest.raises(NotPossible, match=says):
        connector.plan_revoke(grants(connector, who)[binding])


def test_kubernetes_own_bindings_are_left_to_it(connect: Callable[..., Kubernetes]) -> None:
    connector = connect()

    with pytest.raises(NotPossible, match="every start"):
        connector.plan_revoke(grants(connector, "system:kube-scheduler")["system:kube-scheduler"])


def test_the_connectors_own_access_is_never_taken(connect: Callable[..., Kubernetes], cluster: Cluster) -> None:
    connector = connect()
    (own,) = [
        each["identity"]
        for each in connector.read()
        if each["type"] == "grant" and each["native_ref"]["binding"]["name"] == "remit-connector"
    ]

    with pytest.raises(NotPossible, match="itself signs in as"):
        connector.plan_revoke(grants(connector, own)["remit-connector"])
    with pytest.raises(NotPossible, match="itself signs in as"):
        connector.plan_quarantine(own)


def make_connector_without(namespace: Namespace, *verbs: str) -> str:
    """A token of another connector that has all the rights but these."""
    name = f"lesser-{namespace.name}"
    namespace.make_account("lesser")
    lesser = [rule | {"verbs": [verb for verb in rule["verbs"] if verb not in verbs]} for rule in CONNECTOR_RULES]
    rules = [rule for rule in lesser if rule["verbs"]]
    cluster = namespace.cluster
    cluster.make(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    cluster.make(
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": namespace.subjects("lesser"),
        },
    )
    return namespace.token("lesser")


def test_a_connector_that_cannot_give_back_says_so_before_it_takes(
    namespace: Namespace, app: str, connect: Callable[..., Kubernetes]
) -> None:
    lesser = connect(make_connector_without(namespace, "escalate", "bind"))
    grant = grants(lesser, app)["keepers"]

    plan = lesser.plan_revoke(grant)

    assert plan.irreversible and "bind on roles" in plan.summary
    with pytest.raises(NotPossible, match=r"escalate on roles.*bind on roles"):
        lesser.plan_narrow(grant, permission((["get"], [f"api:{namespace.name}//configmaps//*"])))


def test_the_api_server_itself_refuses_what_the_plan_would_have_refused(
    namespace: Namespace, app: str, connect: Callable[..., Kubernetes]
) -> None:
    plan = connect().plan_narrow(
        grants(connect(), app)["keepers"], permission((["get"], [f"api:{namespace.name}//configmaps//*"]))
    )

    done = connect(make_connector_without(namespace, "escalate", "bind")).execute(plan)

    assert done.state is ExecutionState.BLOCKED
    assert "not currently held" in done.reason


def test_the_connection_test_names_each_missing_right(namespace: Namespace, connect: Callable[..., Kubernetes]) -> None:
    whole = list(connect().check())
    lesser = list(connect(make_connector_without(namespace, "escalate")).check())
    nobody = list(connect("no-such-bearer").check())
    blind = list(connect(namespace.token("lesser"), read_pods=False).check())

    assert {each.state for each in whole} == {"ok"}
    assert "1.20" in whole[0].detail
    assert [(each.title, each.state) for each in lesser if each.state != "ok"] == [("Narrow and restore", "warning")]
    assert any("escalate on clusterroles" in each.detail for each in lesser)
    assert [each.state for each in nobody][-1] == "failed"
    assert blind


def test_nothing_is_read_by_halves(
    namespace: Namespace, connect: Callable[..., Kubernetes], connector_bearer: str
) -> None:
    from identities.connectors.contract import ReadIncomplete

    lesser = connect(make_connector_without(namespace, "list"))

    with pytest.raises(ReadIncomplete, match="verb list"):
        list(lesser.read())
    with pytest.raises(SourceUnreachable, match="401"):
        list(connect("no-such-bearer").read())
    with pytest.raises(SourceUnreachable, match="certificates"):
        list(connect(ca_file="/nowhere.crt").read())
    with pytest.raises(SourceUnreachable, match="did not answer"):
        list(connect(ca_file="").read())


def test_a_large_cluster_is_read_page_by_page(
    namespace: Namespace, connect: Callable[..., Kubernetes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from identities.connectors.kubernetes import api

    monkeypatch.setattr(api, "PAGE", 7)
    for number in range(20):
        namespace.make_account(f"a{number}")

    found = [each["id"] for each in connect().read() if each["type"] == "identity"]

    assert {f"system:serviceaccount:{namespace.name}:a{number}" for number in range(20)} <= set(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("part", ["text", "call", "hash", "facet"])
def test_a_plan_that_was_altered_in_storage_does_not_run(
    namespace: Namespace, app: str, connect: Callable[..., Kubernetes], part: str
) -> None:
    connector = connect()
    plan = connector.plan_revoke(grants(connector, app)["keepers"])
    (step,) = plan.steps
    facet = plan.pre_image["facets"][0]
    altered = {
        "text": replace(plan, steps=[replace(step, text=step.text.replace("keepers", "others"))]),
        "call": replace(plan, steps=[Step(step.text, step.note, {**step.call, "path": f"{RBAC}/clusterroles/x"})]),
        "hash": replace(plan, post_hash="0" * 64),
        "facet": replace(plan, pre_image={**plan.pre_image, "facets": [{**facet, "name": "others"}]}),
    }[part]

    with pytest.raises(NotPossible, match="altered"):
        connector.execute(altered)


def test_a_role_that_grew_since_it_was_read_is_not_narrowed(
    namespace: Namespace, app: str, connect: Callable[..., Kubernetes]
) -> None:
    connector = connect()
    grant = grants(connector, app)["keepers"]
    namespace.cluster.call(
        "PATCH", namespace.path("roles", "maps"), {"rules": [MAPS, READ_PODS]}, kind="application/merge-patch+json"
    )

    with pytest.raises(SourceChanged, match="other rules"):
        connector.plan_narrow(grant, permission((["get"], [f"api:{namespace.name}//configmaps//*"])))


def test_the_audit_log_of_the_server_shows_use_and_attempts(namespace: Namespace, app: str) -> None:
    bearer = namespace.token("app")
    namespace.make_map("rates", eur="1")
    namespace.status("GET", "configmaps", "rates", bearer=bearer)
    namespace.status("GET", "configmaps", bearer=bearer)
    namespace.status("GET", "pods", bearer=bearer)
    notes = Notes()

    records = list(AuditLog().records(BytesIO(namespace.cluster.audit_log.read_bytes()), notes))

    used = {
        (each["action"], each["resource"]) for each in records if each["type"] == "usage" and each["identity"] == app
    }
    assert used == {
        ("get", f"api:{namespace.name}//configmaps//rates"),
        ("list", f"api:{namespace.name}//configmaps//"),
    }
    assert notes.counts["attempts that were refused"] >= 1


# --- recorded answers -------------------------------------------------------------------------------------------------

RECORD = Path(__file__).parent / "kubernetes_1_20_2.json"
KEPT = ("system:basic-user", "system:kube-scheduler", "cluster-admin")


def test_the_loop_that_make_test_replays(gate: Gate, connector_bearer: str, cluster: Cluster) -> None:
    """With REMIT_RECORD=yes the answers are written to the file that test_kubernetes_replay.py reads."""
    cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
    prod = Namespace(cluster, "prod")
    prod.make_account("app")
    prod.make_account("other")
    prod.make_role("maps", MAPS)
    prod.bind("keepers", "maps", "app", "other")
    prod.bind("alone", "maps", "app")
    prod.make_legacy_token("app", "old")
    connector = Kubernetes({"server": gate.url, "token": "env:UNUSED"}, {"token": connector_bearer})

    walked = walk(connector)

    assert walked.states == STATES
    if os.environ.get("REMIT_RECORD"):
        trimmed = [{**each, "body": trim(each["body"])} for each in gate.record]
        bodies = list(dict.fromkeys(each["body"] for each in trimmed))
        record = [{**each, "body": bodies.index(each["body"])} for each in trimmed]
        RECORD.write_text(json.dumps({"version": "v1.20.2", "bodies": bodies, "record": record}, indent=1) + "\n")


def trim(text: str) -> str:
    """Without what Kubernetes brings along and what nobody asks for, so that the file stays small."""
    body = json.loads(text)
    if isinstance(body.get("items"), list):
        names = [each["metadata"]["name"] for each in body["items"]]
        ours = [not name.startswith(("system:", "admin", "edit", "view")) or name in KEPT for name in names]
        body["items"] = [each for each, is_ours in zip(body["items"], ours, strict=True) if is_ours]
    for each in [body, *(body.get("items") or [])]:
        (each.get("metadata") or {}).pop("managedFields", None)
    return json.dumps(body)
