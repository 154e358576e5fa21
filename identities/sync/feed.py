"""Where a run stands in the change feed: a number given in the order in which runs become visible.

Ids of changes are taken while a run writes, and runs of several sources write at once, so a low id can become visible
after a higher one. A reader who goes by them would miss it. Feed numbers are given one at a time, at the end of a run's
transaction: whoever sees a number sees every lower one.
"""

from django.db import connection, transaction
from django.db.models import Max

from identities.models import Change, SyncRun

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('identities.sync.feed', 0))"


def take_feed_number(run: SyncRun) -> int | None:
    """Give an applied run its place in the feed; None when it changed nothing, for then it needs none.

    The last step of the run's transaction, and never one of a dry run: every other run's last step waits until this
    transaction ends. Numbers have no gaps, because a number whose transaction is rolled back is given again.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("A feed number is taken inside the run's transaction.")
    if not Change.objects.filter(run=run).exists():
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
    # A statement of its own: one that began before the lock was free would not see the number given last.
    latest = SyncRun.objects.aggregate(latest=Max("feed_number"))["latest"] or 0
    run.feed_number = latest + 1
    run.save(update_fields=["feed_number"])
    return run.feed_number
