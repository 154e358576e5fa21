"""The servers behind the gateway: put one there, change how it is reached, accept what its tools say of themselves."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, NotFound
from governance.people.access import require_role
from governance.people.models import User
from identities.connectors.mcp.records import LEFT_OUT, LONGEST_DESCRIPTION, LONGEST_SCHEMA, definition_hash
from identities.connectors.mcp.secrecy import looks_secret
from identities.models import GatewayServer, GatewayTool
from identities.services.secret_shapes import find_secret
from identities.services.secrets import check_reference, is_reference

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
# Variables by which a loader or an interpreter runs something else than the command that was allowed.
_STEERING = re.compile(r"LD_|DYLD_|PYTHON|NODE_|NPM_|UV_|PERL|RUBY|JAVA_|BASH|ENV$|PATH$|HOME$|IFS$|SHELL$|GIT_")
MOST_VARIABLES = 20


class InvalidServer(DomainError):
    """A value that a server behind the gateway can't have; `field` names it."""

    code = "invalid-gateway-server"
    title = "The server can't be like this"


class ServerNameTaken(Conflict):
    """Another server has this name."""

    code = "server-name-taken"
    title = "This name is taken"


class ServerChanged(Conflict):
    """Somebody else changed the server, or its tools say something else, since it was read."""

    code = "gateway-server-changed"
    title = "The server changed since you read it"


@dataclass(frozen=True, slots=True)
class Told:
    """One tool as a server tells it now: its name, the sha256 of its definition, and the definition in words."""

    name: str
    hash: str
    definition: Mapping[str, str]


def register_server(
    *,
    name: str,
    url: str = "",
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    token: str = "",
    actor: Actor,
    now: datetime,
) -> GatewayServer:
    """Put an MCP server behind the gateway, by address or by a command that the operator allows.

    environment (names of variables) and token take references to secrets. Raises `InvalidServer`, `ServerNameTaken`,
    `SecretMissing`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    if not _NAME.fullmatch(name):
        raise InvalidServer("The name takes lower-case letters, digits and hyphens, at most 60.", field="name")
    values = _checked(url=url, command=list(command), environment=dict(environment or {}), token=token)
    server = GatewayServer(name=name, created_at=now, created_by=_person(actor), **values)
    with transaction.atomic(durable=True):
        try:
            with transaction.atomic():
                server.save(force_insert=True)
        except IntegrityError as error:
            raise ServerNameTaken(f"There is already a server called {name}.", field="name") from error
        log.record(
            verb=Verb.GATEWAY_SERVER_REGISTERED,
            actor=actor,
            subject=server_subject(server),
            now=now,
            new=_facts(server),
        )
    return server


def change_server(
    *, server: GatewayServer, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> GatewayServer:
    """Change any of url, command, environment, token and is_enabled. Raises as `register_server`, and `ServerChanged`.

    A server that is reached another way is another server: what its tools said is accepted anew.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    unknown = set(changes) - {"url", "command", "environment", "token", "is_enabled"}
    if unknown:
        raise InvalidServer(f"{min(unknown)[:40]} can't be changed.", field=min(unknown))
    with transaction.atomic(durable=True):
        locked = GatewayServer.objects.select_for_update(of=("self",)).get(pk=server.pk)
        if locked.version != version:
            raise ServerChanged("Somebody changed this server since you opened it. Look again.")
        old, was = _facts(locked), (locked.url, locked.command)
        wanted = {name: changes.get(name, getattr(locked, name)) for name in ("url", "command", "environment", "token")}
        for field, value in _checked(**wanted).items():
            setattr(locked, field, value)
        if "is_enabled" in changes:
            locked.is_enabled = bool(changes["is_enabled"])
        if (locked.url, locked.command) != was:
            locked.tools.update(accepted_hash="")
        new = _facts(locked)
        if new == old and (locked.url, locked.command) == was:
            return locked
        locked.version += 1
        locked.save()
        log.record(
            verb=Verb.GATEWAY_SERVER_CHANGED, actor=actor, subject=server_subject(locked), now=now, old=old, new=new
        )
    return locked


def note_tools(*, server: GatewayServer, told: Sequence[Told], actor: Actor, now: datetime) -> None:
    """Keep what a server tells of its tools. New and changed ones wait for a person; the very first listing does not.

    Writes nothing where nothing differs. Called by the gateway, outside of any transaction.
    """
    if server.listed_at is not None and not _differences(list(server.tools.all()), told):
        return
    with transaction.atomic(durable=True):
        locked = GatewayServer.objects.select_for_update(of=("self",)).get(pk=server.pk)
        known = {tool.name: tool for tool in locked.tools.select_for_update()}
        differs = _differences(list(known.values()), told)
        is_first = locked.listed_at is None
        if not differs and not is_first:
            return
        for each in told:
            tool = known.get(each.name) or GatewayTool(server=locked, name=each.name)
            tool.seen_hash, tool.seen, tool.seen_at, tool.gone_at = each.hash, dict(each.definition), now, None
            if is_first:
                tool.accepted_hash, tool.accepted, tool.accepted_at = each.hash, dict(each.definition), now
            tool.save()
        gone = sorted(set(known) - {each.name for each in told})
        locked.tools.filter(name__in=gone, gone_at=None).update(gone_at=now)
        locked.listed_at = now
        locked.save(update_fields=["listed_at"])
        log.record(
            verb=Verb.GATEWAY_TOOLS_SEEN,
            actor=actor,
            subject=server_subject(locked),
            now=now,
            new={"tools": len(told), "first": is_first, **{word: names[:100] for word, names in differs.items()}},
        )


def accept_tools(*, server: GatewayServer, hashes: Mapping[str, str], actor: Actor, now: datetime) -> list[GatewayTool]:
    """Let tools be called as they are defined now. hashes: by tool, the definition that the person looked at.

    Only people may. Raises `ServerChanged` where a tool says something else by now, `NotFound`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    if not hashes:
        raise InvalidServer("Choose at least one tool.", field="tools")
    with transaction.atomic(durable=True):
        tools = list(
            GatewayTool.objects.select_for_update(of=("self",)).filter(server=server, name__in=hashes).order_by("name")
        )
        if {tool.name for tool in tools} != set(hashes):
            raise NotFound("There is no such tool on this server.")
        if any(tool.seen_hash != hashes[tool.name] or tool.gone_at is not None for tool in tools):
            raise ServerChanged("A tool is defined otherwise by now. Look at it again.")
        old = {tool.name: tool.accepted_hash or None for tool in tools}
        for tool in tools:
            tool.accepted_hash, tool.accepted = tool.seen_hash, tool.seen
            tool.accepted_at, tool.accepted_by = now, _person(actor)
            tool.save(update_fields=["accepted_hash", "accepted", "accepted_at", "accepted_by"])
        log.record(
            verb=Verb.GATEWAY_TOOLS_ACCEPTED,
            actor=actor,
            subject=server_subject(server),
            now=now,
            old=old,
            new={tool.name: tool.accepted_hash for tool in tools},
        )
    return tools


def note_trouble(*, server_id: UUID, sentence: str) -> None:
    """Keep why a server could not be reached last, for its page; an empty sentence says that it answers again."""
    GatewayServer.objects.filter(pk=server_id).exclude(last_error=sentence[:500]).update(last_error=sentence[:500])


def told_of(tool: Mapping[str, Any]) -> Told:
    """A tool out of the answer to `tools/list`, as it is kept and compared."""
    schema = json.dumps(tool.get("inputSchema"), sort_keys=True, ensure_ascii=False, indent=1)
    words = {
        "description": _shown(str(tool.get("description") or ""), LONGEST_DESCRIPTION),
        "input_schema": _shown(schema, LONGEST_SCHEMA),
    }
    return Told(str(tool["name"]), definition_hash(tool), words)


def allowed_commands() -> list[list[str]]:
    """The command lines that the operator lets the gateway start, each as its words; none without such a file.

    Raises `InvalidServer` where the file can't be read, so that an allowed server is not taken for a forbidden one.
    """
    path = settings.MCP_GATEWAY_COMMANDS_FILE
    if not path:
        return []
    try:
        lines = Path(path).read_text().splitlines()
        return [words for line in lines if not line.lstrip().startswith("#") and (words := shlex.split(line))]
    except (OSError, ValueError) as error:
        raise InvalidServer(f"The list of allowed commands ({path}) can't be read.", field="command") from error


def server_subject(server: GatewayServer) -> log.Subject:
    """The server as the trail names it."""
    return log.Subject("gateway_server", str(server.pk), server.name)


def _differences(known: Sequence[GatewayTool], told: Sequence[Told]) -> dict[str, list[str]]:
    """Names of tools that are new, changed or gone; empty where all is as it was."""
    hashes = {tool.name: tool.seen_hash for tool in known if tool.gone_at is None}
    now = {each.name: each.hash for each in told}
    found = {
        "new": sorted(set(now) - set(hashes)),
        "changed": sorted(name for name in now if name in hashes and hashes[name] != now[name]),
        "gone": sorted(set(hashes) - set(now)),
    }
    return {word: names for word, names in found.items() if names}


def _checked(*, url: Any, command: Any, environment: Any, token: Any) -> dict[str, Any]:
    if bool(url) == bool(command):
        raise InvalidServer("Give either an address or a command.", field="url")
    if url:
        _check_url(url)
        if environment:
            raise InvalidServer("Variables are for servers that are started.", field="environment")
    if command and list(command) not in allowed_commands():
        raise InvalidServer(
            "The operator does not allow this command. Whole command lines, word for word, stand in the file that "
            "MCP_GATEWAY_COMMANDS_FILE names.",
            field="command",
        )
    if command and token:
        raise InvalidServer("A token is for servers at an address; give a command its variables.", field="token")
    if token and not is_reference(token):
        raise InvalidServer("Give the token as a reference: env:NAME or file:/path.", field="token")
    if token:
        check_reference("token", token)
    _check_environment(environment)
    return {"url": url, "command": list(command), "environment": dict(environment), "token": token}


def _check_url(url: Any) -> None:
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):
        is_fine = False
    if not is_fine or parts.username or parts.password or parts.fragment or len(url) > 500 or not url.isprintable():
        raise InvalidServer("The address has the form https://host/path, without a sign-in in it.", field="url")
    if find_secret(url) is not None:
        raise InvalidServer("The address looks as if it held a secret. Give it as the token.", field="url")


def _check_environment(environment: Any) -> None:
    if not isinstance(environment, Mapping) or len(environment) > MOST_VARIABLES:
        raise InvalidServer(f"Give at most {MOST_VARIABLES} variables.", field="environment")
    for name, reference in environment.items():
        if not _VARIABLE.fullmatch(str(name)) or _STEERING.match(name):
            raise InvalidServer(f"A server can't be given the variable {str(name)[:40]}.", field="environment")
        if not is_reference(reference):
            raise InvalidServer(f"Give {name} as a reference: env:NAME or file:/path.", field="environment")
        check_reference(name, reference)


def _facts(server: GatewayServer) -> dict[str, Any]:
    """What the trail keeps: how it is reached, names of variables, and never an address or a secret."""
    return {
        "reached": "address" if server.url else "command",
        "variables": sorted(server.environment),
        "has_token": bool(server.token),
        "is_enabled": server.is_enabled,
    }


def _person(actor: Actor) -> User | None:
    return User.objects.filter(pk=actor.id).first() if actor.kind is ActorKind.PERSON else None


def _shown(text: str, longest: int) -> str:
    text = "".join(char for char in text if char in "\n\t" or char.isprintable())
    if looks_secret(text):
        return LEFT_OUT
    return text if len(text) <= longest else f"{text[:longest]} …"
