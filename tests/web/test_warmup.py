"""Web processes are warm before their first request; asked in processes of their own, because it changes the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from governance.web.warmup import THRESHOLD

ROOT = Path(__file__).resolve().parents[2]
LOOK = """
import gc, json
import governance.wsgi
from django.forms.renderers import get_default_renderer
from django.template.loader import engines
from django.urls import get_resolver
loaders = engines["django"].engine.template_loaders
print(json.dumps({
    "frozen": gc.get_freeze_count(),
    "threshold": gc.get_threshold(),
    "templates": sum(len(loader.get_template_cache) for loader in loaders),
    "widgets": len(get_default_renderer().engine.env.cache),
    "has_addresses": get_resolver()._populated,
}))
"""


def look(**environment: str) -> dict[str, object]:
    outcome = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return dict(json.loads(outcome.stdout.strip().rpartition("\n")[2]))


@pytest.fixture(scope="module")
def warm() -> dict[str, object]:
    return look()


def test_what_a_worker_loads_for_good_is_out_of_the_collectors_sight(warm: dict[str, object]) -> None:
    assert int(str(warm["frozen"])) > 100_000


def test_full_collections_are_rarer_and_young_ones_stay_short(warm: dict[str, object]) -> None:
    assert warm["threshold"] == list(THRESHOLD)
    assert THRESHOLD[0] <= 1_000 and THRESHOLD[2] > 10


def test_addresses_and_templates_are_ready_before_the_first_request(warm: dict[str, object]) -> None:
    ours = len(list((ROOT / "templates").rglob("*.html")))
    assert warm["has_addresses"]
    assert int(str(warm["templates"])) >= ours > 50
    assert int(str(warm["widgets"])) > 30


def test_a_worker_starts_although_the_database_is_away() -> None:
    without = look(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere")
    assert int(str(without["frozen"])) > 100_000
