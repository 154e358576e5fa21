"""What a person has in hand on a journey: a browser at the running product, a client of the governed server, a mailbox."""

import email
import email.policy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

REVIEWER = "mara.lindt@example.org"
ROOT = Path(__file__).resolve().parents[2]


class Ledger:
    """The governed server as its service roles see it."""

    def __init__(self, data: Path) -> None:
        known = json.loads((data / "demo-ledger.json").read_text())
        self._host, self._port, self._passwords = known["host"], known["port"], known["passwords"]

    def connect(self, role: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self._host,
            port=self._port,
            dbname="ledger",
            user=role,
            password=self._passwords[role],
            connect_timeout=5,
        )

    def may(self, role: str, statement: str) -> bool:
        """Try it for real, and take it back."""
        with self.connect(role) as connection:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
            finally:
                connection.rollback()
        return True

    def holds(self, role: str, right: str, table: str) -> bool:
        """As the server knows it, without trying: what is tried counts as use, and a reading may tell of it any moment."""
        with self.connect(role) as connection:
            row = connection.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone()
        return bool(row and row[0])

    def may_sign_in(self, role: str) -> bool:
        try:
            self.connect(role).close()
        except psycopg.OperationalError:
            return False
        return True

    def rights_on(self, table: str) -> str:
        """The table's access list as the server writes it."""
        with self.connect("migration_job") as connection:
            row = connection.execute("SELECT relacl::text FROM pg_class WHERE oid = %s::regclass", [table]).fetchone()
        return str(row[0]) if row else ""


class Person:
    """Somebody at the console."""

    def __init__(self, page: Any, tree: Any) -> None:
        self.page, self.tree = page, tree

    def sign_in(self, address: str = REVIEWER) -> "Person":
        text = (self.tree.data / "demo-signin.txt").read_text()
        password = re.search(r"Password of each: (\S+)", text)
        assert password
        self.page.goto(f"{self.tree.base_url}/accounts/login/")
        self.page.get_by_label("E-mail address").fill(address)
        self.page.get_by_label("Password").fill(password[1])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.tree.base_url}/")
        return self

    def open_question(self, identity: str, about: str) -> None:
        """From the inbox, as a person would find it. Opening a campaign is background work that takes seconds."""
        row = self.page.locator("tr, li").filter(has_text=identity).filter(has_text=about)
        for _ in range(240):
            self.page.goto(f"{self.tree.base_url}/inbox/")
            if row.count():
                break
            self.page.wait_for_timeout(500)
        row.first.get_by_role("link", name=identity).first.click()
        self.page.locator(".answer-form").wait_for()

    def choose(self, answer: str) -> None:
        """Tick an answer and wait until its consequences are shown."""
        with self._another_preview():
            self.page.locator(f'label[data-answer="{answer}"]').click()
        self.page.locator("#preview > *").first.wait_for(state="attached")

    def keep_only(self, *words: str) -> None:
        """Leave just the pieces ticked whose text begins with one of the words."""
        pieces = self.page.locator("label.piece")
        for index in range(pieces.count()):
            piece = pieces.nth(index)
            text = piece.locator(".piece-words").inner_text()
            box = piece.locator("input")
            wanted = text.startswith(words)
            if box.is_checked() != wanted:
                with self._another_preview():
                    box.set_checked(wanted)

    @contextmanager
    def _another_preview(self) -> Iterator[None]:
        """Until the page shows another preview in the place of this one: that comes after the server's answer."""
        before = self.page.locator("#preview").element_handle()
        yield
        self.page.wait_for_function("(before) => !before.isConnected", arg=before)

    def submit(self, reason: str) -> None:
        self.page.locator("#id_reason").fill(reason)
        self.page.locator(".answer-send").click()
        self.page.locator(".answered").wait_for()

    def open_order(self) -> None:
        self.page.locator(".answered a[href*='/orders/']").click()
        self.page.locator("#order-life").wait_for()

    def wait_for_state(self, label: str, seconds: int = 180) -> None:
        """The order's page refreshes itself; nobody presses anything."""
        self.page.locator("#order-life .badge", has_text=label).first.wait_for(timeout=seconds * 1000)


@pytest.fixture
def ledger(remit_tree: Any) -> Ledger:
    return Ledger(remit_tree.data)


@pytest.fixture
def person(remit_tree: Any, new_page: Callable[..., Any]) -> Callable[..., Person]:
    """`person(width=…, height=…)`: a new browser context at the console."""

    def arrive(**options: Any) -> Person:
        return Person(new_page(**({"width": 1440, "height": 900} | options)), remit_tree)

    return arrive


@pytest.fixture
def manage(remit_tree: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`manage("verify_audit")` in the environment of the running product."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=kept | remit_tree.settings | {"DATA_DIR": str(remit_tree.data)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def mailbox(remit_tree: Any, wait_for: Callable[..., Any]) -> Callable[[str], str]:
    """`mailbox(address)`: the link in the newest mail to this person."""

    def newest_link(address: str) -> str:
        def find() -> str:
            for path in sorted((remit_tree.data / "mail").glob("*"), reverse=True):
                for part in path.read_bytes().split(b"\n" + b"-" * 79):
                    letter = email.message_from_bytes(part.lstrip(), policy=email.policy.default)
                    if letter["To"] == address and (body := letter.get_body(("plain",))):
                        found = re.search(r"https?://\S+/m/\S+", body.get_content())
                        return found[0] if found else ""
            return ""

        return str(wait_for(find, 120))

    return newest_link
