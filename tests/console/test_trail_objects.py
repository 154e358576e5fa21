"""Every kind of object that the product writes into the trail has a name for people."""

import re
from pathlib import Path

from governance.console.trail_objects import KINDS, url_of

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
