"""The gates of assurance: what has to hold for each level, with the words for why it does not and what would help.

Data with small judges beside it; `assurance` puts them together. A judge answers True, False, or None where nobody
knows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from governance.kernel.federation import IssuerSort, Looseness, audience_is_open, sort_of_issuer, subject_looseness
from identities.posture.facts import CredentialFacts, GrantFacts, IdentityFacts, Missing, TrustFacts
from identities.posture.policy import Policy
from identities.posture.rules.reading import MADE_ONCE, entries

# Whose value the system that accepts it makes up itself, for one identity alone.
_MADE_THERE = frozenset({"access_key", "api_key", "client_secret", "token"})
# One method of sign-in only; the others say which one they are used with, or nobody knows.
_SIGNED_IN_WITH = {
    "access_key": "signed requests",
    "api_key": "key in each request",
    "ssh_key": "public key",
    "x509": "certificate",
    "jwt_svid": "JWT-SVID",
    "federated_trust": "federation",
    "platform_issued": "issued by the platform",
    "token": "bearer token",
    "password": "password",
}


class Sort(StrEnum):
    """What has to be protected: a secret that is sent, a key that signs, or nothing, because it is issued anew."""

    SECRET = "secret"  # noqa: S105
    KEY = "key"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: a credential, or a system that vouches for whoever it knows under this name."""

    label: str
    sort: Sort
    credential: CredentialFacts | None
    trusts: tuple[TrustFacts, ...]
    facts: IdentityFacts
    policy: Policy

    def attribute(self, name: str) -> bool | None:
        """A three-valued fact of the credential; a way without one has nobody who could say."""
        if self.credential is None:
            return None
        value = getattr(self.credential, name)
        return None if isinstance(value, Missing) else bool(value)


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of a level. holds: True, False or None (unknown). fails, unknown: phrases; raises: the advice.

    sorts: which ways it concerns; the others pass it.
    """

    name: str
    level: int
    sorts: frozenset[Sort]
    holds: Callable[[Way], bool | None]
    fails: Callable[[Way], str]
    unknown: str
    raises: str


# --- gates ------------------------------------------------------------------------------------------------------------


def _is_closed(way: Way) -> bool | None:
    """Whether a credential is asked for at all."""
    return not is_for_anybody(way.facts)


def is_for_anybody(facts: IdentityFacts) -> bool:
    """Whether whoever asks becomes this identity, without a credential."""
    return facts.attributes.get("open_to_anybody") is True or facts.name in _ANYBODY


_ANYBODY = frozenset({"system:anonymous", "system:unauthenticated", "anonymous", "any AWS account"})


def _is_method_sound(way: Way) -> bool | None:
    if way.credential is None:
        return True
    method = way.credential.method
    if isinstance(method, Missing):
        return True if way.credential.kind in _SIGNED_IN_WITH else None
    return method.lower() not in way.policy.lists.deprecated_methods


def _is_unique(way: Way) -> bool | None:
    """Whether it proves one identity: neither the same secret elsewhere, nor several who use it."""
    credential, use = way.credential, way.facts.use
    if not isinstance(use.callers, Missing) and use.callers > 1:
        return False
    workloads = way.facts.workloads
    if not isinstance(workloads, Missing) and len(workloads) > 1:
        return False
    if credential is None:
        return None
    if not isinstance(credential.same_elsewhere, Missing):
        return credential.same_elsewhere == 0
    return True if credential.kind in _MADE_THERE else None


def _is_unleaked(way: Way) -> bool | None:
    """Whether no leak is known that it was not changed after. Nobody can know that there was none."""
    credential = way.credential
    leaks = () if credential is None else entries(credential.attributes, "leaks")
    if credential is None or isinstance(leaks, Missing):
        return True
    changed = _latest(credential.last_rotated_at, credential.created_at)
    return all(_is_older(leak.get("first_seen_at"), changed) for leak in leaks)


def _is_older(seen: object, changed: datetime | None) -> bool:
    try:
        found = datetime.fromisoformat(seen) if isinstance(seen, str) else None
    except ValueError:
        return False
    return found is not None and found.tzinfo is not None and changed is not None and found < changed


def _names_somebody(way: Way) -> bool | None:
    """Whether every issuer says who is let in, rather than letting in all whom it knows."""
    if way.credential is None and not way.trusts and way.facts.custody != "platform_managed":
        return None
    return not any(_lets_in_all(trust) for trust in way.trusts)


def _lets_in_all(trust: TrustFacts) -> bool:
    """Conditions on other claims can pin it as well as a subject does."""
    judged = subject_looseness(trust.issuer, trust.subject)
    return judged.issuer is IssuerSort.ANYBODY or (judged.looseness is Looseness.ANY and not trust.conditions)


def _is_stored_well(way: Way) -> bool | None:
    storage = way.credential.storage if way.credential else Missing("not_reported")
    return None if isinstance(storage, Missing) else way.policy.lists.is_sanctioned(storage)


def _is_renewed(way: Way) -> bool | None:
    """Whether it was made or changed lately, or ends soon enough."""
    credential = way.credential
    if credential is None:
        return None
    days = way.policy.thresholds
    most = timedelta(days=days["certificate_life_days" if credential.kind == "x509" else "secret_rotation_days"])
    changed = _latest(credential.last_rotated_at, credential.created_at)
    if changed is not None and way.facts.now - changed <= most:
        return True
    life = life_of(credential)
    if life is not None and life <= timedelta(days=days["secret_life_days"]):
        return True
    is_made_once = credential.kind in MADE_ONCE  # a new value is a new credential, so its making is its age
    is_age_known = changed is not None and (is_made_once or not isinstance(credential.last_rotated_at, Missing))
    is_end_known = not isinstance(credential.expires_at, Missing)
    ends_late = credential.expires_at is None or (
        isinstance(credential.expires_at, datetime)
        and credential.expires_at - way.facts.now > timedelta(days=days["secret_life_days"])
    )
    return False if is_age_known and (life is not None or (is_end_known and ends_late)) else None


def _is_restricted(way: Way) -> bool | None:
    """Whether it is good for one place only, or from one place only."""
    grants = way.facts.grants
    if grants and all(_is_bound_to_networks(grant) for grant in grants):
        return True
    audience = way.credential.audience if way.credential else Missing("not_reported")
    return None if isinstance(audience, Missing) else not audience_is_open(audience)


def _is_bound_to_networks(grant: GrantFacts) -> bool:
    return not isinstance(grant.condition_sorts, Missing) and "network" in grant.condition_sorts


def _needs_no_secret(way: Way) -> bool | None:
    return way.sort is Sort.ISSUED


def _is_strict(way: Way) -> bool | None:
    """Whether issuer, audience and subject are all pinned."""
    if any(_is_open(trust) for trust in way.trusts):
        return False
    if any(audience_is_open(trust.audience) and not _vouches_inside(trust) for trust in way.trusts):
        return False
    if way.trusts:
        return True
    audience = way.credential.audience if way.credential else Missing("not_reported")
    return None if isinstance(audience, Missing) else not audience_is_open(audience)


def _is_open(trust: TrustFacts) -> bool:
    """Whether several fit. A whole account is not one workload, whoever decides inside it."""
    judged = subject_looseness(trust.issuer, trust.subject)
    return _lets_in_all(trust) or (judged.looseness is Looseness.LOOSE and not trust.conditions)


def _vouches_inside(trust: TrustFacts) -> bool:
    """Whether issuer and accepting system are one platform, which asks for no audience."""
    return sort_of_issuer(trust.issuer) in (IssuerSort.PLATFORM, IssuerSort.ACCOUNT)


def _is_short(way: Way) -> bool | None:
    """Whether what is issued lives for an hour at most (a certificate for a day)."""
    credential = way.credential
    if credential is None:
        return None
    minutes = way.policy.thresholds["session_minutes"]
    if credential.kind == "x509":
        return True  # else it would not be of this sort
    if credential.ttl_seconds is None:
        return False
    if not isinstance(credential.ttl_seconds, Missing):
        return credential.ttl_seconds <= minutes * 60
    life = life_of(credential)
    return None if life is None else life <= timedelta(minutes=minutes)


def _is_on_record(way: Way) -> bool | None:
    """Whether it is written down who vouches for it; a platform that accepts what it issued itself needs no record."""
    is_inside = (
        way.facts.custody == "platform_managed" if way.credential is None else way.credential.kind == "platform_issued"
    )
    if way.trusts or is_inside:
        return True
    return False if way.facts.source.can_report("trust") else None


def _is_attested(way: Way) -> bool | None:
    return way.attribute("attested")


def _is_bound(way: Way) -> bool | None:
    return way.attribute("sender_constrained")


def _is_key_kept(way: Way) -> bool | None:
    leaves = way.attribute("key_exportable")
    return None if leaves is None else not leaves


# --- values -----------------------------------------------------------------------------------------------------------


def life_of(credential: CredentialFacts) -> timedelta | None:
    """From when it was made, or last renewed, until its end; None where one of them is unknown or there is no end."""
    made = _latest(credential.last_rotated_at, credential.created_at)
    if made is None or not isinstance(credential.expires_at, datetime):
        return None
    return credential.expires_at - made


def _latest(*moments: datetime | Missing | None) -> datetime | None:
    known = [moment for moment in moments if isinstance(moment, datetime)]
    return max(known, default=None)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "an unknown day"


# --- words ------------------------------------------------------------------------------------------------------------


def _sharing(way: Way) -> str:
    credential, use = way.credential, way.facts.use
    if credential and not isinstance(credential.same_elsewhere, Missing) and credential.same_elsewhere:
        return f"the same secret is used by {credential.same_elsewhere} more"
    if not isinstance(use.callers, Missing) and use.callers > 1:
        return f"used by {use.callers} callers"
    return "shared by several workloads"


def _age(way: Way) -> str:
    credential = way.credential
    assert credential is not None  # noqa: S101 - gates of secrets and keys see credentials only
    changed = _latest(credential.last_rotated_at, credential.created_at)
    kind = "certificate_life_days" if credential.kind == "x509" else "secret_rotation_days"
    return f"not renewed since {_day(changed)}; the policy allows {way.policy.thresholds[kind]} days"


def _openness(way: Way) -> str:
    opening = [trust for trust in way.trusts if _is_open(trust)]
    if opening:
        return f"trust in {opening[0].issuer} does not pin one subject"
    return "no audience is asked for"


def _length(way: Way) -> str:
    return f"what is issued lives longer than {way.policy.thresholds['session_minutes']} minutes"


def _says(phrase: str) -> Callable[[Way], str]:
    return lambda way: phrase


def _storage(way: Way) -> str:
    storage = way.credential.storage if way.credential else ""
    return f"kept in a place that is not sanctioned ({storage})"


_ALL = frozenset(Sort)
_HELD = frozenset({Sort.SECRET, Sort.KEY})
_ISSUED = frozenset({Sort.ISSUED})


def _gate(
    name: str,
    level: int,
    sorts: Iterable[Sort],
    holds: Callable[[Way], bool | None],
    fails: Callable[[Way], str] | str,
    unknown: str,
    raises: str,
) -> Gate:
    return Gate(
        name, level, frozenset(sorts), holds, _says(fails) if isinstance(fails, str) else fails, unknown, raises
    )


GATES: Sequence[Gate] = (
    _gate(
        *("closed", 1, _ALL, _is_closed, "anybody gets in without proof", "unknown whether proof is asked for"),
        "ask for a credential",
    ),
    _gate(
        *("method", 1, _ALL, _is_method_sound, "the way of signing in is deprecated", "way of signing in unknown"),
        "sign in by a method that is not deprecated",
    ),
    _gate(
        *("unique", 1, _HELD, _is_unique, _sharing, "unknown whether it is shared"),
        "give each workload a credential of its own",
    ),
    _gate(
        *("unleaked", 1, _ALL, _is_unleaked, "leaked, and not changed since", "unknown whether it leaked"),
        "rotate what leaked",
    ),
    _gate(
        *("subject", 1, _ISSUED, _names_somebody, "the trust accepts any subject", "accepted subjects unknown"),
        "pin the subject of the trust",
    ),
    _gate(
        *("store", 2, _HELD, _is_stored_well, _storage, "storage unknown"),
        "keep it in a sanctioned store, and report where",
    ),
    _gate(
        *("renewed", 2, _HELD, _is_renewed, _age, "age and end unknown"),
        "rotate it, or give it an end",
    ),
    _gate(
        *("restricted", 2, {Sort.SECRET}, _is_restricted, "good everywhere and from everywhere"),
        *("audience and source restriction unknown", "restrict it to one audience or to known networks"),
    ),
    _gate(
        *("keyless", 3, _ALL, _needs_no_secret, "a long-lived secret or key", "unknown whether it is long-lived"),
        "sign in by federation, or with what the platform issues, instead of a stored secret",
    ),
    _gate(
        *("strict", 3, _ISSUED, _is_strict, _openness, "audience unknown"),
        "pin issuer, audience and subject",
    ),
    _gate(
        *("short", 3, _ISSUED, _is_short, _length, "life of what is issued unknown"),
        "issue for an hour at most, and report for how long",
    ),
    _gate(
        *("recorded", 3, _ISSUED, _is_on_record, "no trust relation is on record", "trust relation unknown"),
        "record which system vouches for it",
    ),
    _gate(
        *("attested", 4, _ISSUED, _is_attested, "issued without attestation", "attestation unknown"),
        "issue only after node and workload were attested",
    ),
    _gate(
        *("bound", 4, _ISSUED, _is_bound, "whoever has the token can use it", "binding to the sender unknown"),
        "bind tokens to their sender (mTLS, DPoP)",
    ),
    _gate(
        *("key_kept", 4, _ISSUED, _is_key_kept, "the key can be taken out", "protection of the key unknown"),
        "keep the key where it cannot be taken out",
    ),
)
