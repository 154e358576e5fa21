"""How long things take is counted by every process, outlives it, and never gets into anybody's way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from governance import measuring
from tests.console.test_metrics import figures_of

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "import django; django.setup(); from governance import measuring; "
ASKED = 'remit_decision_seconds_count{asked="batch"}'


def run(script, folder, **more):
    """A process of its own that counts into the folder, and has ended."""
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        cwd=ROOT,
        env=os.environ | {"METRICS_DIR": str(folder)} | more,
        capture_output=True,
        text=True,
        check=False,
    )


def told(folder):
    outcome = run("print(measuring.tell() or 'nothing')", folder)
    assert outcome.returncode == 0, outcome.stderr
    return figures_of("\n".join(line for line in outcome.stdout.splitlines() if line.startswith(("remit_", "#"))))


def test_what_processes_counted_is_added_up_and_outlives_a_killed_one(tmp_path):
    count = "[measuring.note_decisions(asked='batch', seconds=0.004) for _ in range(5)]; "
    run(count, tmp_path)
    killed = run(count + "import os; os.kill(os.getpid(), 9)", tmp_path)

    first, again = told(tmp_path), told(tmp_path)

    assert killed.returncode == -signal.SIGKILL
    assert first[ASKED] == again[ASKED] == 10
    assert first['remit_decision_seconds_bucket{asked="batch",le="0.0025"}'] == 0
    assert first['remit_decision_seconds_bucket{asked="batch",le="0.005"}'] == 10
    assert first['remit_decision_seconds_sum{asked="batch"}'] == pytest.approx(0.04)


def test_files_of_processes_that_are_no_more_become_one(tmp_path):
    count = "measuring.note_task(task='t', state='SUCCESS', seconds=1)"
    for number in range(4):
        run(count, tmp_path)
        assert told(tmp_path)['remit_task_seconds_count{state="SUCCESS",task="t"}'] == number + 1

    assert [file.name for file in tmp_path.glob("*.db")] == ["histogram_gone.db"]


def test_a_process_that_lives_keeps_its_file_and_one_that_was_forked_has_its_own(tmp_path):
    script = """
import os, sys
measuring.note_wait(queue="q", seconds=1)
child = os.fork()
measuring.note_wait(queue="q", seconds=1)
if child == 0: os._exit(0)
os.waitpid(child, 0)
before = sorted(file.name for file in measuring._folder().glob("*.db"))
measuring.begin_anew()
after = sorted(file.name for file in measuring._folder().glob("*.db"))
text = measuring.tell()
assert before == sorted([f"histogram_{os.getpid()}.db", f"histogram_{child}.db"]), before
assert after == [f"histogram_{os.getpid()}.db"], after
assert 'remit_task_wait_seconds_count{queue="q"} 2.0' in text, text
"""
    outcome = run("\n" + script, tmp_path)

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("where", ["", "/proc/nowhere", "file"])
def test_a_process_that_cannot_write_there_works_and_counts_nothing(tmp_path, where):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / where / "below" if where == "file" else where
    count = "[measuring.note_request(view='v', method='GET', status=200, seconds=1) for _ in range(3)]; "

    outcome = run(count + "print('told', repr(measuring.tell())); measuring.begin_anew()", folder)

    told = "told None" if where else "told ''"
    assert (outcome.returncode, told in outcome.stdout) == (0, True), outcome.stderr
    assert outcome.stderr.count("latencies_off") == (1 if where else 0)
    assert not (ROOT / "lock").exists()


def test_what_callers_choose_makes_no_series_and_a_process_keeps_within_its_room(tmp_path):
    outcome = run(
        "import os\n"
        "for n in range(50): measuring.note_request(view='v', method=f'M{n}', status=200, seconds=1)\n"
        "print('few', len(measuring._Process.series))\n"
        "long = 'identities:' + 'x' * 40\n"
        "for n in range(measuring.MOST + 300): "
        "measuring.note_request(view=long + str(n), method='OPTIONS', status=200, seconds=1)\n"
        "file = measuring._folder() / f'histogram_{os.getpid()}.db'\n"
        "print([line for line in measuring.tell().splitlines() if '_count{' in line and 'view=\"other' in line])\n"
        "print('size', file.stat().st_size, 'used', int.from_bytes(file.read_bytes()[:4], 'little'))\n",
        tmp_path,
    )

    assert "few 1\n" in outcome.stdout, outcome.stderr
    assert """['remit_request_seconds_count{method="OPTIONS",status="2xx",view="other"} 301.0']""" in outcome.stdout
    (line,) = [each.split() for each in outcome.stdout.splitlines() if each.startswith("size")]
    assert int(line[1]) == measuring.ROOM > int(line[3]) > measuring.ROOM // 2


def test_a_task_says_how_long_it_waited_and_ran_and_how_it_ended(tmp_path):
    script = """
import time
from celery import current_app, shared_task
from celery.contrib.testing.worker import start_worker

@shared_task(name="tests.measured")
def measured(fails, **kwargs):
    if fails: raise ValueError("as wanted")

sent = [measured.apply_async(kwargs={"fails": fails}, queue="measured") for fails in (False, True)]
sent.append(measured.apply_async(kwargs={"fails": False}, queue="measured", countdown=0.1))
app = current_app._get_current_object()
with start_worker(app, pool="solo", perform_ping_check=False, queues=["measured"], loglevel="ERROR"):
    for _ in range(1200):
        text = measuring.tell()
        if text.count("remit_task_seconds_count") == 2 and 'SUCCESS",task="tests.measured"} 2.0' in text: break
        time.sleep(0.05)
print(measuring.tell())
"""
    outcome = run("\n" + script, tmp_path, CELERY_BROKER_URL="memory://")

    found = figures_of("\n".join(line for line in outcome.stdout.splitlines() if line.startswith("remit_")))
    counts = {name: value for name, value in found.items() if "_count{" in name}
    assert counts == {
        'remit_task_seconds_count{state="SUCCESS",task="tests.measured"}': 2,
        'remit_task_seconds_count{state="FAILURE",task="tests.measured"}': 1,
        'remit_task_wait_seconds_count{queue="measured"}': 2,
    }, outcome.stderr


def test_without_a_database_metrics_says_so_and_still_tells_latencies(tmp_path):
    script = """
from django.test import Client
for headers in ({}, {"X-Forwarded-For": "127.0.0.1", "Authorization": "Bearer remit_0a1b2c3d_guessed"}):
    answer = Client().get("/metrics", headers=headers)
    print("status", answer.status_code)
    print(answer.content.decode())
"""
    run("measuring.note_decisions(asked='batch', seconds=0.004)", tmp_path)
    outcome = run(
        "\n" + script,
        tmp_path,
        METRICS_ALLOWED_ADDRESSES="127.0.0.1",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere",
        ALLOWED_HOSTS="testserver",
    )

    first, _, second = outcome.stdout.partition("status 503")
    assert first.startswith("status 200") and "The database does not answer." in second, outcome.stdout
    found = figures_of("\n".join(line for line in first.splitlines() if line.startswith("remit_")))
    assert (found["remit_database_up"], found[ASKED], found['remit_group_failed{group="orders"}']) == (0, 1, 1)
    assert "remit_" not in second
