"""What the rules say, and the life of an identity, over the API."""

from typing import Any

import pytest
from django.utils import timezone

from identities.models import Identity, IdentityPosture
from identities.posture.policy import policy_in_force
from identities.posture.rules import ALL, OF_SOURCES
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
