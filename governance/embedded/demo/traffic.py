"""Light traffic in the demo's ledger: every service account does the part of its job that it really does.

Several hold far more than they use, which is what there is to be seen. A role that is refused, locked out or gone is
tried again later; a server that is down is waited for.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import psycopg

DsnOf = Callable[[str], str]

# Nothing grows for ever: what is inserted here is small, and the statements that add rows are the rare ones.
WORK: dict[str, tuple[str, ...]] = {
    "bi_reporting": (
        "SELECT status, count(*), sum(amount) FROM public.payments GROUP BY status",
        "SELECT sum(amount) FROM public.refunds WHERE created_at > now() - interval '30 days'",
    ),
    "ledger_api": (
        "SELECT id, name FROM public.customers WHERE id = 17",
        "SELECT id, amount, status FROM public.payments WHERE account_id = 21",
        "INSERT INTO audit.events (what) VALUES ('payment looked up')",
    ),
    "payment_worker": (
        "SELECT id FROM public.payments WHERE status = 'pending' LIMIT 20",
        "UPDATE public.payments SET status = 'captured' WHERE id = 4 AND status = 'pending'",
    ),
    "mobile_gateway": (
        "SELECT balance FROM public.accounts WHERE id = 33",
        "SELECT status FROM public.payments WHERE id = 12",
    ),
    "refund_service": ("SELECT public.refund(0, 'customer asked')",),
    "support_bot": (
        "SELECT name, email FROM public.customers WHERE id = 40",
        "SELECT id, subject FROM support.tickets WHERE is_open LIMIT 5",
        "UPDATE support.tickets SET is_open = false WHERE id = 8",
    ),
    "webhook_sender": ("SELECT id, status FROM public.payments WHERE id = 99",),
    "partner_portal": ("SELECT id, status FROM public.payments WHERE id = 7",),
    "fraud_scoring": (
        "SELECT amount FROM public.payments WHERE id = 71",
        "UPDATE risk.scores SET score = 50 WHERE customer_id = 71",
    ),
    "dispute_handler": ("SELECT id, payment_id FROM risk.disputes WHERE outcome IS NULL LIMIT 5",),
    "kyc_checker": ("UPDATE risk.kyc_documents SET checked_at = now() WHERE id = 5",),
    "ai_agent_reconciler": (
        "SELECT count(*) FROM public.payments p JOIN public.refunds r ON r.payment_id = p.id",
        "SELECT id, balance FROM public.accounts WHERE id = 3",
    ),
    "etl_nightly": (
        "SELECT count(*) FROM public.customers",
        "SELECT count(*) FROM billing.invoices WHERE issued_on > current_date - 30",
    ),
    "bi_dashboard": ("SELECT month, revenue FROM billing.revenue_by_month ORDER BY month",),
    "invoice_mailer": ("SELECT number, total FROM billing.invoices WHERE NOT is_sent LIMIT 5",),
    "payout_runner": ("SELECT id, amount FROM billing.payouts WHERE paid_on IS NULL LIMIT 5",),
    "fx_rates_loader": (
        "INSERT INTO billing.fx_rates VALUES ('SEK', current_date, 1.1)"
        " ON CONFLICT (currency, quoted_on) DO UPDATE SET rate = excluded.rate",
    ),
    "finance_ops": ("SELECT number, total FROM billing.invoices WHERE number = 10010",),
    "audit_reader": ("SELECT id, what FROM audit.events ORDER BY id DESC LIMIT 10",),
    "metrics_exporter": ("SELECT count(*) FROM ops.job_runs",),
}
PACE = 0.3
"""Seconds between two statements."""

LONGEST_PAUSE = 60.0
_CONNECTED_AT_ONCE = 8


@dataclass
class _Worker:
    """One service account: a connection while there is one, else the time of the next try."""

    role: str
    connection: psycopg.Connection[Any] | None = None
    next_try: float = 0.0
    pause: float = 1.0
    last_used: float = field(default=0.0)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def back_off(self) -> None:
        """Wait longer after each failure, up to a minute."""
        self.close()
        self.next_try = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def work(self, dsn_for_role: DsnOf, statement: str) -> None:
        """Run one statement. A refusal is what a narrowed right looks like, so the next statement may well work."""
        try:
            if self.connection is None:
                self.connection = psycopg.connect(
                    dsn_for_role(self.role), autocommit=True, connect_timeout=5, application_name=self.role
                )
            self.connection.execute(statement.encode())
            self.pause, self.last_used = 1.0, time.monotonic()
        except psycopg.OperationalError:
            self.back_off()
        except psycopg.Error:
            if self.connection is None or self.connection.closed:
                self.back_off()


def run_traffic(dsn_for_role: DsnOf, *, stop: Event, seed: int) -> None:
    """Work as all service accounts until `stop` is set: first once through everything, then at random, a few a second.

    dsn_for_role: the connection string of a role. Never raises for what the server does or refuses.
    """
    dice = random.Random(seed)  # noqa: S311 - which statement comes next is no secret
    workers = {role: _Worker(role) for role in WORK}
    rounds = [(role, statement) for role, statements in WORK.items() for statement in statements]
    try:
        while not stop.is_set():
            first_round = bool(rounds)
            role, statement = rounds.pop(0) if rounds else _draw(dice)
            worker = workers[role]
            if worker.next_try <= time.monotonic():
                worker.work(dsn_for_role, statement)
                _close_idle(workers)
            stop.wait(PACE / 10 if first_round else PACE * dice.uniform(0.5, 1.5))
    finally:
        for worker in workers.values():
            worker.close()


def _draw(dice: random.Random) -> tuple[str, str]:
    role = dice.choice(list(WORK))
    return role, dice.choice(WORK[role])


def _close_idle(workers: dict[str, _Worker]) -> None:
    """Keep a handful of connections: the server has better uses for the rest."""
    connected = sorted((w for w in workers.values() if w.connection is not None), key=lambda worker: worker.last_used)
    for worker in connected[: max(0, len(connected) - _CONNECTED_AT_ONCE)]:
        worker.close()
