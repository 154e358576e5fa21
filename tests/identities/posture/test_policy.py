"""A policy is checked field by field; one sentence per bad field, and nothing that could lower a score by accident."""

from typing import Any

import pytest

from identities.posture.policy import InvalidPolicy, first_document, first_policy, parse_policy
from identities.posture.rules.thresholds import number


def changed(at: str, value: Any) -> dict[str, Any]:
    document = first_document()
    *path, last = at.split(".")
    place: Any = document
    for step in path:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def test_the_delivered_policy_stands() -> None:
    policy = first_policy()

    assert sum(policy.weights.values()) == 100
    assert [policy.band_of(score) for score in (0, 24.9, 25, 49.9, 50, 74.9, 75, 100)] == [
        *("contained", "contained", "limited", "limited", "broad", "broad", "critical", "critical"),
    ]
    assert number(policy, "dormant_days") == 90


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        ("weights.breadth", 21, "must add up to 100; they add up to 101"),
        ("weights.breadth", "20", "must be a number"),
        ("weights.breadth", None, "is missing"),
        ("weights.luck", 5, "is no field of the policy"),
        ("values.breadth.one", 0.9, "must rise in this order: one, set, service, account, organisation"),
        ("values.privilege.admin", 1.5, "must lie between 0 and 1"),
        ("bands.broad", 80, "must rise: limited, broad, critical, each above 0"),
        ("thresholds.dormant_days", 3, "must lie between 7 and 3650"),
        ("thresholds.dormant_days", 90.5, "must be a whole number"),
        ("thresholds.exception_days", 400, "must lie between 1 and 365"),
        ("required_assurance.broad", 1, "must not fall from a band to the next"),
        ("picture", "everything", "must be a section with fields"),
        ("lists.bulk_read_breadths", ["galaxy"], "knows no galaxy; there are one, set, service, account, organisation"),
        ("lists.public_issuers", [1], "must be a list of texts"),
    ],
)
def test_a_bad_field_is_named_with_its_reason(at: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(changed(at, value), number=2)

    assert reason in [error["reason"] for error in refused.value.details["errors"]]
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize("document", [None, [], "policy", 7, {}, {"weights": []}])
def test_what_is_no_policy_at_all_is_refused_and_not_crashed_on(document: object) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(document, number=2)

    assert refused.value.details["errors"]


def test_every_bad_field_is_named_not_only_the_first() -> None:
    document = changed("weights.breadth", "many")
    document["floors"] = {}

    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(document, number=2)

    assert {error["pointer"] for error in refused.value.details["errors"]} >= {
        *("/weights/breadth", "/floors/direct_escalation", "/floors/admin_in_production"),
    }
