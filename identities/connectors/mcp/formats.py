"""Files of agents that are imported: configurations, and what MCP servers answered to tools/list."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.files import FileRefused, Holds, Notes, read_whole
from identities.connectors.mcp.clients import client_of, is_configuration, parse, usual_path
from identities.connectors.mcp.documents import LARGEST, Malformed, load
from identities.connectors.mcp.records import Listing, ended, records, shortened, tool_grants
from identities.connectors.mcp.servers import checked_tools

_TOML = re.compile(rb"(?m)^\s*\[mcp_servers\.")
_CONFIGURATION = re.compile(
    rb'"(?:mcpServers|enabledMcpjsonServers|enableAllProjectMcpServers|allowedMcpServers|deniedMcpServers)"\s*:'
    rb'|"mcp__|"servers"\s*:\s*\{(?:(?!"apiVersion").)*"(?:command|url|type)"\s*:',
    re.S,
)
_TOOLS = re.compile(rb'"tools"\s*:\s*\[')
_INIT = re.compile(rb'"(?:serverInfo|inputSchema|protocolVersion)"\s*:')


class ConfigurationFile:
    """A client's configuration as it lies on disk, or with the place it came from (`_repo`, `_path`, `config`)."""

    name = "mcp-config"
    title = "Configuration of an agent's client (MCP)"
    kind = "mcp"
    holds = Holds.PART

    def recognises(self, head: bytes) -> bool:
        if _TOML.search(head):
            return True
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"/") and _CONFIGURATION.search(head) is not None

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        text = _text(file)
        is_toml = not text.lstrip("\ufeff \t\r\n").startswith(("{", "/"))
        document = _loaded(text, is_toml)
        path = ".codex/config.toml" if is_toml else ""
        if "config" in document and "_path" in document:
            path = "/".join(str(document.get(key, "")).strip("/") for key in ("_repo", "_path"))
            held = document["config"]
            document = _loaded(held, client_of(path).toml) if isinstance(held, str) else held
            if not isinstance(document, dict):
                raise FileRefused("The configuration in this file is no object.")
        if not is_configuration(document):
            raise FileRefused("This is no configuration of an agent's client: it names no MCP servers or permissions.")
        path = path or usual_path(document)
        if not path.isprintable() or len(path) > 1000:
            raise FileRefused("The place that the file says it came from can't be used.")
        notes.say(f"Read as a file of {client_of(path).title}, as if it lay at {path}.")
        try:
            found = parse({path: document})
        except Malformed as error:
            raise FileRefused(f"{error}.") from None
        yield from ended(records(found, {}, notes))


class ToolsFile:
    """What a server answered: {"init": …, "tools": […]}, or the result of tools/list alone."""

    name = "mcp-tools"
    title = "Tools of an MCP server (answers of initialize and tools/list)"
    kind = "mcp"
    holds = Holds.PART

    def recognises(self, head: bytes) -> bool:
        is_object = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
        return is_object and _TOOLS.search(head) is not None and _INIT.search(head) is not None

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        document = _loaded(_text(file), False)
        document = document.get("result", document)
        if not isinstance(document, dict) or "tools" not in document:
            raise FileRefused("There is no list of tools in this file.")
        listing = _listing(document)
        holder = shortened(f"server:{listing.name}")
        hints = sum(1 for tool in listing.tools if tool.get("annotations"))
        if hints:
            notes.count("tools whose own annotations are not trusted", hints)
        facts = {"reports_version": listing.version, "protocol": listing.protocol, "tools": len(listing.tools)}
        server: Record = {"type": "identity", "id": holder, "kind": "machine", "name": f"{listing.name} (MCP server)",
                          "attributes": facts}  # fmt: skip
        yield from ended(iter([server, *tool_grants(holder, listing.name, listing, notes)]))


def _listing(document: Mapping[str, Any]) -> Listing:
    try:
        tools = checked_tools(document["tools"], "This file")
    except ReadIncomplete as error:
        raise FileRefused(error.message) from None
    if len({tool["name"] for tool in tools}) != len(tools):
        raise FileRefused("Two tools have one name.")
    if document.get("nextCursor"):
        raise FileRefused("The list of tools goes on: it was cut off before its last page.")
    hello = document.get("init")
    hello = hello if isinstance(hello, Mapping) else {}
    facts = hello.get("serverInfo")
    facts = facts if isinstance(facts, Mapping) else {}
    texts = [str(value) if isinstance(value, str) and value.isprintable() and len(value) <= 120 else ""
             for value in (facts.get("name"), facts.get("version"), hello.get("protocolVersion"))]  # fmt: skip
    return Listing(texts[0] or "imported", texts[1], texts[2], tools)


def _text(file: BinaryIO) -> str:
    data = read_whole(file, LARGEST)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(f"The file is no UTF-8 text (byte {error.start}).") from None


def _loaded(text: str, is_toml: bool) -> dict[str, Any]:
    try:
        return load(text, toml=is_toml, comments=True)
    except Malformed as error:
        raise FileRefused(f"The file {error}.") from None
