"""The life of an identity as a page."""

from typing import Any

from django.utils import timezone

from governance.kernel.actors import Role
from identities.models import Identity, IdentityPosture
from identities.posture.policy import policy_in_force

# Session, person, roles, the identity with what belongs to it, and what the shell counts.
PAGE_QUERIES = 7


def url_of(identity: Identity, act: str = "") -> str:
    return f"/identities/{identity.pk}/life/{act}"


def test_the_page_of_an_identity_shows_where_it_stands(inventory: Any, admin: Any) -> None:
    response = admin.get(f"/identities/{inventory.etl.pk}/")

    assert response.context["life"].steps
    assert "Register it, or say how often it is used" in response.content.decode()


def test_dormant_is_what_the_rule_says(inventory: Any, admin: Any) -> None:
    IdentityPosture.objects.update_or_create(
        identity=inventory.etl,
        defaults={
            "assurance_lower": 1, "assurance_upper": 1, "worst_case": 10, "box": "unmeasured", "failed": ["NHI1-C"],
            "policy_id": policy_in_force().number, "catalogue_version": "1", "facts_digest": b"",
            "assessed_at": timezone.now(),
        },
    )  # fmt: skip

    assert admin.get(url_of(inventory.etl)).context["life"].label == "Dormant"


def test_registering_asks_for_owner_and_purpose(inventory: Any, admin: Any, make_user: Any) -> None:
    version = Identity.objects.get(pk=inventory.bot.pk).version
    empty = admin.post(url_of(inventory.bot, "register/"), {"version": version})
    assert empty.status_code == 422
    assert set(empty.context["register"].errors) == {"owner", "purpose"}

    ada = make_user()
    done = admin.post(
        url_of(inventory.bot, "register/"), {"owner": ada.email, "purpose": "Talks to customers.", "version": version}
    )

    assert done.status_code == 302
    assert Identity.objects.get(pk=inventory.bot.pk).owner == ada
    assert "answers for it" in admin.get(url_of(inventory.bot)).content.decode()


def test_what_was_typed_stays_when_somebody_else_was_faster(inventory: Any, admin: Any, make_user: Any) -> None:
    response = admin.post(
        url_of(inventory.bot, "register/"), {"owner": make_user().email, "purpose": "Talks.", "version": 99}
    )

    assert response.status_code == 409
    assert "Talks." in response.content.decode()


def test_a_cadence_is_saved_with_its_reason(inventory: Any, admin: Any) -> None:
    version = Identity.objects.get(pk=inventory.etl.pk).version

    done = admin.post(
        url_of(inventory.etl, "cadence/"), {"days": 370, "reason": "Closes the year.", "version": version}
    )

    assert done.status_code == 302
    assert "at least every 370 days" in admin.get(url_of(inventory.etl)).content.decode()


def test_whoever_may_not_edit_sees_no_forms(inventory: Any, make_user: Any, browse: Any) -> None:
    text = browse(make_user(Role.AUDITOR)).get(url_of(inventory.etl)).content.decode()

    assert '<form class="form"' not in text


def test_the_page_costs_a_fixed_number_of_queries(
    inventory: Any, admin: Any, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(PAGE_QUERIES):
        admin.get(url_of(inventory.etl))
