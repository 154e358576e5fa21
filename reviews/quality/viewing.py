"""Note that a person had a question before them. One statement each; no audit record, for it changes nothing.

Switched off by `REVIEW_NOTE_VIEWINGS`; then times are measured between answers only.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection

from governance.kernel.actors import Actor, ActorKind

# Only what is the person's to answer: an auditor's look is no review, and a look back changes no time.
_NOTE = """
INSERT INTO reviews_viewing (item_id, person_id, {column})
SELECT item.id, %(person)s, %(now)s FROM reviews_reviewitem item
WHERE item.id = %(item)s AND item.state IN ('open', 'attested') AND (
  item.assignee_id = %(person)s OR EXISTS (
    SELECT FROM reviews_ask ask WHERE ask.item_id = item.id AND ask.person_id = %(person)s AND NOT ask.is_released
  )
)
ON CONFLICT (item_id, person_id) DO UPDATE SET {column} = EXCLUDED.{column}
"""


def note_showing(*, item_id: UUID, actor: Actor, now: datetime) -> None:
    """The question's page was shown. Nothing is noted where it is not this person's to answer, or answered already."""
    _note("shown_at", item_id, actor, now)


def note_draft(*, item_id: UUID, actor: Actor, now: datetime) -> None:
    """The person drafted an answer, or changed it: the moment when it was made up."""
    _note("drafted_at", item_id, actor, now)


def _note(column: str, item_id: UUID, actor: Actor, now: datetime) -> None:
    if not settings.REVIEW_NOTE_VIEWINGS or actor.kind is not ActorKind.PERSON or actor.person_id is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_NOTE.format(column=column), {"item": item_id, "person": actor.person_id, "now": now})
