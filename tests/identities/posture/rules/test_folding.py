"""Several outcomes of one rule are one result of the identity: the heaviest."""

import pytest

from identities.posture.policy import first_policy
from identities.posture.results import ObjectKind, Result
from identities.posture.rules import ALL, BY_ID, Judged, assess, folded
from tests.identities.posture.rules.making import GONE, credential, facts

POLICY = first_policy()
GOOD, BAD = credential(), credential(expires_at=None)
UNSEEN, KEYLESS = credential(expires_at=GONE), credential(kind="platform_issued")


@pytest.mark.parametrize(
    ("held", "result"),
    [
        ((GOOD, BAD, UNSEEN), Result.FAIL),
        ((GOOD, UNSEEN, KEYLESS), Result.NOT_ASSESSABLE),
        ((GOOD, KEYLESS), Result.PASS),
        ((KEYLESS,), Result.NOT_APPLICABLE),
        ((), Result.NOT_APPLICABLE),
    ],
)
def test_the_heaviest_holds(held, result) -> None:
    assert folded(BY_ID["NHI7-A"].assess(Judged(facts(credentials=held)), POLICY))["NHI7-A"].result is result


def test_the_reasons_are_those_of_the_result() -> None:
    found = folded(BY_ID["NHI7-A"].assess(Judged(facts(credentials=(UNSEEN, KEYLESS))), POLICY))["NHI7-A"]

    assert found.reasons == ("expiry_unknown",)


def test_every_rule_answers_for_every_identity() -> None:
    outcomes = assess(Judged(facts(credentials=(), trusts=(), grants=())), POLICY)

    assert {outcome.rule for outcome in outcomes} == {rule.id for rule in ALL}
    assert {outcome.object_kind for outcome in outcomes} == {ObjectKind.IDENTITY}
