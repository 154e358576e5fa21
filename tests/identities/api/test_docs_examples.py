"""docs/api.md is run as it is written, block by block, against a server of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.people.models import User
from governance.people.tokens import create_token
from identities.models import Change, Identity, IdentityKind, SyncRun
from identities.sync.records import RECORD_TYPES
from tests.plugins.brokers import free_port

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"^```(bash|json|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def has_all(expected: Any, found: Any) -> bool:
    """Whether the answer says at least what the page shows."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and has_all(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(has_all, expected, found))
    return bool(expected == found)


@pytest.fixture
def server(committed_db: Any) -> Iterator[dict[str, str]]:
    """Remit's web process on the test's own database; yields the variables that the page asks for."""
    call_command("createcachetable", verbosity=0)
    person = User.objects.create_user("tomas.rey@example.org", name="Tomás Rey")
    now = timezone.now()
    _, token = create_token(
        name="docs",
        scopes=["sync:write", "inventory:read", "inventory:write"],
        expires_at=now + timedelta(days=1),
        actor=system_actor("test"),
        now=now,
        accountable=person,
    )
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "governance.wsgi:application",
        ],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": committed_db.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url)
        yield {"REMIT_URL": url, "REMIT_TOKEN": token}
    finally:
        process.terminate()
        process.wait(20)


def wait_until_it_answers(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api/v1/sources/", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server did not start")


def run_block(language: str, text: str, folder: Path, variables: dict[str, str]) -> str:
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's examples use curl, which is not installed")
def test_every_example_does_what_the_page_says(server: dict[str, str], tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    assert [language for language, _ in blocks].count("bash") >= 7
    output = ""
    for language, text in blocks:
        if language == "json":
            assert has_all(json.loads(text), json.loads(output)), f"the page shows {text}\nthe server said {output}"
        else:
            output = run_block(language, text, tmp_path, server)
    assert output.startswith("applied")
    assert Identity.objects.get(external_id="role/ledger-etl").owner.email == "tomas.rey@example.org"


@pytest.mark.parametrize("with_end", [True, False])
def test_a_body_without_announced_length_must_say_where_it_ends(
    with_end: bool, server: dict[str, str], tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {server['REMIT_TOKEN']}", "Content-Type": "application/x-ndjson"}
    from identities.models import Source

    Source.objects.create(slug="aws", name="AWS", kind="push")
    lines = [b'{"type":"identity","id":"i%d","kind":"bot"}\n' % n for n in range(5_000)]
    body = iter([*lines, b'{"type":"end","records":5000}\n'] if with_end else lines)
    request = urllib.request.Request(f"{server['REMIT_URL']}/api/v1/sources/aws/syncs/", data=body, headers=headers)

    if with_end:
        assert json.load(urllib.request.urlopen(request, timeout=60))["records"] == 5_000
    else:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert json.load(refused.value)["errors"][0]["code"] == "no-end"


def test_an_upload_that_breaks_off_applies_nothing(server: dict[str, str]) -> None:
    import http.client

    from identities.models import Source

    Source.objects.create(slug="aws", name="AWS", kind="push")
    connection = http.client.HTTPConnection(server["REMIT_URL"].removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/api/v1/sources/aws/syncs/")
    for name, value in {
        "Authorization": f"Bearer {server['REMIT_TOKEN']}",
        "Content-Type": "application/x-ndjson",
        "Content-Length": "100000",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b'{"type":"identity","id":"etl","kind":"bot"}\n')
    connection.close()

    time.sleep(1)
    assert not SyncRun.objects.exists() and not Change.objects.exists()


def test_the_page_describes_every_record_type_and_field() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", PAGE.read_text(), re.MULTILINE | re.DOTALL))

    assert list(sections) == list(RECORD_TYPES)
    for kind, fields in RECORD_TYPES.items():
        described = {
            name
            for row in re.findall(r"^\| (`[^|]+) \|", sections[kind], re.MULTILINE)
            for name in re.findall(r"`(\w+)`", row)
        }
        assert described == set(fields), kind
    assert all(f"`{kind}`" in sections["identity"] for kind in IdentityKind.values)
