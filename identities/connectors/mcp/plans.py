"""From a decision to edits of configuration files, and the proof that what remains lies inside what was held."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from governance.kernel.permissions import Answer, Permission, difference_samples, includes, matches
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged, Step
from identities.connectors.mcp.clients import Configuration, Server
from identities.connectors.mcp.documents import ABSENT, value_at
from identities.connectors.mcp.edits import Edit, definition_hash, states_hash
from identities.connectors.mcp.records import permission_of, resource_of, server_id, shortened
from identities.connectors.mcp.settings import Settings, load_file, read_configuration, read_text

Samples = Sequence[tuple[str, str]]
RUNNING = "Clients that are running keep what they read at their start; end or restart them."
NOTHING = Permission("tools", ())
GATEWAY = (
    "A file of this kind has no list of tools for a server. Move the server to a client that has one (Gemini CLI: "
    "includeTools; Codex: enabled_tools), put a gateway with a tool list in front of it, or revoke the server."
)


def plan_revoke(settings: Settings, grant: GrantRef) -> Plan:
    """Take a server, or one allow entry, out of its file. Raises NotPossible, SourceChanged."""
    ref = grant.native_ref
    if ref.get("kind") == "entry":
        return _plan_entry(settings, grant, NOTHING, "revoke")
    server = _server_of(settings, grant)
    edit = _taking_out(server, grant.external_id)
    return assemble(
        "revoke", grant.identity, grant.external_id, [edit],
        removes=_samples(grant, NOTHING), keeps=(), scope="any",
        summary=f"Takes server {server.name} out of {server.file}.", notes=_taken_notes(edit),
    )  # fmt: skip


def plan_narrow(settings: Settings, grant: GrantRef, target: Permission) -> Plan:
    """Leave only the target's tools in the list that the client honours. Raises NotPossible, SourceChanged."""
    if not includes(grant.permission, target).holds:
        raise NotPossible("What would remain is not inside what is held.")
    if grant.native_ref.get("kind") == "entry":
        return _plan_entry(settings, grant, target, "narrow")
    server = _server_of(settings, grant)
    client = server.client
    if not client.include:
        raise NotPossible(f"{client.title}: {GATEWAY}")
    include, exclude = _lists_for(server, grant, target)
    edits = []
    wanted = ((client.include, server.include, include), (client.exclude, server.exclude or None, exclude or None))
    for key, before, after in wanted:
        if before != after:
            edits.append(_list_edit(server, key, after))
    if not edits:
        raise NotPossible("The list of tools says this already.")
    remaining = _permission(server.name, ["*"] if include is None else include, exclude)
    _prove(grant.permission, target, remaining)
    return assemble(
        "narrow", grant.identity, grant.external_id, edits,
        removes=_samples(grant, remaining), keeps=_kept_samples(grant, remaining), scope="any",
        summary=f"Limits server {server.name} in {server.file} to {_said(include, exclude)}.",
        notes=_expanded_notes(target, include),
    )  # fmt: skip


def plan_quarantine(settings: Settings, identity: str) -> Plan:
    """Switch off all servers of an agent, or the one server whose id this is. Raises NotPossible."""
    found = read_configuration(settings.files)
    own = [each for each in found.servers if identity in (shortened(each.agent), server_id(each)) and not each.is_off]
    if not own:
        raise NotPossible(f"{identity} has no server that is switched on.")
    edits = [_switching_off(each, identity) for each in own]
    removes = [(tool, resource_of(each.name)) for each in own for tool in each.include or ("any_tool",)]
    return assemble(
        "quarantine", identity, "", edits, removes=removes, keeps=(), scope="any",
        summary=f"Switches off {', '.join(sorted(each.name for each in own))}.",
        notes=[note for edit in edits for note in _taken_notes(edit)],
    )  # fmt: skip


def plan_restore(done: Plan) -> Plan:
    """The plan turned around. Raises NotPossible."""
    if done.irreversible:
        raise NotPossible("This change cannot be undone.")
    edits = [edit.reversed() for edit in reversed(edits_of(done))]
    return assemble(
        "restore", done.identity, done.grant_external_id, edits, removes=(),
        keeps=[*done.removes, *done.keeps], scope="any", summary=f"Brings back what was taken: {done.summary}",
    )  # fmt: skip


def edits_of(plan: Plan) -> list[Edit]:
    return [Edit.from_json(each) for each in plan.pre_image["edits"]]


def assemble(
    action: str, identity: str, grant: str, edits: Sequence[Edit], *, removes: Iterable[tuple[str, str]],
    keeps: Iterable[tuple[str, str]], scope: str, summary: str, notes: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """One step a file; scope: "any" where the tools must be out of reach, "unasked" where only calls that no person
    confirms must be.
    """
    states: list[Any] = [edit.before for edit in edits]
    first = states_hash(edits, states)
    steps, stages = [], []
    for file, group in by_file(edits):
        for number, edit in enumerate(edits):
            states[number] = edit.after if edit.file == file else states[number]
        steps.append(step_of(group))
        stages.append(states_hash(edits, states))
    steps += [follow_up_of(edit) for edit in edits if edit.kind == "put"]
    inverse = [step_of([edit.reversed() for edit in reversed(group)]) for _, group in reversed(by_file(edits))]
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=tuple(steps),
        inverse=tuple(inverse),
        pre_image={"edits": [edit.to_json() for edit in edits], "scope": scope},
        pre_hash=first,
        post_hash=stages[-1],
        stages=tuple(stages),
        removes=tuple(removes),
        keeps=tuple(keeps),
        side_effects=(RUNNING, *dict.fromkeys(notes)),
        summary=summary,
    )


def by_file(edits: Sequence[Edit]) -> list[tuple[str, list[Edit]]]:
    groups: dict[str, list[Edit]] = {}
    for edit in edits:
        groups.setdefault(edit.file, []).append(edit)
    return list(groups.items())


def step_of(edits: Sequence[Edit]) -> Step:
    """Edits of one file, made by one replacement of it."""
    text = "\n".join(edit.text() for edit in edits)
    return Step(text, "the file is replaced as a whole", {"edits": [edit.to_json() for edit in edits]})


def follow_up_of(edit: Edit) -> Step:
    return Step(f"remove {edit.aside}", "it stands in its place again", {"forget": edit.to_json()})


# --- servers ----------------------------------------------------------------------------------------------------


def _server_of(settings: Settings, grant: GrantRef) -> Server:
    """The server of a grant as its file says now. Raises NotPossible, SourceChanged."""
    ref = grant.native_ref
    if ref.get("kind") == "tool":
        raise NotPossible("The server itself offers this tool; take it from the agents that may call it.")
    if ref.get("kind") != "server" or ref.get("file") not in settings.files:
        raise NotPossible(f"{ref.get('file')} is not among the files that Remit may change.")
    found = _configuration(settings)
    for server in found.servers:
        if server.file == ref["file"] and list(server.at) == list(ref["at"]):
            now = Permission.from_json(permission_of(server)) if server.include != () else NOTHING
            if now.digest() != grant.permission.digest():
                raise SourceChanged(f"{server.file} gives other tools of {server.name} by now; read the source again.")
            return server
    raise SourceChanged(f"{ref['file']} holds no server {ref.get('server')} any more; read the source again.")


def _configuration(settings: Settings) -> Configuration:
    return read_configuration(settings.files)


def _taking_out(server: Server, key: str) -> Edit:
    digest = definition_hash(server.definition)
    mark = hashlib.sha256(f"{key}\n{digest}\n{'/'.join(server.at)}".encode()).hexdigest()[:12]
    target = Path(server.file).resolve()
    return Edit("take", server.file, server.at, digest, None, str(target.with_name(f".{target.name}.remit-{mark}")))


def _switching_off(server: Server, key: str) -> Edit:
    switch = server.client.switch
    if not switch:
        return _taking_out(server, key)
    return Edit("set", server.file, (*server.at, switch), server.definition.get(switch), False)


def _list_edit(server: Server, key: str, after: Sequence[str] | None) -> Edit:
    held = server.definition.get(key)
    return Edit("set", server.file, (*server.at, key), held, list(after) if after is not None else None)


def _taken_notes(edit: Edit) -> list[str]:
    if edit.kind != "take":
        return []
    return [
        f"The definition, with any secret in it, is set aside in {edit.aside} until it is restored or you delete it."
    ]


def _lists_for(server: Server, grant: GrantRef, target: Permission) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The include list (None: all) and the exclude list that say what the target says. Raises NotPossible."""
    statement = _only_statement(target, server.name)
    include, exclude = statement.actions.include, statement.actions.exclude
    if include == ("*",) and not any(_is_wild(each) for each in exclude):
        # What is open stays open for tools added later, but for those named.
        return server.include, tuple(dict.fromkeys((*server.exclude, *exclude)))
    names = _spelled(include, exclude, grant, target)
    return names, tuple(each for each in server.exclude if each in names)


def _only_statement(target: Permission, server: str) -> Any:
    allowed = [each for each in target.statements if each.effect == "allow"]
    if len(allowed) != 1 or len(target.statements) != 1 or allowed[0].conditions or allowed[0].until:
        raise NotPossible("A list of tools takes one set of tools, without conditions or an end date.")
    resource = resource_of(server)
    if allowed[0].resources.exclude or allowed[0].resources.include != (resource,):
        raise NotPossible(f"What remains must name {resource}, and nothing else.")
    return allowed[0]


def _spelled(include: Sequence[str], exclude: Sequence[str], grant: GrantRef, target: Permission) -> tuple[str, ...]:
    """The names that remain; patterns are spelled out with the tools that are known. Raises NotPossible."""
    if not any(_is_wild(each) for each in (*include, *exclude)):
        names = [each for each in include if each not in exclude]
    else:
        resource = resource_of(grant.native_ref["server"])
        names = [tool for tool in _known(grant) if matches(target, tool, resource) is Answer.YES]
        names += [each for each in include if not _is_wild(each) and each not in names and each not in exclude]
    if not names:
        raise NotPossible("No tool that is known would remain; revoke it instead.")
    return tuple(dict.fromkeys(names))


def _known(grant: GrantRef) -> list[str]:
    return [str(name) for name, _ in grant.native_ref.get("tools", [])]


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _expanded_notes(target: Permission, include: Sequence[str] | None) -> list[str]:
    wild = any(_is_wild(each) for each in target.statements[0].actions.include)
    if include is None or not wild:
        return []
    return ["Patterns are written out as the tools that are known today; tools added later are not among them."]


# --- allow entries ----------------------------------------------------------------------------------------------


def _plan_entry(settings: Settings, grant: GrantRef, target: Permission, action: str) -> Plan:
    ref = grant.native_ref
    file, at, entry = ref["file"], tuple(ref["at"]), ref["entry"]
    if file not in settings.files:
        raise NotPossible(f"{file} is not among the files that Remit may change.")
    held = value_at(load_file(file, read_text(file)), at)
    if held is ABSENT or not isinstance(held, list) or entry not in held:
        raise SourceChanged(f"{file} does not hold the entry {entry} any more; read the source again.")
    added: list[str] = []
    remaining = NOTHING
    if action == "narrow":
        statement = _only_statement(target, ref["server"])
        names = _spelled(statement.actions.include, statement.actions.exclude, grant, target)
        prefix = entry.removeprefix("mcp__").partition("__")[0] if "*" in entry else entry.removeprefix("mcp__")
        written = _written_prefix(entry, prefix)
        added = [f"{written}__{name}" for name in names if f"{written}__{name}" not in held]
        remaining = _permission(ref["server"], names)
        _prove(grant.permission, target, remaining)
    edit = Edit("entries", file, at, [entry], sorted(added), index=held.index(entry))
    return assemble(
        action, grant.identity, grant.external_id, [edit],
        removes=_samples(grant, remaining), keeps=_kept_samples(grant, remaining), scope="unasked",
        summary=f"Takes {entry} out of {file}" + (f" and allows {len(added)} tools by name." if added else "."),
        notes=[f"The agent may still ask a person for each call while server {ref['server']} stays configured."],
    )  # fmt: skip


def _written_prefix(entry: str, prefix: str) -> str:
    """`mcp__git`, as the entry itself writes the server."""
    stem = entry.removesuffix("__*")
    return stem if "*" not in stem and stem != "mcp__" else f"mcp__{prefix}"


# --- proofs and samples -----------------------------------------------------------------------------------------


def _permission(server: str, include: Sequence[str], exclude: Sequence[str] = ()) -> Permission:
    actions: Any = {"include": list(include), "exclude": list(exclude)} if exclude else list(include)
    statement: Mapping[str, Any] = {"actions": actions, "resources": [resource_of(server)]}
    return Permission.from_json({"dialect": "tools", "statements": [statement]})


def _prove(held: Permission, target: Permission, remaining: Permission) -> None:
    if not (includes(target, remaining).holds and includes(held, remaining).holds):
        raise NotPossible("The list of tools can't say what should remain without giving more.")


def _samples(grant: GrantRef, remaining: Permission) -> Samples:
    """Requests that were possible and must no longer be: the known tools, and samples of the rest."""
    resource = resource_of(grant.native_ref["server"])
    known = [(tool, resource) for tool in _known(grant)
             if matches(grant.permission, tool, resource) is Answer.YES
             and matches(remaining, tool, resource) is not Answer.YES]  # fmt: skip
    return known or [(each.action, each.resource) for each in difference_samples(grant.permission, remaining, 20)]


def _kept_samples(grant: GrantRef, remaining: Permission) -> Samples:
    if not remaining.statements:
        return ()
    resource = resource_of(grant.native_ref["server"])
    names = [each for each in remaining.statements[0].actions.include if not _is_wild(each)] or _known(grant)
    return [(name, resource) for name in names if matches(remaining, name, resource) is Answer.YES]


def _said(include: Sequence[str] | None, exclude: Sequence[str]) -> str:
    if include is not None:
        return f"{len(include)} tool{'s' if len(include) != 1 else ''}"
    return f"all tools but {', '.join(exclude)}"
