"""From configurations and tool lists to inventory records (docs/api.md, "Record types"). Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from identities.connectors.contract import Record
from identities.connectors.files import Notes
from identities.connectors.mcp.clients import (
    GEMINI,
    Configuration,
    Entry,
    Server,
    address_of,
    command_of,
    names_server,
)
from identities.connectors.mcp.secrecy import looks_secret, plain_address, upstream_credentials

LONGEST_ID = 480
LONGEST_DESCRIPTION = 4_000
LONGEST_SCHEMA = 20_000
MOST_LISTED = 500
LEFT_OUT = "(left out: it looks as if it held a secret)"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a real server answered: its own name and version, the protocol, and its tools as they came."""

    name: str
    version: str
    protocol: str
    tools: Sequence[Mapping[str, Any]]


def file_id(file: str, at: Sequence[str]) -> str:
    """A place in a file as an id: the path and a JSON pointer, shortened by a hash where it is too long."""
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in at)
    return shortened(f"{file}#{pointer}")


def shortened(text: str) -> str:
    """The text, or where it is too long for an id its beginning with a hash of it all."""
    if len(text.encode()) <= LONGEST_ID:
        return text
    beginning = text.encode()[:300].decode(errors="ignore")
    return f"{beginning}~{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def server_id(server: Server) -> str:
    return file_id(server.file, server.at)


def resource_of(name: str) -> str:
    """A server as the permission names it."""
    return f"server:{name}"


def permission_of(server: Server) -> dict[str, Any]:
    """Every tool that the client may call on the server as the files stand."""
    include = list(server.include) if server.include is not None else ["*"]
    actions: Any = {"include": include, "exclude": list(server.exclude)} if server.exclude else include
    return {"dialect": "tools", "statements": [{"actions": actions, "resources": [resource_of(server.name)]}]}


def definition_hash(tool: Mapping[str, Any]) -> str:
    """The sha256 (hex) of what a model is told of a tool: name, description, input schema. Annotations do not count."""
    told = {key: tool.get(key) for key in ("name", "description", "inputSchema")}
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def records(found: Configuration, listings: Mapping[str, Listing], notes: Notes) -> Iterator[Record]:
    """All records but the `end`. listings: by server id."""
    for what, number in found.counts.items():
        notes.count(what, number)
    for agent in found.agents:
        yield _agent(agent, found)
    for server in found.servers:
        yield from _server(server, found, listings.get(server_id(server)), notes)
    denied = [each for each in found.entries if each.effect != "allow"]
    if denied:
        notes.count("entries that ask or deny", len(denied))
    for entry in _distinct(found.entries, notes):
        yield from _entry(entry, found, listings, notes)


def ended(found: Iterator[Record]) -> Iterator[Record]:
    """The records, and the `end` that says how many there were."""
    number = 0
    for record in found:
        number += 1
        yield record
    yield {"type": "end", "records": number}


def is_locked_out(agent: str, found: Configuration) -> bool:
    """Whether the agent's files define servers' places and leave none of them on."""
    own = [server for server in found.servers if server.agent == agent]
    return bool(found.agents[agent][2]) and all(server.is_off for server in own)


def _agent(agent: str, found: Configuration) -> Record:
    client, place, files = found.agents[agent]
    off = sorted(server.name for server in found.servers if server.agent == agent and server.is_off)
    attributes: dict[str, Any] = {"client": client.title, "place": place, "files": sorted(files)[:50]}
    if off:
        attributes["switched_off"] = off[:MOST_LISTED]
    if found.approvals.get(agent):
        attributes["approved_project_servers"] = sorted(found.approvals[agent])[:MOST_LISTED]
    return {
        "type": "identity",
        "id": shortened(agent),
        "kind": "ai_agent",
        "name": f"{client.title} in {place}"[:500],
        "status": "disabled" if is_locked_out(agent, found) else "active",
        "custody": "platform_managed",
        "attributes": attributes,
    }


def _server(server: Server, found: Configuration, listing: Listing | None, notes: Notes) -> Iterator[Record]:
    credentials, plain = upstream_credentials(server.definition)
    if plain:
        notes.count("settings that are no credential", plain)
    yield {
        "type": "identity",
        "id": server_id(server),
        "kind": "machine",
        "name": f"{server.name} (MCP server)",
        "status": "disabled" if server.is_off else "active",
        "attributes": _server_facts(server, listing),
    }
    for each in credentials:
        if each.is_inline:
            notes.count("secrets dropped")
        yield {
            "type": "credential",
            "id": shortened(f"{server_id(server)}!{each.where}:{each.name}"),
            "identity": server_id(server),
            "kind": "token" if each.where == "header" else "api_key",
            "storage": "in the configuration file itself" if each.is_inline else "outside, by reference",
            "attributes": {"where": each.where, "name": each.name, "stands_in_file": each.is_inline},
        }
    inline = [each.name for each in credentials if each.is_inline]
    if inline:
        notes.say(
            f"A secret stands in {server.file}: server {server.name} is given {', '.join(sorted(inline))} as plain "
            "text. The value was dropped."
        )
    if server.stated:
        notes.say(
            f"{server.file} says {', '.join(server.stated)} of server {server.name}, which {server.client.title} is "
            "not known to honour; this does not count as a restriction."
        )
    if listing is not None:
        yield from tool_grants(server_id(server), server.name, listing, notes)
    if server.is_off and not is_locked_out(server.agent, found):
        notes.count("servers switched off")
    elif server.include == ():
        notes.count("servers whose list names no tool")
    else:
        yield _server_grant(server, listing)


def _server_facts(server: Server, listing: Listing | None) -> dict[str, Any]:
    command, address = command_of(server.definition), address_of(server.definition)
    facts: dict[str, Any] = {"agent": server.agent[:LONGEST_ID], "file": server.file[:LONGEST_ID]}
    if command:
        facts |= {"transport": "stdio", "program": _shown(command[0]), "arguments": len(command) - 1}
    elif address:
        facts |= {"transport": "http", "address": plain_address(address)}
    else:
        facts["transport"] = "unknown"
    if listing is not None:
        facts |= {"reports_name": listing.name, "reports_version": listing.version, "protocol": listing.protocol}
        facts["tools"] = len(listing.tools)
    if server.stated:
        facts["stated_limits"] = list(server.stated)
    return facts


def _shown(text: str) -> str:
    return "" if looks_secret(text) or not text.isprintable() else text[:200]


def _server_grant(server: Server, listing: Listing | None) -> Record:
    confirmed = server.client is GEMINI and server.definition.get("trust") is not True
    return {
        "type": "grant",
        "id": server_id(server),
        "identity": shortened(server.agent),
        "label": f"{server.name}: {_tools_words(server)}"[:500],
        "permission": permission_of(server),
        "path": [{"kind": "config", "id": server.file[:1000], "label": server.file.rpartition("/")[2][:500]}],
        "native_ref": {
            "kind": "server",
            "client": server.client.name,
            "file": server.file,
            "at": list(server.at),
            "server": server.name,
            **({"asks_a_person": True} if confirmed else {}),
            **_known(listing, server.include),
        },
    }


def _tools_words(server: Server) -> str:
    if server.include is None:
        return "every tool" + (f" but {len(server.exclude)}" if server.exclude else "")
    return f"{len(server.include)} listed tools" if len(server.include) != 1 else "one listed tool"


def _known(listing: Listing | None, include: Sequence[str] | None) -> dict[str, Any]:
    """The tools that an open grant reaches today, with their hashes: growth and change become a change of the grant."""
    if listing is None:
        return {}
    held = [tool for tool in listing.tools if include is None or tool["name"] in include]
    return {"tools": [[tool["name"], definition_hash(tool)] for tool in held]}


def _distinct(entries: Sequence[Entry], notes: Notes) -> list[Entry]:
    allowing = [each for each in entries if each.effect == "allow"]
    distinct = list({(each.file, each.at, each.text): each for each in allowing}.values())
    if len(allowing) > len(distinct):
        notes.count("allow entries that stand twice", len(allowing) - len(distinct))
    return distinct


def _entry(entry: Entry, found: Configuration, listings: Mapping[str, Listing], notes: Notes) -> Iterator[Record]:
    """The grant of an allow entry, unless another entry takes all of it away."""
    stronger = [each.tool for each in found.entries if each.effect != "allow" and each.agent == entry.agent
                and each.server in (entry.server, "*")]  # fmt: skip
    if "*" in stronger or entry.tool in stronger:
        notes.count("allow entries without effect")
        return
    server = next((each for each in found.servers if names_server(entry.server, each.name)), None)
    listing = listings.get(server_id(server)) if server is not None else None
    include = None if entry.tool == "*" else [entry.tool]
    excluded = [tool for tool in dict.fromkeys(stronger) if "*" in entry.tool]
    actions: Any = {"include": [entry.tool], "exclude": excluded} if excluded else [entry.tool]
    resource = resource_of(server.name if server is not None else entry.server)
    yield {
        "type": "grant",
        "id": file_id(entry.file, (*entry.at, entry.text)),
        "identity": shortened(entry.agent),
        "label": f"{entry.text} without asking"[:500],
        "permission": {"dialect": "tools", "statements": [{"actions": actions, "resources": [resource]}]},
        "path": [{"kind": "config", "id": entry.file[:1000], "label": entry.file.rpartition("/")[2][:500]}],
        "native_ref": {
            "kind": "entry",
            "client": entry.client.name,
            "file": entry.file,
            "at": list(entry.at),
            "entry": entry.text,
            "server": server.name if server is not None else entry.server,
            **_known(listing, include),
        },
    }


def tool_grants(holder: str, server: str, listing: Listing, notes: Notes) -> Iterator[Record]:
    """One grant per tool that a server offers, held by the server itself, with its definition in words."""
    for tool in listing.tools:
        yield {
            "type": "grant",
            "id": shortened(f"{holder}!tool:{tool['name']}"),
            "identity": holder,
            "label": f"{tool['name']} (offered)"[:500],
            "permission": {
                "dialect": "tools",
                "statements": [{"actions": [tool["name"]], "resources": [resource_of(server)]}],
            },
            "revocability": "provider_only",
            "native_ref": {
                "kind": "tool",
                "server": server,
                "definition": definition_hash(tool),
                "description": _told(tool.get("description"), LONGEST_DESCRIPTION, notes),
                "input_schema": _told(tool.get("inputSchema"), LONGEST_SCHEMA, notes),
            },
        }


def _told(value: Any, longest: int, notes: Notes) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1)
    text = "".join(char for char in text if char in "\n\t" or char.isprintable())
    if looks_secret(text):
        notes.count("tool descriptions left out")
        return LEFT_OUT
    return text if len(text) <= longest else f"{text[:longest]} …"
