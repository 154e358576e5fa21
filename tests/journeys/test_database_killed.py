"""kill -9 of the database while a reading is taken in: no half-applied state, nothing lost, nothing doubled."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
NUMBER = 20_000
NAME = "the import that is killed"
REGISTER = """
from django.utils import timezone
from governance.kernel.actors import system_actor
from identities.services.sources import register_source
register_source(slug="killed", name="Killed in the middle", kind="push", environment="staging", settings={},
                actor=system_actor("test"), now=timezone.now())
"""


def test_a_database_killed_in_mid_reading_keeps_the_old_state_whole(
    remit_tree: Any, manage: Callable[..., Any], tmp_path: Path, wait_for: Callable[..., Any]
) -> None:
    file = tmp_path / "estate.ndjson"
    file.write_bytes(_estate(NUMBER))
    registered = manage("shell", "-v0", "-c", REGISTER)
    assert registered.returncode == 0, registered.stderr

    with closing(psycopg.connect(remit_tree.settings["DATABASE_URL"])) as holder:
        # Written after the identities themselves: whoever gets here has written all of them and committed nothing.
        holder.execute("LOCK TABLE identities_identityversion IN SHARE MODE")
        process = _start_import(remit_tree, file)
        wait_for(lambda: _is_held_up(remit_tree), 120)
        remit_tree.kill("postgres")
        said, _ = process.communicate(timeout=120)

    assert process.returncode != 0
    assert "Traceback" not in said
    remit_tree.wait_until_ready(seconds=90)
    assert _identities(remit_tree) == 0
    again = manage("import", "killed", str(file), "--complete")
    assert again.returncode == 0, again.stderr
    assert _identities(remit_tree) == NUMBER
    assert manage("verify_audit").returncode == 0


def _estate(number: int) -> bytes:
    lines = [
        json.dumps({"type": "identity", "id": f"account-{index}", "kind": "service_account"}).encode()
        for index in range(number)
    ]
    return b"\n".join([*lines, json.dumps({"type": "end", "records": number}).encode(), b""])


def _start_import(tree: Any, file: Path) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return subprocess.Popen(
        [sys.executable, "manage.py", "import", "killed", str(file), "--complete"],
        cwd=ROOT,
        env=kept | tree.settings | {"DATA_DIR": str(tree.data), "PGAPPNAME": NAME},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _is_held_up(tree: Any) -> bool:
    """Whether the import's one transaction waits for the table that is held."""
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
            " WHERE NOT l.granted AND l.relation = 'identities_identityversion'::regclass"
            " AND a.application_name = %s",
            [NAME],
        ).fetchone()
    return bool(row and row[0])


def _identities(tree: Any) -> int:
    with psycopg.connect(tree.settings["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT count(*) FROM identities_identity i JOIN identities_source s ON s.id = i.source_id"
            " WHERE s.slug = 'killed' AND i.retired_at IS NULL"
        ).fetchone()
    assert row
    return int(row[0])
