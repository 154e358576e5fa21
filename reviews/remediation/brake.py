"""How much may be taken away in an hour that no person looked at one by one, and a brake when it is more.

Counted are orders that take something away (revoke, narrow, quarantine, deactivate) and come from a deadline or from an
answer to many questions at once. There is a budget for everything, one per source, and one for production. When one of
them is used up the order is held instead of sent, and every further one under that budget with it, until two people
release them or somebody calls them off (`releasing`). A held order stays planned: nothing is lost, nothing is sent.

Whoever wants to send asks here first, in the transaction that takes the order. One advisory lock makes the askers take
turns, so that two workers never both see the last free place.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from governance.people.models import RoleAssignment
from reviews.models import (
    Brake,
    BrakeScope,
    BrakeState,
    BudgetUse,
    MailKind,
    Order,
    OrderAction,
    OrderHold,
    ReviewMail,
    SourceBudget,
)
from reviews.remediation.placing import write_order_audit

BRAKE = system_actor("brake")
HOUR = timedelta(hours=1)
DESTRUCTIVE = frozenset({OrderAction.REVOKE, OrderAction.NARROW, OrderAction.QUARANTINE, OrderAction.DEACTIVATE})
PRODUCTION = "production"
# Any number that nothing else in the product uses.
_LOCK = 0x52454D4954


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget that an order falls under. per_hour: 0 means no limit."""

    scope: BrakeScope
    per_hour: int
    uses: Q

    def is_used_up(self, now: datetime) -> bool:
        """Whether no place is left in the hour before `now`."""
        if not self.per_hour:
            return False
        return BudgetUse.objects.filter(self.uses, used_at__gt=now - HOUR).count() >= self.per_hour


def is_held() -> Exists:
    """For a queryset of orders: whether a brake holds the order."""
    return Exists(OrderHold.objects.filter(order=OuterRef("pk"), released_at=None))


def may_pass(order: Order, now: datetime) -> bool:
    """Whether a locked order may be sent now; if not, it is held and says so. An inner step of the taking transaction.

    An order passes once: what was released, or has been counted before, is neither held nor counted again.
    """
    if not _is_counted(order):
        return True
    hold = OrderHold.objects.filter(order=order).first()
    if hold is not None:
        return hold.released_at is not None
    if BudgetUse.objects.filter(order=order).exists():
        return True
    lock_budgets()
    budgets = budgets_of(order)
    brake = _open_brake(order, budgets) or _trip(order, budgets, now)
    if brake is not None:
        _hold(order, brake, now)
        return False
    BudgetUse.objects.create(order=order, source_id=order.source_id, is_production=_is_production(order), used_at=now)
    return True


def lock_budgets() -> None:
    """Wait until nobody else counts, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def budgets_of(order: Order) -> list[Budget]:
    """The budgets that the order falls under, the narrowest first: that one says most about what is going on."""
    found = [Budget(BrakeScope.SOURCE, per_hour_of_source(order.source_id), Q(source=order.source_id))]
    if _is_production(order):
        found.append(Budget(BrakeScope.PRODUCTION, settings.ORDER_BUDGET_PRODUCTION, Q(is_production=True)))
    return [*found, Budget(BrakeScope.ALL, settings.ORDER_BUDGET_PER_HOUR, Q())]


def per_hour_of_source(source_id: UUID) -> int:
    """The source's own number, else the setting."""
    own = SourceBudget.objects.filter(source=source_id).values_list("per_hour", flat=True).first()
    return settings.ORDER_BUDGET_PER_SOURCE if own is None else own


def _is_counted(order: Order) -> bool:
    decision = order.decision
    by_many = decision is not None and (decision.is_bulk or decision.decided_by_policy != "")
    return by_many and order.action in DESTRUCTIVE


def _is_production(order: Order) -> bool:
    return order.identity.effective_environment == PRODUCTION


def _open_brake(order: Order, budgets: list[Budget]) -> Brake | None:
    """The brake that holds one of these budgets already."""
    wide = [budget.scope for budget in budgets if budget.scope != BrakeScope.SOURCE]
    covers = Q(source=order.source_id) | Q(source=None, scope__in=wide)
    return Brake.objects.filter(covers, state=BrakeState.HELD).order_by("tripped_at").first()


def _trip(order: Order, budgets: list[Budget], now: datetime) -> Brake | None:
    for budget in budgets:
        if budget.is_used_up(now):
            source = order.source if budget.scope == BrakeScope.SOURCE else None
            brake = Brake.objects.create(scope=budget.scope, source=source, budget=budget.per_hour, tripped_at=now)
            _tell(brake, order)
            log.record(
                verb=Verb.BRAKE_TRIPPED,
                actor=BRAKE,
                subject=brake_subject(brake),
                now=now,
                new={"state": str(brake.state)},
                context={
                    "scope": str(budget.scope),
                    "source": str(order.source_id) if source else None,
                    "budget": budget.per_hour,
                    "order": str(order.pk),
                },
            )
            return brake
    return None


def _hold(order: Order, brake: Brake, now: datetime) -> None:
    OrderHold.objects.create(order=order, brake=brake, held_at=now)
    order.outcome = f"Held by the brake: {brake_words(brake)} Two people release it, or call it off."
    order.version += 1
    order.save(update_fields=["outcome", "version"])
    write_order_audit(verb=Verb.ORDER_HELD, order=order, actor=BRAKE, now=now, old=order.state)


def brake_words(brake: Brake) -> str:
    """What ran out, as a sentence."""
    where = {
        BrakeScope.ALL: "in all",
        BrakeScope.PRODUCTION: "in production",
        BrakeScope.SOURCE: f"in {brake.source.name}" if brake.source else "",
    }[BrakeScope(brake.scope)]
    changes = "1 change" if brake.budget == 1 else f"{brake.budget} changes"
    return f"more than {changes} in an hour {where} that nobody looked at one by one."


def brake_subject(brake: Brake) -> log.Subject:
    """The brake as the subject of an audit record."""
    return log.Subject("brake", str(brake.pk), "brake")


def _tell(brake: Brake, order: Order) -> None:
    """Whoever can do something about it gets a mail: administrators, and the manager of the review it came from."""
    administrators = RoleAssignment.objects.filter(role=Role.ADMINISTRATOR, user__is_active=True)
    people = set(administrators.values_list("user_id", flat=True))
    if order.item is not None:
        people.add(order.item.campaign.manager_id)
    mails = [ReviewMail(person_id=person, kind=MailKind.BRAKE, occasion=str(brake.pk)) for person in sorted(people)]
    ReviewMail.objects.bulk_create(mails, ignore_conflicts=True)
