"""NHI4-F: where being signed in is all that is asked, the identity can do what its application can do."""

import pytest

from identities.posture.policy import first_policy
from identities.posture.results import Result, Severity
from identities.posture.rules import BY_ID, Judged
from identities.posture.rules.application import classes_in_reach, is_privileged_in_reach
from tests.identities.posture.rules.making import facts

POLICY = first_policy()
# A reader's account in a system that gives whoever signs in everything, such as an old ERP.
ERP = {"authz_model": "login_implies_all", "attributes": {"application_classes": ["write", "destructive", "admin"]}}


def test_the_classes_are_those_of_the_application() -> None:
    assert classes_in_reach(facts(**ERP)) == {"read", "write", "destructive", "admin"}
    assert is_privileged_in_reach(facts(**ERP))
    assert not facts(**ERP).is_privileged


@pytest.mark.parametrize("model", ["per_request", "roles"])
def test_an_application_that_decides_gives_no_more_than_is_granted(model: str) -> None:
    assert classes_in_reach(facts(**(ERP | {"authz_model": model}))) == {"read"}


def test_the_failure_is_as_bad_as_the_application_and_says_what_that_can_do() -> None:
    (outcome,) = BY_ID["NHI4-F"].assess(Judged(facts(**ERP)), POLICY)

    assert (outcome.result, outcome.severity) == (Result.FAIL, Severity.CRITICAL)
    assert outcome.evidence["application_can"] == ["admin", "destructive", "read", "write"]
    assert outcome.arithmetic == ("base: high", "+1: privileged, and reaches production")


def test_a_harmless_application_is_less_bad() -> None:
    (outcome,) = BY_ID["NHI4-F"].assess(Judged(facts(authz_model="login_implies_all")), POLICY)

    assert outcome.severity is Severity.HIGH
