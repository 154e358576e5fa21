"""The page of one identity: the four questions, answered from facts, with what is missing said aloud."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role
from governance.kernel.observing import UseState
from identities.models import Grant, Identity, UsageWindow
from identities.selectors.use import GrantUse
from identities.views.grant_lines import use_line

# Session, person, roles, identity with all facts, grants, credentials, trust, windows, use, changes, and their
# names, past scores, the policy in force.
PAGE_QUERIES = 13


def url_of(identity: Identity) -> str:
    return f"/identities/{identity.pk}/"


def grant_lines(response: Any) -> list[Any]:
    return [line for segment in response.context["segments"] for line in [*segment.own, *segment.shared]]


def test_the_four_questions_stand_in_their_order(inventory: Any, admin: Any) -> None:
    text = admin.get(url_of(inventory.etl)).content.decode()

    places = [text.index(question) for question in (
        "Can it prove itself?", "What can it do?", "Under which conditions?", "For how long?",
    )]  # fmt: skip
    assert places == sorted(places)


def test_anothers_identity_looks_like_none_at_all(inventory: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(Role.OWNER))

    anothers = client.get(url_of(inventory.etl))
    absent = client.get(f"/identities/{uuid.uuid4()}/")

    assert (anothers.status_code, absent.status_code) == (404, 404)
    assert "etl" not in anothers.content.decode()


def test_missing_facts_are_told_apart_by_their_reason(inventory: Any, admin: Any) -> None:
    (line,) = admin.get(url_of(inventory.bot)).context["credentials"]

    assert (line.used.text, line.used.tone) == ("not observable", "unknown")
    assert (line.age.text, line.expiry.text, line.storage.text) == ("not reported",) * 3


def test_a_secret_that_never_ends_is_pointed_out(inventory: Any, admin: Any) -> None:
    response = admin.get(url_of(inventory.etl))

    assert response.context["proof"].tone == "warn"
    assert response.context["credentials"][0].expiry.text == "never"
    assert response.context["times"][0].known.text == "never expires"


def test_use_is_told_in_three_values_part_by_part(inventory: Any, admin: Any) -> None:
    (line,) = grant_lines(admin.get(url_of(inventory.etl)))

    assert line.use.state == "used"
    # SELECT was seen, INSERT and DELETE were watched in vain, nobody can see TRUNCATE.
    assert (line.use.used, line.use.unused, line.use.unknown) == (1, 2, 1)
    assert line.path == "via role writers"
    assert "3 others hold it" in line.revocability


def test_what_nobody_watches_is_not_called_unused(inventory: Any, admin: Any) -> None:
    response = admin.get(url_of(inventory.bot))

    assert [line.use.state for line in grant_lines(response)] == ["not_observable"]
    assert response.context["power"]["unused"] == 0


def test_silence_while_watched_long_enough_is_disuse(inventory: Any, admin: Any) -> None:
    inventory.etl.usages.all().delete()
    UsageWindow.objects.update(observable={"actions": ["*"], "resources": ["table:*/*/*"]})

    (line,) = grant_lines(admin.get(url_of(inventory.etl)))

    assert line.use.state == "unused"
    assert line.use.text.startswith("not seen since")


def test_short_silence_is_not_disuse(inventory: Any, admin: Any) -> None:
    inventory.etl.usages.all().delete()
    now = timezone.now()
    UsageWindow.objects.update(
        observable={"actions": ["*"], "resources": ["table:*/*/*"]},
        observed_from=now - timedelta(hours=2),
        observed_until=now,
    )

    response = admin.get(url_of(inventory.etl))
    (line,) = grant_lines(response)

    assert (line.use.state, line.use.unused) == ("not_observable", 0)
    assert "too short to conclude" in line.use.text
    assert (response.context["power"]["unused"], response.context["power"]["brief"]) == (0, 1)


def test_what_was_watched_for_a_short_while_is_not_seen_yet_rather_than_not_seen_since_today(
    inventory: Any, admin: Any
) -> None:
    inventory.etl.usages.all().delete()
    type(inventory.etl).objects.update(last_seen_at=None)
    now = timezone.now()
    UsageWindow.objects.update(observed_from=now - timedelta(hours=2), observed_until=now)

    page = admin.get(url_of(inventory.etl)).content.decode()
    listed = admin.get("/identities/").content.decode()

    assert "not seen yet; watched since" in page
    assert "not seen yet</span>" in listed and "not seen since" not in listed


def test_rights_on_things_to_come_are_not_judged_by_use_of_present_ones(inventory: Any, admin: Any) -> None:
    Grant.objects.update(path=[{"kind": "default_privileges", "label": "new tables of owner"}])

    (line,) = grant_lines(admin.get(url_of(inventory.etl)))

    assert line.use.state == "not_observable"
    assert line.sentences == ["ALL on payments"]


def test_both_ends_of_a_trust_are_shown(inventory: Any, admin: Any) -> None:
    text = admin.get(url_of(inventory.bot)).content.decode()

    assert "https://issuer.example.org" in text
    assert "another system than the one that authenticates" in text
    assert "support team" in text


def test_a_word_of_a_person_and_a_word_of_the_source_both_show(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(
        purpose_edited="Feeds the ledger", environment_edited="production"
    )

    text = admin.get(url_of(inventory.etl)).content.decode()

    assert "Feeds the ledger" in text and "source says “Copies payments”" in text
    assert "source says staging" in text


def test_a_retired_identity_says_so(inventory: Any, push_again: Any, snapshot: Any, admin: Any) -> None:
    inventory.payments.max_retire_percent = 100
    inventory.payments.save()
    push_again(inventory.payments, [record for record in snapshot() if "bot" not in str(record)])

    text = admin.get(url_of(inventory.bot)).content.decode()

    assert "The source no longer holds it." in text


def test_what_changed_is_told(inventory: Any, push_again: Any, snapshot: Any, admin: Any) -> None:
    records = snapshot()
    records[4]["permission"] = records[5]["permission"]
    push_again(inventory.payments, records)

    (latest, *_) = admin.get(f"{url_of(inventory.etl)}history/").context["events"]

    assert latest.title == "Grant changed: ALL on payments"
    assert ("removed", "read, add, delete and empty every row of table payments in database ledger") in latest.lines


def test_the_page_costs_the_same_for_one_grant_and_for_many(
    inventory: Any, push_again: Any, snapshot: Any, admin: Any
) -> None:
    more = [{**snapshot()[4], "id": f"g-{number}", "label": f"again {number}"} for number in range(20)]
    push_again(inventory.payments, [*snapshot(), *more])
    admin.get(url_of(inventory.etl))

    with CaptureQueriesContext(connection) as queries:
        response = admin.get(url_of(inventory.etl))

    assert len(grant_lines(response)) == 21
    assert len(queries) == PAGE_QUERIES, [query["sql"][:120] for query in queries]


def test_more_grants_than_fit_are_one_click_away(
    inventory: Any, push_again: Any, snapshot: Any, admin: Any, monkeypatch: Any
) -> None:
    push_again(inventory.payments, [*snapshot(), {**snapshot()[4], "id": "g-second"}])
    monkeypatch.setattr("identities.views.identity_page.MOST_GRANTS", 1)

    text = admin.get(url_of(inventory.etl)).content.decode()

    assert "The first 1 of 2 grants" in text and "Show all 2 grants" in text
    assert b"Show all" not in admin.get(f"{url_of(inventory.etl)}?grants=all").content


# --- editing ------------------------------------------------------------------------------------------------------


def edit(client: Any, identity: Identity, **fields: Any) -> Any:
    identity.refresh_from_db()
    return client.post(f"{url_of(identity)}edit/", {"version": identity.version} | fields)


def test_an_owner_is_assigned_and_the_trail_says_so(inventory: Any, make_user: Any, admin: Any) -> None:
    owner = make_user(Role.OWNER)

    response = edit(
        admin, inventory.etl, owner=owner.email.upper(), purpose="Feeds the ledger", environment="production"
    )

    assert response.status_code == 302
    inventory.etl.refresh_from_db()
    assert (inventory.etl.owner, inventory.etl.environment_edited) == (owner, "production")
    assert inventory.etl.purpose == "Copies payments"
    assert AuditEvent.objects.filter(verb="identity.owner_assigned", subject_id=str(inventory.etl.pk)).count() == 1


def test_two_people_never_silently_overwrite_each_other(inventory: Any, admin: Any) -> None:
    edit(admin, inventory.etl, purpose="first")

    response = edit(admin, inventory.etl, purpose="second", version=1)

    assert response.status_code == 409
    assert "Somebody changed this identity" in response.content.decode()
    assert "second" in response.content.decode(), "what was typed is lost"
    inventory.etl.refresh_from_db()
    assert inventory.etl.purpose_edited == "first"


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "nobody@example.org"},
        {"owner": "no address"},
        {"environment": "moon"},
        {"team": str(uuid.uuid4())},
        {"team": "x"},
        {"purpose": "x" * 3000},
        {"version": ""},
        {"version": "-4"},
        {"purpose": "a\x00b"},
    ],
)
def test_a_bad_value_is_refused_beside_its_field(fields: dict[str, str], inventory: Any, admin: Any) -> None:
    response = edit(admin, inventory.etl, **fields)

    assert response.status_code == 422
    assert response.context["form"].errors
    inventory.etl.refresh_from_db()
    assert inventory.etl.version == 1


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.AUDITOR])
def test_who_only_reads_cannot_edit(role: Role, inventory: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(role))

    assert edit(client, inventory.etl, purpose="mine now").status_code == 403
    assert "/edit/" not in client.get(url_of(inventory.etl)).content.decode()


def test_an_owner_edits_their_own_and_nobody_elses(inventory: Any, make_user: Any, browse: Any) -> None:
    owner = make_user(Role.OWNER)
    Identity.objects.filter(pk=inventory.etl.pk).update(owner=owner)
    client = browse(owner)

    assert edit(client, inventory.etl, owner=owner.email, purpose="mine").status_code == 302
    assert edit(client, inventory.bot, purpose="theirs").status_code == 404


# --- owners from a file -------------------------------------------------------------------------------------------


def upload(client: Any, content: bytes | str) -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    body = content.encode() if isinstance(content, str) else content
    return client.post("/identities/owners/", {"file": SimpleUploadedFile("owners.csv", body)})


def test_owners_are_previewed_and_then_applied_exactly_so(inventory: Any, make_user: Any, admin: Any) -> None:
    owner = make_user(Role.OWNER)

    preview = upload(admin, f"\ufeffSource,identity,owner\r\npayments,etl,{owner.email}\r\npayments,bot-7,\r\n")
    assert (preview.context["report"].assigned, preview.context["report"].unchanged) == (1, 1)
    assert not Identity.objects.filter(owner=owner).exists()

    done = admin.post("/identities/owners/", {"rows": preview.context["rows"]})
    assert done.status_code == 302
    assert Identity.objects.get(owner=owner) == inventory.etl


def test_a_bad_row_is_named_and_nothing_is_changed(inventory: Any, make_user: Any, admin: Any) -> None:
    owner = make_user(Role.OWNER)

    response = upload(admin, f"source,identity,owner\npayments,etl,{owner.email}\npayments,ghost,{owner.email}\n")

    assert response.status_code == 422
    assert response.context["errors"][0][0] == 3
    assert b"Nothing was changed." in response.content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "header lacks"),
        (b"\xff\xfe\x00s", "UTF-8"),
        (b"source,identity,owner\n\x00,x,y\n", "NUL"),
        (b'source,identity,owner\n"open', "cannot be read"),
    ],
)
def test_what_is_no_owners_file_is_refused_with_the_reason(
    content: bytes, said: str, inventory: Any, admin: Any
) -> None:
    response = upload(admin, content)

    assert response.status_code == 422
    assert said in response.content.decode()


def test_a_forged_preview_is_not_applied(inventory: Any, make_user: Any, admin: Any) -> None:
    response = admin.post("/identities/owners/", {"rows": '[[2,"payments","etl","x@example.org"]]'}, follow=True)

    assert "Choose the file again" in response.content.decode()
    assert not Identity.objects.exclude(owner=None).exists()


def test_owners_cannot_import_owners(inventory: Any, make_user: Any, browse: Any) -> None:
    assert browse(make_user(Role.OWNER)).get("/identities/owners/").status_code == 403


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (GrantUse(UseState.NOT_OBSERVABLE, unknown=2), "no log can show its use"),
        (GrantUse(UseState.NOT_OBSERVABLE, unused=1, unknown=1), "no log can show the rest"),
        # Watched too briefly, the part that was not seen is as unknown as the other.
        (GrantUse(UseState.NOT_OBSERVABLE, unused=1, unknown=1, is_brief=True), "no log can show its use"),
    ],
)
def test_a_grant_whose_use_is_partly_watched_is_not_said_to_be_unseen_by_every_log(use: GrantUse, words: str) -> None:
    assert use_line(use).text == words
