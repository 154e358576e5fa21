"""Tool lists and servers are taken away by rewriting files: planned, compared, exact, and undone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.kernel.permissions import Permission, includes
from identities.connectors.contract import ExecutionState, GrantRef, NotPossible, Plan, SourceChanged, Step
from identities.connectors.mcp import MCP, edits
from identities.connectors.mcp.plans import assemble
from identities.connectors.stepwise import carry_out

SECRET = "plain-4471"
GIT = {
    "command": "mcp-server-git",
    "env": {"GIT_TOKEN": SECRET, "MODE": "${MODE}"},
    "includeTools": ["git_log", "git_add"],
}
TOML = '[mcp_servers.git]\ncommand = "g"\nenabled_tools = ["git_log", "git_add"]\n\n[mcp_servers.web]\nurl = "https://e.org"\n'


class Place:
    """Files of one source, and the grants and plans that come of them."""

    def __init__(self, folder: Path, files: dict[str, Any]) -> None:
        self.paths = {name: folder / name for name in files}
        for name, content in files.items():
            self.paths[name].parent.mkdir(parents=True, exist_ok=True)
            self.paths[name].write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")
        self.connector = MCP({"files": [str(path) for path in self.paths.values()]}, {})

    def grant(self, label: str) -> GrantRef:
        (found,) = [each for each in self.connector.read() if each["type"] == "grant" and label in each["label"]]
        permission = Permission.from_json(found["permission"])
        return GrantRef(found["identity"], found["id"], permission, found["path"], found["native_ref"])

    def texts(self) -> dict[str, str]:
        return {name: path.read_text() for name, path in self.paths.items()}

    def agent(self) -> str:
        return next(each["id"] for each in self.connector.read() if each.get("kind") == "ai_agent")

    def apply(self, plan: Plan) -> Plan:
        done = self.connector.execute(Plan.from_json(json.loads(json.dumps(plan.to_json()))))
        assert done.state is ExecutionState.APPLIED, done.reason
        return plan


@pytest.fixture
def make_place(tmp_path: Path) -> Callable[..., Place]:
    return lambda **files: Place(tmp_path, {name.replace("__", "/"): content for name, content in files.items()})


@pytest.fixture
def gemini(tmp_path: Path) -> Place:
    return Place(
        tmp_path, {"ann/.gemini/settings.json": {"theme": "x", "mcpServers": {"git": GIT, "b": {"command": "b"}}}}
    )


@pytest.fixture
def codex(tmp_path: Path) -> Place:
    return Place(tmp_path, {"ann/.codex/config.toml": TOML})


@pytest.fixture
def claude(tmp_path: Path) -> Place:
    settings = {"permissions": {"allow": ["Bash(ls)", "mcp__git", "Read"], "deny": []}, "model": "m"}
    return Place(
        tmp_path, {"app/.mcp.json": {"mcpServers": {"git": {"command": "g"}}}, "app/.claude/settings.json": settings}
    )


def tools(*names: str, server: str = "git") -> Permission:
    return Permission.from_json(
        {"dialect": "tools", "statements": [{"actions": list(names), "resources": [f"server:{server}"]}]}
    )


def test_narrowing_rewrites_the_list_and_nothing_else(gemini: Place) -> None:
    before = gemini.texts()
    plan = gemini.connector.plan_narrow(gemini.grant("git:"), tools("git_log"))
    assert gemini.texts() == before, "planning changes nothing"

    gemini.apply(plan)

    (after,) = gemini.texts().values()
    wanted = json.loads(next(iter(before.values())))
    wanted["mcpServers"]["git"]["includeTools"] = ["git_log"]
    assert json.loads(after) == wanted and list(json.loads(after)) == ["theme", "mcpServers"]
    assert gemini.connector.verify(plan).state == "gone"
    assert includes(tools("git_log"), gemini.grant("git:").permission).holds
    gemini.apply(gemini.connector.plan_restore(plan))
    assert gemini.texts() == before


@pytest.mark.parametrize("narrow", [True, False])
def test_codex_is_narrowed_revoked_and_restored_in_toml(codex: Place, narrow: bool) -> None:
    before, grant = codex.texts(), codex.grant("git:")
    plan = codex.connector.plan_narrow(grant, tools("git_log")) if narrow else codex.connector.plan_revoke(grant)

    codex.apply(plan)

    assert codex.connector.verify(plan).state == "gone"
    (text,) = codex.texts().values()
    assert ("git_log" in text, "git_add" in text) == (narrow, False)
    assert 'url = "https://e.org"' in text
    codex.apply(codex.connector.plan_restore(plan))
    assert edits.load(next(iter(codex.texts().values())), toml=True) == edits.load(
        next(iter(before.values())), toml=True
    )


def test_what_is_open_stays_open_but_for_the_tools_that_are_taken(gemini: Place) -> None:
    target = Permission.from_json(
        {
            "dialect": "tools",
            "statements": [{"actions": {"include": ["*"], "exclude": ["x"]}, "resources": ["server:b"]}],
        }
    )

    gemini.apply(gemini.connector.plan_narrow(gemini.grant("b:"), target))

    assert gemini.grant("b:").permission.digest() == target.digest()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (tools("git_log", "git_push"), "not inside"),
        (tools("git_log", server="other"), "not inside"),
        (tools("git_x*"), "not inside"),
        (
            Permission.from_json(
                {"dialect": "tools", "statements": [{"actions": ["git_log"], "resources": ["server:git"],
                                                    "until": "2027-01-01T00:00:00Z"}]}
            ),
            "end date",
        ),
    ],
)  # fmt: skip
def test_a_target_that_a_list_cannot_say_is_refused(gemini: Place, target: Permission, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        gemini.connector.plan_narrow(gemini.grant("git:"), target)


def test_a_file_without_tool_lists_says_what_would_allow_narrowing(claude: Place) -> None:
    with pytest.raises(NotPossible, match=r"no list of tools.*includeTools.*gateway"):
        claude.connector.plan_narrow(claude.grant("git: every"), tools("git_log"))


def test_an_allow_entry_is_replaced_by_named_tools_in_its_place(claude: Place) -> None:
    before = claude.texts()
    plan = claude.connector.plan_narrow(claude.grant("without asking"), tools("git_log", "git_status"))

    claude.apply(plan)

    allow = json.loads(claude.texts()["app/.claude/settings.json"])["permissions"]["allow"]
    assert allow == ["Bash(ls)", "mcp__git__git_log", "mcp__git__git_status", "Read"]
    assert claude.connector.verify(plan).state == "gone"
    assert any("ask a person" in sentence for sentence in plan.side_effects)
    claude.apply(claude.connector.plan_restore(plan))
    assert claude.texts() == before


def test_a_tool_that_another_scope_still_allows_is_still_effective(tmp_path: Path) -> None:
    user = {"mcpServers": {"git": {"command": "g"}}}
    place = Place(tmp_path, {"app/.mcp.json": user, "ann/.claude.json": user})
    grant = _grant_in(place, "app/.mcp.json")

    plan = place.apply(place.connector.plan_revoke(grant))

    seen = place.connector.verify(plan)
    assert seen.state == "still_effective"
    assert "ann/.claude.json" in seen.reason


def _grant_in(place: Place, name: str) -> GrantRef:
    (found,) = [
        each for each in place.connector.read()
        if each["type"] == "grant" and each["native_ref"]["file"] == str(place.paths[name])
    ]  # fmt: skip
    permission = Permission.from_json(found["permission"])
    return GrantRef(found["identity"], found["id"], permission, found["path"], found["native_ref"])


def test_a_secret_beside_a_definition_stays_on_its_machine(gemini: Place) -> None:
    plan = gemini.connector.plan_revoke(gemini.grant("git:"))

    gemini.apply(plan)

    assert SECRET not in json.dumps(plan.to_json())
    (aside,) = [path for path in gemini.paths["ann/.gemini/settings.json"].parent.iterdir() if ".remit-" in path.name]
    assert SECRET in aside.read_text()
    assert aside.stat().st_mode & 0o077 == 0
    gemini.apply(gemini.connector.plan_restore(plan))
    assert not aside.exists()


def test_what_was_set_aside_and_altered_is_not_put_back(gemini: Place) -> None:
    plan = gemini.apply(gemini.connector.plan_revoke(gemini.grant("git:")))
    aside = Path(plan.pre_image["edits"][0]["aside"])
    aside.write_text(aside.read_text().replace("mcp-server-git", "/tmp/evil"))
    before = gemini.texts()

    done = gemini.connector.execute(gemini.connector.plan_restore(plan))

    assert done.state is ExecutionState.BLOCKED
    assert gemini.texts() == before


def test_quarantine_switches_every_server_off_and_back_on(gemini: Place, codex: Place) -> None:
    for place in (gemini, codex):
        before = place.texts()
        plan = place.apply(place.connector.plan_quarantine(place.agent()))

        agent = next(each for each in place.connector.read() if each.get("kind") == "ai_agent")
        assert agent["status"] == "disabled"
        assert place.connector.verify(plan).state == "gone"
        place.apply(place.connector.plan_restore(plan))
        for name, text in place.texts().items():
            toml = name.endswith("toml")
            assert edits.load(text, toml=toml) == edits.load(before[name], toml=toml)


def test_a_list_that_somebody_changed_meanwhile_is_left_alone(gemini: Place) -> None:
    plan = gemini.connector.plan_narrow(gemini.grant("git:"), tools("git_log"))
    (path,) = gemini.paths.values()
    path.write_text(path.read_text().replace('"git_add"', '"git_add", "git_diff"'))
    before = gemini.texts()

    assert gemini.connector.execute(plan).state is ExecutionState.DRIFTED
    assert gemini.texts() == before


def test_an_edit_of_something_else_in_the_file_is_no_drift_and_is_kept(gemini: Place) -> None:
    plan = gemini.connector.plan_narrow(gemini.grant("git:"), tools("git_log"))
    (path,) = gemini.paths.values()
    path.write_text(path.read_text().replace('"theme": "x"', '"theme": "y"').replace(SECRET, "rotated-1"))

    gemini.apply(plan)

    assert '"theme": "y"' in path.read_text() and "rotated-1" in path.read_text()


def test_a_grant_that_the_file_no_longer_holds_is_planned_anew_after_a_reading(gemini: Place) -> None:
    grant = gemini.grant("git:")
    (path,) = gemini.paths.values()
    path.write_text(path.read_text().replace('"git_add"', '"git_diff"'))

    with pytest.raises(SourceChanged):
        gemini.connector.plan_revoke(grant)


def test_executing_twice_changes_once(gemini: Place) -> None:
    plan = gemini.apply(gemini.connector.plan_revoke(gemini.grant("git:")))
    after = gemini.texts()

    assert gemini.connector.execute(plan).state is ExecutionState.ALREADY_APPLIED
    assert gemini.texts() == after


@pytest.mark.parametrize("change", ["text", "call", "file", "aside"])
def test_a_plan_that_was_altered_in_storage_does_not_run(gemini: Place, tmp_path: Path, change: str) -> None:
    plan = gemini.connector.plan_revoke(gemini.grant("git:"))
    before = gemini.texts()
    edit = dict(plan.pre_image["edits"][0])
    match change:
        case "text":
            altered = replace(plan, steps=(Step("harmless", call=plan.steps[0].call),))
        case "call":
            altered = replace(plan, steps=(replace(plan.steps[0], call={"edits": []}),))
        case "file":
            altered = replace(plan, pre_image={**plan.pre_image, "edits": [{**edit, "file": "/etc/passwd"}]})
        case _:
            altered = replace(plan, pre_image={**plan.pre_image, "edits": [{**edit, "aside": str(tmp_path / "x")}]})

    assert gemini.connector.execute(altered).state is ExecutionState.BLOCKED
    assert gemini.texts() == before
    assert not (tmp_path / "x").exists()


def test_a_forged_plan_reads_and_writes_nothing_elsewhere(gemini: Place, tmp_path: Path) -> None:
    plan = gemini.connector.plan_revoke(gemini.grant("git:"))
    edit = replace(edits.Edit.from_json(plan.pre_image["edits"][0]), aside=str(tmp_path / "x"))
    forged = assemble("revoke", "a", "g", [edit], removes=(), keeps=(), scope="any", summary="")
    before = gemini.texts()

    assert gemini.connector.execute(forged).state is ExecutionState.BLOCKED
    assert gemini.texts() == before and not (tmp_path / "x").exists()


def test_a_plan_over_two_files_goes_on_from_where_it_was_cut(tmp_path: Path) -> None:
    servers = {"mcpServers": {"git": {"command": "g"}}}
    place = Place(
        tmp_path, {"app/.mcp.json": servers, "ann/.claude.json": {"projects": {str(tmp_path / "app"): servers}}}
    )
    before = place.texts()
    plan = place.connector.plan_quarantine(f"claude-code:{tmp_path / 'app'}")
    assert len(plan.stages) == 2

    edits.make([edits.Edit.from_json(each) for each in plan.steps[0].call["edits"]])
    done = place.connector.execute(plan)

    assert (done.state, done.evidence["resumed_at"]) == (ExecutionState.APPLIED, 1)
    assert place.connector.verify(plan).state == "gone"
    place.apply(place.connector.plan_restore(plan))
    assert place.texts() == before


def test_the_planned_inverse_is_what_a_restoration_does(gemini: Place) -> None:
    before = gemini.texts()
    plan = gemini.apply(gemini.connector.plan_revoke(gemini.grant("git:")))

    restore = gemini.connector.plan_restore(plan)
    assert [step.text for step in restore.steps[: len(restore.stages)]] == [step.text for step in plan.inverse]
    turned = replace(restore, steps=plan.inverse)
    places = [edits.Edit.from_json(each) for each in restore.pre_image["edits"]]
    carry_out(
        turned,
        look=lambda: edits.look(places),
        run=lambda step: edits.make([edits.Edit.from_json(each) for each in step.call["edits"]]),
    )

    assert gemini.texts() == before


def test_a_file_that_cannot_be_written_blocks_and_says_so(gemini: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = gemini.connector.plan_narrow(gemini.grant("git:"), tools("git_log"))
    before = gemini.texts()

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = gemini.connector.execute(plan)

    assert done.state is ExecutionState.BLOCKED
    assert "No space left" in done.reason
    assert gemini.texts() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    place = Place(tmp_path, {"dotfiles/gemini.json": {"mcpServers": {"git": GIT}}})
    link = tmp_path / "ann/.gemini/settings.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(place.paths["dotfiles/gemini.json"])
    place.paths = {"link": link}
    place.connector = MCP({"files": [str(link)]}, {})

    place.apply(place.connector.plan_narrow(place.grant("git:"), tools("git_log")))

    assert link.is_symlink()
    assert "git_add" not in link.read_text()
