"""The algebra on every managed policy that AWS publishes: real documents, none of them written for us."""

import gzip
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest

from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.permissions import Answer, CounterExample, Permission, Proof, describe, includes, matches
from governance.kernel.privileges import classes_of, segment_of

EXPORT = Path(__file__).parents[3] / "shared/data/iann0036_iam-dataset/aws_managed_policies_compact.json.gz"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not EXPORT.exists(), reason="the export of AWS managed policies is not beside the checkout"),
]


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
        assert bool(classes_of(held)) is not held.is_empty, arn  # two of them only deny
        assert segment_of(held), arn


def test_dropping_an_action_is_proved_and_the_way_back_refuted_or_left_open(policies):
    durations, refuted, unproved, open_ = [], 0, [], 0
    for arn, held in policies.items():
        narrow = _without_last_action(held)
        if narrow is None:
            continue
        started = time.perf_counter()
        verdict, back = includes(held, narrow), includes(narrow, held)
        durations.append((time.perf_counter() - started) / 2)
        if not isinstance(verdict, Proof):
            unproved.append(arn)
        if isinstance(back, CounterExample):
            refuted += 1
            request = (back.action, back.resource, back.context, back.at)
            assert matches(held, *request) is Answer.YES, arn
            assert matches(narrow, *request) is Answer.NO, arn
        else:
            open_ += not isinstance(back, Proof)  # a proof: another statement gives the same action

    assert unproved == []
    assert refuted > 1_200
    assert open_ < 20
    assert statistics.median(durations) < 0.005


def _without_last_action(held: Permission) -> Permission | None:
    for index, statement in enumerate(held.statements):
        if statement.effect == "allow" and len(statement.actions.include) > 1:
            fewer = replace(statement, actions=replace(statement.actions, include=statement.actions.include[:-1]))
            return Permission("aws", (*held.statements[:index], fewer, *held.statements[index + 1 :]))
    return None
