"""Dumps of Kubernetes objects and audit logs: what is taken over, what is said, what is refused."""

import json
from io import BytesIO
from typing import Any

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.files import FileRefused, Holds, Notes
from identities.connectors.kubernetes.audit import AuditLog
from identities.connectors.kubernetes.dumps import Dump
from tests.recognising import format_of

ROLE = {"kind": "Role", "metadata": {"name": "r", "namespace": "p"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}  # fmt: skip
ACCOUNT = {"kind": "ServiceAccount", "metadata": {"name": "app", "namespace": "p"}}
APP = {"kind": "ServiceAccount", "name": "app", "namespace": "p"}
SECRET_TEXT = "c3VwZXItc2VjcmV0LXZhbHVl"


def make_binding(*subjects: dict[str, str], name: str = "b", role: str = "r", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "p"} | metadata,
        "roleRef": {"kind": "Role", "name": role},
        "subjects": list(subjects),
    }


def dump(*objects: dict[str, Any]) -> tuple[list[dict[str, Any]], Notes]:
    return read(json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)}))


def read(text: str | bytes, form: Any = None) -> tuple[list[dict[str, Any]], Notes]:
    notes = Notes()
    data = text.encode() if isinstance(text, str) else text
    return list((form or Dump()).records(BytesIO(data), notes)), notes


def of(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in records if each["type"] == kind]


def test_a_binding_gives_each_of_its_subjects_a_grant_with_its_path():
    records, _ = dump(ROLE, ACCOUNT, make_binding(APP, {"kind": "User", "name": "ci-deployer"}))

    grants = {each["identity"]: each for each in of(records, "grant")}
    assert set(grants) == {"system:serviceaccount:p:app", "ci-deployer"}
    mine = grants["system:serviceaccount:p:app"]
    assert [step["kind"] for step in mine["path"]] == ["binding", "role"]
    assert (mine["revocability"], mine["shared_with"]) == ("here", 1)
    assert mine["permission"]["statements"] == [{"actions": ["get"], "resources": ["api:p//pods//*"]}]


@pytest.mark.parametrize(
    ("name", "is_machine"),
    [
        ("system:kube-scheduler", True),
        ("ci-deployer", True),
        ("jenkins", True),
        ("kubernetes-admin", True),
        ("sa@project.iam.gserviceaccount.com", True),
        ("arn:aws:iam::123456789012:role/deploy", True),
        ("oidc:repo:acme/app", True),
        ("alice", False),
        ("jane.doe", False),
        ("jane@example.org", False),
        ("oidc:jane@example.org", False),
        ("https://sso.example.org#jane", False),
    ],
)
def test_people_are_left_out_by_the_documented_rule_and_counted(name, is_machine):
    records, notes = dump(ROLE, make_binding({"kind": "User", "name": name}))

    assert [each["identity"] for each in of(records, "grant")] == ([name] if is_machine else [])
    assert notes.counts["subjects that look like people left out"] == (0 if is_machine else 1)


def test_an_account_that_only_a_binding_names_is_there_and_a_file_does_not_call_it_dangling():
    records, _ = dump(ROLE, make_binding(APP))

    (identity,) = of(records, "identity")
    assert identity["attributes"]["exists"] == "not in the file"
    assert "dangling" not in identity["attributes"]
    assert of(records, "credential") == []


def test_groups_of_service_accounts_give_to_each_account_through_the_group():
    group = {"kind": "Group", "name": "system:serviceaccounts:p"}
    elsewhere = {"kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "q"}}
    records, _ = dump(ROLE, ACCOUNT, elsewhere, make_binding(group))

    (grant,) = of(records, "grant")
    assert (grant["identity"], grant["revocability"]) == ("system:serviceaccount:p:app", "via_group")
    assert grant["path"][0]["kind"] == "group"


def test_a_group_without_a_known_member_is_counted():
    _, notes = dump(ROLE, make_binding({"kind": "Group", "name": "system:serviceaccounts:empty"}))

    assert notes.counts["groups of service accounts none of which is in the file left out"] == 1


def test_a_binding_to_a_missing_role_gives_nothing_and_says_so():
    records, notes = dump(ACCOUNT, make_binding(APP))

    (grant,) = of(records, "grant")
    assert grant["permission"]["statements"] == []
    assert "its role is not in the file" in grant["label"]
    assert grant["native_ref"]["role"]["exists"] is False
    assert notes.counts["bindings to a role that is not in the file"] == 1


@pytest.mark.parametrize(
    ("metadata", "revocability"),
    [
        ({"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}, "provider_only"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "infrastructure_code"),
        ({"ownerReferences": [{"name": "operator"}]}, "infrastructure_code"),
        ({"labels": {"app.kubernetes.io/managed-by": "remit"}}, "here"),
    ],
)
def test_who_would_put_a_binding_back_is_told(metadata, revocability):
    records, _ = dump(ROLE, make_binding(APP, **metadata))

    assert of(records, "grant")[0]["revocability"] == revocability


def test_what_secrets_hold_is_dropped_counted_and_never_a_record():
    token = {
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "t", "namespace": "p", "annotations": {"kubernetes.io/service-account.name": "app"}},
        "data": {"token": SECRET_TEXT},
    }
    other = {
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "o", "namespace": "p"},
        "data": {"x": SECRET_TEXT},
    }
    records, notes = dump(ACCOUNT, token, other)

    assert SECRET_TEXT not in json.dumps(records)
    assert SECRET_TEXT not in json.dumps([notes.counts, notes.sentences])
    assert notes.counts["secrets whose content was dropped"] == 2
    assert notes.counts["secrets that hold no token of a service account passed over"] == 1
    legacy = next(each for each in of(records, "credential") if each["kind"] == "token")
    assert (legacy["id"], legacy["never_expires"]) == ("secret:p/t", True)


def test_yaml_and_json_and_lists_of_a_kind_say_the_same():
    objects = [ROLE, ACCOUNT, make_binding(APP)]
    import yaml

    as_json = read("\n".join(json.dumps(each) for each in objects))[0]
    as_yaml = read("---\n".join(yaml.safe_dump(each) for each in objects))[0]
    bare = [{name: value for name, value in each.items() if name != "kind"} for each in objects]
    lists = [{"kind": f"{each['kind']}List", "items": [item]} for each, item in zip(objects, bare, strict=True)]
    as_lists = read("---\n".join(yaml.safe_dump(each) for each in lists))[0]

    assert as_json == as_yaml == as_lists == dump(*objects)[0]


def test_other_kinds_are_counted_by_their_name():
    _, notes = dump(ROLE, {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}})

    assert notes.counts["objects of other kinds passed over (Deployment)"] == 1


def test_a_dump_retires_nothing_by_itself():
    assert Dump().holds is Holds.PART
    assert AuditLog().holds is Holds.USAGE


LEVELS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe\x00k", "UTF-8"),
        (b'{"kind": "List", "items": [', "no JSON at line 1"),
        (b"kind: Role\nmetadata: {name: x\nrules: 3\n", "no YAML at line"),
        (b"[" * 200_000, "no YAML|nested|no JSON"),
        (b"a:\n - " + b"[" * 200_000, "no YAML"),
        (b"kind: Role\nmetadata:\n  name: {{ .Release.Name }}\n", "YAML"),
        (b"just a sentence", "no Kubernetes object"),
        (b"{}", "without a kind"),
        (b'{"kind": "Role", "metadata": {}}', "no metadata.name"),
        (b'{"kind": "Role", "metadata": {"name": "x"}, "rules": {"verbs": 1}}', "rules is no list"),
        (b'{"kind": "RoleBinding", "metadata": {"name": "x"}, "subjects": []}', "roleRef"),
        (b'{"kind": "List", "items": [{"kind": "Pod"}]}', "/items/0"),
        (f"l0: &l0 [x]\n{LEVELS}\nkind: Role\n".encode(), "aliases"),
        (b"kind: Role\nmetadata: &m\n  name: x\n  m: *m\n", "aliases"),
        (b"&a [*a]", "aliases"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_what_is_no_dump_is_refused_with_the_place(text, says):
    with pytest.raises(FileRefused, match=says):
        read(text)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}', "kubernetes-audit"),
        (b"apiVersion: v1\nitems:\n- apiVersion: rbac.authorization.k8s.io/v1\n  kind: Role\n", "kubernetes-objects"),
        (b'{\n    "apiVersion": "v1",\n    "items": [\n {"apiVersion": "v1", "kind": "Pod"', "kubernetes-objects"),
        (b"kind: Policy\napiVersion: audit.k8s.io/v1\n", None),
        (b'{"type": "identity", "id": "x", "kind": "workload"}', None),
        (b'{"kind": "ServiceAccount"}', None),
        (b"apiVersion: apps/v1\nkind: Deployment\n", None),
    ],
)
def test_a_file_is_recognised_by_its_beginning(head, name):
    found = format_of(head)

    assert (found.name if found else None) == name


# --- audit logs -----------------------------------------------------------------------------------------------------


def event(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "1", "stage": "ResponseComplete", "verb": "get",
        "requestURI": "/api/v1/namespaces/p/pods/web", "user": {"username": "system:serviceaccount:p:app"},
        "objectRef": {"resource": "pods", "namespace": "p", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": "2026-03-01T10:00:00.000001Z",
    } | changes  # fmt: skip


def log(*events: dict[str, Any]) -> tuple[list[dict[str, Any]], Notes]:
    return read("\n".join(json.dumps(each) for each in events), AuditLog())


def uses(*events: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(u["identity"], u["action"], u["resource"], u["count"]) for u in of(log(*events)[0], "usage")]


APP_USER = "system:serviceaccount:p:app"


def test_an_allowed_request_is_a_use_in_the_words_of_grants():
    assert uses(event(), event(auditID="2")) == [(APP_USER, "get", "api:p//pods//web", 2)]


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({"responseStatus": {"code": 403}}, False),
        ({"responseStatus": {"code": 401}}, False),
        ({"annotations": {"authorization.k8s.io/decision": "forbid"}}, False),
        ({"responseStatus": {"code": 404}}, True),
        # Admission refused it; RBAC had allowed it, so the right was needed to get there.
        ({"responseStatus": {"code": 403}, "annotations": {"authorization.k8s.io/decision": "allow"}}, True),
    ],
)
def test_a_denied_request_is_an_attempt_and_no_use(changes, used):
    records, notes = log(event(**changes))

    assert bool(of(records, "usage")) is used
    assert notes.counts["attempts that were refused"] == (not used)


def test_a_watch_that_still_goes_on_counts_once():
    started = event(verb="watch", stage="ResponseStarted", auditID="w")

    assert uses(started) == [(APP_USER, "watch", "api:p//pods//web", 1)]
    assert uses(started, event(verb="watch", auditID="w")) == [(APP_USER, "watch", "api:p//pods//web", 1)]
    assert uses(event(stage="RequestReceived")) == []


def test_whoever_acts_as_somebody_else_uses_the_right_to_and_the_other_the_rest():
    acting = event(
        user={"username": "system:proxy"},
        impersonatedUser={"username": APP_USER, "groups": ["system:authenticated", "ops"]},
    )

    assert set(uses(acting)) == {
        (APP_USER, "get", "api:p//pods//web", 1),
        ("system:proxy", "impersonate", "api:p//serviceaccounts//app", 1),
        ("system:proxy", "impersonate", "api://groups//ops", 1),
    }


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({"objectRef": {"resource": "pods", "namespace": "p", "subresource": "log", "name": "web"}}, "api:p//pods/log/web"),
        ({"objectRef": {"resource": "nodes", "name": "n"}}, "api://nodes//n"),
        ({"objectRef": {"resource": "jobs", "apiGroup": "batch", "namespace": "p"}}, "api:p/batch/jobs//"),
        ({"objectRef": {"resource": "roles", "apiVersion": "rbac.authorization.k8s.io/v1", "namespace": "p"}},
         "api:p/rbac.authorization.k8s.io/roles//"),
        ({"verb": "create", "objectRef": {"resource": "pods", "namespace": "p", "name": "made-up"}}, "api:p//pods//"),
        ({"verb": "create", "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "p", "name": "web"}},
         "api:p//pods/exec/web"),
        ({"objectRef": None, "requestURI": "/metrics?x=1"}, "url:/metrics"),
    ],
)  # fmt: skip
def test_the_resource_of_an_event_is_that_of_a_request(changes, resource):
    assert uses(event(**changes))[0][2] == resource


def test_windows_show_only_what_the_log_shows_and_only_for_service_accounts():
    records, notes = log(
        event(), event(auditID="2", user={"username": "system:kube-proxy"}, verb="list"),
        event(auditID="3", requestReceivedTimestamp="2026-03-02T10:00:00Z"),
    )  # fmt: skip

    windows = of(records, "usage_window")
    assert {each["identity"] for each in windows} == {APP_USER}
    assert {(each["log"], *each["observable"]["actions"]) for each in windows} == {
        ("kubernetes-audit: get", "get"),
        ("kubernetes-audit: list", "list"),
    }
    assert {(each["from"], each["until"]) for each in windows} == {
        ("2026-03-01T10:00:00.000001Z", "2026-03-02T10:00:00Z")
    }
    for each in windows:
        Permission.from_json({"dialect": "kubernetes", "statements": [each["observable"]]})
    assert any("nothing is called unused" in sentence for sentence in notes.sentences)


@pytest.mark.parametrize("indent", [None, 1])
def test_lists_of_events_are_read_on_one_line_or_many(indent):
    expected = log(event(), event(auditID="2"))[0]
    events = [event(), event(auditID="2")]

    for document in ({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}, events):
        assert read(json.dumps(document, indent=indent), AuditLog())[0] == expected
    assert format_of(json.dumps(events, indent=indent).encode()).name == "kubernetes-audit"


def test_an_account_without_a_namespace_counts_as_being_where_its_binding_is():
    records, notes = dump(ROLE, make_binding({"kind": "ServiceAccount", "name": "app"}))

    assert [each["identity"] for each in of(records, "grant")] == ["system:serviceaccount:p:app"]
    assert notes.counts["service accounts in bindings without a namespace, taken to be in the binding's"] == 1


def test_the_role_that_is_the_same_in_every_cluster_is_known_also_where_a_file_lacks_it():
    everywhere = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "root"},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [APP],
    }

    (grant,) = of(dump(everywhere)[0], "grant")

    held = Permission.from_json(grant["permission"])
    assert matches(held, "delete", "api:any/apps/deployments//x") is Answer.YES
    assert matches(held, "get", "url:/metrics") is Answer.YES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (json.dumps(event()) + "\n{", "Line 2 is no JSON"),
        (json.dumps(event()) + '\n{"type": "identity"}', "Line 2 is no Kubernetes audit event"),
        (json.dumps(event(requestReceivedTimestamp=None)), "Line 1 is an audit event without a time"),
        ("[" * 100_000, "Line 1 is no JSON"),
        ('{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [3]}', "without a time"),
    ],
)
def test_what_is_no_audit_log_is_refused_with_the_line(text, says):
    with pytest.raises(FileRefused, match=says):
        read(text, AuditLog())
