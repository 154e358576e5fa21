from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from governance.audit.models import AuditEvent
from governance.kernel.actors import Role, system_actor
from governance.kernel.errors import Conflict, Forbidden
from governance.people.access import actor_for_token
from governance.people.models import ApiToken
from governance.people.tokens import (
    InvalidToken,
    TokenRefused,
    authenticate_token,
    create_token,
    give_scopes_back,
    revoke_token,
    withhold_scopes,
)

pytestmark = pytest.mark.django_db


def test_the_secret_is_nowhere_in_the_database(make_token):
    _, plain = make_token(["sync:write"])

    secret = plain.split("_", 2)[2]
    for table in ("people_apitoken", "audit_auditevent", "audit_auditdetail"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{secret}%"])
            assert cursor.fetchone() == (0,)


def test_a_fresh_token_opens_with_its_scopes(make_token):
    token, plain = make_token(["sync:write", "inventory:read"])

    found = authenticate_token(plain, now=timezone.now())

    assert found == token
    assert actor_for_token(found).scopes == {"sync:write", "inventory:read"}


def test_expired_revoked_and_unknown_tokens_are_refused_with_the_same_words(make_token, admin_actor):
    now = timezone.now()
    _, expired = make_token(expires_at=now + timedelta(hours=1), now=now)
    revoked_token, revoked = make_token()
    revoke_token(token_id=revoked_token.pk, actor=admin_actor, now=now)
    later = now + timedelta(hours=2)

    answers = set()
    for plain in (expired, revoked, "remit_00000000_guess", "", "x" * 10_000, "\udc80", "a\x00b"):
        with pytest.raises(InvalidToken) as refusal:
            authenticate_token(plain, now=later)
        answers.add(refusal.value.message)

    assert len(answers) == 1


def test_a_token_works_until_the_moment_it_expires(make_token):
    now = timezone.now()
    expiry = now + timedelta(hours=1)
    _, plain = make_token(expires_at=expiry, now=now)

    authenticate_token(plain, now=expiry - timedelta(microseconds=1))
    with pytest.raises(InvalidToken):
        authenticate_token(plain, now=expiry)


def test_last_use_is_written_at_most_once_a_minute(make_token, django_assert_num_queries):
    token, plain = make_token()
    now = timezone.now()

    authenticate_token(plain, now=now)
    with django_assert_num_queries(1):
        authenticate_token(plain, now=now + timedelta(seconds=59))
    authenticate_token(plain, now=now + timedelta(seconds=61))

    token.refresh_from_db()
    assert token.last_used_at == now + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": "  "}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expires_at"),
        ({"expires_at": timezone.now() + timedelta(days=366)}, "expires_at"),
    ],
)
def test_a_token_without_name_scope_or_near_expiry_is_refused(make_token, wish, field):
    with pytest.raises(TokenRefused) as refusal:
        make_token(**wish)

    assert refusal.value.details["field"] == field
    assert not ApiToken.objects.exists()


def test_the_system_must_name_who_answers_for_a_token(make_user):
    person = make_user()
    wish = {
        "name": "demo",
        "scopes": ["sync:write"],
        "expires_at": timezone.now() + timedelta(days=1),
        "actor": system_actor("demo"),
        "now": timezone.now(),
    }

    with pytest.raises(TokenRefused):
        create_token(**wish)
    token, _ = create_token(**wish, accountable=person)

    assert token.created_by == person


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_only_administrators_create_and_revoke_tokens(make_user, actor_of, make_token, role):
    actor = actor_of(make_user(role))
    token, _ = make_token()

    with pytest.raises(Forbidden):
        make_token(actor=actor)
    with pytest.raises(Forbidden):
        revoke_token(token_id=token.pk, actor=actor, now=timezone.now())


def test_a_program_creates_only_tokens_that_can_less_and_end_sooner(make_token):
    parent, _ = make_token(["people:write", "sync:write"])
    client = actor_for_token(parent)

    child, _ = make_token(["sync:write"], actor=client, expires_at=parent.expires_at)

    assert child.created_by == parent.created_by
    with pytest.raises(Forbidden):
        make_token(["audit:read"], actor=client, expires_at=parent.expires_at)
    with pytest.raises(Forbidden):
        make_token(["sync:write"], actor=client, expires_at=parent.expires_at + timedelta(seconds=1))


def test_revoking_twice_says_so(make_token, admin_actor):
    token, _ = make_token()
    revoke_token(token_id=token.pk, actor=admin_actor, now=timezone.now())

    with pytest.raises(Conflict):
        revoke_token(token_id=token.pk, actor=admin_actor, now=timezone.now())

    assert list(AuditEvent.objects.values_list("verb", flat=True).order_by("verb")) == [
        "token.created",
        "token.revoked",
    ]


def test_a_withheld_scope_is_gone_at_once_and_comes_back_as_it_was(make_token, admin_actor):
    token, plain = make_token(["inventory:read", "sync:write"])

    withhold_scopes(token_id=token.pk, scopes=["sync:write"], actor=admin_actor, now=timezone.now())

    assert actor_for_token(authenticate_token(plain, now=timezone.now())).scopes == {"inventory:read"}
    token = give_scopes_back(token_id=token.pk, scopes=["sync:write"], actor=admin_actor, now=timezone.now())
    assert (token.scopes, token.withheld_scopes) == (["inventory:read", "sync:write"], [])
    verbs = AuditEvent.objects.filter(subject_id=str(token.pk)).values_list("verb", flat=True)
    assert sorted(verbs) == ["token.created", "token.narrowed", "token.restored"]


def test_a_token_without_any_scope_is_refused_like_a_revoked_one(make_token, admin_actor):
    token, plain = make_token(["inventory:read"])

    withhold_scopes(token_id=token.pk, scopes=["inventory:read"], actor=admin_actor, now=timezone.now())

    with pytest.raises(InvalidToken):
        authenticate_token(plain, now=timezone.now())


@pytest.mark.parametrize(
    ("change", "scopes", "error"),
    [
        (withhold_scopes, ["people:write"], TokenRefused),
        (withhold_scopes, [], TokenRefused),
        (give_scopes_back, ["people:write"], TokenRefused),
        (give_scopes_back, ["inventory:read"], TokenRefused),
    ],
)
def test_scopes_that_a_token_was_not_made_with_are_never_moved(make_token, admin_actor, change, scopes, error):
    token, _ = make_token(["inventory:read"])

    with pytest.raises(error):
        change(token_id=token.pk, scopes=scopes, actor=admin_actor, now=timezone.now())

    token.refresh_from_db()
    assert (token.scopes, token.withheld_scopes) == (["inventory:read"], [])


def test_a_token_that_changed_since_it_was_seen_is_left_alone(make_token, admin_actor):
    token, _ = make_token(["inventory:read", "sync:write"])

    with pytest.raises(Conflict):
        withhold_scopes(
            token_id=token.pk, scopes=["sync:write"], held=["sync:write"], actor=admin_actor, now=timezone.now()
        )


def test_no_token_gives_itself_anything_back_and_taking_does_not_allow_giving(make_token, admin_actor):
    token, _ = make_token(["clients:narrow", "clients:restore", "inventory:read"])
    taker, _ = make_token(["clients:narrow"])
    own = actor_for_token(token)
    withhold_scopes(token_id=token.pk, scopes=["inventory:read"], actor=own, now=timezone.now())

    for actor in (own, actor_for_token(taker)):
        with pytest.raises(Forbidden):
            give_scopes_back(token_id=token.pk, scopes=["inventory:read"], actor=actor, now=timezone.now())


def test_what_expired_or_was_revoked_is_given_nothing(make_token, admin_actor):
    now = timezone.now()
    token, _ = make_token(["inventory:read"], expires_at=now + timedelta(hours=1), now=now)
    withhold_scopes(token_id=token.pk, scopes=["inventory:read"], actor=admin_actor, now=now)

    with pytest.raises(Conflict):
        give_scopes_back(token_id=token.pk, scopes=["inventory:read"], actor=admin_actor, now=now + timedelta(hours=2))
    revoke_token(token_id=token.pk, actor=admin_actor, now=now)
    with pytest.raises(Conflict):
        give_scopes_back(token_id=token.pk, scopes=["inventory:read"], actor=admin_actor, now=now)
