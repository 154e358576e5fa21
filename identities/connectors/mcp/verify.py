"""Carry a plan out, and look anew: is what was removed out of reach in every file that the client merges?"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import (
    Execution,
    ExecutionState,
    NotPossible,
    Plan,
    Step,
    Verification,
    VerificationState,
)
from identities.connectors.files import Notes
from identities.connectors.mcp import edits as editing
from identities.connectors.mcp.clients import MANAGED, Configuration
from identities.connectors.mcp.edits import Edit, states_hash
from identities.connectors.mcp.plans import RUNNING, by_file, edits_of, follow_up_of, step_of
from identities.connectors.mcp.records import permission_of, records, server_id, shortened
from identities.connectors.mcp.settings import Settings, read_configuration
from identities.connectors.stepwise import carry_out

Path = tuple[str, Permission]


def execute(settings: Settings, plan: Plan) -> Execution:
    """Apply the plan once. Raises ReadIncomplete, SourceUnreachable."""
    edits = edits_of(plan)
    fault = _fault(settings, plan, edits)
    if fault:
        return Execution(ExecutionState.BLOCKED, fault)
    return carry_out(plan, look=lambda: editing.look(edits), run=_run, follow_up=_follow_up, patience=())


def _run(step: Step) -> None:
    editing.make([Edit.from_json(each) for each in step.call["edits"]])


def _follow_up(step: Step) -> None:
    try:
        editing.forget(Edit.from_json(step.call["forget"]))
    except OSError as error:
        raise NotPossible(f"{step.text}: {error.strerror}") from error


def _fault(settings: Settings, plan: Plan, edits: Sequence[Edit]) -> str:
    """Why this stored plan must not run: it is not, word for word, what was planned, or its file is not governed."""
    for edit in edits:
        if edit.file not in settings.files:
            return f"{edit.file} is not among the files that Remit may change."
    expected = [step_of(group) for _, group in by_file(edits)]
    expected += [follow_up_of(edit) for edit in edits if edit.kind == "put"]
    is_same = [(step.text, dict(step.call)) for step in plan.steps] == [(s.text, dict(s.call)) for s in expected]
    hashes = tuple(states_hash(edits, states) for states in ([e.before for e in edits], [e.after for e in edits]))
    if not is_same or hashes != (plan.pre_hash, plan.post_hash) or any(not _is_beside(edit) for edit in edits):
        return "The stored plan is not what was planned; make a new one."
    return ""


def _is_beside(edit: Edit) -> bool:
    """Whether what is set aside lies in the folder of the file, under a name of ours."""
    if edit.kind not in ("take", "put"):
        return edit.aside == ""
    target = editing.Path(edit.file).resolve()
    aside = editing.Path(edit.aside)
    return aside.parent == target.parent and aside.name.startswith(f".{target.name}.remit-")


def verify(settings: Settings, plan: Plan) -> Verification:
    """Read all files anew. Raises ReadIncomplete."""
    observed_at = datetime.now(UTC)
    edits = edits_of(plan)
    found = read_configuration(settings.files)
    if editing.look(edits) != plan.post_hash:
        reason = "The files do not hold what was planned."
        return Verification(VerificationState.STILL_PRESENT, observed_at, reason=reason)
    paths = list(_paths(plan, found))
    still = [(action, resource, via) for action, resource in plan.removes
             for via, permission in paths if matches(permission, action, resource) is Answer.YES]  # fmt: skip
    lost = [(action, resource) for action, resource in plan.keeps
            if not any(matches(permission, action, resource) is Answer.YES for _, permission in paths)]  # fmt: skip
    if still:
        reason = f"Still effective via {'; '.join(sorted({via for _, _, via in still})[:5])}."
        return Verification(
            VerificationState.STILL_EFFECTIVE, observed_at, tuple(still), lost=tuple(lost), reason=reason
        )
    reason = f"{len(lost)} tool(s) that should have stayed are out of reach." if lost else RUNNING
    return Verification(VerificationState.GONE, observed_at, lost=tuple(lost), reason=reason)


def _paths(plan: Plan, found: Configuration) -> Iterator[Path]:
    """Every way to a tool that the agent has, with the permission that it gives."""
    agents = {agent for agent in found.agents if plan.identity in (shortened(agent), *_server_ids(agent, found))}
    merging = {other for agent in agents for other in found.agents if _merges(agent, other, found)}
    if plan.pre_image["scope"] == "unasked":
        for record in records(found, {}, Notes()):
            is_entry = record["type"] == "grant" and record["native_ref"]["kind"] == "entry"
            if is_entry and record["identity"] in {shortened(agent) for agent in merging}:
                ref = record["native_ref"]
                yield f"the entry {ref['entry']} in {ref['file']}", Permission.from_json(record["permission"])
        return
    for server in found.servers:
        if server.agent in merging and not server.is_off and server.include != ():
            yield f"server {server.name} in {server.file}", Permission.from_json(permission_of(server))


def _server_ids(agent: str, found: Configuration) -> list[str]:
    return [server_id(server) for server in found.servers if server.agent == agent]


def _merges(agent: str, other: str, found: Configuration) -> bool:
    """Whether the client of `agent` also reads what configures `other`: the user's own files, those of folders above,
    and the managed ones.
    """
    if agent == other:
        return True
    client, _, place = agent.partition(":")
    other_client, _, other_place = other.partition(":")
    if client != other_client:
        return False
    is_users = any(server.agent == other and server.file.endswith(".claude.json") for server in found.servers)
    return other_place == MANAGED or is_users or place.startswith(f"{other_place.rstrip('/')}/")
