"""What shall remain after scoping down must lie inside what is held, and that is proved, not believed."""

from typing import Any

from governance.kernel.errors import DomainError
from governance.kernel.permissions import CounterExample, NotProvable, Permission, Proof, includes
from reviews.models import ItemKind, ReviewItem


class TargetNotInside(DomainError):
    """The target is not a real part of what is held; `details` say what it would add."""

    code = "target-not-inside"
    title = "This is not inside what is held"


def held_permission(item: ReviewItem) -> Permission:
    """What the item's grant gives, in the version that the item was opened for."""
    if item.kind != ItemKind.GRANT or item.grant_version is None:
        raise TargetNotInside("Only access can be scoped down, not a credential.")
    return Permission.from_json(item.grant_version.permission)


def prove_target(item: ReviewItem, target: Permission) -> dict[str, Any]:
    """The proof that is kept with the decision. Raises TargetNotInside, with the counter-example in its details."""
    return prove_narrowing(held_permission(item), target)


def prove_narrowing(held: Permission, target: Permission) -> dict[str, Any]:
    """The proof that `target` is a real part of `held`. Raises TargetNotInside."""
    if target.is_empty or includes(Permission(target.dialect, ()), target).holds:
        raise TargetNotInside("Nothing would remain. Choose “Revoke” to take everything away.", empty=True)
    if target.digest() == held.digest():
        raise TargetNotInside("This is exactly what is held already. Choose “Approve” to keep it.", equal=True)
    result = includes(held, target)
    if not isinstance(result, Proof):
        raise TargetNotInside(result.explain(), counter_example=_facts(result))
    if includes(target, held).holds:
        raise TargetNotInside(
            "This gives the same as what is held, in other words. Choose “Approve” to keep it.", equal=True
        )
    return {
        "holds": True,
        "text": result.explain(),
        "held": held.digest().hex(),
        "target": target.digest().hex(),
    }


def _facts(result: CounterExample | NotProvable) -> dict[str, Any] | None:
    if isinstance(result, CounterExample):
        at = result.at.isoformat() if result.at else None
        return {"action": result.action, "resource": result.resource, "context": dict(result.context), "at": at}
    return None
