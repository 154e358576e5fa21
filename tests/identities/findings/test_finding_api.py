"""Findings over the API: the same list, one finding as it was seen, and what programs may do with them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from identities.models import Finding, FindingAcceptance
from identities.posture.results import Severity
from tests.identities.findings.conftest import DAY, NOW, outcome, take
from tests.identities.services.conftest import fill

BOTH = ("inventory:read", "inventory:write")
WHY = {"reason": "The vendor ships it in March.", "compensating_control": "Only one host may reach it.",
       "until": (NOW + 30 * DAY).isoformat()}  # fmt: skip


@pytest.fixture
def call(db: None, make_token: Any) -> Callable[..., Any]:
    """`call("post", "findings/…", {...}, match='"v1"', scopes=…)`"""
    call_command("createcachetable", verbosity=0)  # throttling counts there

    def go(method: str, path: str, body: Any = None, *, match: str = "", scopes: Any = BOTH, **headers: str) -> Any:
        _, secret = make_token(list(scopes))
        sent = {"Authorization": f"Bearer {secret}", **({"If-Match": match} if match else {}), **headers}
        return getattr(Client(), method)(f"/api/v1/{path}", body, headers=sent, content_type="application/json")

    return go


def test_the_list_is_filtered_sorted_and_paged(call: Any) -> None:
    for severity in (Severity.LOW, Severity.CRITICAL, Severity.HIGH):
        take([outcome(each, severity=severity) for each in fill(2)])

    def get(path: str) -> Any:
        return call("get", path).json()

    first = get("findings/?limit=3")
    rest = get("findings/?" + first["next"].partition("?")[2])
    assert [each["severity"] for each in first["results"] + rest["results"]] == ["critical"] * 2 + ["high"] * 2 + [
        "low"
    ] * 2
    assert len(get("findings/?finding_severity=high")["results"]) == 4
    refused = call("get", "findings/?severity=high")
    assert refused.status_code == 400


def test_one_finding_is_told_whole_with_an_etag(call: Any, finding: Finding) -> None:
    response = call("get", f"findings/{finding.pk}/")

    told = response.json()
    assert response["ETag"] == '"v1"'
    assert (told["rule"], told["severity"], told["arithmetic"], told["fix"]) == (
        "NHI5-A",
        "high",
        ["base: high"],
        "narrow",
    )
    assert (told["evidence"], told["steps"], told["exceptions"]) == ({"grants": ["everything"]}, [], [])


def test_a_finding_is_assigned_as_it_was_seen_or_not_at_all(call: Any, finding: Finding, make_user: Any) -> None:
    ada, path = make_user(), f"findings/{finding.pk}/assign/"
    body = {"assignee": ada.email}

    assert call("post", path, body).status_code == 428
    assert call("post", path, body, match='"v7"').status_code == 412
    response = call("post", path, body, match='"v1"')
    assert (response.status_code, response.json()["state"], response["ETag"]) == (200, "assigned", '"v2"')
    assert call("post", path, {"assignee": "nobody@example.org"}, match='"v2"').status_code == 422
    assert call("post", path, body, match='"v2"', scopes=["inventory:read"]).status_code == 403


def test_a_program_asks_for_an_exception_and_takes_it_back_but_approves_none(call: Any, finding: Finding) -> None:
    path = f"findings/{finding.pk}/exception/"

    asked = call("post", path, WHY, match='"v1"')
    assert (asked.status_code, asked.json()["state"]) == (200, "open")
    assert asked.json()["exceptions"][0]["approver"] is None
    assert FindingAcceptance.objects.get().requested_by is not None
    assert call("post", path, WHY, match='"v2"').status_code == 409
    assert call("delete", path, match='"v2"').json()["exceptions"][0]["ended_how"] == "withdrawn"
    assert call("post", f"findings/{finding.pk}/approve/", match='"v3"').status_code == 404


@pytest.mark.parametrize(
    "more",
    [
        {"until": "2020-01-01T00:00:00Z"},
        {"until": (NOW + 400 * DAY).isoformat()},
        {"reason": "short"},
        {"until": "soon"},
    ],
)
def test_an_exception_that_cannot_be_is_refused_by_name(more: Any, call: Any, finding: Finding) -> None:
    response = call("post", f"findings/{finding.pk}/exception/", WHY | more, match='"v1"')
    assert response.status_code in {400, 422}
    assert next(iter(more)) in response.content.decode()


def test_many_are_looked_at_first_and_changed_once(call: Any, make_user: Any) -> None:
    take([outcome(each) for each in fill(3)])
    body = {"filter": "finding=NHI5-A", "assign": {"assignee": make_user().email}}

    dry = call("post", "findings/bulk/", body | {"dry_run": True})
    assert (dry.json()["changed"], Finding.objects.filter(state="assigned").count()) == (3, 0)
    assert call("post", "findings/bulk/", body).status_code == 428
    assert call("post", "findings/bulk/", body, match='"else"').status_code == 412
    done = call("post", "findings/bulk/", body, match=dry["ETag"])
    assert (done.json()["changed"], Finding.objects.filter(state="assigned").count()) == (3, 3)


def test_the_same_request_with_a_key_is_carried_out_once(finding: Finding, make_token: Any, make_user: Any) -> None:
    call_command("createcachetable", verbosity=0)
    _, secret = make_token(list(BOTH))
    headers = {"Authorization": f"Bearer {secret}", "If-Match": "*", "Idempotency-Key": "k1"}
    body = {"ids": [str(finding.pk)], "assign": {"assignee": make_user().email}}
    answers = [
        Client().post("/api/v1/findings/bulk/", body, headers=headers, content_type="application/json")
        for _ in range(2)
    ]
    assert [each.json()["changed"] for each in answers] == [1, 1]
    assert (answers[1]["Idempotency-Replayed"], Finding.objects.get().version) == ("true", 2)


@pytest.mark.parametrize(
    "body",
    [
        {"ids": ["7b9d4c1e-0000-4000-8000-000000000000"]},
        {"withdraw": True},
        {"filter": "", "withdraw": True, "assign": {"assignee": None}},
    ],
)
def test_many_without_one_clear_wish_are_refused(body: Any, call: Any) -> None:
    assert call("post", "findings/bulk/", body, match="*").status_code == 422
