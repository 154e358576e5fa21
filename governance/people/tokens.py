"""API tokens: the keys of programs. `remit_<prefix>_<secret>`, shown once, kept as a hash, always
expiring.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import SCOPES, require_role
from governance.people.models import ApiToken, User

LONGEST_LIFE = timedelta(days=365)
USE_RESOLUTION = timedelta(minutes=1)
# Longer than any real token; a megabyte of header need not be hashed.
_LONGEST_TOKEN = 200


class InvalidToken(DomainError):
    """Unknown, expired or revoked: all look alike, so that a thief learns nothing."""

    code = "invalid-token"
    status = 401
    title = "The API token is not valid"


class TokenRefused(DomainError):
    """The token asked for may not exist as described."""

    code = "token-refused"
    title = "The API token can't be created"


def create_token(
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime,
    actor: Actor,
    now: datetime,
    accountable: User | None = None,
) -> tuple[ApiToken, str]:
    """Create a token; returns it with the plain secret, which is nowhere kept.

    `accountable` is the person who answers for it: the actor where a person acts, the person behind the
    creating token where a program does, and must be named when the system acts. A program may only create
    tokens with scopes that it has itself and that don't outlive it. Raises `TokenRefused`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="people:write")
    wanted = sorted(set(scopes))
    _check_wish(name, wanted, expires_at, now)
    plain, prefix = _generate()
    with transaction.atomic(durable=True):
        token = ApiToken.objects.create(
            name=name.strip(),
            prefix=prefix,
            secret_hash=_hash(plain),
            scopes=wanted,
            created_by=_accountable_person(actor, accountable, wanted, expires_at),
            created_at=now,
            expires_at=expires_at,
        )
        log.record(
            verb=Verb.TOKEN_CREATED,
            actor=actor,
            subject=_subject(token),
            now=now,
            new={"scopes": wanted, "expires_at": expires_at.isoformat()},
            personal={"name": token.name},
        )
    return token, plain


def revoke_token(*, token_id: UUID, actor: Actor, now: datetime) -> ApiToken:
    """End a token at once. Raises `NotFound`, `Conflict` when it was revoked before."""
    require_role(actor, Role.ADMINISTRATOR, scope="people:write")
    with transaction.atomic(durable=True):
        token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
        if token is None:
            raise NotFound("There is no such API token.")
        if token.revoked_at is not None:
            raise Conflict("This API token was already revoked.")
        token.revoked_at = now
        token.save(update_fields=["revoked_at"])
        log.record(
            verb=Verb.TOKEN_REVOKED,
            actor=actor,
            subject=_subject(token),
            now=now,
            old={"revoked_at": None},
            new={"revoked_at": now},
        )
    return token


def withhold_scopes(
    *, token_id: UUID, scopes: Iterable[str], held: Iterable[str] | None = None, actor: Actor, now: datetime
) -> ApiToken:
    """Take scopes from a token, with effect on its next request; without any scope left it opens nothing.

    held: the scopes that the caller saw; where the token has others by now, nothing happens. Raises `NotFound`,
    `Conflict`, `TokenRefused`, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR, scope="clients:narrow")
    with transaction.atomic(durable=True):
        token = _locked(token_id, held)
        taken = _among(scopes, token.scopes, "The token does not have the scope")
        _move_scopes(token, set(token.scopes) - taken, Verb.TOKEN_NARROWED, actor, now)
    return token


def give_scopes_back(
    *, token_id: UUID, scopes: Iterable[str], held: Iterable[str] | None = None, actor: Actor, now: datetime
) -> ApiToken:
    """Give a token scopes that were withheld from it; never its own, never others. Raises as `withhold_scopes`."""
    require_role(actor, Role.ADMINISTRATOR, scope="clients:restore")
    if actor.kind is ActorKind.API_CLIENT and actor.id == str(token_id):
        raise Forbidden("A token can't give itself anything back.")
    with transaction.atomic(durable=True):
        token = _locked(token_id, held)
        if token.expires_at <= now:
            raise Conflict("This API token has expired; nothing brings it back.")
        returned = _among(scopes, token.withheld_scopes, "Not withheld from this token is the scope")
        _move_scopes(token, set(token.scopes) | returned, Verb.TOKEN_RESTORED, actor, now)
    return token


def authenticate_token(plain: str, *, now: datetime) -> ApiToken:
    """The live token with this secret. Raises `InvalidToken`.

    Lookup goes by hash, so its time says nothing about how much of a guess was right.
    """
    if len(plain) > _LONGEST_TOKEN:
        raise InvalidToken("The API token is unknown, expired or revoked.")
    live = ApiToken.objects.filter(revoked_at__isnull=True, expires_at__gt=now).exclude(scopes=[])
    token = live.filter(secret_hash=_hash(plain)).first()
    if token is None:
        raise InvalidToken("The API token is unknown, expired or revoked.")
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_RESOLUTION)
    if token.last_used_at is None or token.last_used_at < now - USE_RESOLUTION:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def _locked(token_id: UUID, held: Iterable[str] | None) -> ApiToken:
    token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
    if token is None:
        raise NotFound("There is no such API token.")
    if token.revoked_at is not None:
        raise Conflict("This API token was revoked.")
    if held is not None and set(held) != set(token.scopes):
        raise Conflict("The token has other scopes by now. Look again.")
    return token


def _among(scopes: Iterable[str], known: Iterable[str], complaint: str) -> set[str]:
    wanted = set(scopes)
    if not wanted:
        raise TokenRefused("Name at least one scope.", field="scopes")
    if strange := sorted(wanted - set(known)):
        raise TokenRefused(f"{complaint} {strange[0]}.", field="scopes", unknown=strange)
    return wanted


def _move_scopes(token: ApiToken, scopes: set[str], verb: Verb, actor: Actor, now: datetime) -> None:
    everything, before = {*token.scopes, *token.withheld_scopes}, sorted(token.scopes)
    token.scopes, token.withheld_scopes = sorted(scopes), sorted(everything - scopes)
    token.save(update_fields=["scopes", "withheld_scopes"])
    log.record(
        verb=verb,
        actor=actor,
        subject=_subject(token),
        now=now,
        old={"scopes": before},
        new={"scopes": token.scopes},
    )


def _check_wish(name: str, scopes: list[str], expires_at: datetime, now: datetime) -> None:
    if not name.strip():
        raise TokenRefused("Give the token a name that says which program uses it.", field="name")
    if not scopes:
        raise TokenRefused("Choose at least one scope.", field="scopes")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise TokenRefused(f"There is no scope {unknown[0]}.", field="scopes", unknown=unknown)
    if expires_at <= now:
        raise TokenRefused("The expiry lies in the past.", field="expires_at")
    if expires_at > now + LONGEST_LIFE:
        raise TokenRefused("A token lives at most one year.", field="expires_at")


def _accountable_person(actor: Actor, accountable: User | None, scopes: list[str], expires_at: datetime) -> User:
    if actor.kind is ActorKind.PERSON:
        return User.objects.get(pk=actor.id)
    if actor.kind is ActorKind.API_CLIENT:
        parent = ApiToken.objects.select_related("created_by").get(pk=actor.id)
        if not set(scopes) <= set(parent.scopes):
            raise Forbidden("A token may only create tokens with scopes that it has itself.")
        if expires_at > parent.expires_at:
            raise Forbidden("A token may not create a token that outlives it.")
        return parent.created_by
    if accountable is None:
        raise TokenRefused("Name the person who answers for this token.", field="accountable")
    return accountable


def _generate() -> tuple[str, str]:
    prefix = secrets.token_hex(4)
    return f"remit_{prefix}_{secrets.token_urlsafe(32)}", prefix


def _hash(plain: str) -> str:
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _subject(token: ApiToken) -> log.Subject:
    return log.Subject(kind="api_token", id=str(token.pk), label=f"API token {token.prefix}")
