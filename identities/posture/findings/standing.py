"""Who may see to a finding, and who is too close to it to make an exception for it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from governance.kernel.actors import Actor, ActorKind, Role
from governance.people.access import MAIL_LINK
from governance.people.models import ApiToken
from identities.models import Credential, Finding, FindingAcceptance

EDITORS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
SCOPE = "inventory:write"
OWNER = "You own the identity, so somebody else has to approve the exception."
SOURCE_OWNER = "You own the source, so somebody else has to approve the exception."
HOLDER = "You hold a credential of this identity, so somebody else has to approve the exception."
ASSIGNEE = "You were asked to fix it, so somebody else has to approve the exception."
REQUESTER = "You asked for this exception, so somebody else has to approve it."


@dataclass(frozen=True, slots=True)
class Standing:
    """One finding as somebody meets it. acceptance: the exception that holds or is asked for.

    conflict: why this person may not approve an exception, empty where they may.
    """

    finding: Finding
    acceptance: FindingAcceptance | None
    is_own: bool
    conflict: str

    @property
    def is_asked_for(self) -> bool:
        return self.acceptance is not None and self.acceptance.accepted_at is None


def standings_of(findings: Sequence[Finding], actor: Actor) -> list[Standing]:
    """In the order of `findings`, which carry their identity and source. Two queries, however many they are."""
    open_ones = {
        each.finding_id: each
        for each in FindingAcceptance.objects.filter(finding__in=findings, ended_at=None).select_related(
            "requested_by", "approver"
        )
    }
    held = _held(findings, actor.person_id)
    return [
        Standing(
            finding=finding,
            acceptance=open_ones.get(finding.pk),
            is_own=_is_own(finding, actor.person_id),
            conflict=_conflict(finding, open_ones.get(finding.pk), actor.person_id, held),
        )
        for finding in findings
    ]


def may_handle(standing: Standing, actor: Actor) -> bool:
    """Administrators and campaign managers see to all findings, owners to those of theirs, assignees to their own."""
    if actor.kind is ActorKind.SYSTEM or SCOPE in actor.scopes:
        return True
    is_mine = standing.is_own or (actor.person_id is not None and standing.finding.assignee_id == actor.person_id)
    return actor.auth_method != MAIL_LINK and (is_mine or actor.has_role(*EDITORS))


def may_approve(actor: Actor) -> bool:
    """Exceptions are approved by people whose session is their own, never by a program."""
    return actor.kind is ActorKind.PERSON and actor.auth_method != MAIL_LINK and actor.has_role(*EDITORS)


def person_behind(actor: Actor) -> UUID | None:
    """The person acting, or whoever answers for the token; None for the system."""
    if actor.kind is ActorKind.API_CLIENT:
        return ApiToken.objects.values_list("created_by", flat=True).get(pk=actor.id)
    return actor.person_id


def _is_own(finding: Finding, person: UUID | None) -> bool:
    if person is None:
        return False
    identity = finding.identity
    if identity is None:
        return person == finding.source.owner_id
    return person in {identity.owner_id, identity.backup_owner_id}


def _conflict(
    finding: Finding, acceptance: FindingAcceptance | None, person: UUID | None, held: dict[UUID, set[UUID]]
) -> str:
    identity = finding.identity
    if person is None:
        return ""
    if acceptance is not None and acceptance.requested_by_id == person:
        return REQUESTER
    if person == finding.assignee_id:
        return ASSIGNEE
    if identity is None:
        return SOURCE_OWNER if person == finding.source.owner_id else ""
    if person in {identity.owner_id, identity.backup_owner_id, identity.sponsor_id}:
        return OWNER
    return HOLDER if person in held[identity.pk] else ""


def _held(findings: Sequence[Finding], person: UUID | None) -> dict[UUID, set[UUID]]:
    """Who of interest holds a credential of which identity."""
    found: dict[UUID, set[UUID]] = defaultdict(set)
    if person is None:
        return found
    identities = {finding.identity_id for finding in findings if finding.identity_id}
    held = Credential.objects.filter(holder=person, retired_at=None, identity__in=identities)
    for identity in held.values_list("identity_id", flat=True):
        found[identity].add(person)
    return found
