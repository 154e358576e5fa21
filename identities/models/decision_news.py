"""What the database answers when a process asks what has changed since it last asked (ADR 0035, point 3).

A function, because its plan is kept by the connection: planning the statement anew took three times as long as running
it. It is STABLE, so everything in it sees the snapshot of the statement that calls it, and `pg_current_snapshot()` is
that one.

A migration installs what stands here. Whoever changes it adds a migration that installs it again, and a database
that is ahead of a process must still answer it: another answer needs another name.
"""

MOST_NOTES = 2_000
"""Of more notes than this, one more is told; whoever asked forgets everything."""

# The file of the notes table begins with the id of the database, and differs after a restore, and after any other
# change that could lose notes. A text is what a client takes apart fastest; nothing in it holds a blank.
_NEWS = f"""
CREATE OR REPLACE FUNCTION identities_decision_news(seen pg_snapshot) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT concat_ws(' ',
        pg_current_snapshot(),
        extract(epoch FROM pg_postmaster_start_time()) || '/'
            || pg_relation_filepath('identities_decisionnote'::regclass),
        extract(epoch FROM clock_timestamp()),
        CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN 'reading' ELSE 'writing' END,
        (SELECT string_agg(n.scope || ':' || coalesce(n.object_id::text, ''), ' ') FROM (
            SELECT d.scope, d.object_id FROM identities_decisionnote d
            WHERE d.xid >= pg_snapshot_xmin(seen)::text::bigint
              AND NOT pg_visible_in_snapshot(d.xid::text::xid8, seen)
            LIMIT {MOST_NOTES + 1}) n)));
END $$
"""  # noqa: S608 - constants of this module
INSTALL_NEWS = (_NEWS,)
REMOVE_NEWS = ("DROP FUNCTION IF EXISTS identities_decision_news(pg_snapshot)",)
