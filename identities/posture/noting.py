"""Find which identities have to be looked at again, and leave a mark for each: nothing is judged here.

What readings change stands in the change feed and is followed by a cursor, run by run. Who left, and what concerns a
source as a whole, is compared with what was noted last. Everything else is marked by whoever changes it
(`identities/services/posture_marks.py`). The marks and the cursor move in one transaction, so whoever dies in between
has moved nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from identities.models import PostureCursor, SyncRun
from identities.posture.judging import CATALOGUE_VERSION
from identities.posture.policy import Policy
from identities.posture.sources import SourceState, states_of

RUNS_AT_ONCE = 50

# Whoever is named by a change, who held it before, and whoever may become one of them or shares a secret with one. A
# trust names by its subject who could become its holder.
_FROM_FEED = """
WITH runs AS MATERIALIZED (
    SELECT id, source_id FROM identities_syncrun WHERE feed_number > %(after)s AND feed_number <= %(until)s
), changed AS MATERIALIZED (
    SELECT r.source_id, c.object_kind, c.object_id, c.old ->> 'identity' AS holder
    FROM runs r JOIN identities_change c ON c.run_id = r.id
), named AS MATERIALIZED (
    SELECT object_id AS id FROM changed WHERE object_kind = 'identity'
    UNION SELECT g.identity_id FROM changed c JOIN identities_grant g ON c.object_kind = 'grant' AND g.id = c.object_id
    UNION SELECT k.identity_id FROM changed c JOIN identities_credential k
          ON c.object_kind = 'credential' AND k.id = c.object_id
    UNION SELECT other.identity_id FROM changed c JOIN identities_credential k
          ON c.object_kind = 'credential' AND k.id = c.object_id AND k.fingerprint <> ''
          JOIN identities_credential other ON other.fingerprint = k.fingerprint AND other.fingerprint <> ''
          AND other.retired_at IS NULL
    UNION SELECT t.identity_id FROM changed c JOIN identities_trustrelation t
          ON c.object_kind = 'trust' AND t.id = c.object_id
    UNION SELECT i.id FROM changed c JOIN identities_trustrelation t ON c.object_kind = 'trust' AND t.id = c.object_id
          JOIN identities_identity i ON i.source_id = c.source_id AND i.external_id = t.subject
    UNION SELECT i.id FROM changed c JOIN identities_identity i
          ON i.source_id = c.source_id AND i.external_id = c.holder WHERE c.holder IS NOT NULL
)
INSERT INTO identities_posturemark (identity_id)
SELECT id FROM named
UNION SELECT p.identity_id FROM identities_identityposture p
      WHERE p.hops && ARRAY(SELECT id FROM named) AND p.hops <> '{}'
"""
_PEOPLE = """
SELECT md5(coalesce((SELECT string_agg(id::text, ',' ORDER BY id) FROM people_user WHERE left_at IS NOT NULL), '')
    || '/' || coalesce((SELECT string_agg(t.id::text, ',' ORDER BY t.id) FROM people_team t WHERE NOT EXISTS (
        SELECT FROM people_team_members m JOIN people_user u ON u.id = m.user_id
        WHERE m.team_id = t.id AND u.left_at IS NULL)), ''))
"""
# Whoever left or came back answered for these. What somebody who came back answers for failed by a rule until now.
_FROM_PEOPLE = """
INSERT INTO identities_posturemark (identity_id)
SELECT i.id FROM identities_identity i JOIN people_user u ON u.id IN (i.owner_id, i.backup_owner_id, i.sponsor_id)
WHERE u.left_at IS NOT NULL AND i.retired_at IS NULL
UNION SELECT c.identity_id FROM identities_credential c JOIN people_user u ON u.id = c.holder_id
WHERE u.left_at IS NOT NULL AND c.retired_at IS NULL
UNION SELECT i.id FROM identities_identity i WHERE i.team_id IS NOT NULL AND i.retired_at IS NULL
UNION SELECT p.identity_id FROM identities_identityposture p WHERE p.failed && ARRAY['NHI1-A', 'NHI1-F']::varchar[]
"""
_FROM_SOURCES = """
INSERT INTO identities_posturemark (identity_id)
SELECT id FROM identities_identity WHERE source_id = ANY(%(sources)s::uuid[]) AND retired_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Noted:
    """has_more: whether the feed goes on. sources: those that were read, or changed as a whole, since last time."""

    has_more: bool
    sources: frozenset[UUID]


def note_changes(*, policy: Policy, now: datetime) -> Noted:
    """Mark what changed since last time, in one transaction. Whoever comes second waits, and finds it done."""
    with transaction.atomic(durable=True):
        cursor = locked_cursor()
        before = _values(cursor)
        read, has_more = _note_feed(cursor)
        _note_people(cursor)
        changed = _note_sources(cursor, states_of(None, now=now))
        _begin_pass(cursor, policy)
        if _values(cursor) != before:
            cursor.save()
    return Noted(has_more, read | changed)


def _values(cursor: PostureCursor) -> tuple[object, ...]:
    return cursor.feed_number, cursor.people, dict(cursor.sources), cursor.pass_key


def locked_cursor() -> PostureCursor:
    """The one row, for whoever moves it. The first to ask has everything judged."""
    PostureCursor.objects.get_or_create(pk=1, defaults={"feed_number": _end_of_feed()})
    return PostureCursor.objects.select_for_update().get(pk=1)


def _end_of_feed() -> int:
    last = SyncRun.objects.filter(feed_number__isnull=False).order_by("-feed_number")
    return last.values_list("feed_number", flat=True).first() or 0


def _note_feed(cursor: PostureCursor) -> tuple[frozenset[UUID], bool]:
    """The sources of the runs that were taken in, and whether more runs wait."""
    runs = SyncRun.objects.filter(feed_number__gt=cursor.feed_number).order_by("feed_number")
    found = list(runs.values_list("feed_number", "source_id")[: RUNS_AT_ONCE + 1])
    taken = found[:RUNS_AT_ONCE]
    if not taken:
        if cursor.feed_number > _end_of_feed():
            # The inventory was restored from an older backup: what it holds now is to be judged as a whole.
            cursor.feed_number, cursor.pass_key = _end_of_feed(), ""
        return frozenset(), False
    until = taken[-1][0] or cursor.feed_number
    with connection.cursor() as statement:
        statement.execute(_FROM_FEED, {"after": cursor.feed_number, "until": until})
    cursor.feed_number = until
    return frozenset(source for _, source in taken), len(found) > RUNS_AT_ONCE


def _note_people(cursor: PostureCursor) -> None:
    with connection.cursor() as statement:
        statement.execute(_PEOPLE)
        digest = statement.fetchone()[0]
        if digest == cursor.people:
            return
        if cursor.people:
            statement.execute(_FROM_PEOPLE)
    cursor.people = digest


def _note_sources(cursor: PostureCursor, states: dict[UUID, SourceState]) -> frozenset[UUID]:
    digests = {str(pk): state.digest for pk, state in states.items()}
    changed = frozenset(pk for pk, state in states.items() if cursor.sources.get(str(pk)) != state.digest)
    known = [pk for pk in changed if str(pk) in cursor.sources]
    if known:
        with connection.cursor() as statement:
            statement.execute(_FROM_SOURCES, {"sources": known})
    cursor.sources = digests
    return changed


def pass_key(policy: Policy) -> str:
    """By what everything is judged: a pass under one key says nothing about another."""
    return f"{policy.number}/{CATALOGUE_VERSION}"


def _begin_pass(cursor: PostureCursor, policy: Policy) -> None:
    """Where something else judges than last time, everything has to be judged again; a pass under way starts anew."""
    key = pass_key(policy)
    if cursor.pass_key != key:
        cursor.pass_key, cursor.pass_after, cursor.is_passing = key, None, True
