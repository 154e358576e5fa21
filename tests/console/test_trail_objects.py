"""Every kind of object that the product writes into the trail has a name for people."""

import re
from pathlib import Path

from governance.audit.actions import Verb
from governance.console.trail_filter import NOUNS, TrailForm
from governance.console.trail_objects import KINDS, name_of, url_of

ROOT = Path(__file__).parents[2]
WRITTEN = re.compile(r'Subject\(\s*"([a-z_]+)"')


def test_whatever_is_recorded_can_be_chosen_by_a_plain_name() -> None:
    written = {
        kind
        for app in ("governance", "identities", "reviews")
        for path in (ROOT / app).rglob("*.py")
        for kind in WRITTEN.findall(path.read_text(encoding="utf-8"))
    }

    assert {"order", "evidence_pack", "hold"} <= written
    assert written - KINDS.keys() == set()


def test_what_has_no_page_leads_nowhere() -> None:
    assert url_of("hold", "1", "") == ""
    assert url_of("never_heard_of", "1", "") == ""


def test_what_happened_is_chosen_by_words_and_never_by_the_names_of_programs() -> None:
    assert {verb.value.split(".")[0] for verb in Verb} == NOUNS.keys()

    labels = [label for _, label in TrailForm().fields["verb"].choices]  # type: ignore[attr-defined]

    assert "Anything about requests for access" in labels
    assert len(labels) == len(set(labels)) and not [label for label in labels if "_" in label]


def test_what_there_is_one_of_is_called_by_its_kind_alone() -> None:
    assert name_of("findings", "all", "findings") == "Findings, pass by pass"
    assert name_of("freeze", "0197-abcd-ef", "") == "Freeze 0197-abc"
