"""Configurations and tool lists that were published or recorded, counted twice: by the format, and by hand."""

import hashlib
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from governance.kernel.permissions import Permission
from governance.kernel.privileges import PrivilegeClass, classes_of
from identities.connectors.files import Notes
from identities.sync.records import RecordReader
from tests.recognising import format_of

DATA = Path(__file__).parents[3] / "shared/data"
CONFIGURATIONS = sorted((DATA / "mcp-agent-configs").glob("*.json"))
TOOL_LISTS = sorted((DATA / "mcp-tools-list").glob("*.json"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CONFIGURATIONS, reason="the exports of MCP are not beside the checkout"),
]


def read(path: Path) -> tuple[str, list[dict[str, Any]], Notes]:
    notes = Notes()
    data = path.read_bytes()
    found = format_of(data[:65_536])
    assert found is not None
    return found.name, list(found.records(io.BytesIO(data), notes)), notes


def counted(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(record["kind"] if record["type"] == "identity" else record["type"] for record in records)


def accepted(records: list[dict[str, Any]]) -> int:
    """How many records the inventory takes, as it takes a reading."""
    reader = RecordReader(
        is_delta=False, is_complete=True, observed_at=datetime.now(UTC), default_environment="unknown",
        most_records=10_000,
    )  # fmt: skip
    lines = [(number, json.dumps(record).encode()) for number, record in enumerate(records, 1)]
    rows = list(reader.rows(lines))
    assert reader.errors == []
    return len(rows)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_server_of_a_configuration_is_an_identity_with_one_grant_of_its_agent(path: Path) -> None:
    config = json.loads(path.read_text())["config"]
    servers = {**config.get("mcpServers", {}), **config.get("servers", {})}
    names = [name for each in servers.values() for key in ("env", "headers") for name in each.get(key, {})]

    form, records, notes = read(path)

    assert form == "mcp-config"
    found, said = counted(records), notes.counts
    ungranted = said["servers switched off"] + said["servers whose list names no tool"]
    assert (found["ai_agent"], found["machine"], found["grant"] + ungranted) == (1, len(servers), len(servers))
    credentials = [each for each in records if each["type"] == "credential"]
    named = [each for each in credentials if each["attributes"]["where"] in ("env", "header")]
    assert len(named) + said["settings that are no credential"] == len(names)
    inline = [each for each in credentials if each["attributes"]["stands_in_file"]]
    assert len(inline) == said["secrets dropped"]
    assert records[-1] == {"type": "end", "records": len(records) - 1}
    assert accepted(records) == len(records) - 1


@pytest.mark.parametrize("path", TOOL_LISTS, ids=lambda path: path.stem)
def test_every_tool_that_a_server_answered_is_a_grant_with_the_hash_of_its_definition(path: Path) -> None:
    tools = json.loads(path.read_text())["tools"]
    hashes = {
        tool["name"]: hashlib.sha256(
            json.dumps(
                {key: tool.get(key) for key in ("name", "description", "inputSchema")},
                sort_keys=True,
                ensure_ascii=False,
            ).encode()
        ).hexdigest()
        for tool in tools
    }

    form, records, notes = read(path)

    assert form == "mcp-tools"
    grants = [record for record in records if record["type"] == "grant"]
    assert counted(records) == {"machine": 1, "grant": len(tools), "end": 1}
    held = {g["permission"]["statements"][0]["actions"][0]: g["native_ref"]["definition"] for g in grants}
    assert held == hashes
    assert notes.counts["tools whose own annotations are not trusted"] == sum("annotations" in tool for tool in tools)
    assert accepted(records) == len(records) - 1


def test_the_catalogue_knows_the_tools_of_real_servers_and_believes_no_annotation() -> None:
    wanted = {
        "git_log": {"read"}, "git_status": {"read"}, "git_commit": {"write"}, "git_add": {"write"},
        "git_reset": {"destructive"}, "git_checkout": {"write"}, "read_text_file": {"read"}, "write_file": {"write"},
        "edit_file": {"write"}, "move_file": {"write"}, "directory_tree": {"read"}, "get_file_info": {"read"},
        "get_current_time": {"read"}, "convert_time": {"read"}, "list_allowed_directories": {"read"},
    }  # fmt: skip
    for path in TOOL_LISTS:
        for tool in json.loads(path.read_text())["tools"]:
            permission = Permission.from_json(
                {"dialect": "tools", "statements": [{"actions": [tool["name"]], "resources": ["server:x"]}]}
            )
            classes = classes_of(permission)
            assert classes
            if tool["name"] in wanted:
                assert classes >= set(map(PrivilegeClass, wanted[tool["name"]])), tool["name"]
