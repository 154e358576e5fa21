"""Rotation: the old credential stays until its successor is seen in use, then it ends.

Remit never holds a secret, so a person issues the new one and moves the users over. What follows needs no secret: a
reading shows a newer active credential of the same identity and kind that was used after it was made; only then is the
old one ended, by the connector where it can, else by a person.
"""

from typing import Protocol

from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from identities import provisioning
from identities.connectors.contract import Plan
from identities.models import Credential, CredentialKind, Identity, IdentityStatus

# An account has one password: a new one replaces the old one, and nothing is left to be ended.
ONE_PER_ACCOUNT = frozenset({CredentialKind.PASSWORD})


class Rotated(Protocol):
    """Whatever names the credential: a review item or an order."""

    identity: Identity
    credential: Credential | None


def successor_of(credential: Credential) -> Credential | None:
    """The newer active credential of the same identity and kind that was used after it was made, or None.

    Where a source does not say when a credential was made, the reading that first showed it stands for that.
    """
    if credential.kind in ONE_PER_ACCOUNT:
        return None
    born = credential.created_at or credential.first_seen_at
    siblings = Credential.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=Now()),
        identity_id=credential.identity_id,
        kind=credential.kind,
        status=IdentityStatus.ACTIVE,
        retired_at=None,
        last_used_at__isnull=False,
    ).exclude(pk=credential.pk)
    newer = siblings.annotate(born=Coalesce("created_at", "first_seen_at")).filter(born__gt=born)
    return next((each for each in newer.order_by("-last_used_at") if each.last_used_at >= each.born), None)


def plan_ending(subject: Rotated) -> Plan | None:
    """How the old credential would be ended now; None while no successor is in use. Raises NotPossible."""
    if subject.credential is None or successor_of(subject.credential) is None:
        return None
    return provisioning.plan_deactivate(credential=subject.credential)


def rotation_text(subject: Rotated) -> str:
    """What a person has to do first, and what happens then."""
    if subject.credential is None:
        return ""
    source = subject.identity.source
    shows_use = subject.credential.kind not in ONE_PER_ACCOUNT and source.coverage.get("credential_last_used", False)
    then = (
        "The old one keeps working meanwhile. Once a reading shows the new one in use, the old one is ended."
        if shows_use
        else "Then end the old one."
    )
    return f"Rotate the {_named(subject)}: issue a new one and move the users over. {then}"


def ending_text(subject: Rotated) -> str:
    """What is left for a person where Remit cannot end the old credential."""
    return f"The new one is in use. End the old one now: the {_named(subject)}."


def release_text(successor: Credential) -> str:
    """Why the old credential may end now, in plain words. The page shows it; ids of credentials are no secrets."""
    used = f"{successor.last_used_at:%Y-%m-%d %H:%M} UTC" if successor.last_used_at else "by now"
    return f"The new one ({successor.external_id}) was used at {used}; the old one is ended now."


def _named(subject: Rotated) -> str:
    credential = subject.credential
    assert credential is not None  # noqa: S101 - asked by the caller
    kind = credential.get_kind_display()
    plain = kind if kind[:2].isupper() else kind[0].lower() + kind[1:]
    return f"{plain} “{credential.external_id}” of {subject.identity.name} in {subject.identity.source.name}"
