"""The algebra on every managed policy that AWS publishes: real documents, none of them written for us."""

import gzip
import json
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.permissions import (
    Answer,
    Condition,
    CounterExample,
    Permission,
    Proof,
    describe,
    includes,
    matches,
    sample_requests,
)
from governance.kernel.privileges import classes_of, segment_of
from governance.kernel.rightsizing import replay, right_size
from governance.kernel.styles import STYLES
from tests.bench.narrowings import narrowings

EXPORT = Path(__file__).parents[3] / "shared/data/iann0036_iam-dataset/aws_managed_policies_compact.json.gz"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not EXPORT.exists(), reason="the export of AWS managed policies is not beside the checkout"),
]
SEED = 20_261_126

# They allow nothing, so there is nothing to narrow.
ONLY_DENIES = {
    "AWSCompromisedKeyQuarantine",
    "AWSCompromisedKeyQuarantineV2",
    "AWSCompromisedKeyQuarantineV3",
    "AWSDenyAll",
    "AWSIAMIdentityCenterAllowListForIdentityContext",
    "root-task/IAMAuditRootUserCredentials",
    "root-task/IAMCreateRootUserPassword",
    "root-task/IAMDeleteRootUserCredentials",
    "root-task/S3UnlockBucketPolicy",
    "root-task/SQSUnlockQueuePolicy",
}


@pytest.fixture(scope="module")
def policies() -> dict[str, Permission]:
    documents = json.loads(gzip.decompress(EXPORT.read_bytes()))
    return {arn: Permission("aws", from_policy_document(entry["document"])) for arn, entry in documents.items()}


def test_every_policy_is_read_written_back_and_includes_itself(policies):
    assert len(policies) == 1_641
    for arn, held in policies.items():
        again = Permission.from_json(json.loads(json.dumps(held.to_json())))

        assert again.digest() == held.digest(), arn
        assert isinstance(includes(held, again), Proof), arn


def test_every_policy_can_be_told_in_words_and_classed(policies):
    for arn, held in policies.items():
        assert all(describe(held)), arn
        assert bool(classes_of(held)) is not held.is_empty, arn
        assert segment_of(held), arn


@dataclass
class Outcome:
    """What became of one policy: the kind of its strict narrowing, and of those that narrow nothing."""

    kind: str = ""
    not_strict: int = 0


def test_a_random_strict_narrowing_of_each_is_proved_and_the_way_back_refuted(policies):
    random = Random(SEED)
    outcomes = {arn: _tried(arn, held, random) for arn, held in policies.items()}

    without = {arn for arn, outcome in outcomes.items() if not outcome.kind}
    assert {arn.partition(":policy/")[2] for arn in without} == ONLY_DENIES
    assert all(each.effect == "deny" for arn in without for each in policies[arn].statements)
    assert {outcome.kind for outcome in outcomes.values()} - {""} == {"dropped", "fixed", "named", "conditioned"}


def _tried(arn: str, held: Permission, random: Random) -> Outcome:
    """Narrowings in random order until one is strict; a proof of the way back is no failure: nothing was taken away."""
    outcome = Outcome()
    for kind, narrow in narrowings(held, random):
        assert isinstance(includes(held, narrow), Proof), (arn, kind)
        back = includes(narrow, held)
        if isinstance(back, CounterExample):
            request = (back.action, back.resource, back.context, back.at)
            assert matches(held, *request) is Answer.YES, (arn, kind)
            assert matches(narrow, *request) is Answer.NO, (arn, kind)
            outcome.kind = kind
            return outcome
        assert isinstance(back, Proof), (arn, kind, back.explain())
        outcome.not_strict += 1
    return outcome


def test_proofs_take_a_fraction_of_a_millisecond(policies):
    random = Random(SEED + 1)
    durations = []
    for held in policies.values():
        for _, narrow in narrowings(held, random)[:1]:
            for wide, inside in ((held, narrow), (narrow, held)):
                started = time.perf_counter()
                includes(wide, inside)
                durations.append(time.perf_counter() - started)

    # Ten times what is asked for on a quiet machine: `make bench` says the figure, this notices a fall.
    assert statistics.median(durations) < 0.001


@pytest.mark.parametrize("style", STYLES)
def test_use_of_each_policy_right_sizes_it_in_every_style(policies, style):
    for arn, held in list(policies.items())[::8]:
        used = sample_requests(held, 12)
        target = right_size(held, used, style)

        assert includes(held, target).holds, arn
        assert replay(used, target).refused == (), arn
        assert classes_of(target) <= classes_of(held), arn


def test_a_condition_that_is_dropped_is_seen(policies):
    for arn, held in policies.items():
        for index, statement in enumerate(held.statements):
            if statement.effect != "allow" or len(held.statements) > 1:
                continue
            limited = replace(
                statement,
                conditions=(*statement.conditions, Condition("StringEquals", "aws:RequestedRegion", ("eu-west-1",))),
            )
            narrow = Permission("aws", (*held.statements[:index], limited, *held.statements[index + 1 :]))

            assert isinstance(includes(held, narrow), Proof), arn
            assert isinstance(includes(narrow, held), CounterExample), arn
