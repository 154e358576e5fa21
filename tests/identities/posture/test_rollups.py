"""Roll-ups per rule: assessed, passed of the assessed, not assessable with reasons, for what somebody may see."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role, system_actor
from identities.models import Identity, IdentityPosture, Source
from identities.posture.policy import policy_in_force
from identities.posture.report import report_rules
from identities.posture.rules import ALL, OF_SOURCES
from identities.selectors.posture import RuleRollup, rule_rollups
from tests.identities.services.conftest import fill

NOW = timezone.now()
EVERYBODY = system_actor("test")
pytestmark = pytest.mark.django_db


def judged(identity: Identity, **results: Any) -> None:
    IdentityPosture.objects.create(
        identity=identity, assurance_lower=1, assurance_upper=1, worst_case=10, box="unmeasured",
        policy_id=policy_in_force().number, catalogue_version="1", facts_digest=b"", assessed_at=NOW, **results,
    )  # fmt: skip


def by_rule(**scope: Any) -> Mapping[str, RuleRollup]:
    return {rollup.rule: rollup for rollup in rule_rollups(**{"actor": EVERYBODY, **scope})}


@pytest.fixture
def estate() -> tuple[Source, list[Identity]]:
    """Of four identities one fails, one passes, and two can't be judged, for different reasons."""
    one, two, three, four = identities = fill(4)
    judged(one, failed=["NHI7-A"], passed=["NHI5-A"])
    judged(two, passed=["NHI7-A", "NHI5-A"])
    judged(three, not_assessable={"NHI7-A": ["expiry_unknown"]}, not_applicable={"NHI5-G": ["no_agent"]})
    judged(four, not_assessable={"NHI7-A": ["expiry_unknown", "stale"]})
    return one.source, identities


def test_every_result_is_counted_once_per_identity(estate: Any) -> None:
    found = by_rule()["NHI7-A"]

    assert (found.passed, found.failed, found.not_assessable, found.not_applicable) == (1, 1, 2, 0)
    assert (found.assessed, found.concerned) == (2, 4)
    assert (found.pass_share, found.assessed_share) == (0.5, 0.5)
    assert found.reasons == (("expiry_unknown", 2), ("stale", 1))


def test_what_applies_to_nobody_has_no_share_instead_of_a_whole_one(estate: Any) -> None:
    found = by_rule()["NHI5-G"]

    assert (found.not_applicable, found.pass_share, found.assessed_share) == (1, None, None)


def test_what_is_retired_is_not_counted(estate: Any) -> None:
    Identity.objects.filter(pk=estate[1][0].pk).update(retired_at=NOW)

    assert by_rule()["NHI7-A"].failed == 0


def test_one_source_is_counted_alone(estate: Any) -> None:
    (other,) = fill(1)
    judged(other, failed=["NHI7-A"])

    assert by_rule()["NHI7-A"].failed == 2
    assert by_rule(source=estate[0])["NHI7-A"].failed == 1


def test_an_owner_sees_the_counts_of_their_own(estate: Any, make_user: Any, actor_of: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=estate[1][1].pk).update(owner=owner)

    found = by_rule(actor=actor_of(owner))["NHI7-A"]

    assert (found.passed, found.failed, found.not_assessable) == (1, 0, 0)


def test_the_roll_ups_cost_one_query(estate: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        rule_rollups(actor=EVERYBODY)


def test_the_report_has_a_line_for_every_rule_with_sentences(estate: Any) -> None:
    lines = {line.rule.id: line for line in report_rules(actor=EVERYBODY, now=NOW)}

    assert list(lines) == [rule.id for rule in (*ALL, *OF_SOURCES)]
    assert lines["NHI7-A"].reasons[0].sentence == "The source does not say when the credential ends."
    assert (lines["POP-2"].counts.failed, lines["NHI9-B"].counts.concerned) == (1, 0)
