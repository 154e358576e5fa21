"""NHI4-F: where being signed in is all that is asked, the identity can do what its application can do."""

from typing import Any
from uuid import uuid4

import pytest

from identities.posture.facts import IdentityFacts
from identities.posture.legacy import application_grant, as_said
from identities.posture.policy import first_policy
from identities.posture.results import Result, Severity
from identities.posture.rules import BY_ID, Judged
from identities.selectors.authorization import Declared
from tests.identities.posture.rules.making import GRANT, facts

POLICY = first_policy()
SAYS = {"application_classes": ["write", "destructive", "admin", "fly"], "application_breadth": "service"}


def in_application(model: str, says: dict[str, Any]) -> IdentityFacts:
    """A reader's account in an old system such as an ERP, of which its source says how it decides and what it can do."""
    declared = as_said(Declared(model, (), "", "", "reading", None, 0), says)
    application = application_grant(declared, identity_id=uuid4(), first_seen_at=GRANT.first_seen_at)
    return facts(authz_model=model, grants=(GRANT, application) if application else (GRANT,), attributes=says)


ERP = in_application("login_implies_all", SAYS)


def test_the_classes_are_those_of_the_application() -> None:
    own, of_application = ERP.grants

    assert not own.is_privileged
    assert of_application.is_privileged and ERP.is_privileged
    assert (of_application.classes, of_application.breadth) == ({"write", "destructive", "admin"}, "service")


def test_what_people_declare_outweighs_what_the_source_says() -> None:
    said = as_said(Declared("login_implies_all", ("read",), "one", "", "identity", None, 1), SAYS)

    assert (said.classes, said.breadth) == (("read",), "one")


@pytest.mark.parametrize("model", ["per_request", "roles"])
def test_an_application_that_decides_gives_no_more_than_is_granted(model: str) -> None:
    assert in_application(model, SAYS).grants == (GRANT,)


def test_the_failure_is_as_bad_as_the_application_and_says_what_that_can_do() -> None:
    (outcome,) = BY_ID["NHI4-F"].assess(Judged(ERP), POLICY)

    assert (outcome.result, outcome.severity) == (Result.FAIL, Severity.CRITICAL)
    assert outcome.evidence["application_can"] == ["admin", "destructive", "read", "write"]
    assert outcome.arithmetic == ("base: high", "+1: privileged, and reaches production")


def test_a_harmless_application_is_less_bad() -> None:
    (outcome,) = BY_ID["NHI4-F"].assess(Judged(facts(authz_model="login_implies_all")), POLICY)

    assert outcome.severity is Severity.HIGH
