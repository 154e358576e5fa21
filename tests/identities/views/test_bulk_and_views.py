"""Pages: one edit of many identities, saved views above the lists, and the three words about one fact."""

import re
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people.models import User
from identities.models import Identity, SavedView
from identities.services.identities import edit_identity
from identities.sync.merge import resolve_people

BULK = "/identities/bulk/"
LIST = "/identities/"


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, f"no hidden field {name}"
    return found[1]


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER, Role.AUDITOR, Role.OWNER])
def test_only_who_may_edit_many_gets_boxes_to_select(role: Role, inventory: Any, make_user: Any, browse: Any) -> None:
    client = browse(make_user(role))

    text = client.get(LIST).content.decode()
    answer = client.post(BULK, {"id": str(inventory.etl.pk), "do": "owner"})

    may = role in {Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER}
    assert ("data-select " in text, answer.status_code) == (may, 200 if may else 403)


def test_selected_rows_are_previewed_and_then_changed(inventory: Any, make_user: Any, admin: Any) -> None:
    ada = make_user(Role.OWNER, name="Ada Ochieng")
    chosen = {"id": [str(inventory.etl.pk), str(inventory.bot.pk)], "do": "owner", "filter": "source=payments"}

    choose = admin.post(BULK, chosen).content.decode()
    preview = admin.post(BULK, chosen | {"step": "preview", "owner": ada.email, "reason": "New team"}).content.decode()

    assert "Set the owner of 2 identities" in choose
    assert preview.count("Ada Ochieng") == 2 and not Identity.objects.filter(owner=ada).exists()

    done = admin.post(
        BULK, chosen | {"step": "apply", "owner": ada.email, "reason": "New team", "digest": hidden(preview, "digest")}
    )

    assert (done.status_code, done["Location"]) == (302, "/identities/?source=payments")
    assert set(Identity.objects.filter(owner=ada)) == {inventory.etl, inventory.bot}


def test_all_that_match_are_edited_and_not_only_the_page(inventory: Any, admin: Any) -> None:
    form = {"all": "1", "filter": "source=payments", "do": "add_tags", "add_tags": "pci, ledger"}

    preview = admin.post(BULK, form | {"step": "preview"}).content.decode()
    admin.post(BULK, form | {"step": "apply", "digest": hidden(preview, "digest")})

    assert set(Identity.objects.filter(tags=["ledger", "pci"])) == {inventory.etl, inventory.bot}


def test_a_reading_in_between_shows_a_new_preview_and_changes_nothing(
    inventory: Any, push_again: Any, snapshot: Any, admin: Any
) -> None:
    form = {"all": "1", "filter": "source=payments", "do": "add_tags", "add_tags": "pci"}
    before = admin.post(BULK, form | {"step": "preview"}).content.decode()
    push_again(
        inventory.payments, [*snapshot(), {"type": "identity", "id": "new", "name": "new one", "kind": "workload"}]
    )

    answer = admin.post(BULK, form | {"step": "apply", "digest": hidden(before, "digest")})
    text = answer.content.decode()

    assert answer.status_code == 412
    assert "Nothing was changed." in text and "new one" in text
    assert not Identity.objects.filter(tags=["pci"]).exists()

    admin.post(BULK, form | {"step": "apply", "digest": hidden(text, "digest")})
    assert Identity.objects.filter(tags=["pci"]).count() == 3


def test_a_retired_identity_is_named_with_the_reason(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(retired_at=timezone.now())

    text = admin.post(
        BULK, {"id": [str(inventory.etl.pk)], "do": "add_tags", "add_tags": "x", "step": "preview"}
    ).content.decode()

    assert "Its source no longer holds it." in text and "etl nightly" in text
    assert re.search(r"<button[^>]*disabled>Change 0 identities", text)


@pytest.mark.parametrize(
    "form",
    [
        {"do": "owner", "owner": ""},
        {"do": "owner", "owner": "nobody@example.org"},
        {"do": "owner", "owner": "ada@example.org", "nobody": "on"},
        {"do": "add_tags", "add_tags": " , "},
        {"do": "add_tags", "add_tags": "-minus"},
        {"do": "team", "team": "no such"},
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_meant_is_refused_beside_its_field(
    form: dict[str, str], inventory: Any, admin: Any
) -> None:
    User.objects.create_user("ada@example.org", None, name="Ada")

    answer = admin.post(BULK, form | {"id": str(inventory.etl.pk), "step": "preview"})

    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()


def test_nothing_selected_leads_back_to_the_list(inventory: Any, admin: Any) -> None:
    assert admin.get(BULK)["Location"] == LIST
    assert admin.post(BULK, {"do": "owner", "filter": "source=payments"})["Location"] == "/identities/?source=payments"


# --- saved views ----------------------------------------------------------------------------------------------------


def save(client: Any, **fields: str) -> Any:
    wish = {"page": "identities", "name": "Privileged", "filter": "privileged=yes", "sort": "-grants"}
    return client.post("/saved-views/", wish | fields)


def test_a_view_is_saved_and_stands_above_the_list(inventory: Any, admin: Any) -> None:
    answer = save(admin)
    here = admin.get(answer["Location"]).content.decode()

    assert answer["Location"] == "/identities/?privileged=yes&sort=-grants"
    assert 'aria-current="page"' in here and "Save this view" not in here
    assert "Privileged" in admin.get(LIST).content.decode()


def test_the_list_of_access_has_views_of_its_own(inventory: Any, admin: Any) -> None:
    save(admin, page="access", name="Only access")

    assert "Only access" in admin.get("/access/").content.decode()
    assert "Only access" not in admin.get(LIST).content.decode()


def test_a_view_that_no_longer_opens_says_so_instead_of_failing(inventory: Any, admin: Any) -> None:
    save(admin)
    SavedView.objects.update(filter="colour=red")

    for address in (LIST, "/saved-views/"):
        answer = admin.get(address)
        assert answer.status_code == 200 and "is not something to filter by" in answer.content.decode()


def test_a_shared_view_shows_everybody_only_what_they_may_see(
    inventory: Any, admin: Any, make_user: Any, browse: Any
) -> None:
    save(admin, is_shared="on")
    owner = browse(make_user(Role.OWNER))

    text = owner.get(LIST).content.decode()
    opened = owner.get("/identities/?privileged=yes&sort=-grants").content.decode()

    assert "Privileged" in text and "etl nightly" not in opened


def test_a_name_that_is_taken_keeps_what_was_typed(inventory: Any, admin: Any) -> None:
    save(admin)

    answer = save(admin, filter="privileged=no")

    assert answer.status_code == 409
    assert 'value="privileged=no"' in answer.content.decode()


def test_a_view_becomes_the_scope_of_a_review(inventory: Any, admin: Any) -> None:
    save(admin, filter="privileged=yes&source=payments")

    text = admin.get("/saved-views/").content.decode()
    addresses = re.findall(r'href="([^"]*\?scope=[^"]*)"', text)

    assert addresses
    for address in addresses:
        assert "privileged=yes&amp;source=payments" in admin.get(address).content.decode()


# --- what holds, what the source says, what a person said ---------------------------------------------------------------


def page_of(client: Any, identity: Identity) -> str:
    return re.sub(r"\s+", " ", client.get(f"/identities/{identity.pk}/").content.decode())


def test_the_page_says_who_said_otherwise_and_the_source_can_hold_again(
    inventory: Any, make_user: Any, actor_of: Any, admin: Any
) -> None:
    ada = make_user(Role.ADMINISTRATOR, name="Ada Ochieng")
    changes = {"purpose": "Feeds the ledger", "environment": "production", "tags": ["pci"]}
    edit_identity(identity=inventory.etl, version=1, changes=changes, actor=actor_of(ada), now=timezone.now())
    Identity.objects.filter(pk=inventory.etl.pk).update(source_tags=["from-aws"])

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # seals, as a commit would

    text = page_of(admin, inventory.etl)

    assert text.count("said by Ada Ochieng") == 3
    assert "source says “Copies payments”" in text and "source says staging" in text
    assert "pci" in text and 'from-aws<span class="visually-hidden"> (from the source)' in text

    for name in ("purpose", "environment", "tags"):
        inventory.etl.refresh_from_db()
        admin.post(f"/identities/{inventory.etl.pk}/take-source/", {"name": name, "version": inventory.etl.version})

    inventory.etl.refresh_from_db()
    assert (inventory.etl.effective_purpose, inventory.etl.effective_environment) == ("Copies payments", "staging")
    assert (inventory.etl.tags, inventory.etl.source_tags) == ([], ["from-aws"])


def test_whoever_may_not_read_the_trail_reads_no_names_of_it(
    inventory: Any, make_user: Any, actor_of: Any, browse: Any
) -> None:
    owner, ada = make_user(Role.OWNER), make_user(Role.ADMINISTRATOR, name="Ada Ochieng")
    changes = {"owner": owner, "purpose": "Feeds the ledger"}
    edit_identity(identity=inventory.etl, version=1, changes=changes, actor=actor_of(ada), now=timezone.now())

    text = page_of(browse(owner), inventory.etl)

    assert "said by a person" in text and "Ada Ochieng" not in text


def test_an_owner_whom_the_source_named_was_not_said_by_a_person(
    inventory: Any, make_user: Any, actor_of: Any, admin: Any
) -> None:
    owner = make_user(Role.OWNER, email="somebody.else@example.org", name="Else Holm")
    resolve_people(source_id=inventory.payments.pk)

    text = page_of(admin, inventory.etl)

    assert "Else Holm" in text and "said by" not in text

    inventory.etl.refresh_from_db()
    now, changes = timezone.now(), {"owner": None}
    edit_identity(identity=inventory.etl, version=1, changes=changes, actor=actor_of(make_user(*Role)), now=now)
    inventory.etl.refresh_from_db()
    ada = actor_of(make_user(Role.ADMINISTRATOR, name="Ada Ochieng"))
    edit_identity(identity=inventory.etl, version=inventory.etl.version, changes={"owner": owner}, actor=ada, now=now)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # seals, as a commit would

    text = page_of(admin, inventory.etl)

    assert "source says somebody.else@example.org" in text and "said by Ada Ochieng" in text


def test_only_a_person_who_is_here_takes_over_from_the_source(inventory: Any, make_user: Any, admin: Any) -> None:
    address = f"/identities/{inventory.etl.pk}/take-source/"
    assert "Owner: take" not in page_of(admin, inventory.etl)
    admin.post(address, {"name": "owner", "version": 1})
    assert Identity.objects.get(pk=inventory.etl.pk).owner is None

    named = make_user(Role.OWNER, email="somebody.else@example.org")
    assert "Owner: take" in page_of(admin, inventory.etl)
    admin.post(address, {"name": "owner", "version": 1})

    assert Identity.objects.get(pk=inventory.etl.pk).owner == named


def test_taking_the_source_back_respects_what_somebody_did_meanwhile(inventory: Any, admin: Any) -> None:
    Identity.objects.filter(pk=inventory.etl.pk).update(purpose_edited="new", version=5)

    admin.post(f"/identities/{inventory.etl.pk}/take-source/", {"name": "purpose", "version": 1})

    assert Identity.objects.get(pk=inventory.etl.pk).purpose_edited == "new"


def test_other_facts_can_be_edited_while_the_owner_has_left(inventory: Any, make_user: Any, admin: Any) -> None:
    gone = make_user(Role.OWNER, left_at=timezone.now(), is_active=False)
    Identity.objects.filter(pk=inventory.etl.pk).update(owner=gone)

    answer = admin.post(
        f"/identities/{inventory.etl.pk}/edit/", {"version": 1, "owner": gone.email, "tags": "pci, pci , a"}
    )

    inventory.etl.refresh_from_db()
    assert (answer.status_code, inventory.etl.owner, inventory.etl.tags) == (302, gone, ["a", "pci"])
