"""What the rules say, and the life of an identity, over the API."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from governance.kernel.actors import Actor, ActorKind, Role
from identities.models import Identity, IdentityPosture
from identities.posture import report
from identities.posture.policy import policy_in_force
from identities.posture.rules import ALL, OF_SOURCES
from identities.views.rollup_lines import rollup_lines
from tests.identities.services.conftest import fill


def judged(identity: Identity, **results: Any) -> None:
    IdentityPosture.objects.create(
        identity=identity, assurance_lower=1, assurance_upper=1, worst_case=10, box="unmeasured",
        policy_id=policy_in_force().number, catalogue_version="1", facts_digest=b"", assessed_at=timezone.now(),
        **results,
    )  # fmt: skip


@pytest.fixture
def estate(db: None) -> list[Identity]:
    """One fails, one passes, one can't be judged."""
    one, two, three = identities = fill(3)
    judged(one, failed=["NHI7-A"])
    judged(two, passed=["NHI7-A"])
    judged(three, not_assessable={"NHI7-A": ["expiry_unknown"]})
    return identities


def test_every_rule_has_its_counts_and_its_reasons_as_sentences(estate: list[Identity], api: Any) -> None:
    answer = api("inventory:read").get("/api/v1/posture/rules/").json()["results"]
    (line,) = [each for each in answer if each["id"] == "NHI7-A"]

    assert [each["id"] for each in answer] == [rule.id for rule in (*ALL, *OF_SOURCES)]
    assert (line["assessed"], line["passed"], line["failed"], line["not_assessable"]) == (2, 1, 1, 1)
    assert (line["pass_share"], line["category"], line["base_severity"]) == (0.5, "Long-Lived Secrets", "high")
    assert line["reasons"] == [
        {"code": "expiry_unknown", "sentence": "The source does not say when the credential ends.", "count": 1}
    ]
    assert [each["base_severity"] for each in answer if each["id"] == "NHI2-D"] == [None]


@pytest.mark.parametrize(("question", "status"), [("source=none", 404), ("page=2", 400)])
def test_an_unknown_source_or_parameter_is_refused(
    estate: list[Identity], api: Any, question: str, status: int
) -> None:
    assert api().get(f"/api/v1/posture/rules/?{question}").status_code == status


def test_counts_of_one_source_are_of_that_source(estate: list[Identity], api: Any) -> None:
    (other,) = fill(1)
    judged(other, failed=["NHI7-A"])

    answer = api().get(f"/api/v1/posture/rules/?source={other.source.slug}").json()["results"]

    assert [each["failed"] for each in answer if each["id"] == "NHI7-A"] == [1]
    assert [each["assessed"] for each in answer if each["id"] == "POP-2"] == [1]


def failed(answer: dict[str, Any], rule: str = "NHI7-A") -> int:
    (line,) = [each for each in answer["results"] if each["id"] == rule]
    return int(line["failed"])


@pytest.fixture
def large(estate: list[Identity], monkeypatch: pytest.MonkeyPatch) -> list[Identity]:
    """Whatever was put to three identities counts as much."""
    monkeypatch.setattr(report, "MANY", 3)
    return estate


def test_a_large_estate_is_added_up_once_a_minute_for_programs_and_pages_and_says_of_when(
    large: list[Identity], api: Any
) -> None:
    first, second = api("inventory:read"), api("inventory:read")
    auditor = Actor(ActorKind.PERSON, "", "", roles=frozenset({Role.AUDITOR}))
    at = timezone.now().replace(microsecond=0) + timedelta(minutes=1)
    with time_machine.travel(at, tick=False):
        before = first.get("/api/v1/posture/rules/").json()
    judged(fill(1)[0], failed=["NHI7-A"])
    with time_machine.travel(at + timedelta(seconds=59), tick=False):
        shared = second.get("/api/v1/posture/rules/").json()
        page = {line.rule: line.failed for line in rollup_lines(actor=auditor, now=timezone.now())}
    with time_machine.travel(at + timedelta(seconds=61), tick=False):
        after = second.get("/api/v1/posture/rules/").json()

    assert (failed(before), parse_datetime(before["counted_at"])) == (1, at)
    assert shared == before and page["NHI7-A"] == 1
    assert (failed(after), parse_datetime(after["counted_at"])) == (2, at + timedelta(seconds=61))


def test_a_small_estate_and_one_source_are_counted_at_every_call(
    estate: list[Identity], api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, slug = api("inventory:read"), estate[0].source.slug
    client.get("/api/v1/posture/rules/")
    judged(fill(1)[0], failed=["NHI7-A"])

    assert failed(client.get("/api/v1/posture/rules/").json()) == 2
    monkeypatch.setattr(report, "MANY", 1)
    client.get("/api/v1/posture/rules/")
    Identity.objects.filter(pk=estate[0].pk).update(retired_at=timezone.now())
    assert failed(client.get("/api/v1/posture/rules/", {"source": slug}).json()) == 0


def test_the_part_of_an_owner_is_theirs_and_never_shared(
    large: list[Identity], shared_cache: None, make_user: Any
) -> None:
    owner, now = make_user(Role.OWNER), timezone.now()
    Identity.objects.filter(pk=large[1].pk).update(owner=owner)
    own = Actor(ActorKind.PERSON, str(owner.pk), "", roles=frozenset({Role.OWNER}))
    everybody = Actor(ActorKind.PERSON, "", "", roles=frozenset({Role.AUDITOR}))

    def counts(actor: Actor) -> tuple[int, int]:
        told = report.tell_rules(actor=actor, now=now)
        (line,) = [each for each in told.lines if each.rule.id == "NHI7-A"]
        return line.counts.failed, line.counts.passed

    first = counts(own)
    whole = counts(everybody)
    again = counts(own)

    assert (first, whole, again) == ((0, 1), (1, 1), (0, 1))


def test_an_identity_is_registered_and_its_cadence_declared(estate: list[Identity], api: Any, make_user: Any) -> None:
    client, at = api(), f"/api/v1/identities/{estate[0].pk}"
    told = client.get(f"{at}/life/")
    wanted = {"owner": make_user().email, "purpose": "Books payments."}
    assert client.post(f"{at}/register/", wanted, content_type="application/json").status_code == 428

    registered = client.post(
        f"{at}/register/", wanted, content_type="application/json", headers={"If-Match": told["ETag"]}
    )
    declared = client.post(
        f"{at}/cadence/", {"days": 40, "reason": "Monthly."}, content_type="application/json",
        headers={"If-Match": registered["ETag"]},
    )  # fmt: skip

    assert (told.json()["stage"], registered.json()["stage"]) == ("discovered", "registered")
    assert declared.json()["expected_cadence_days"] == 40
