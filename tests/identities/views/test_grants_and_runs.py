"""Grants with their history, and readings with what they changed."""

import uuid
from typing import Any

import pytest

from governance.kernel.actors import Role
from identities.models import Identity, SyncRun

ROOT = "/runs/"


def narrowed(snapshot: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = snapshot()
    records[4]["permission"] = records[5]["permission"]
    return records


def test_every_content_stays_in_the_history(inventory: Any, push_again: Any, snapshot: Any, admin: Any) -> None:
    push_again(inventory.payments, narrowed(snapshot))

    versions = admin.get(f"/grants/{inventory.all_grant.pk}/").context["versions"]

    assert [version.number for version in versions] == [2, 1]
    assert {change for change, _ in versions[0].lines} == {"removed", "added"}
    assert versions[1].lines == []
    assert versions[0].seen_until is None and versions[1].seen_until == versions[0].seen_from
    assert "TRUNCATE" in versions[1].native and "TRUNCATE" not in versions[0].native


def test_a_native_form_that_changed_is_shown_line_by_line(
    inventory: Any, push_again: Any, snapshot: Any, admin: Any
) -> None:
    records = snapshot()
    records[4]["native_ref"] = {"definition": "aa", "description": "Adds.\nReturns the sum."}
    push_again(inventory.payments, records)
    records[4]["native_ref"] = {"definition": "bb", "description": "Adds.\nMails the sum."}
    push_again(inventory.payments, records)

    change = admin.get(f"/grants/{inventory.all_grant.pk}/").context["native_changes"][0]

    assert change.lines == [
        ("kept", "definition:"), ("removed", "aa"), ("added", "bb"),
        ("kept", "description:"), ("kept", "Adds."), ("removed", "Returns the sum."), ("added", "Mails the sum."),
    ]  # fmt: skip


def test_a_grant_that_changed_since_its_review_says_so(inventory: Any, admin: Any) -> None:
    inventory.all_grant.reviewed_digest = b"\x01" * 32
    inventory.all_grant.save()

    assert b"Changed since its review" in admin.get(f"/grants/{inventory.all_grant.pk}/").content


def test_anothers_grant_looks_like_none_at_all(inventory: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=inventory.bot.pk).update(owner=owner)
    client = browse(owner)

    assert client.get(f"/grants/{inventory.bot.grants.get().pk}/").status_code == 200
    assert client.get(f"/grants/{inventory.all_grant.pk}/").status_code == 404
    assert client.get(f"/grants/{uuid.uuid4()}/").status_code == 404


def test_a_reading_shows_what_it_changed_with_old_and_new(
    inventory: Any, push_again: Any, snapshot: Any, admin: Any
) -> None:
    records = narrowed(snapshot)
    records[0]["status"] = "disabled"
    run = push_again(inventory.payments, records)

    response = admin.get(f"{ROOT}{run.pk}/?action=changed")

    lines = {line.name: line for line in response.context["page"].rows}
    assert set(lines) == {"etl nightly", "ALL on payments"}
    assert lines["etl nightly"].lines == [("removed", "status: active"), ("added", "status: disabled")]
    assert [line.numbers[:3] for line in response.context["counts"] if line.kind == "Identity"] == [[0, 1, 0]]


def test_a_refused_reading_names_the_rows(inventory: Any, push_again: Any, admin: Any) -> None:
    run = push_again(
        inventory.payments, [{"type": "identity", "id": "x", "kind": "spaceship", "colour": "red"}], state="rejected"
    )

    text = admin.get(f"{ROOT}{run.pk}/").content.decode()

    assert "Refused records" in text and "/colour" in text


def held(inventory: Any, push_again: Any) -> SyncRun:
    return push_again(inventory.payments, [{"type": "identity", "id": "new", "kind": "bot"}], state="held")  # type: ignore[no-any-return]


def test_an_administrator_lets_a_held_reading_through(inventory: Any, push_again: Any, admin: Any) -> None:
    run = held(inventory, push_again)
    assert b"It waits for a person" in admin.get(f"{ROOT}{run.pk}/").content

    response = admin.post(f"{ROOT}{run.pk}/accept/")

    assert response.status_code == 302
    assert set(
        Identity.objects.filter(source=inventory.payments, retired_at=None).values_list("external_id", flat=True)
    ) == {"new"}


def test_an_administrator_turns_a_held_reading_away_with_a_reason(inventory: Any, push_again: Any, admin: Any) -> None:
    run = held(inventory, push_again)

    assert admin.post(f"{ROOT}{run.pk}/reject/", {"reason": ""}).status_code == 422
    assert admin.post(f"{ROOT}{run.pk}/reject/", {"reason": "broken export"}).status_code == 302
    assert Identity.objects.filter(source=inventory.payments, retired_at=None).count() == 2


def test_nobody_decides_twice(inventory: Any, push_again: Any, admin: Any) -> None:
    run = held(inventory, push_again)
    admin.post(f"{ROOT}{run.pk}/reject/", {"reason": "broken export"})

    response = admin.post(f"{ROOT}{run.pk}/accept/")

    assert response.status_code == 409
    assert b"Nothing was changed." in response.content


@pytest.mark.parametrize("action", ["accept", "reject"])
@pytest.mark.parametrize("role", [Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_only_an_administrator_decides_about_a_held_reading(
    role: Role, action: str, inventory: Any, push_again: Any, make_user: Any, browse: Any
) -> None:
    run = held(inventory, push_again)

    assert browse(make_user(role)).post(f"{ROOT}{run.pk}/{action}/", {"reason": "x"}).status_code == 403
    assert SyncRun.objects.get(pk=run.pk).state == "held"


def test_a_reading_of_a_source_that_is_not_theirs_is_hidden_from_owners(
    inventory: Any, make_user: Any, browse: Any
) -> None:
    assert browse(make_user(Role.OWNER)).get(f"{ROOT}{inventory.run.pk}/").status_code == 404
