"""Stand-in until the engine is merged."""
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from governance.kernel.decisions import Answer, missing_attributes, stand_of, together
from governance.kernel.dialects.authzen import resource_text
from governance.kernel.permissions import Permission
from identities.models import GrantVersion, Identity
from identities.pdp.attributes import context_of, governed_subject
from identities.pdp.reasons import Reason
from identities.pdp.requests import Decision, Request
from identities.selectors.domains import find_domain
from identities.selectors.resources import stored_resources


def decide(request: Request, *, now: datetime) -> Decision:
    return decide_many([request], now=now)[0]


def decide_many(requests: Sequence[Request], *, now: datetime, is_search: bool = False) -> list[Decision]:
    return [_one(request, now) for request in requests]


def _no(reason: Reason, *missing: str) -> Decision:
    return Decision(False, reason, uuid4(), not_assessed=tuple(missing))


def _one(request: Request, now: datetime) -> Decision:
    domain = find_domain(request.domain)
    if domain is None:
        return _no(Reason.UNKNOWN_DOMAIN)
    found = list(
        Identity.objects.filter(source__in=domain.source_ids, external_id=request.subject_id, retired_at=None)
    )
    if not found or not domain.admits(request.subject_type, found[0].kind):
        return _no(Reason.UNKNOWN_IDENTITY)
    if len(found) > 1:
        return _no(Reason.AMBIGUOUS_IDENTITY)
    (identity,) = found
    if identity.status != "active":
        return _no(Reason.DISABLED)
    name = (request.resource_type, request.resource_id)
    stored = stored_resources(domain.source_ids, [name])
    if name not in stored and domain.is_registered_type(request.resource_type):
        return _no(Reason.NO_GRANT)
    context = context_of(
        request,
        domain=domain,
        subject=governed_subject(identity.attributes, {"status": identity.status, "kind": identity.kind}),
        resource=stored.get(name, {}),
    )
    text = resource_text(*name)
    permissions = [
        Permission.from_json(each)
        for each in GrantVersion.objects.filter(
            grant__identity=identity, grant__retired_at=None, seen_until=None
        ).values_list("permission", flat=True)
    ]
    permissions = [each for each in permissions if each.dialect == "authzen"]
    answer = together([stand_of(each, request.action, text, context, now) for each in permissions])
    if answer is Answer.YES:
        return Decision(True, Reason.GRANTED, uuid4())
    missing = sorted({m for each in permissions for m in missing_attributes(each, request.action, text, context)})
    return _no(Reason.MISSING_INPUT if missing else Reason.NO_GRANT, *missing)
