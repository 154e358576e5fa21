"""Two web processes on one database, each with a memory of its own: a revocation holds at the next request of both."""

import json
import os
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
from django.db import transaction
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.people.models import User
from governance.people.tokens import create_token
from identities.models import Source
from identities.services.review_facts import note_review, withhold
from tests.identities.decisions.world import World
from tests.plugins.brokers import free_port

ROOT = Path(__file__).resolve().parents[3]
BODY = {
    "subject": {"type": "identity", "id": "agent"},
    "action": {"name": "read_file"},
    "resource": {"type": "server", "id": "files"},
}


class Web:
    """One web process with one worker, and a program that asks it."""

    def __init__(self, url: str, token: str) -> None:
        self.port = free_port()
        self.token = token
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--workers",
            "1",
            "--workers-kill-timeout",
            "5",
        ]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "governance.wsgi:application"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "ALLOWED_HOSTS": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def permits(self) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/access/v1/evaluation",
            data=json.dumps(BODY).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["decision"]

    def end(self) -> None:
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait(self) -> None:
        why: object = None
        for _ in range(600):
            try:
                self.permits()
            except urllib.error.HTTPError as error:
                pytest.fail(f"{error.code}: {error.read()!r}")
            except OSError as error:
                why = error
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"the server did not start: {why}")


@pytest.fixture
def webs(committed_db: Any) -> Iterator[tuple[Web, Web]]:
    call_command("createcachetable", verbosity=0)
    now = timezone.now()
    _, token = create_token(
        name="pep",
        scopes=["pdp:decide"],
        expires_at=now + timedelta(days=1),
        actor=system_actor("test"),
        now=now,
        accountable=User.objects.create_user("tomas.rey@example.org", name="Tomás Rey"),
    )
    both = Web(committed_db.url, token), Web(committed_db.url, token)
    try:
        yield both
    finally:
        for web in both:
            web.process.terminate()
        for web in both:
            web.end()


@pytest.mark.slow
def test_a_revocation_and_an_approval_hold_at_the_next_request_of_either_process(webs: tuple[Web, Web]) -> None:
    world = World()
    Source.objects.update(last_success_at=timezone.now())
    grant = world.grant(world.identity("agent"))
    digest = {grant.pk: bytes(grant.versions.get().digest)}
    for web in webs:
        web.wait()
        assert web.permits() and web.permits()
    for _ in range(3):
        with transaction.atomic():
            withhold(narrowed={grant.pk: None}, now=timezone.now())
        assert [web.permits() for web in webs] == [False, False]
        with transaction.atomic():
            note_review(grant_ids=digest, digest_by_grant=digest, approved_until=None, now=timezone.now())
        assert [web.permits() for web in webs] == [True, True]
