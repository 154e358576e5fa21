"""Retention, holds and erasure as a page and for programs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from governance.audit.models import AuditDetail, AuditEvent, LegalHold
from governance.kernel.actors import Role
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
MOST_QUERIES = 16
PAGE = "/audit/retention/"


@pytest.fixture
def decided(decided_item: Any, seal: Any) -> Any:
    """An owner answered a question with a reason, and it is sealed."""
    item = decided_item(make.make_person(Role.OWNER, name="Ada Ochieng"), reason="Nobody calls it.")
    seal()
    return item


@pytest.fixture
def administrator(signed_in: Callable[..., Client]) -> Client:
    return signed_in(make.make_person(Role.ADMINISTRATOR))


@pytest.fixture
def auditor(signed_in: Callable[..., Client]) -> Client:
    return signed_in(make.make_person(Role.AUDITOR))


def text(response: Any) -> str:
    return response.content.decode()


def test_an_untouched_installation_explains_itself_to_an_auditor(auditor: Client) -> None:
    page = text(auditor.get(PAGE))

    assert "for ever" in page and "Nothing is held." in page and "No event has been archived." in page
    assert "Place a hold" not in page


@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.OWNER])
def test_others_do_not_see_the_page(role: Role, signed_in: Callable[..., Client]) -> None:
    assert signed_in(make.make_person(role)).get(PAGE).status_code == 403


def test_the_trail_leads_there(auditor: Client) -> None:
    assert f'href="{PAGE}"' in text(auditor.get("/audit/"))


def test_an_administrator_sees_what_would_go_before_it_goes(administrator: Client, decided: Any) -> None:
    person = decided.assignee
    asked = {"person": person.email, "include_reasons": "on"}

    page = text(administrator.get(PAGE, asked))
    assert "1 detail, 0 of them with personal data" in page and "Erase for good" in page
    assert AuditDetail.objects.filter(erased_at=None).exists()

    done = administrator.post(f"{PAGE}erase/", {**asked, "reason": "Request 12, file 7"}, follow=True)
    assert "Erased 1 details." in text(done)
    event = AuditEvent.objects.get(verb="item.decided")
    assert "Erased on request" in text(administrator.get(f"/audit/events/{event.pk}/"))


def test_an_auditor_sees_what_would_go_and_cannot_let_it(auditor: Client, decided: Any) -> None:
    page = text(auditor.get(PAGE, {"person": str(decided.assignee.pk), "include_reasons": "on"}))

    assert "An administrator can erase them." in page and "Erase for good" not in page


def test_an_erasure_without_a_reason_keeps_what_was_typed(administrator: Client, decided: Any) -> None:
    response = administrator.post(f"{PAGE}erase/", {"person": decided.assignee.email, "include_reasons": "on"})

    assert response.status_code == 422
    assert "Say why" in text(response) and decided.assignee.email in text(response)


def test_a_hold_is_placed_by_the_address_of_a_page_refuses_and_is_lifted(administrator: Client, decided: Any) -> None:
    address = f"https://remit.example/reviews/{decided.campaign.pk}/"
    placed = administrator.post(
        f"{PAGE}holds/", {"kind": "campaign", "subject": address, "reason": "Case 4 C 12/26"}, follow=True
    )
    assert "Held." in text(placed) and decided.campaign.name in text(placed)
    hold = LegalHold.objects.get()
    assert hold.subject_id == str(decided.campaign.pk)

    asked = {"person": decided.assignee.email, "include_reasons": "on", "reason": "Request 12"}
    assert "Case 4 C 12/26" in text(administrator.get(PAGE, asked))
    refused = administrator.post(f"{PAGE}erase/", asked)
    assert refused.status_code == 409 and "nothing was erased" in text(refused)

    assert administrator.post(f"{PAGE}holds/{hold.pk}/lift/", {"reason": ""}).status_code == 422
    administrator.post(f"{PAGE}holds/{hold.pk}/lift/", {"reason": "The case is closed."})
    assert "The case is closed." in text(administrator.get(PAGE))
    assert administrator.post(f"{PAGE}erase/", asked).status_code == 302


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "planet", "subject": "x", "reason": "x"},
        {"kind": "person", "subject": "nobody@example.org", "reason": "x"},
        {"kind": "person", "subject": "", "reason": "x"},
        {"kind": "period", "since": "2026-02-01", "until": "2026-01-01", "reason": "x"},
        {"kind": "period", "reason": "x"},
        {"kind": "identity", "subject": "\x00", "reason": "x"},
    ],
)
def test_a_hold_on_nothing_is_refused_beside_the_field(given: dict[str, str], administrator: Client) -> None:
    assert administrator.post(f"{PAGE}holds/", given).status_code == 422
    assert not LegalHold.objects.exists()


@pytest.mark.parametrize("person", ["nobody@example.org", "x", "\x00", ""])
def test_somebody_unknown_is_said_to_be_unknown(person: str, administrator: Client) -> None:
    assert administrator.get(PAGE, {"person": person}).status_code == 400


def test_the_page_asks_few_questions_however_many_holds_there_are(
    administrator: Client, decided: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        administrator.post(
            f"{PAGE}holds/", {"kind": "person", "subject": str(decided.assignee.pk), "reason": f"Case {number}"}
        )

    with django_assert_max_num_queries(MOST_QUERIES):
        assert text(administrator.get(PAGE)).count("Holds") >= 12


def test_programs_hold_erase_and_are_refused_in_problem_documents(
    decided: Any, make_token: Any, client: Client
) -> None:
    headers = {"Authorization": f"Bearer {make_token(['audit:read', 'audit:write'])[1]}"}
    person = str(decided.assignee.pk)

    def post(path: str, body: dict[str, Any]) -> Any:
        return client.post(f"/api/v1/audit/{path}", body, content_type="application/json", headers=headers)

    asked = {"person": person, "include_reasons": True, "reason": "Request 12"}
    tried = post("erasures/", asked | {"dry_run": True})
    assert (tried.status_code, tried.json()["going"], tried.json()["erased"]) == (200, 1, 0)
    hold = post("holds/", {"kind": "person", "subject": person, "reason": "Case 9"})
    assert (hold.status_code, hold.json()["lifted_at"]) == (201, None)
    refused = post("erasures/", asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "under-legal-hold")
    assert len(client.get("/api/v1/audit/holds/", headers=headers).json()["results"]) == 1
    assert post(f"holds/{hold.json()['id']}/lift/", {"reason": "Closed"}).json()["lifted_at"]
    assert post("erasures/", asked).json()["erased"] == 1
