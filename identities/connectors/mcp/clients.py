"""What a configuration file of an agent's client says: which client reads it, its servers, and its allow entries. Pure.

Clients differ in where they look and in what they honour. Only a list that a client is known to honour counts as a
restriction; any other is noted as stated, because believing it would show less access than there is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from identities.connectors.mcp.documents import Malformed

LONGEST_PLACE = 380


@dataclass(frozen=True, slots=True)
class Client:
    """A program that runs agents. include/exclude: the keys of a server's tool lists, where it honours any.

    switch: the key that switches one server off. comments: whether it reads JSON with comments.
    """

    name: str
    title: str
    include: str = ""
    exclude: str = ""
    switch: str = ""
    comments: bool = False
    toml: bool = False


CLAUDE = Client("claude-code", "Claude Code")
VSCODE = Client("vscode", "Visual Studio Code", comments=True)
GEMINI = Client("gemini-cli", "Gemini CLI", "includeTools", "excludeTools", comments=True)
CODEX = Client("codex", "Codex", "enabled_tools", "disabled_tools", switch="enabled", toml=True)
CURSOR = Client("cursor", "Cursor", comments=True)
DESKTOP = Client("claude-desktop", "Claude Desktop")
OTHER = Client("mcp-client", "MCP client")
CLIENTS = {each.name: each for each in (CLAUDE, VSCODE, GEMINI, CODEX, CURSOR, DESKTOP, OTHER)}
MANAGED = "managed"

# (end of the path, client, how many folders above the file the agent's place lies)
_FILES: Sequence[tuple[str, Client, int]] = (
    (".claude/settings.json", CLAUDE, 2),
    (".claude/settings.local.json", CLAUDE, 2),
    (".claude.json", CLAUDE, 1),
    (".mcp.json", CLAUDE, 1),
    ("managed-mcp.json", CLAUDE, 0),
    ("managed-settings.json", CLAUDE, 0),
    (".vscode/mcp.json", VSCODE, 2),
    ("Code/User/mcp.json", VSCODE, 1),
    (".gemini/settings.json", GEMINI, 2),
    (".codex/config.toml", CODEX, 2),
    (".cursor/mcp.json", CURSOR, 2),
    ("claude_desktop_config.json", DESKTOP, 1),
)
_STATED = ("includeTools", "enabledTools", "allowedTools", "excludeTools", "disabledTools", "disabled_tools",
           "enabled_tools", "autoApprove", "alwaysAllow")  # fmt: skip
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Server:
    """One server as one file defines it. `at` are the keys that lead to it.

    include is None where every tool may be called. is_off: the client does not use it as things stand.
    """

    agent: str
    client: Client
    file: str
    at: tuple[str, ...]
    name: str
    definition: Mapping[str, Any]
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of Claude Code's permissions: tools of a server that run without (allow), with (ask) or never (deny)."""

    agent: str
    client: Client
    file: str
    at: tuple[str, ...]
    text: str
    effect: str
    server: str
    tool: str


@dataclass(slots=True)
class Configuration:
    """Everything that some files say. agents: (client, place, files that could define servers) by id."""

    agents: dict[str, tuple[Client, str, list[str]]] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    approvals: dict[str, set[str]] = field(default_factory=dict)
    refusals: dict[str, set[str]] = field(default_factory=dict)
    policies: list[tuple[bool, Mapping[str, Any]]] = field(default_factory=list)
    has_allow_policy: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


def client_of(path: str) -> Client:
    """Which client reads a file of this name."""
    for ending, client, _ in _FILES:
        if path == ending or path.endswith(f"/{ending}"):
            return client
    return CODEX if path.endswith(".toml") else OTHER


def agent_of(path: str) -> str:
    """The id of the agent that a file configures: its client and the folder that the client works in."""
    client = client_of(path)
    for ending, known, above in _FILES:
        if known is client and (path == ending or path.endswith(f"/{ending}")):
            place = path
            for _ in range(above):
                place = place.rpartition("/")[0]
            return f"{client.name}:{place or '/'}" if above else f"{client.name}:{MANAGED}"
    return f"{client.name}:{path}"


def parse(files: Mapping[str, Mapping[str, Any]]) -> Configuration:
    """All files of one source together, because clients merge them. Raises Malformed, naming the file."""
    found = Configuration()
    for path, document in files.items():
        try:
            _parse(path, document, found)
        except Malformed as error:
            raise Malformed(f"{path}: {error}") from None
    names = sorted({written_server(server.name) for server in found.servers}, key=len, reverse=True)
    found.entries = [_resolved(entry, names) for entry in found.entries]
    found.servers = [_judged(server, found) for server in found.servers]
    return found


def _resolved(entry: Entry, names: Sequence[str]) -> Entry:
    """The entry read anew where its server's name has a double underscore of its own."""
    text = entry.text.removeprefix("mcp__")
    for name in names:
        if text == name or text.startswith(f"{name}__"):
            return replace(entry, server=name, tool=text[len(name) + 2 :] or "*")
    return entry


def is_configuration(document: Mapping[str, Any]) -> bool:
    """Whether an object looks like a configuration that is understood here."""
    known = {"mcpServers", "servers", "mcp_servers", "permissions", "enabledMcpjsonServers", "disabledMcpjsonServers",
             "enableAllProjectMcpServers", "allowedMcpServers", "deniedMcpServers", "projects"}  # fmt: skip
    return bool(known & set(document))


def usual_path(document: Mapping[str, Any]) -> str:
    """Where a file that says this usually lies, for a file that came without its name."""
    if "servers" in document:
        return ".vscode/mcp.json"
    if "projects" in document:
        return ".claude.json"
    if "mcpServers" not in document:
        return ".claude/settings.json"
    servers = document["mcpServers"]
    keys = {key for each in servers.values() if isinstance(each, Mapping) for key in each} if _is_map(servers) else ()
    return ".gemini/settings.json" if {"includeTools", "excludeTools", "trust", "httpUrl"} & set(keys) else ".mcp.json"


def _parse(path: str, document: Mapping[str, Any], found: Configuration) -> None:
    client, agent = client_of(path), agent_of(path)
    key = "servers" if client is VSCODE else "mcp_servers" if client.toml else "mcpServers"
    _servers(path, document, (key,), client, agent, found)
    if client is CLAUDE:
        _claude_settings(path, document, (), agent, found)
    projects = document.get("projects") if path.endswith(".claude.json") else None
    if projects is not None:
        for place, project in _objects(projects, "projects"):
            own = f"{CLAUDE.name}:{place}"
            if not project.get("mcpServers") and not is_configuration(project) and not project.get("allowedTools"):
                found.count("projects without MCP settings")
                continue
            _servers(path, document, ("projects", place, "mcpServers"), CLAUDE, own, found)
            _claude_settings(path, project, ("projects", place), own, found)


def _servers(
    path: str, document: Mapping[str, Any], at: tuple[str, ...], client: Client, agent: str, found: Configuration
) -> None:
    held: Any = document
    for step in at:
        held = held.get(step) if isinstance(held, Mapping) else None
    place = agent.partition(":")[2][:LONGEST_PLACE]
    known = found.agents.setdefault(agent, (client, place, []))
    if held is None:
        return
    if path not in known[2]:
        known[2].append(path)
    for name, definition in _objects(held, "/".join(at)):
        found.servers.append(_server(path, (*at, name), definition, client, agent))


def _server(path: str, at: tuple[str, ...], definition: Mapping[str, Any], client: Client, agent: str) -> Server:
    where = "/".join(at)
    include = _names(definition, client.include, where) if client.include else None
    exclude = (_names(definition, client.exclude, where) or ()) if client.exclude else ()
    honoured = {client.include, client.exclude}
    is_off = client.switch != "" and definition.get(client.switch, True) is False
    stated = tuple(key for key in _STATED if key in definition and key not in honoured)
    return Server(agent, client, path, at, at[-1], definition, include, exclude, stated, is_off)


def _names(definition: Mapping[str, Any], key: str, where: str) -> tuple[str, ...] | None:
    """The tools of a list; Gemini may write arguments behind a name, which it does not check."""
    if key not in definition:
        return None
    return tuple(dict.fromkeys(text.partition("(")[0] for text in _texts(definition[key], f"{where}/{key}")))


def _claude_settings(path: str, held: Mapping[str, Any], at: tuple[str, ...], agent: str, found: Configuration) -> None:
    permissions = held.get("permissions", {})
    if not _is_map(permissions):
        raise Malformed(f"holds no object at {'/'.join((*at, 'permissions'))}")
    lists = [((*at, "permissions", effect), effect, permissions.get(effect)) for effect in ("allow", "ask", "deny")]
    lists.append(((*at, "allowedTools"), "allow", held.get("allowedTools")))
    for where, effect, texts in lists:
        for text in _texts(texts, "/".join(where)):
            if text.startswith("mcp__"):
                server, _, tool = text.removeprefix("mcp__").partition("__")
                entry = Entry(agent, CLAUDE, path, where, text, effect, server, tool or "*")
                found.entries.append(entry)
            else:
                found.count("permissions that are about no MCP tool")
    for key, kept in (("enabledMcpjsonServers", found.approvals), ("disabledMcpjsonServers", found.refusals)):
        kept.setdefault(agent, set()).update(_texts(held.get(key), key))
    if held.get("enableAllProjectMcpServers") is True:
        found.approvals[agent].add("*")
    for key in ("allowedMcpServers", "deniedMcpServers"):
        rules = held.get(key)
        if rules is not None:
            found.has_allow_policy |= key.startswith("allowed")
            found.policies += [(key.startswith("allowed"), rule) for rule in _rules(rules, key)]


def _rules(rules: Any, key: str) -> list[Mapping[str, Any]]:
    if not isinstance(rules, list) or not all(map(_is_map, rules)):
        raise Malformed(f"holds no list of objects at {key}")
    return rules


def _judged(server: Server, found: Configuration) -> Server:
    """The server with what other files say about it: refused, denied by policy, or tools of it denied."""
    if server.client is not CLAUDE:
        return server
    is_project_file = server.file.endswith(".mcp.json")
    is_off = is_project_file and server.name in found.refusals.get(server.agent, ())
    is_off |= any(_fits(rule, server) for allows, rule in found.policies if not allows)
    is_off |= found.has_allow_policy and not any(_fits(rule, server) for allows, rule in found.policies if allows)
    denied = [each.tool for each in found.entries if each.effect == "deny" and each.agent == server.agent
              and names_server(each.server, server.name)]  # fmt: skip
    exclude = tuple(dict.fromkeys(tool for tool in denied if tool != "*"))
    return replace(server, exclude=exclude, is_off=is_off or "*" in denied)


def _fits(rule: Mapping[str, Any], server: Server) -> bool:
    if "serverName" in rule:
        return bool(rule["serverName"] == server.name)
    if "serverCommand" in rule:
        return bool(rule["serverCommand"] == command_of(server.definition))
    if "serverUrl" in rule and isinstance(rule["serverUrl"], str):
        pattern = re.escape(rule["serverUrl"]).replace(r"\*", ".*")
        return re.fullmatch(pattern, address_of(server.definition)) is not None
    return False


def names_server(written: str, name: str) -> bool:
    """Whether a permission written for a server means the one of this name; Claude Code replaces odd characters."""
    return written in (name, _UNSAFE.sub("_", name), "*")


def written_server(name: str) -> str:
    """A server's name as it stands in a permission."""
    return _UNSAFE.sub("_", name)


def command_of(definition: Mapping[str, Any]) -> list[str]:
    """The command and its arguments, or an empty list."""
    command, arguments = definition.get("command"), definition.get("args", [])
    if not isinstance(command, str) or not isinstance(arguments, list):
        return []
    return [command, *(each for each in arguments if isinstance(each, str))]


def address_of(definition: Mapping[str, Any]) -> str:
    """The address of a server that is reached over HTTP, or an empty text."""
    for key in ("url", "httpUrl", "serverUrl"):
        if isinstance(definition.get(key), str):
            return str(definition[key])
    return ""


def _objects(held: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not _is_map(held):
        raise Malformed(f"holds no object at {where}")
    for name, each in held.items():
        if not name or len(name) > 512 or not name.isprintable():
            raise Malformed(f"has a name at {where} that is empty, too long or not printable")
        if not _is_map(each):
            raise Malformed(f"holds no object at {where}/{name[:80]}")
        yield name, each


def _texts(held: Any, where: str) -> list[str]:
    if held is None:
        return []
    if not isinstance(held, list) or not all(isinstance(each, str) for each in held):
        raise Malformed(f"holds no list of texts at {where}")
    return held


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
