"""Pages of posture in a real browser: accessible in both modes and widths, and never wider than the screen."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identities.models import Identity
from tests.identities.scores import make_score, make_stand, measure_now
from tests.looking import SIZES, faults_in_every_look
from tests.reviews import conftest as make

pytestmark = pytest.mark.browser

PLACES = (
    ("/", 200),
    ("/posture/", 200),
    ("/posture/rules/", 200),
    ("/posture/rules/NHI5-A/", 200),
    ("/posture/changes/", 200),
    ("/posture/changes/?from=2026-01-01&to=2025-01-01", 400),
    ("/posture/catalogues/", 200),
    ("/settings/posture-policy/", 200),
    ("/settings/posture-policy/edit/", 200),
    ("/settings/posture-policy/versions/1/", 200),
    ("/frameworks/", 200),
    ("/frameworks/pci_dss_4_0_1/", 200),
    ("/identities/?box=-unmeasured", 200),
)


def fill(shown: Any) -> Identity:
    """Scores for what is there and some more, with a past; the identity whose page is looked at."""
    now = timezone.now()
    inventory = shown.inventory
    places = [(1, 91.6), (4, 26.5), (2, 50.5), (3, 64.5), (0, 63.0), (2, None), (3, 12.0), (1, 55.0), (1, 57.0)]
    for number, (assurance, exposure) in enumerate(places):
        identity = make.make_identity(inventory.payments, name=f"worker-{number}")
        make_score(identity, assurance, exposure, has_excess=None if exposure is None else exposure > 50)
        make_stand(identity, 1, 88.0, since=now - timedelta(days=200), until=now - timedelta(days=5))
        make_stand(identity, assurance, exposure, since=now - timedelta(days=5), capped_by=["storage unknown"])
    make_score(
        inventory.etl, 1, 74.0, upper=3, exposure_low=53.0, failed=["NHI5-A", "NHI7-C"], passed=["NHI1-B"],
        not_assessable={"NHI2-A": ["not_covered"]}, capped_by=["storage unknown", "not changed for 412 days"],
        to_raise=["keep it in a sanctioned store, and report where"],
    )  # fmt: skip
    for days, exposure in ((300, 20.0), (200, 41.0), (100, 74.0)):
        make_stand(
            inventory.etl, 1, exposure, since=now - timedelta(days=days),
            until=None if days == 100 else now - timedelta(days=days - 100),
        )  # fmt: skip
    measure_now(day=now.date() - timedelta(days=120))
    measure_now(day=now.date())
    return inventory.etl


def test_every_page_of_posture_is_accessible_and_fits(
    shown: Any, new_page: Callable[..., Any], browser_problems: list[str]
) -> None:
    identity = fill(shown)
    page = new_page(**SIZES[0])
    page.context.add_cookies(shown.cookies)
    of_one = [(f"/identities/{identity.pk}/", 200), (f"/identities/{identity.pk}/posture/", 200)]

    for path, status in (*PLACES, *of_one):
        answer = page.goto(shown.site + path)
        assert answer.status == status, path
        page.evaluate("document.querySelectorAll('details.disclosure').forEach((each) => { each.open = true; })")
        assert faults_in_every_look(page) == [], path
    assert len(browser_problems) == 1, "only dates in the wrong order are answered with an error"
    assert "400" in browser_problems.pop()
