"""Say precisely what changed of what decisions depend on, in the transaction that changes it.

Inner steps. Whoever writes without them is noted by the database, of everything (identities/models/note_triggers.py).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import Error, connection

from identities.services.arrays import array_of

# Beyond, one note of everything is cheaper for those who read it than so many of one identity each.
MOST_NOTES = 1_000

_NOTE_IDENTITIES = """
    INSERT INTO identities_decisionnote (scope, object_id) SELECT 'identity', unnest(%s::uuid[])
"""
_NOTE_HOLDERS = """
    INSERT INTO identities_decisionnote (scope, object_id)
    SELECT DISTINCT 'identity', identity_id FROM identities_grant WHERE id = ANY(%s::uuid[])
"""
_NOTE_READING = """
    INSERT INTO identities_decisionnote (scope, object_id)
    SELECT 'identity', touched.id FROM (
        SELECT d.id FROM sync_diff d WHERE d.kind = 'identity'
        UNION SELECT g.identity_id FROM sync_diff d JOIN identities_grant g ON g.id = d.id WHERE d.kind = 'grant'
        UNION SELECT c.identity_id FROM sync_diff d JOIN identities_credential c ON c.id = d.id
              WHERE d.kind = 'credential'
        UNION SELECT t.identity_id FROM sync_diff d JOIN identities_trustrelation t ON t.id = d.id
              WHERE d.kind = 'trust'
        UNION SELECT i.id FROM sync_diff d JOIN identities_identity i
              ON i.source_id = %(source)s AND i.external_id = d.old ->> 'identity'
    ) touched
"""
_NOTE_NAMES = """
    INSERT INTO identities_decisionnote (scope)
    SELECT 'names' WHERE EXISTS (SELECT FROM sync_diff d WHERE d.kind = 'identity' AND d.action <> 'changed')
"""
_NOTE_SOURCE = """
    INSERT INTO identities_decisionnote (scope, object_id) VALUES ('source', %(source)s), ('names', NULL)
"""
_NOTE_EVERYTHING = "INSERT INTO identities_decisionnote (scope) VALUES ('everything')"


@contextmanager
def own_notes() -> Iterator[None]:
    """Inside, the database writes no notes by itself: whoever enters notes what they change, before or after."""
    _say("own")
    try:
        yield
    finally:
        # A transaction that failed takes no more statements, and forgets this with everything else.
        with suppress(Error):
            _say("")


def note_identities(identity_ids: Iterable[UUID]) -> None:
    """Something changed about these identities or what they hold."""
    _note(_NOTE_IDENTITIES, list(dict.fromkeys(identity_ids)))


def note_holders(grant_ids: Iterable[UUID]) -> None:
    """Something changed about these grants."""
    _note(_NOTE_HOLDERS, list(grant_ids))


def note_reading(*, source_id: UUID, changed: int) -> None:
    """What a reading changed, as the staging tables of its transaction name it. changed: how many objects."""
    if not changed:
        return
    with connection.cursor() as cursor:
        if changed > MOST_NOTES:
            cursor.execute(_NOTE_SOURCE, {"source": source_id})
            return
        cursor.execute(_NOTE_READING, {"source": source_id})
        cursor.execute(_NOTE_NAMES)


def _note(statement: str, ids: list[UUID]) -> None:
    if not ids:
        return
    with connection.cursor() as cursor:
        if len(ids) > MOST_NOTES:
            cursor.execute(_NOTE_EVERYTHING)
        else:
            cursor.execute(statement, [array_of(ids)])


def _say(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('remit.notes', %s, true)", [value])
