"""The drill: back up a running product while people work, lose the machine, restore elsewhere, go on."""

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.plugins.tree import OF_THE_TESTS, ROOT

pytestmark = pytest.mark.slow
PASSWORD = "a long drill password"
FILL = f"""
from django.utils import timezone
from governance.kernel.actors import Role
from governance.people.models import RoleAssignment, User
from identities.models import Identity, Source
from reviews.models import Order
person = User.objects.create_user("ada@example.org", {PASSWORD!r}, name="Ada")
RoleAssignment.objects.create(user=person, role=Role.ADMINISTRATOR)
source = Source.objects.create(slug="ledger", name="Ledger", kind="push")
now = timezone.now()
facts = dict(kind="database_user", first_seen_at=now, last_changed_at=now, content_hash=bytes(32))
identity = Identity.objects.create(source=source, external_id="svc", name="svc", **facts)
later = now + timezone.timedelta(days=1)
Order.objects.create(source=source, identity=identity, action="revoke", execute_after=later)
"""


def run(tree, *arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_TESTS}
    kept |= {"REMIT_EMBEDDED_DURABLE": "no", "REMIT_BACKUP_PASSPHRASE": "sixteen or more characters"} | environment
    outcome = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=kept, capture_output=True, text=True, check=False, timeout=300
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def sign_in(tree, email, password):
    """The page one lands on, as a browser would."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = opener.open(f"{tree.base_url}/accounts/login/").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = {"csrfmiddlewaretoken": token, "login": email, "password": password}
    opener.open(f"{tree.base_url}/accounts/login/", urllib.parse.urlencode(form).encode())
    return opener.open(f"{tree.base_url}/orders/restored/").read().decode()


def test_what_was_backed_up_under_load_lives_on_elsewhere_and_sends_nothing(new_tree, prepared_data, data_folder: Path):
    first = new_tree(data=prepared_data())
    first.wait_until_ready(seconds=300)
    run(first, "manage.py", "shell", "-v0", "-c", FILL, DATA_DIR=str(first.data))
    file, ended = data_folder.parent / "drill.backup", threading.Event()

    def work():
        with psycopg.connect(first.settings["DATABASE_URL"], autocommit=True) as connection:
            number = 0
            while not ended.is_set():
                number += 1
                row = (f"p{number}@example.org", f"Person {number}")
                connection.execute(
                    "INSERT INTO people_user (id, password, email, name, is_active, version, session_epoch, external_id)"
                    " VALUES (gen_random_uuid(), '!', %s, %s, true, 1, 0, '')",
                    row,
                )
                ended.wait(0.01)

    writer = threading.Thread(target=work)
    writer.start()
    said = run(first, "-m", "governance.embedded", "--data", str(first.data), "--backup", str(file), "--with-keys")
    ended.set()
    writer.join()
    assert "It holds the keys, sealed" in said
    for pid in (first.process.pid, *first.processes()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    first.process.wait()

    said = run(first, "-m", "governance.embedded", "--data", str(data_folder), "--restore", str(file), "--with-keys")

    assert "A NEW EPOCH of the audit trail has begun: remit.local/audit/2" in said
    assert "HELD: 1 sources" in said
    assert re.search(r"Trail: \d+ events, \d+ checkpoints matched, intact", said)
    second = new_tree(data=data_folder)
    second.wait_until_ready(seconds=180)
    with psycopg.connect(second.settings["DATABASE_URL"]) as connection:
        people, orders = connection.execute(
            "SELECT (SELECT count(*) FROM people_user), (SELECT count(*) FROM reviews_order WHERE state = 'planned')"
        ).fetchone()
        connection.execute("UPDATE reviews_order SET execute_after = now()")
        connection.commit()
    assert people > 1
    assert orders == 1
    page = sign_in(second, "ada@example.org", PASSWORD)
    assert "Ledger" in page and "1 order" in page  # held, though its time has come
    with psycopg.connect(second.settings["DATABASE_URL"]) as connection:
        (state,) = connection.execute("SELECT state FROM reviews_order").fetchone()
    assert state == "planned"
