"""Severity: a base that the identity's power and place move, with every step said."""

from uuid import UUID

import pytest

from identities.posture.policy import first_policy
from identities.posture.results import Severity
from identities.posture.rules import BY_ID, Judged
from identities.posture.rules.severity import plain
from identities.posture.rules.verdicts import failed
from tests.identities.posture.rules.cases import LEAK
from tests.identities.posture.rules.making import GONE, credential, facts, grant, privileged, with_credential

POLICY = first_policy()
HARMLESS = {"environment": "development", "grants": (grant(resource_environments=frozenset({"development"})),)}


def failure(rule: str, given) -> tuple[Severity | None, tuple[str, ...]]:
    (outcome,) = BY_ID[rule].assess(Judged(given), POLICY)
    return outcome.severity, outcome.arithmetic


def test_a_base_alone_is_said() -> None:
    assert failure("NHI10-B", facts(has_interactive_login=True)) == (Severity.MEDIUM, ("base: medium",))


def test_power_in_production_raises() -> None:
    assert failure("NHI10-B", facts(has_interactive_login=True, grants=(privileged(),))) == (
        Severity.HIGH,
        ("base: medium", "+1: privileged, and reaches production"),
    )


def test_power_that_only_reaches_into_production_raises_too() -> None:
    level, _ = failure("NHI10-B", facts(has_interactive_login=True, environment="staging", grants=(privileged(),)))

    assert level is Severity.HIGH


def test_harmless_outside_production_lowers() -> None:
    assert failure("NHI10-B", facts(has_interactive_login=True, **HARMLESS)) == (
        Severity.LOW,
        ("base: medium", "−1: neither in production nor privileged"),
    )


@pytest.mark.parametrize(
    "unknown",
    [
        {"environment": GONE},
        {"environment": "unknown"},
        {"grants": (grant(is_parsed=False, resource_environments=frozenset()),)},
    ],
    ids=str,
)
def test_what_is_unknown_lowers_nothing(unknown) -> None:
    level, arithmetic = failure("NHI10-B", facts(**({"has_interactive_login": True, **HARMLESS} | unknown)))

    assert (level, len(arithmetic)) == (Severity.MEDIUM, 1)


def test_there_is_nothing_above_critical_and_that_is_said() -> None:
    level, arithmetic = failure(
        "NHI2-B", facts(grants=(privileged(),), credentials=(credential(attributes={"leaks": [LEAK]}),))
    )

    assert level is Severity.CRITICAL
    assert arithmetic == (
        "base: critical",
        "+1: privileged, and reaches production",
        "+1: the credential lies open to everybody",
        "critical is the highest there is",
    )


def test_there_is_nothing_below_low() -> None:
    level, arithmetic = failure("NHI8-D", facts(
        **HARMLESS, trusts=(_shared_trust(),)
    ))  # fmt: skip

    assert (level, arithmetic[-1]) == (Severity.LOW, "low is the lowest there is")


def _shared_trust():
    from tests.identities.posture.rules.making import with_trust

    (trust,) = with_trust(issuer_environments=frozenset({"production", "development"})).trusts
    return trust


@pytest.mark.parametrize(("is_public", "level"), [(True, Severity.CRITICAL), (False, Severity.HIGH)])
def test_an_exposed_secret_is_critical_in_public_and_high_inside(is_public, level) -> None:
    found, _ = failure("NHI2-A", with_credential(attributes={"leaks": [LEAK | {"is_public": is_public}]}))

    assert found is level


def test_an_administrator_in_production_is_critical() -> None:
    assert failure("NHI5-A", facts(grants=(privileged(is_admin_equivalent=True),)))[0] is Severity.CRITICAL


def test_advice_is_never_raised() -> None:
    level, arithmetic = failure(
        "NHI4-E", facts(grants=(privileged(),), credentials=(credential(sender_constrained=False),))
    )

    assert (level, arithmetic) == (Severity.LOW, ("base: low", "advice only: never raised"))


def test_a_base_that_differs_says_why() -> None:
    assert failure("NHI1-B", facts(people=(), **HARMLESS))[1][0] == "base: medium, outside production"


def test_a_rule_without_a_base_cannot_fail() -> None:
    with pytest.raises(ValueError, match="can't fail"):
        plain(BY_ID["NHI2-D"], failed(of=UUID(int=1)))
