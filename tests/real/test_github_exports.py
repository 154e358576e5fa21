"""Payloads that GitHub sends, against a count of their own; and files that are none."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.files import FileRefused, Notes
from identities.connectors.github.files import Installations
from tests.recognising import format_of

DATA = Path(__file__).parents[3] / "shared/data"
PAYLOADS = sorted((DATA / "octokit_webhooks").rglob("*.json"))
HELD = [path for path in PAYLOADS if path.parent.name in ("installation", "installation_repositories", "deploy_key")]


def read(document: Any) -> tuple[list[dict[str, Any]], Notes]:
    notes = Notes()
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(Installations().records(BytesIO(data), notes)), notes


def installation(**more: Any) -> dict[str, Any]:
    return {
        "id": 7, "app_id": 3, "app_slug": "builder", "account": {"login": "acme"}, "repository_selection": "all",
        "permissions": {"contents": "write", "members": "read", "issues": "none"}, "events": [], **more,
    }  # fmt: skip


@pytest.mark.real
@pytest.mark.skipif(not PAYLOADS, reason="the payloads are not beside the checkout")
class TestPayloads:
    @pytest.mark.parametrize("path", HELD, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_every_permission_of_a_payload_is_held_at_its_level(self, path):
        payload = json.loads(path.read_bytes())
        assert format_of(path.read_bytes()[:65_536]).name == "github-installations"

        records, notes = read(path.read_bytes())

        kinds = [record["type"] for record in records]
        if payload["action"] == "deleted":
            assert kinds == ["end"] and notes.counts["installations that were deleted"] == 1
            return
        assert (kinds.count("identity"), kinds.count("grant")) == (1, 1)
        assert kinds.count("credential") == ("key" in payload)
        (grant,) = (record for record in records if record["type"] == "grant")
        told = {action for each in grant["permission"]["statements"] for action in each["actions"]}
        wanted = payload.get("installation", {}).get("permissions") or {
            "contents": "read" if payload["key"]["read_only"] else "write"
        }
        assert told == {f"{name}:{level}" for name, level in wanted.items() if level != "none"}

    @pytest.mark.parametrize("path", [path for path in PAYLOADS if path not in HELD], ids=lambda path: path.stem)
    def test_payloads_about_something_else_are_refused(self, path):
        with pytest.raises(FileRefused):
            read(path.read_bytes())

    @pytest.mark.parametrize(
        "path",
        [path for path in sorted(DATA.rglob("*")) if path.is_file()],
        ids=lambda path: str(path.relative_to(DATA)),
    )
    def test_no_file_is_of_two_formats(self, path):
        format_of(path.read_bytes()[:65_536])


def test_a_list_of_the_api_gives_each_installation():
    records, notes = read({"total_count": 2, "installations": [installation(), installation(id=8)]})

    assert [record["id"] for record in records if record["type"] == "identity"] == ["installation/7", "installation/8"]
    assert notes.counts["permissions of level none"] == 2


def test_what_is_held_on_the_account_and_on_repositories_is_told_apart():
    payload = {
        "installation": installation(repository_selection="selected"), "repositories": [{"full_name": "acme/one"}],
    }  # fmt: skip
    (grant,) = (record for record in read(payload)[0] if record["type"] == "grant")
    held = Permission.from_json(grant["permission"])

    assert matches(held, "contents:read", "acme/one") is Answer.YES
    assert matches(held, "contents:read", "acme/two") is Answer.NO
    assert matches(held, "members:read", "acme") is Answer.YES
    assert matches(held, "issues:read", "acme/one") is Answer.NO


def test_selected_repositories_that_are_not_listed_are_said_to_be_unknown():
    records, notes = read(installation(repository_selection="selected"))

    assert records[1]["permission"]["statements"][1]["resources"] == ["acme/*"]
    assert "more than it has" in notes.sentences[0]


def test_a_suspended_installation_is_disabled():
    assert read(installation(suspended_at="2026-01-01T00:00:00Z"))[0][0]["status"] == "disabled"


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, {"installations": ["x"]}, installation(id="7"),
        installation(account=None), installation(permissions=[]), installation(permissions={"contents": 1}),
        installation(account={"login": "a b"}), installation(created_at="soon"), installation(events="all"),
        [installation(), installation()], {"key": {"id": 1}, "repository": {}},
    ],
    ids=lambda document: repr(document)[:40],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(document):
    with pytest.raises(FileRefused) as refusal:
        read(document)

    assert refusal.value.message
