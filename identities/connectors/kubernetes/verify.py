"""A later look at the cluster: is what a plan removed really out of reach, by any path?

Two witnesses that must agree are asked: the bindings and roles, read anew, say *through what* something is still held;
the API server's own access review says *whether* it is, with every authorizer that the cluster has.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from governance.kernel.dialects import paths
from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import Plan, Verification, VerificationState
from identities.connectors.kubernetes.api import Settings, ask, connect
from identities.connectors.kubernetes.estate import Estate, groups_of
from identities.connectors.kubernetes.facets import Facet, meaning
from identities.connectors.kubernetes.plans import describe_state, facets_of
from identities.connectors.kubernetes.reading import read_estate

Sample = tuple[str, str]
MOST_REVIEWS = 50
TOKEN_CACHE = timedelta(seconds=10)
"""For how long the API server remembers that a token was good."""


def verify(settings: Settings, plan: Plan, since: datetime | None = None) -> Verification:
    """Read the cluster anew and compare it with what the plan promised. Raises SourceUnreachable, ReadIncomplete.

    since: when the plan was carried out.
    """
    observed_at = datetime.now(UTC)
    facets = facets_of(plan)
    with connect(settings) as client:
        problems = [problem for facet in facets if (problem := _problem(client, facet))]
        estate = read_estate(client, settings)
        still = _effective(client, estate, plan.identity, plan.removes)
        kept = _effective(client, estate, plan.identity, plan.keeps) if plan.keeps else {}
    lost = tuple(sample for sample in plan.keeps if sample not in kept)
    if problems:
        reason = f"The source does not hold what was planned: {'; '.join(problems)}."
        return Verification(VerificationState.STILL_PRESENT, observed_at, reason=reason)
    if still:
        told = tuple((action, resource, via) for (action, resource), via in sorted(still.items()))
        paths_found = list(dict.fromkeys(via for _, _, via in told))
        reason = f"Still effective {'; '.join(paths_found[:5])}."
        return Verification(VerificationState.STILL_EFFECTIVE, observed_at, told, lost=lost, reason=reason)
    lasting = _lasting(settings, plan, since, observed_at)
    if lasting:
        return Verification(VerificationState.SESSIONS_REMAIN, observed_at, lost=lost, reason=lasting)
    reason = f"{len(lost)} right(s) that should have stayed are not effective." if lost else ""
    return Verification(VerificationState.GONE, observed_at, lost=lost, reason=reason)


def _problem(client: httpx.Client, facet: Facet) -> str:
    state = facet.look(client)
    if meaning(facet.kind, state) == meaning(facet.kind, facet.after):
        return ""
    return describe_state(facet, state)


def _lasting(settings: Settings, plan: Plan, since: datetime | None, now: datetime) -> str:
    """What goes on for a while although the right is gone, and until when; nobody can look into it or end it."""
    if since is None:
        return ""
    if plan.action == "deactivate" and now < since + TOKEN_CACHE:
        return f"The API server may remember the token for {TOKEN_CACHE.seconds} s."
    end = since + timedelta(minutes=settings.watch_minutes)
    if plan.pre_image.get("loses_watch") and now < end:
        return f"A watch that was opened before the change may go on until {end.astimezone(UTC):%H:%M} UTC."
    return ""


def _effective(client: httpx.Client, estate: Estate, identity: str, samples: Sequence[Sample]) -> dict[Sample, str]:
    """Those of the samples that the identity can do, each with what allows it."""
    held = [
        (_via(holding.binding.title(), holding.group), estate.permission(holding.binding))
        for holding in estate.holdings()
        if holding.identity == identity
    ]
    found = {sample: via for sample in samples if (via := _paths(held, sample))}
    for sample in samples[:MOST_REVIEWS]:
        answer = ask(client, "SubjectAccessReview", review_of(identity, *sample))
        if answer is None:
            break  # the connector may not ask; what the bindings say has to do
        allowed, why = answer
        if allowed and sample not in found:
            found[sample] = f"by something else than the bindings that were read ({' '.join(why.split())[:200]})"
    return found


def _via(binding: str, group: str) -> str:
    return f"via {binding} through the group {group}" if group else f"via {binding}"


def _paths(held: Sequence[tuple[str, Permission]], sample: Sample) -> str:
    return "; ".join(dict.fromkeys(via for via, each in held if matches(each, *sample) is Answer.YES))


def review_of(identity: str, action: str, resource: str) -> dict[str, Any]:
    """The question of an access review: may this identity do this?"""
    who: dict[str, Any] = {"groups": groups_of(identity)}
    if not identity.startswith("group:"):
        who["user"] = identity
    if resource.startswith("url:"):
        return who | {"nonResourceAttributes": {"verb": action, "path": resource.removeprefix("url:")}}
    _, (namespace, group, kind, subresource, name) = paths.split(resource)
    attributes = {"verb": action, "namespace": namespace, "group": group, "resource": kind}
    attributes |= {"subresource": subresource, "name": name}
    return who | {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
