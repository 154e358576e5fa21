"""Sign-ins, second factors and passwords in the audit trail.

These are allauth's events, not ours, so its signals and adapter hooks are the only place to record them.
"""

from datetime import datetime
from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import system_actor
from governance.people.access import SESSION_AUTH_METHOD, actor_for_user
from governance.people.accounts import person_subject
from governance.people.models import User

STARTED_AT = "started_at"
SEEN_AT = "seen_at"


def start_session(request: HttpRequest, *, method: str) -> None:
    """Write into a fresh session how it was proved and when it began."""
    now = int(timezone.now().timestamp())
    request.session[SESSION_AUTH_METHOD] = method
    request.session[STARTED_AT] = now
    request.session[SEEN_AT] = now


@transaction.atomic(durable=True)
def signed_in(user: User, *, auth_method: str, ip: str, now: datetime) -> None:
    log.record(
        verb=Verb.USER_SIGNED_IN,
        actor=actor_for_user(user, auth_method=auth_method),
        subject=person_subject(user),
        now=now,
        personal={"ip": ip},
    )


@transaction.atomic(durable=True)
def signed_out(user: User, *, auth_method: str, now: datetime) -> None:
    log.record(
        verb=Verb.USER_SIGNED_OUT,
        actor=actor_for_user(user, auth_method=auth_method),
        subject=person_subject(user),
        now=now,
    )


@transaction.atomic(durable=True)
def sign_in_failed(*, email: str, ip: str, now: datetime, step: str = "password") -> None:
    """Nobody proved anything, so the actor is the sign-in page and the address typed is only a claim."""
    user = User.objects.filter(email=email.strip().lower()).first()
    log.record(
        verb=Verb.USER_SIGN_IN_FAILED,
        actor=system_actor("sign-in"),
        subject=person_subject(user) if user else log.Subject(kind="person", id="unknown", label="unknown"),
        now=now,
        context={"step": step},
        personal={"email": email[:254].replace("\x00", ""), "ip": ip},
        outcome="refused",
    )


@receiver(mfa_signals.authenticator_added)
def second_factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _second_factor_changed(Verb.MFA_ENABLED, request, user, authenticator)


@receiver(mfa_signals.authenticator_removed)
def second_factor_removed(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    _second_factor_changed(Verb.MFA_DISABLED, request, user, authenticator)


@receiver(mfa_signals.authentication_failed)
def second_factor_failed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    from allauth.account.adapter import get_adapter

    ip = get_adapter().get_client_ip(request)
    sign_in_failed(email=user.email, ip=ip, now=timezone.now(), step="second_factor")


@receiver([password_changed, password_reset, password_set])
def password_replaced(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Other sessions end by themselves: they are bound to the password (see `User`)."""
    with transaction.atomic():
        _record_by_oneself(Verb.USER_CHANGED, request, user, {"changed": ["password"]})


def _second_factor_changed(verb: Verb, request: HttpRequest, user: User, authenticator: Authenticator) -> None:
    # Recovery codes come and go with the factor that they stand in for; one record tells both.
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        return
    with transaction.atomic():
        user.session_epoch += 1
        user.save(update_fields=["session_epoch"])
        _record_by_oneself(verb, request, user, {"type": str(authenticator.type)})
    # Whoever came in with less proof than is asked from now on has to come again; this session just proved
    # more.
    update_session_auth_hash(request, user)


def _record_by_oneself(verb: Verb, request: HttpRequest, user: User, context: dict[str, Any]) -> None:
    method = request.session.get(SESSION_AUTH_METHOD, "session")
    actor = actor_for_user(user, auth_method=method, request_id=getattr(request, "request_id", ""))
    log.record(verb=verb, actor=actor, subject=person_subject(user), now=timezone.now(), context=context)
