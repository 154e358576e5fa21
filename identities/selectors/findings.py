"""Findings as people may see them: those of the identities they see, and those that they are to fix."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import NotFound
from identities.models import (
    Credential,
    Finding,
    FindingAcceptance,
    FindingEvent,
    FindingObject,
    Identity,
    TrustRelation,
)
from identities.models.finding import TO_DO
from identities.selectors.conditions import (
    finding_conditions,
    first_seen_condition,
    holding_conditions,
    identity_conditions,
    source_condition,
)
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import sees_everything, visible_identities
from identities.selectors.unused import identity_use_condition

OF_FINDINGS = ("finding", "finding_severity", "finding_state", "finding_assignee")
_OF_GRANTS = ("access", "segment", "privileged", "standing", "path")
_NOT_OF_IDENTITIES = (*OF_FINDINGS, *_OF_GRANTS, "source", "environment", "new_days", "new_since", "retired")


def visible_findings(actor: Actor) -> QuerySet[Finding]:
    """Every finding that the actor may see."""
    findings = Finding.objects.all()
    if sees_everything(actor):
        return findings
    person = actor.person_id
    if person is None:
        return findings.none()
    mine = Q(identity__in=visible_identities(actor).values("pk"))
    return findings.filter(mine | Q(identity=None, source__owner=person) | Q(assignee=person))


def list_findings(*, actor: Actor, filters: InventoryFilter, now: datetime) -> QuerySet[Finding]:
    """The findings that fit the filter, with identity and source. Unordered.

    The finding's own fields are asked of it, those of the identity and of its grants of the identity that it is about;
    new_days and new_since of when it opened, the days of use of the identity. A finding about a source has that source
    and its environment, and nothing else of an identity.
    """
    findings = visible_findings(actor).filter(
        finding_conditions(filters, actor=actor), first_seen_condition(filters, now=now, column="opened_at")
    )
    findings = findings.filter(source_condition(filters, at="", holder="identity__"), _of_environments(filters))
    of_identity = replace(filters, **dict.fromkeys(_NOT_OF_IDENTITIES, ""))
    if not of_identity.is_empty:
        of_whom = identity_conditions(of_identity, actor=actor, now=now, at="identity__")
        of_whom &= identity_use_condition(of_identity, now=now, at="identity__")
        findings = findings.filter(of_whom, identity__isnull=False)
    if any(getattr(filters, name) for name in _OF_GRANTS):
        findings = findings.filter(identity__in=Identity.objects.filter(holding_conditions(filters)).values("pk"))
    if filters.retired == "yes":
        findings = findings.filter(identity__retired_at__isnull=False)
    return findings.select_related("identity", "source", "assignee")


def access_finding(*, actor: Actor, finding_id: UUID | str) -> Finding:
    """One finding, or NotFound when it is absent or not the actor's to see."""
    finding = (
        visible_findings(actor)
        .filter(pk=finding_id)
        .select_related("identity", "identity__owner", "source", "assignee", "policy")
        .first()
    )
    if finding is None:
        raise NotFound("There is no such finding, or it is not yours to see.")
    return finding


def list_open_findings(identity: Identity) -> QuerySet[Finding]:
    """What is wrong with one identity, accepted exceptions too, the worst first."""
    shown = Finding.objects.filter(identity=identity, state__in=[*TO_DO, "accepted"])
    return shown.select_related("source", "assignee").order_by("-severity", "opened_at", "pk")


def list_events(finding: Finding) -> QuerySet[FindingEvent]:
    """The steps of its life, latest first."""
    return FindingEvent.objects.filter(finding=finding).select_related("by").order_by("-at", "-pk")


def list_acceptances(finding: Finding) -> QuerySet[FindingAcceptance]:
    """The exceptions that were made or asked for, latest first."""
    return (
        FindingAcceptance.objects.filter(finding=finding)
        .select_related("requested_by", "approver", "ended_by")
        .order_by("-requested_at", "-pk")
    )


def object_names(findings: Iterable[Finding]) -> Mapping[UUID, str]:
    """What the objects are called, by their ids: at most two queries, because identities and sources come along."""
    names: dict[UUID, str] = {}
    hanging: dict[str, list[UUID]] = {FindingObject.CREDENTIAL: [], FindingObject.TRUST: []}
    for finding in findings:
        if finding.object_kind in hanging:
            hanging[finding.object_kind].append(finding.object_id)
        elif finding.identity is not None:
            names[finding.object_id] = finding.identity.name
        else:
            names[finding.object_id] = finding.source.name
    for credential in Credential.objects.filter(pk__in=hanging[FindingObject.CREDENTIAL]).only("kind", "external_id"):
        names[credential.pk] = f"{credential.get_kind_display()} {credential.external_id}"
    for trust in TrustRelation.objects.filter(pk__in=hanging[FindingObject.TRUST]).only("issuer", "subject"):
        names[trust.pk] = f"{trust.issuer} {trust.subject}".strip()
    return names


def rule_order(rule: str) -> tuple[str, int, str]:
    """For sorting: NHI2-A before NHI10-A."""
    family, _, letter = rule.partition("-")
    name = family.rstrip("0123456789")
    return name, int(family[len(name) :] or 0), letter


def _of_environments(filters: InventoryFilter) -> Q:
    picked = filters.picked("environment")
    if picked is None:
        return Q()
    here = Q(identity__effective_environment__in=picked.values) | Q(
        identity=None, source__environment__in=picked.values
    )
    return ~here if picked.is_negated else here
