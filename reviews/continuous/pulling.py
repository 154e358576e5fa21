"""Read the inventory's changes from where the last reading ended, and keep what they fire.

The page is read first; then, in one transaction, what it fires is written and the cursor moves behind it, provided that
nobody moved it meanwhile. Whoever dies in between has moved nothing, and the next one reads the same page.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction

from governance.audit.log import record_many
from governance.kernel.actors import system_actor
from identities.models import Change, ChangeAction, Grant, Withholding
from identities.selectors.feed import BadPosition, Position, end_of_feed, position_at, read_feed, read_position
from identities.services.review_facts import lapse_review
from reviews.campaigns.differences import difference_of_tools
from reviews.continuous.noticing import events_of, write_hits
from reviews.deadline import lapsed
from reviews.models import WatchCursor

logger = structlog.get_logger(__name__)
WATCHER = system_actor("watcher")
PAGE = 2_000


def pull_changes(*, now: datetime) -> int:
    """Take in everything up to the end of the feed. Returns how many changes were read.

    Any number of workers may do it at once: of those that read the same page, one keeps it and the others leave.
    """
    total = 0
    while True:
        cursor = get_cursor(now)
        page = read_feed(actor=WATCHER, after=_place(cursor), limit=PAGE)
        if str(page.next) == cursor.position:
            return total
        if not _take_in(cursor.position, page.changes, page.next, now):
            return total
        total += len(page.changes)
        if not page.has_more:
            return total


def get_cursor(now: datetime) -> WatchCursor:
    """The one row. Watching starts at the end of the feed: what happened before is for the reviews by calendar."""
    cursor, _ = WatchCursor.objects.get_or_create(
        pk=1, defaults={"position": str(end_of_feed()), "moved_at": now, "looked": {}}
    )
    return cursor


def _place(cursor: WatchCursor) -> Position:
    try:
        return read_position(cursor.position)
    except BadPosition:
        # The inventory was restored from a backup without this table, or the other way round.
        logger.error("watch.position_lost", position=cursor.position, again_from=cursor.moved_at.isoformat())
        return position_at(cursor.moved_at)


def _take_in(expected: str, changes: Sequence[Change], following: Position, now: datetime) -> bool:
    """Write what the page fires and move the cursor; False when somebody else has moved it."""
    with transaction.atomic(durable=True):
        cursor = WatchCursor.objects.select_for_update().get(pk=1)
        if cursor.position != expected:
            return False
        write_hits(events_of(changes, now), now)
        _lapse_changed_tools(changes, now)
        cursor.position, cursor.moved_at = str(following), now
        cursor.save(update_fields=["position", "moved_at"])
    return True


def _lapse_changed_tools(changes: Sequence[Change], now: datetime) -> None:
    """Approvals of tools that are described otherwise now: the content is the same by name, not by what it does.

    Changed permissions need nothing here: their approvals lapse by their digest (reviews/deadline.py).
    """
    changed = {
        change.object_id: change.created_at
        for change in changes
        if change.object_kind == "grant"
        and change.action == ChangeAction.CHANGED
        and difference_of_tools((change.old or {}).get("native_ref") or {}, (change.new or {}).get("native_ref") or {})
    }
    approved = Grant.objects.select_for_update().filter(pk__in=list(changed), reviewed_at__isnull=False)
    grants = [grant for grant in approved.order_by("pk") if grant.reviewed_at and grant.reviewed_at < changed[grant.pk]]
    record_many([lapsed(grant, actor=WATCHER, why="tool_changed", now=now) for grant in grants])
    lapse_review(grant_ids=[grant.pk for grant in grants], why=Withholding.TOOL_DRIFTED, now=now)
