"""The arithmetic of the method, to be followed by hand (docs/posture.md)."""

import pytest

from identities.posture.assurance import assess_assurance
from identities.posture.exposure import assess_exposure, box_of
from identities.posture.facts import IdentityFacts
from identities.posture.policy import FACTORS, first_policy
from tests.identities.posture import worked

POLICY = first_policy()


@pytest.mark.parametrize(
    ("facts", "points", "exposure", "band", "assurance", "box"),
    [
        (worked.CI_DEPLOY, (30, 15, 15, 12, 9.6, 5, 5), (91.6, 91.6), "critical", 1, "unproven_broad"),
        (worked.LEDGER_READER, (4.5, 2, 0, 15, 0, 0, 5), (26.5, 26.5), "limited", 4, "proven_contained"),
        (worked.SUPPORT_AGENT, (21, 5, 0, 12, 5, 5, 2.5), (50.5, 50.5), "broad", 2, "unproven_broad"),
        (worked.EKS_NODE, (13.5, 15, 9, 12, 7, 3, 5), (64.5, 64.5), "broad", 3, "proven_broad"),
        (worked.LEGACY_ERP, (21, 10, 0, 12, (0, 10), 5, 5), (53, 63), "broad", 0, "unproven_broad"),
    ],
    ids=["ci-deploy", "ledger-reader", "support-agent", "eks-node", "legacy-erp"],
)
def test_a_worked_example_comes_out_as_written(
    facts: IdentityFacts,
    points: tuple[float | tuple[float, float], ...],
    exposure: tuple[float, float],
    band: str,
    assurance: int,
    box: str,
) -> None:
    scored = assess_exposure(facts, POLICY)
    proven = assess_assurance(facts, POLICY)

    ranges = {
        name: pair if isinstance(pair, tuple) else (pair, pair) for name, pair in zip(FACTORS, points, strict=True)
    }
    assert {factor.name: (factor.low, factor.high) for factor in scored.factors} == ranges
    assert (scored.low, scored.high, scored.worst_case) == (*exposure, exposure[1])
    assert scored.is_assessable and (scored.best_band, scored.band) == (band, band)
    assert proven.lower == assurance
    assert box_of(proven, scored, POLICY) == box


def test_what_caps_an_old_key_is_said_with_its_date() -> None:
    proven = assess_assurance(worked.CI_DEPLOY, POLICY)

    assert (proven.lower, proven.upper) == (1, 1)
    assert "storage unknown" in proven.capped_by
    assert any(each.startswith("not renewed since 2025-09-07") for each in proven.capped_by)
    assert "rotate it, or give it an end" in proven.to_raise
