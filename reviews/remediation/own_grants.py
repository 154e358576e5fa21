"""Orders about what Remit granted on request: no other system knows it, so the order ends it here, and at once.

Its source has no connector that could be asked. What is executed is the end of the request, as if somebody had ended it
early, and what proves it is the decision point's answer (`verifying.verify_own_orders`).
"""

from datetime import datetime

from django.db import transaction

from governance import dispatch
from governance.kernel.actors import Actor
from governance.kernel.permissions import Permission, describe, sample_requests
from identities.connectors.contract import Execution, ExecutionState, NotPossible, Plan, Step, image_hash
from identities.models import Grant, GrantVersion
from identities.sync.issuing import SLUG
from reviews.issued.ending import MOST_ASKED, end_locked
from reviews.models import AccessRequest, Order, OrderAction
from reviews.states import AccessRequestState

WHY = "A review took it away."


def is_own(grant: Grant | None) -> bool:
    """Whether Remit itself gave this grant, on request. The grant comes with its source loaded."""
    return grant is not None and grant.source.slug == SLUG


def ends_here(order: Order) -> bool:
    """Whether carrying the order out means to end a request."""
    return order.action == OrderAction.REVOKE and is_own(order.grant)


def plan_ending(grant: Grant, version: GrantVersion) -> Plan:
    """What revoking it will do."""
    permission = Permission.from_json(version.permission)
    before = {"request": grant.external_id, "holds": True}
    return Plan(
        action="revoke",
        identity=grant.identity.external_id,
        grant_external_id=grant.external_id,
        steps=(
            Step(
                text=f"End the request {grant.external_id} of {grant.identity.name} in Remit.",
                note="The decision point refuses from the next request on.",
            ),
        ),
        inverse=(),
        pre_image=before,
        pre_hash=image_hash(before),
        post_hash=image_hash(before | {"holds": False}),
        removes=tuple(sample_requests(permission, MOST_ASKED)),
        irreversible=True,
        summary=f"Remit ends “{grant.label}”, which was granted on request, and asks its decision point afterwards.",
    )


def narrowing_text(target: Permission) -> str:
    """Why a narrowing stays a task for a person, and what it is."""
    kept = "\n".join(f"- {sentence}" for sentence in describe(target))
    return (
        "What was granted on request is not rewritten. End the request, and ask again for what is still needed:\n"
        f"{kept}\n\nThe decision point grants no more than this already."
    )


def carry_out(order: Order, *, actor: Actor, now: datetime) -> Execution:
    """End the request in a transaction of its own; one that ended meanwhile stays ended. Raises NotPossible."""
    with transaction.atomic(durable=True):
        requests = AccessRequest.objects.select_for_update(of=("self",)).filter(grant=order.grant_id)
        request = requests.first()
        if request is None:
            raise NotPossible("No request is known that this grant was made for.")
        evidence = {"request": str(request.pk)}
        if request.state != AccessRequestState.GRANTED:
            return Execution(ExecutionState.ALREADY_APPLIED, "It had ended already.", evidence)
        end_locked(request, actor=actor, now=now, why=WHY)
        dispatch.after_commit("reviews.end_due_access")
    return Execution(ExecutionState.APPLIED, "Ended; the decision point is asked next.", evidence)
