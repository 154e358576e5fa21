"""Real exports of AWS accounts, read whole: every count equals one made another way, and Remit takes every record."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from identities.connectors.files import FileFormat, Holds, Notes
from identities.sync.records import RecordReader
from tests.recognising import format_of

DATA = Path(__file__).parents[3] / "shared/data"
DETAILS = [
    "salesforce_cloudsplaining/test/files/example-authz-details.json",
    "salesforce_cloudsplaining/test/files/example_authz_v2.json",
    "salesforce_cloudsplaining/test/files/example_authz_details_for_overrides.json",
    "salesforce_cloudsplaining/test/files/example_authz_details_for_overrides_complete.json",
    "salesforce_cloudsplaining/test/files/managed_policy_mismatch.json",
    "duo-labs_cloudmapper/account-data/demo/us-east-1/iam-get-account-authorization-details.json",
]
REPORT = "duo-labs_cloudmapper/account-data/demo/us-east-1/iam-get-credential-report.json"
TRAILS = DATA / "DataDog_stratus-red-team/docs/detonation-logs"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"there is no {DATA}")


def read(path: Path) -> tuple[FileFormat, list[dict[str, Any]], Notes]:
    with path.open("rb") as file:
        found = format_of(file.read(65_536))
        assert found is not None, path
        file.seek(0)
        notes = Notes()
        return found, list(found.records(file, notes)), notes


def refusals(records: list[dict[str, Any]], *, is_delta: bool = False) -> list[Any]:
    """What Remit's own reader of records has against them."""
    reader = RecordReader(
        is_delta=is_delta,
        is_complete=not is_delta,
        observed_at=datetime.now(UTC),
        default_environment="unknown",
        most_records=10**6,
    )
    list(reader.rows(enumerate((orjson.dumps(each) for each in records), start=1)))
    return reader.errors


def kinds(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(each["type"] for each in records if each["type"] != "end")


def counted(path: Path) -> Counter[str]:
    """The same, looked up in the file without any of Remit's code."""
    account = json.loads(path.read_text())
    groups = {each["GroupName"]: each for each in account.get("GroupDetailList", [])}

    def policies(holder: dict[str, Any], word: str) -> int:
        return len(holder.get(f"{word}PolicyList", [])) + len(holder.get("AttachedManagedPolicies", []))

    found: Counter[str] = Counter()
    for user in account.get("UserDetailList", []):
        through = sum(policies(groups[name], "Group") for name in user["GroupList"])
        found += Counter({"identity": 1, "grant": policies(user, "User") + through})
    for role in account.get("RoleDetailList", []):
        principals = 0
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            names = statement["Principal"]
            listed = [names] if isinstance(names, str) else [n for each in names.values() for n in _list(each)]
            principals += len(listed)
        found += Counter({"identity": 1, "grant": policies(role, "Role"), "trust": principals})
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", DETAILS)
def test_authorization_details_give_as_much_as_they_hold(name: str) -> None:
    form, records, notes = read(DATA / name)

    assert (form.name, form.holds) == ("aws-authorization-details", Holds.INVENTORY)
    assert kinds(records) == counted(DATA / name)
    assert len({(each["type"], each["id"]) for each in records[:-1]}) == len(records) - 1, "no id stands twice"
    if records[:-1]:
        assert refusals(records) == []
    else:
        assert "no user and no role" in " ".join(notes.sentences)


@pytest.mark.parametrize("name", DETAILS)
def test_every_policy_of_a_file_is_held_or_counted_as_held_by_nobody(name: str) -> None:
    _, records, notes = read(DATA / name)
    listed = {each["Arn"] for each in json.loads((DATA / name).read_text())["Policies"]}

    shown = {each["native_ref"]["policy"] for each in records if each["type"] == "grant"}

    assert len(listed - shown) == notes.counts["managed policies that no user or role holds"]


def test_a_policy_without_its_document_is_shown_as_not_known() -> None:
    _, records, notes = read(DATA / "salesforce_cloudsplaining/test/files/example_authz_v2.json")

    (grant,) = [each for each in records if each["type"] == "grant" and "AdministratorAccess" in each["label"]]

    assert grant["permission"]["statements"][0]["conditions"][0]["operator"] == "DocumentMissing"
    assert notes.counts["policies without a readable document"] == 1


def test_a_credential_report_gives_a_credential_for_every_password_and_key() -> None:
    form, records, _ = read(DATA / REPORT)
    content = json.loads((DATA / REPORT).read_text())["Content"]
    header, *rows = [line.split(",") for line in content.splitlines()]
    credentials = 0
    for row in rows:
        value = dict(zip(header, row, strict=True))
        credentials += value["user"] == "<root_account>" or value["password_enabled"] == "true"
        for column in ("access_key_1", "access_key_2", "cert_1", "cert_2"):
            credentials += value[f"{column}_active"] == "true" or value[f"{column}_last_rotated"] != "N/A"

    assert (form.name, form.holds) == ("aws-credential-report", Holds.PART)
    assert kinds(records) == Counter({"identity": len(rows), "credential": credentials, "grant": 1})
    assert refusals(records, is_delta=True) == []


def test_details_with_the_report_behind_them_make_one_account(tmp_path: Path) -> None:
    both = tmp_path / "account.json"
    both.write_text((DATA / DETAILS[-1]).read_text() + (DATA / REPORT).read_text())

    form, records, _ = read(both)

    alone = kinds(read(DATA / DETAILS[-1])[1]) + kinds(read(DATA / REPORT)[1])
    assert form.name == "aws-authorization-details"
    assert kinds(records) == alone, "this demo account's report names other users than its details"
    assert refusals(records) == []


@pytest.mark.parametrize("path", sorted(TRAILS.glob("*.json")), ids=lambda path: path.stem)
def test_a_trail_shows_as_many_uses_as_it_holds(path: Path) -> None:
    events = json.loads(path.read_text())
    used = [each for each in events if "errorCode" not in each and each["eventSource"] != "signin.amazonaws.com"]
    callers = {
        each["userIdentity"].get("sessionContext", {}).get("sessionIssuer", each["userIdentity"])["arn"]
        for each in used
    }

    form, records, notes = read(path)

    assert (form.name, form.holds) == ("aws-cloudtrail", Holds.USAGE)
    assert (notes.counts["events"], notes.counts["uses"]) == (len(events), len(used))
    assert sum(notes.counts[each] for each in notes.counts if "fail" in each or "need no" in each) == len(events) - len(
        used
    )
    assert {each["identity"] for each in records if each["type"] == "usage"} == callers
    assert kinds(records).keys() <= {"usage"}, "what a file does not say it covers is never called unused"
    if used:
        assert refusals(records, is_delta=True) == []


def test_uses_are_counted_once_for_each_resource_of_an_event() -> None:
    path = TRAILS / "aws.credential-access.ssm-retrieve-securestring-parameters.json"
    named = Counter(
        (each["ARN"])
        for event in json.loads(path.read_text())
        if event["eventName"] == "GetParameters"
        for each in event["resources"]
    )

    _, records, _ = read(path)

    shown = {each["resource"]: each["count"] for each in records if each.get("action") == "ssm:GetParameters"}
    assert shown == dict(named)


def test_other_files_are_not_taken_for_exports_of_aws() -> None:
    others = [
        "salesforce_cloudsplaining/test/files/test_policy_file.json",
        "salesforce_cloudsplaining/test/files/scanning/test_authorization_file_details_missing_constraints_v2.json",
        "duo-labs_cloudmapper/account-data/demo/us-east-1/iam-get-account-summary.json",
    ]

    for name in others:
        found = format_of((DATA / name).read_bytes()[:65_536])
        assert found is None or found.kind != "aws", name
