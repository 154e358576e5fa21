"""The documents name everything that there is to name, and their links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest
from django.apps import apps

from governance.audit.actions import Verb
from identities.connectors.registry import kinds

ROOT = Path(__file__).resolve().parents[2]
OURS = {"governance", "identities", "reviews"}
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# What `env` reads: env.str("NAME"), env.int("NAME", …) and so on.
READERS = {"str", "int", "bool", "list", "db_url", "email_url", "float", "json", "path"}


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def settings_from_the_environment() -> set[str]:
    tree = ast.parse((ROOT / "governance" / "settings.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READERS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_setting_has_its_row() -> None:
    described = set(
        re.findall(r"`([A-Z][A-Z0-9_]+)`", "\n".join(re.findall(r"^\|([^|]*)\|", read("settings.md"), re.M)))
    )

    assert settings_from_the_environment() - described == set(), "add a row to docs/settings.md"


def test_no_row_describes_a_setting_that_is_gone() -> None:
    code = "\n".join(
        path.read_text()
        for path in [*ROOT.glob("governance/**/*.py"), ROOT / "Makefile", *ROOT.glob(".ci/*")]
        if path.is_file()
    )
    described = re.findall(r"`([A-Z][A-Z0-9_]+)`", "\n".join(re.findall(r"^\|([^|]*)\|", read("settings.md"), re.M)))

    assert [name for name in described if name not in code] == []


@pytest.mark.parametrize("verb", list(Verb), ids=str)
def test_every_audit_verb_is_explained(verb: Verb) -> None:
    assert f"`{verb.value}`" in read("audit.md")


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_connector_has_its_heading(kind: str) -> None:
    headings = re.findall(r"^#+ .*", read("connectors.md"), re.M)

    assert any(kind in heading.lower() for heading in headings)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_documents_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", file):
            continue
        goal = (path.parent / file).resolve() if file else path
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(goal)):
            broken.append(target)

    assert broken == []


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*)", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_documents_do_not_name_files_that_are_gone() -> None:
    missing = []
    for path in DOCUMENTS:
        if path.parent.name == "adr":
            continue  # decisions may name what was rejected
        for name in re.findall(
            r"`((?:governance|identities|reviews|tests|docs|static|templates)/[\w./-]+)`", path.read_text()
        ):
            if not (ROOT / name).exists():
                missing.append(f"{path.name}: {name}")

    assert missing == []


def test_every_command_of_ours_is_named_somewhere() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    ours = [Path(app.path) for app in apps.get_app_configs() if app.name.split(".")[0] in OURS]
    commands = {
        file.stem
        for folder in ours
        for file in (folder / "management" / "commands").glob("*.py")
        if not file.stem.startswith("_")
    }

    assert {command for command in commands if not re.search(rf"\b{command}\b", text)} == set()
