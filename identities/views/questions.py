"""The four questions about one identity, answered in words: proof, power, conditions, time.

Whatever is missing is said with its reason: not observable (the source cannot report it) or not reported (it could).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission, describe
from identities.models import Credential, Custody, GrantVersion, Identity, Source, TrustRelation

EXPIRES_SOON = timedelta(days=30)
OLD_SECRET = timedelta(days=365)
CUSTODY_WORDS = {
    Custody.SELF_HELD: "It holds its own credential: whoever has the secret is it.",
    Custody.ASSUMABLE: "Others assume it; it has no secret of its own.",
    Custody.PLATFORM_MANAGED: "The platform that runs it issues and rotates its credentials.",
    Custody.UNKNOWN: "",
}


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that may be missing. `tone` is set where it deserves attention; `unknown` where it is missing."""

    text: str = ""
    at: datetime | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class CredentialLine:
    """One credential as the page prints it."""

    label: str
    external_id: str
    status: str
    age: Known
    expiry: Known
    rotated: Known
    used: Known
    storage: Known
    audience: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Time:
    """One row of "for how long"."""

    label: str
    known: Known
    note: str = ""


NO_CONDITION = Known("None: what it holds, it holds at any time and from anywhere.", tone="warn")


def credential_lines(credentials: Sequence[Credential], source: Source, now: datetime) -> list[CredentialLine]:
    """Every credential with what is known about it."""
    return [_credential_line(credential, source, now) for credential in credentials]


def proof_answer(identity: Identity, credentials: Sequence[CredentialLine], trusts: Sequence[TrustRelation]) -> Known:
    """The first question in one sentence."""
    if not credentials and not trusts:
        if identity.source.coverage.get("credentials") is False:
            return Known("This source cannot report credentials, so nobody can tell.", tone="unknown")
        return Known("No credential and no trust relation is reported.", tone="unknown")
    parts = []
    if credentials:
        parts.append(f"{len(credentials)} credential{'s' if len(credentials) != 1 else ''}")
    if trusts:
        parts.append(f"{len(trusts)} trust relation{'s' if len(trusts) != 1 else ''}")
    worst = [line for line in credentials if line.status == "active" and line.expiry.tone == "warn"]
    said = " and ".join(parts) + "."
    if any(line.expiry.text == "never" for line in worst):
        return Known(f"{said} A secret that never expires proves less each year.", tone="warn")
    return Known(said)


def condition_sentences(versions: Sequence[GrantVersion]) -> list[tuple[str, str]]:
    """(grant label, sentence) of every statement that holds only under a condition or until a moment."""
    found = []
    for version in versions:
        try:
            permission = Permission.from_json(version.permission)
        except DomainError:
            continue
        for statement in permission.statements:
            if statement.conditions or statement.until:
                (sentence,) = describe(Permission(permission.dialect, (statement,)))
                found.append((version.grant.label, sentence))
    return found


def times(
    source: Source, credentials: Sequence[Credential], versions: Sequence[GrantVersion], last_use: Known, now: datetime
) -> list[Time]:
    """The fourth question: how long each part of it lasts, and when somebody looked last."""
    return [
        _credential_time(credentials, source, now),
        _grant_time(versions, source),
        Time("Last use", last_use),
        *_review_times(versions),
    ]


def _credential_line(credential: Credential, source: Source, now: datetime) -> CredentialLine:
    return CredentialLine(
        label=credential.get_kind_display(),
        external_id=credential.external_id,
        status=_status_of(credential, now),
        age=_age(credential, source, now),
        expiry=_expiry(credential, source, now),
        rotated=_reported(credential.last_rotated_at, source, "credential_last_rotated"),
        used=_reported(credential.last_used_at, source, "credential_last_used"),
        storage=Known(credential.storage) if credential.storage else Known("not reported", tone="unknown"),
        audience=credential.audience,
        fingerprint=credential.fingerprint,
    )


def _status_of(credential: Credential, now: datetime) -> str:
    if credential.expires_at and credential.expires_at <= now:
        return "expired"
    return credential.status


def _age(credential: Credential, source: Source, now: datetime) -> Known:
    if credential.created_at is None:
        return missing(source, "credential_created_at")
    renewed = credential.last_rotated_at or credential.created_at
    return Known(at=credential.created_at, tone="warn" if now - renewed > OLD_SECRET else "")


def _expiry(credential: Credential, source: Source, now: datetime) -> Known:
    if credential.never_expires:
        return Known("never", tone="warn")
    if credential.expires_at is None:
        return missing(source, "credential_expiry")
    left = credential.expires_at - now
    tone = "danger" if left <= timedelta() else "warn" if left < EXPIRES_SOON else ""
    return Known(at=credential.expires_at, tone=tone)


def _reported(at: datetime | None, source: Source, fact: str) -> Known:
    return Known(at=at) if at else missing(source, fact)


def missing(source: Source, fact: str) -> Known:
    """Why a fact is not there: the source cannot report it, or it could and did not."""
    can = source.coverage.get(fact)
    return Known("not observable" if can is False else "not reported", tone="unknown")


def _credential_time(credentials: Sequence[Credential], source: Source, now: datetime) -> Time:
    live = [credential for credential in credentials if credential.status == "active"]
    if not live:
        return Time("Credentials", Known("none is live" if credentials else "none reported", tone="unknown"))
    endless = [credential for credential in live if credential.never_expires]
    ending = sorted(credential.expires_at for credential in live if credential.expires_at)
    if endless:
        note = f"{len(endless)} of {len(live)} live ones" if len(live) > 1 else ""
        return Time("Credentials", Known("never expire" if len(endless) > 1 else "never expires", tone="warn"), note)
    if ending:
        return Time("Credentials", Known(at=ending[-1], tone="" if ending[-1] > now else "danger"), "the last one ends")
    return Time("Credentials", missing(source, "credential_expiry"))


def _grant_time(versions: Sequence[GrantVersion], source: Source) -> Time:
    ending = sorted(version.valid_until for version in versions if version.valid_until)
    if not versions:
        return Time("Grants", Known("it holds none"))
    if ending:
        note = f"the first of {len(ending)} with an end; {len(versions) - len(ending)} without"
        return Time("Grants", Known(at=ending[0]), note)
    if source.coverage.get("grant_expiry") is False:
        return Time("Grants", Known("no end", tone="warn"), "this source cannot end a grant by date")
    return Time("Grants", Known("no end", tone="warn"), f"none of {len(versions)} has a date")


def _review_times(versions: Sequence[GrantVersion]) -> list[Time]:
    reviewed = [version.grant.reviewed_at for version in versions if version.grant.reviewed_at]
    approved = sorted(version.grant.approved_until for version in versions if version.grant.approved_until)
    never = len(versions) - len(reviewed)
    last = Known(at=max(reviewed)) if reviewed else Known("never", tone="warn" if versions else "")
    note = f"{never} of {len(versions)} grants never" if reviewed and never else ""
    rows = [Time("Last review", last, note)]
    if approved:
        rows.append(Time("Approved until", Known(at=approved[0]), "the earliest; taken away then"))
    return rows
