"""A later look: is what a plan removed out of reach by every policy and group, and is the rest still there?"""

from datetime import UTC, datetime

from governance.kernel.decisions import Stand, stand_of, together
from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.aws.holdings import Held, Holder, holder_of
from identities.connectors.aws.plans import NO_LIST_OF_SESSIONS, QUARANTINE, facets_of_plan
from identities.connectors.aws.session import Clients
from identities.connectors.aws.state import from_json, hash_of, read_state
from identities.connectors.contract import NotPossible, Plan, Verification, VerificationState


def verify(clients: Clients, plan: Plan) -> Verification:
    """Read the account anew and compare it with what the plan promised. Raises SourceUnreachable, ReadIncomplete."""
    observed_at = datetime.now(UTC)
    if plan.action == "deactivate":
        return _credential(clients, plan, observed_at)
    try:
        holder = holder_of(clients.iam, plan.identity)
    except NotPossible:
        return Verification(VerificationState.GONE, observed_at, reason="The identity itself is gone.")
    if plan.action == "quarantine" and (problem := _not_locked(clients, plan)):
        return Verification(VerificationState.STILL_PRESENT, observed_at, reason=problem)
    still = [(*pair, via) for pair in plan.removes if (via := via_of(holder, *pair))]
    lost = [pair for pair in plan.keeps if answer_of(holder, *pair) is Answer.NO]
    if still:
        paths = sorted({via for _, _, via in still})
        reason = f"Still effective {'; '.join(paths[:5])}."
        return Verification(
            VerificationState.STILL_EFFECTIVE, observed_at, tuple(still), lost=tuple(lost), reason=reason
        )
    reason = f"{len(lost)} right(s) that should have stayed are not effective." if lost else ""
    if not plan.removes and (problem := _different(clients, plan)):
        # No request tells the states apart (only conditions were added, or nothing was known of it).
        return Verification(VerificationState.STILL_PRESENT, observed_at, lost=tuple(lost), reason=problem)
    return Verification(VerificationState.GONE, observed_at, lost=tuple(lost), reason=reason)


def answer_of(holder: Holder, action: str, resource: str) -> Answer:
    """What all policies of the holder together say to a request, under its boundary. UNKNOWN: under conditions."""
    boundary = holder.boundary
    stands = [stand_of(each.policy.permission, action, resource) for each in holder.policies]
    stands.append(stand_of(Permission("aws", holder.ceiling), action, resource))
    answer = together(stands)
    if answer is not Answer.NO and boundary is not None and boundary.is_readable:
        inside = matches(boundary.permission, action, resource)
        answer = answer if inside is Answer.YES else inside
    return answer


def via_of(holder: Holder, action: str, resource: str) -> str:
    """The policies that give this all the same, in plain words; empty where nothing does."""
    answer = answer_of(holder, action, resource)
    if answer is Answer.NO:
        return ""
    paths = [_named(each) for each in holder.policies if _may_allow(each, action, resource)]
    return f"via {', '.join(paths)}{'' if answer is Answer.YES else ' (under conditions)'}"


def _may_allow(held: Held, action: str, resource: str) -> bool:
    stand: Stand = stand_of(held.policy.permission, action, resource)
    return stand.allows is not False


def _named(held: Held) -> str:
    kind = "inline policy " if held.policy.is_inline else "policy "
    return f"{kind}{held.policy.label}{f' through group {held.group}' if held.group else ''}"


def _not_locked(clients: Clients, plan: Plan) -> str:
    for facet, value in read_state(clients.iam, facets_of_plan(plan)).items():
        if facet[0] == "inline" and facet[-1] == QUARANTINE and value is None:
            return f"The policy {QUARANTINE} is not there any more."
        if facet[0] == "key" and value == "Active":
            return "One of its access keys is active again."
    return ""


def _different(clients: Clients, plan: Plan) -> str:
    wanted = from_json(plan.pre_image["after"])
    found = read_state(clients.iam, wanted)
    if hash_of(found) == hash_of(wanted):
        return ""
    changed = [" ".join(facet) for facet in wanted if hash_of({facet: found[facet]}) != hash_of({facet: wanted[facet]})]
    return f"The account does not hold what was planned: {'; '.join(changed[:5])}."


def _credential(clients: Clients, plan: Plan, observed_at: datetime) -> Verification:
    facets = [facet for facet in facets_of_plan(plan) if facet[0] in ("key", "ssh", "cert", "login")]
    still = [value for value in read_state(clients.iam, facets).values() if value in ("Active", True)]
    if still:
        return Verification(VerificationState.STILL_PRESENT, observed_at, reason="The credential is active again.")
    note = NO_LIST_OF_SESSIONS if any(facet[0] == "key" for facet in facets) else ""
    return Verification(VerificationState.GONE, observed_at, reason=note)
