"""Background work of reviews. Tasks are edges: they bring the clock and the actor, and call one function.

Messages are hints and may come twice, late or never; every function below finds its work in the tables.
"""

from typing import Any

from celery import shared_task
from django.utils import timezone

from governance.kernel.actors import system_actor
from reviews import access_requests, continuous, deadline, decisions, packs, remediation
from reviews.campaigns import closing, cutting, due, leavers, mail, opening, protesting, rounds
from reviews.notices import alerts, asking, planning, sending
from reviews.reports import campaign as campaign_reports
from reviews.reports import estate

# Seconds: the soft limit lets a task end its transaction, the hard one ends the process.
QUICK, QUICK_HARD = 50, 60
LONG, LONG_HARD = 1740, 1800


@shared_task(name="reviews.open_due_campaigns", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def open_due_campaigns(**kwargs: Any) -> None:
    due.open_due_campaigns(now=timezone.now())
    protesting.ask_about_protests(now=timezone.now())
    cutting.ask_about_cut_offs(now=timezone.now())


@shared_task(name="reviews.ask_about_cut_offs", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def ask_about_cut_offs(**kwargs: Any) -> None:
    cutting.ask_about_cut_offs(now=timezone.now())


@shared_task(name="reviews.open_campaign", soft_time_limit=LONG, time_limit=LONG_HARD)
def open_campaign(*, campaign_id: str, **kwargs: Any) -> None:
    opening.open_campaign(campaign_id=campaign_id, actor=system_actor("scheduler"), now=timezone.now())


@shared_task(name="reviews.watch_changes", soft_time_limit=LONG, time_limit=LONG_HARD)
def watch_changes(**kwargs: Any) -> None:
    continuous.watch(now=timezone.now())


@shared_task(name="reviews.close_due_campaigns", soft_time_limit=LONG, time_limit=LONG_HARD)
def close_due_campaigns(**kwargs: Any) -> None:
    closing.close_due_campaigns(now=timezone.now())
    rounds.start_due_rounds(now=timezone.now())


@shared_task(name="reviews.reroute_items", soft_time_limit=LONG, time_limit=LONG_HARD)
def reroute_items(**kwargs: Any) -> None:
    decisions.reroute_orphaned_items(now=timezone.now())
    leavers.propose_successors(now=timezone.now())


@shared_task(name="reviews.end_due_access", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def end_due_access(**kwargs: Any) -> None:
    access_requests.end_due_access(now=timezone.now())


@shared_task(name="reviews.apply_delegations", soft_time_limit=LONG, time_limit=LONG_HARD)
def apply_delegations(**kwargs: Any) -> None:
    decisions.apply_delegations(now=timezone.now())


@shared_task(name="reviews.escalate_items", soft_time_limit=LONG, time_limit=LONG_HARD)
def escalate_items(**kwargs: Any) -> None:
    decisions.escalate_silent_items(now=timezone.now())


@shared_task(name="reviews.send_due_mail", soft_time_limit=LONG, time_limit=LONG_HARD)
def send_due_mail(**kwargs: Any) -> None:
    mail.send_due_mail(now=timezone.now())


@shared_task(name="reviews.expire_due_approvals", soft_time_limit=LONG, time_limit=LONG_HARD)
def expire_due_approvals(**kwargs: Any) -> None:
    deadline.expire_due_approvals(now=timezone.now())


@shared_task(name="reviews.drain_orders", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def drain_orders(**kwargs: Any) -> None:
    remediation.drain_orders(now=timezone.now())


@shared_task(name="reviews.execute_order", soft_time_limit=LONG, time_limit=LONG_HARD)
def execute_order(*, order_id: str, **kwargs: Any) -> None:
    remediation.execute_order(order_id=order_id, now=timezone.now())


@shared_task(name="reviews.verify_orders", soft_time_limit=LONG, time_limit=LONG_HARD)
def verify_orders(*, source_id: str, run_id: str, **kwargs: Any) -> None:
    remediation.verify_orders(source_id=source_id, run_id=run_id, now=timezone.now())


@shared_task(name="reviews.send_due_notices", soft_time_limit=LONG, time_limit=LONG_HARD)
def send_due_notices(**kwargs: Any) -> None:
    now = timezone.now()
    planning.plan_deliveries(now=now)
    sending.queue_due(now=now)
    alerts.send_alerts(now=now)
    asking.forget_old_deliveries(now=now)


@shared_task(name="reviews.send_notices_to", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def send_notices_to(*, endpoint_id: str, **kwargs: Any) -> None:
    sending.send_to(endpoint_id=endpoint_id, now=timezone.now())


@shared_task(name="reviews.keep_figures", soft_time_limit=LONG, time_limit=LONG_HARD)
def keep_figures(**kwargs: Any) -> None:
    campaign_reports.keep_due_figures(now=timezone.now())


@shared_task(name="reviews.measure_estate", soft_time_limit=LONG, time_limit=LONG_HARD)
def measure_estate(**kwargs: Any) -> None:
    estate.measure_estate(now=timezone.now())


@shared_task(name="reviews.build_due_packs", soft_time_limit=QUICK, time_limit=QUICK_HARD)
def build_due_packs(**kwargs: Any) -> None:
    packs.build_due_packs(now=timezone.now())


@shared_task(name="reviews.build_pack", soft_time_limit=LONG, time_limit=LONG_HARD)
def build_pack(*, pack_id: str, **kwargs: Any) -> None:
    packs.build_pack(pack_id=pack_id, now=timezone.now())
