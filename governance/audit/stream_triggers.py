"""What the database does for the decision log: refuse changes, and chain committed lines when a sealer asks for it.

Writers only insert; they take no lock and wait for nobody. A sealer inserts one row into `audit_streambatch`; the
trigger there takes the next lines that are committed and not sealed yet, chains them, and fills the row in. Sealers at
once take turns on an advisory lock, and the one that finds nothing left inserts nothing. A sealer that dies leaves
nothing behind, because links and batch are one transaction.

Numbers of lines (`ordinal`) are handed out before commit, so a smaller one may appear after a greater one was sealed.
`floor` is the number up to which nothing can appear any more, so that sealing needs not look at the whole log: it
moves up to `seen`, the greatest number of an earlier batch, once every transaction that had begun to write by then
(`seen_xact`) has ended. That holds because `xact` is the first column: a line's transaction has its number before the
line has its own. A number of a transaction that lies in the future is of another life of the database, a restored
dump; then `floor` stays until the next batch.
"""

from governance.audit.guard_parts import (
    BEFORE,
    BY_A_CLIENT,
    DELETE,
    FOREIGN,
    INSERT,
    ONLY_SEALING,
    OWN_TRANSACTION,
    REFUSE_CHANGE,
    ROW,
    TRUNCATE,
    UPDATE,
    Function,
    Trigger,
)

STREAM, LINK, BATCH = "audit_stream", "audit_streamlink", "audit_streambatch"
NAMES = (STREAM, LINK, BATCH)
MOST_PER_BATCH = 10_000

TABLES = f"""
CREATE TABLE IF NOT EXISTS {STREAM} (
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload text NOT NULL
);
CREATE TABLE IF NOT EXISTS {LINK} (
    seq bigint PRIMARY KEY,
    ordinal bigint NOT NULL UNIQUE,
    entry_hash bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS {BATCH} (
    number bigint PRIMARY KEY,
    first bigint NOT NULL,
    last bigint NOT NULL,
    entry_hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    floor bigint NOT NULL,
    seen bigint NOT NULL,
    seen_xact xid8 NOT NULL
);
"""

# OFFSET 0 makes the look-up one probe of an index per line, whatever the statistics say of a log that grows.
SEAL = Function(
    "audit_seal_stream",
    rf"""
DECLARE
    previous record;
    taken record;
    is_settled boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(7203114252);
    -- The chain begins with a hash of its own, so that no link fits into this chain and into that of the trail.
    SELECT number, last, entry_hash, floor, seen, seen_xact INTO previous
    FROM {BATCH} ORDER BY number DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT 0::bigint AS number, 0::bigint AS last, sha256('stream.v1'::bytea) AS entry_hash,
               0::bigint AS floor, 0::bigint AS seen, '0'::xid8 AS seen_xact INTO previous;
    END IF;
    is_settled := previous.seen_xact <= pg_snapshot_xmin(pg_current_snapshot());
    WITH pending AS (
        SELECT s.ordinal, sha256(convert_to(s.payload, 'UTF8')) AS payload_hash
        FROM (
            SELECT s.ordinal, s.payload FROM {STREAM} s
            WHERE s.ordinal > previous.floor
              AND NOT EXISTS (SELECT FROM {LINK} l WHERE l.ordinal = s.ordinal OFFSET 0)
            ORDER BY s.ordinal LIMIT {MOST_PER_BATCH}
        ) s
    ), numbered AS (
        SELECT ordinal, payload_hash, previous.last + row_number() OVER written AS seq
        FROM pending WINDOW written AS (ORDER BY ordinal ROWS UNBOUNDED PRECEDING)
    ), chained AS (
        SELECT ordinal, seq, audit_chain(previous.entry_hash, seq, payload_hash) OVER written AS entry_hash
        FROM numbered WINDOW written AS (ORDER BY ordinal ROWS UNBOUNDED PRECEDING)
    ), sealed AS (
        INSERT INTO {LINK} (seq, ordinal, entry_hash) SELECT seq, ordinal, entry_hash FROM chained
        RETURNING seq, ordinal, entry_hash
    )
    SELECT count(*) AS lines, min(seq) AS first, max(seq) AS last, max(ordinal) AS ordinal,
           (array_agg(entry_hash ORDER BY seq DESC))[1] AS entry_hash
    INTO taken FROM sealed;
    IF taken.lines = 0 THEN
        RETURN NULL;
    END IF;
    NEW.number := previous.number + 1;
    NEW.first := taken.first;
    NEW.last := taken.last;
    NEW.entry_hash := taken.entry_hash;
    NEW.sealed_at := clock_timestamp();
    NEW.floor := previous.floor;
    NEW.seen := previous.seen;
    NEW.seen_xact := previous.seen_xact;
    IF is_settled THEN
        -- Lines are taken in their order, so a full batch leaves nothing behind below its last one.
        NEW.floor := CASE WHEN taken.lines < {MOST_PER_BATCH} THEN previous.seen
                          ELSE least(previous.seen, taken.ordinal) END;
    END IF;
    IF is_settled OR previous.seen_xact > pg_snapshot_xmax(pg_current_snapshot()) THEN
        NEW.seen := greatest(previous.seen, taken.ordinal);
        NEW.seen_xact := pg_snapshot_xmax(pg_current_snapshot());
    END IF;
    RETURN NEW;
END
""",  # noqa: S608 - constants of this module
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)

TRIGGERS = (
    Trigger("audit_stream_own_transaction", STREAM, ROW | INSERT, OWN_TRANSACTION, condition=FOREIGN),
    Trigger("audit_stream_no_change", STREAM, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_stream_no_truncate", STREAM, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_streamlink_sealing_only", LINK, ROW | BEFORE | INSERT, ONLY_SEALING, condition=BY_A_CLIENT),
    Trigger("audit_streamlink_no_change", LINK, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_streamlink_no_truncate", LINK, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_streambatch_seal", BATCH, ROW | BEFORE | INSERT, SEAL),
    Trigger("audit_streambatch_no_change", BATCH, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_streambatch_no_truncate", BATCH, BEFORE | TRUNCATE, REFUSE_CHANGE),
)
