"""Links from a mail into the inbox: for one person and purpose, expiring, of limited use and limited power.

Opening the link changes nothing, because mail scanners open every link; the page behind it holds a button
that calls `redeem`.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.errors import DomainError
from governance.people.access import MAIL_LINK, actor_for_user
from governance.people.accounts import person_subject
from governance.people.models import MailLink, User

LIFE = timedelta(days=7)
# Enough to come back to a half-done inbox from the same mail, too few to be a password.
USES = 5


class MailLinkInvalid(DomainError):
    """Unknown, expired, used up, revoked, or its person left: all look alike."""

    code = "mail-link-invalid"
    status = 410
    title = "This link no longer works"

    def __init__(self) -> None:
        super().__init__("The link is too old or was used up. Sign in, or wait for the next mail.")


def make_link(user: User, *, now: datetime, purpose: str = MailLink.Purpose.INBOX) -> str:
    """The path of a fresh link, `/m/<token>/`; the token itself is nowhere kept.

    A building block: call it in the transaction that records the mail. Raises `MailLinkInvalid` for people
    who may not come in.
    """
    if not user.is_active:
        raise MailLinkInvalid
    token = secrets.token_urlsafe(32)
    MailLink.objects.create(
        user=user,
        purpose=MailLink.Purpose(purpose),
        token_hash=_hash(token),
        created_at=now,
        expires_at=now + LIFE,
        uses_left=USES,
    )
    return reverse("mail_link", args=[token])


def get_person_behind(token: str, *, now: datetime) -> User:
    """Whose link this is, without using it. Raises `MailLinkInvalid`."""
    link = MailLink.objects.select_related("user").filter(token_hash=_hash(token)).first()
    if link is None or not _is_live(link, now):
        raise MailLinkInvalid
    return link.user


def redeem(token: str, *, now: datetime, request_id: str = "") -> User:
    """Use the link once more and return the person to open a limited session for. Raises
    `MailLinkInvalid`.
    """
    with transaction.atomic(durable=True):
        links = MailLink.objects.select_for_update(of=("self",)).select_related("user")
        link = links.filter(token_hash=_hash(token)).first()
        if link is None or not _is_live(link, now):
            raise MailLinkInvalid
        link.uses_left -= 1
        link.save(update_fields=["uses_left"])
        log.record(
            verb=Verb.USER_SIGNED_IN,
            actor=actor_for_user(link.user, auth_method=MAIL_LINK, request_id=request_id),
            subject=person_subject(link.user),
            now=now,
            context={"purpose": link.purpose, "link": str(link.pk)},
        )
    return link.user


def _is_live(link: MailLink, now: datetime) -> bool:
    unspent = link.revoked_at is None and link.uses_left > 0
    return unspent and link.expires_at > now and link.user.is_active


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
