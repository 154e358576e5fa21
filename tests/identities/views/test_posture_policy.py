"""The posture policy on pages: what is in force, a change that is previewed before it is set, versions with their diff."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from governance.kernel.actors import Role
from identities.forms.posture_policy import ENTRIES, PolicyForm, flat
from identities.models import PosturePolicy
from identities.posture.policy import first_document, parse_policy
from identities.views.posture_policy import changes_between
from tests.identities.scores import make_score
from tests.reviews import conftest as make

EDIT = "/settings/posture-policy/edit/"


@pytest.fixture
def given() -> Callable[..., dict[str, Any]]:
    """`given(**{"weights-breadth": 30})`: what the form sends for version 1, with some fields changed."""

    def go(**changes: Any) -> dict[str, Any]:
        form = PolicyForm(first_document(), number=1)
        sent = {name: form[name].value() for name in form.fields if name != "reason"}
        return {name: "" if value is None else value for name, value in sent.items()} | changes

    return go


def test_every_number_of_the_policy_has_its_field_and_every_field_its_number() -> None:
    assert set(ENTRIES) == set(flat(first_document()))


def test_a_form_that_nobody_touched_gives_back_the_same_policy(given: Callable[..., dict[str, Any]]) -> None:
    form = PolicyForm(first_document(), given(reason="As it was"), number=1)

    assert form.is_valid(), form.errors
    assert form.document() == first_document()
    assert parse_policy(form.document(), number=2).weights["privilege"] == 30


@pytest.mark.django_db
def test_a_number_in_force_is_said_with_its_unit_as_in_a_sentence(admin: Client) -> None:
    page = " ".join(strip_tags(admin.get("/settings/posture-policy/").content.decode().replace("<", " <")).split())

    assert "Dormant after 90 days" in page and "Proven from assurance 3 (1 to 4)" in page
    assert "Rotation overdue after 365 days; the finding is high then" in page
    assert "0 to 1" not in page.replace("From 0 to 1", "")


def test_differences_are_named_in_words_and_in_the_order_of_the_form() -> None:
    after = first_document()
    after["thresholds"]["dormant_days"] = 60
    after["weights"] |= {"privilege": 25, "breadth": 25}

    changes = changes_between(first_document(), after)

    assert [(each.label, each.before, each.after) for each in changes] == [
        ("Highest privilege", "30", "25"),
        ("Breadth", "20", "25"),
        ("Dormant after", "90", "60"),
    ]


@pytest.mark.django_db
def test_everybody_reads_what_is_in_force_and_since_when(browse: Callable[..., Client]) -> None:
    page = browse(make.make_person(Role.OWNER)).get("/settings/posture-policy/").content.decode()

    assert "In force: version 1" in page and "Highest privilege" in page
    assert "/edit/" not in page


@pytest.mark.django_db
def test_only_administrators_change_it(browse: Callable[..., Client], given: Callable[..., dict[str, Any]]) -> None:
    client = browse(make.make_person(Role.AUDITOR))

    assert client.get(EDIT).status_code == 403
    assert client.post(EDIT, given(reason="Because", set="yes")).status_code == 403


@pytest.mark.django_db
def test_a_preview_says_what_and_who_would_move_and_writes_nothing(
    admin: Client, given: Callable[..., dict[str, Any]]
) -> None:
    make_score(make.make_identity(), 3, 60)
    admin.get(EDIT)

    response = admin.post(EDIT, given(**{"picture-broad_from": 70, "bands-broad": 70}, preview="yes"))

    assert response.status_code == 200
    page = response.content.decode()
    assert "Broad from exposure" in page and "<del>50</del>" in page and "<ins>70</ins>" in page
    assert "Who would move where" in page
    assert list(PosturePolicy.objects.values_list("number", flat=True)) == [1]


@pytest.mark.django_db
def test_numbers_that_cannot_be_are_refused_beside_their_fields_and_nothing_is_lost(
    admin: Client, given: Callable[..., dict[str, Any]]
) -> None:
    response = admin.post(EDIT, given(**{"weights-breadth": 50, "bands-limited": 33}, reason="More weight", set="yes"))

    assert response.status_code == 422
    page = response.content.decode()
    assert "must add up to 100; they add up to 130" in page
    assert 'value="33"' in page and "More weight" in page
    assert PosturePolicy.objects.count() == 1


@pytest.mark.django_db
def test_a_change_without_a_reason_is_refused(admin: Client, given: Callable[..., dict[str, Any]]) -> None:
    response = admin.post(EDIT, given(**{"thresholds-dormant_days": 60}, reason="", set="yes"))

    assert response.status_code == 422
    assert "Say why" in response.content.decode()


@pytest.mark.django_db
def test_a_change_makes_the_next_version_whose_page_shows_the_difference(
    admin: Client, given: Callable[..., dict[str, Any]]
) -> None:
    admin.get(EDIT)
    response = admin.post(EDIT, given(**{"thresholds-dormant_days": 60}, reason="Auditors ask for 60.", set="yes"))

    assert response.status_code == 302
    made = PosturePolicy.objects.get(number=2)
    assert made.document["thresholds"]["dormant_days"] == 60 and made.created_by is not None
    page = admin.get("/settings/posture-policy/versions/2/").content.decode()
    assert "Auditors ask for 60." in page and "<del>90</del>" in page and "<ins>60</ins>" in page
    assert "In force: version 2" in admin.get("/settings/posture-policy/").content.decode()


@pytest.mark.django_db
def test_a_version_that_never_was_is_not_found(admin: Client) -> None:
    assert admin.get("/settings/posture-policy/versions/77/").status_code == 404
