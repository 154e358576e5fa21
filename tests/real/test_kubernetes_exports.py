"""Exports that others made, read to the last object: counted independently of the product."""

import json
from collections import Counter
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.kernel.permissions import Permission
from identities.connectors.files import FileRefused, Holds, Notes
from identities.sync.records import RecordReader
from tests.recognising import format_of

DATA = Path(__file__).parents[3] / "shared/data"
DUMPS = sorted(
    [
        *DATA.glob("kubernetes_kubernetes/**/*.yaml"),
        *DATA.glob("prometheus-operator_kube-prometheus/**/*.yaml"),
    ]
)
LOGS = sorted(DATA.glob("liggitt_audit2rbac/**/*.jsonl"))
ACCESS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DUMPS, reason=f"the exports are not beside this checkout ({DATA})"),
]


def named(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def read(path: Path) -> tuple[list[dict[str, Any]], Notes]:
    notes = Notes()
    found = format_of(path.read_bytes()[:65536])
    assert found is not None
    with path.open("rb") as file:
        return list(found.records(file, notes)), notes


def objects_of(path: Path) -> list[dict[str, Any]]:
    """Every single object, lists taken apart."""
    flat = []
    for document in yaml.safe_load_all(path.read_text()):
        if document is None:
            continue
        items = document.get("items")
        kind = document["kind"].removesuffix("List")
        flat += [{"kind": kind} | item for item in items or []] if document["kind"].endswith("List") else [document]
    return flat


def who(subject: dict[str, Any]) -> str:
    if subject["kind"] == "ServiceAccount":
        return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    return subject["name"] if subject["kind"] == "User" else f"group:{subject['name']}"


@named(DUMPS)
def test_every_object_of_a_dump_is_counted(path: Path) -> None:
    objects = objects_of(path)
    records, notes = read(path)

    expected = Counter(each["kind"] for each in objects)
    for kind in ACCESS:
        distinct = {
            (each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects if each["kind"] == kind
        }
        assert notes.counts.get(f"{kind} objects", 0) == len(distinct)
    assert set(expected) <= set(ACCESS), "no other kinds in these files"
    assert records[-1] == {"type": "end", "records": len(records) - 1}


@named(DUMPS)
def test_every_subject_of_a_dump_becomes_a_grant(path: Path) -> None:
    objects = objects_of(path)
    records, _ = read(path)
    accounts = {
        f"system:serviceaccount:{each['metadata'].get('namespace', 'default')}:{each['metadata']['name']}"
        for each in objects
        if each["kind"] == "ServiceAccount"
    }
    bindings = [each for each in objects if each["kind"].endswith("Binding")]
    subjects = [(each, subject) for each in bindings for subject in each.get("subjects") or []]
    own_groups = ("group:system:authenticated", "group:system:unauthenticated", "group:system:serviceaccounts")
    singles = [who(subject) for _, subject in subjects if not who(subject).startswith(own_groups)]
    everybody = {each for each in {*accounts, *singles} if not each.startswith("group:")}
    groups = Counter(who(subject) for _, subject in subjects if who(subject).startswith(own_groups))
    anonymous, every_account = groups["group:system:unauthenticated"], groups["group:system:serviceaccounts"]

    identities = {each["id"] for each in records if each["type"] == "identity"}
    grants = [each for each in records if each["type"] == "grant"]

    assert all(each.startswith("group:system:") or ":" in each for each in singles), "no people in these files"
    assert identities == accounts | set(singles) | ({"system:anonymous"} if anonymous else set())
    service_accounts = [each for each in everybody if each.startswith("system:serviceaccount:")]
    through_groups = groups["group:system:authenticated"] * len(everybody) + every_account * len(service_accounts)
    assert len(grants) == len(singles) + through_groups + anonymous
    assert len({each["id"] for each in grants}) == len(grants)
    assert {each["identity"] for each in grants} <= identities
    assert sum(each["type"] == "credential" for each in records) == len(accounts)


@named(DUMPS)
def test_what_a_grant_of_a_dump_says_follows_from_its_rules(path: Path) -> None:
    objects = objects_of(path)
    rules = {
        (
            each["kind"],
            each["metadata"].get("namespace") if each["kind"] == "Role" else None,
            each["metadata"]["name"],
        ): (each.get("rules") or [])
        for each in objects
        if each["kind"] in ("Role", "ClusterRole")
    }
    grants = [each for each in read(path)[0] if each["type"] == "grant"]

    for grant in grants:
        binding, role = grant["native_ref"]["binding"], grant["native_ref"]["role"]
        key = (role["kind"], binding["namespace"] if role["kind"] == "Role" else None, role["name"])
        permission = Permission.from_json(grant["permission"])
        scope = binding["namespace"] or "*"
        if key not in rules and key[2] == "cluster-admin":
            assert permission.statements[0].actions.include == ("*",)
            continue
        expected = {
            (verb, f"api:{scope}/{group}/{resource}", name)
            for rule in rules.get(key, [])
            for verb in rule["verbs"]
            for group in rule.get("apiGroups") or []
            for resource in rule.get("resources") or []
            for name in rule.get("resourceNames") or ["*"]
        }
        written = {
            (verb, plain(pattern)[0], plain(pattern)[1])
            for statement in permission.statements
            for verb in statement.actions.include
            for pattern in statement.resources.include
            if pattern.startswith("api:")
        }
        assert written == expected
        assert role["exists"] == (key in rules)


def plain(pattern: str) -> tuple[str, str]:
    """(scope/group/resource as a rule writes it, name) of a pattern."""
    head, group, kind, subresource, name = pattern.split("/")
    resource = "*" if (kind, subresource) == ("*", "*") else kind + (f"/{subresource}" if subresource else "")
    return f"{head}/{group}/{resource}", name


@named(LOGS)
def test_every_event_of_an_audit_log_is_a_use_an_attempt_or_said_to_be_neither(path: Path) -> None:
    events = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    records, notes = read(path)

    allowed = [each for each in events if each["responseStatus"].get("code") not in (401, 403)]
    actors = Counter((each.get("impersonatedUser") or each["user"])["username"] for each in allowed)
    machines = {name: number for name, number in actors.items() if name.startswith("system:")}
    machines["system:admin"] = machines.get("system:admin", 0) + sum("impersonatedUser" in each for each in allowed)
    people = sum(number for name, number in actors.items() if not name.startswith("system:"))

    used: Counter[str] = Counter()
    for each in records:
        if each["type"] == "usage":
            used[each["identity"]] += each["count"]
    assert used == {name: number for name, number in machines.items() if number}
    assert notes.counts["audit events"] == len(events)
    assert notes.counts["attempts that were refused"] == len(events) - len(allowed)
    assert notes.counts["uses by people left out"] == people


@named(LOGS)
def test_a_window_reaches_from_the_first_event_to_the_last(path: Path) -> None:
    events = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    records, _ = read(path)

    moments = sorted(each["timestamp"] for each in events)
    windows = [each for each in records if each["type"] == "usage_window"]
    assert windows
    assert {(each["from"], each["until"]) for each in windows} == {(moments[0], moments[-1])}
    assert {each["identity"] for each in windows} == {
        each["identity"] for each in records if each["type"] == "usage" and "serviceaccount" in each["identity"]
    }


@named([*DUMPS, *LOGS])
def test_every_record_is_one_that_a_reading_accepts(path: Path) -> None:
    now = datetime.now(UTC)
    reader = RecordReader(
        is_delta=False, is_complete=True, observed_at=now, default_environment="unknown", most_records=100_000
    )
    records, notes = read(path)
    lines = [json.dumps(each).encode() for each in records]

    rows = list(reader.rows(enumerate(lines, 1)))

    assert len(rows) == len(lines) - 1
    if not rows:  # only roles, and nobody bound to them
        assert [error.code for error in reader.errors] == ["empty"]
        assert any("Nobody in the file holds anything" in sentence for sentence in notes.sentences)
    else:
        assert (reader.errors, reader.is_whole) == ([], True)


@named([*DUMPS, *LOGS])
def test_a_file_that_is_cut_off_is_refused_or_says_so_and_retires_nothing(path: Path) -> None:
    whole = path.read_bytes()
    expected = {each["id"] for each in read(path)[0] if each["type"] == "identity"}
    for cut in range(len(whole) // 7, len(whole), len(whole) // 7):
        piece, notes = whole[:cut], Notes()
        found = format_of(piece)
        if found is None:
            continue
        try:
            records = list(found.records(BytesIO(piece), notes))
        except FileRefused as refusal:
            assert refusal.message
            continue
        assert found.holds is not Holds.INVENTORY, "what is missing in it must not count as gone"
        ids = {each["id"] for each in records if each["type"] == "identity"}
        assert ids <= expected or any("cut off" in sentence for sentence in notes.sentences)
