"""What the database does for legal holds and for retiring old events.

Retiring deletes events and their details and leaves their links, so the chain and the tree go on holding. Nobody gets a
right to delete: one row in `audit_auditretirement` asks for it, the trigger there decides and deletes with the rights
of the tables' owner. The rules stand here and not only in Python, because a row can be inserted by anybody who may
write the trail: the archive was made of exactly these events, they follow what was retired before, none is younger
than twelve months, and nobody holds one of them. Every other guard of the trail stays on meanwhile.
"""

from governance.audit.guard_parts import (
    BEFORE,
    DELETE,
    INSERT,
    REFUSE_CHANGE,
    ROW,
    TRUNCATE,
    UPDATE,
    Function,
    Trigger,
)

HOLD, ARCHIVE, RETIREMENT = "audit_legalhold", "audit_auditarchive", "audit_auditretirement"
NAMES = (HOLD, ARCHIVE, RETIREMENT)
YOUNGEST_MONTHS = 12
# Arbitrary, it only must be ours.
LOCK = 7_203_114_253

# The models of these tables are in governance/audit/models.py; a test compares the two.
TABLES = f"""
CREATE TABLE IF NOT EXISTS {HOLD} (
    id uuid PRIMARY KEY,
    kind varchar(20) NOT NULL,
    subject_id varchar(200) NOT NULL,
    label varchar(200) NOT NULL,
    since timestamptz NULL,
    until timestamptz NULL,
    reason varchar(1000) NOT NULL,
    placed_by varchar(200) NOT NULL,
    placed_at timestamptz NOT NULL,
    lifted_by varchar(200) NOT NULL,
    lifted_at timestamptz NULL,
    lifted_reason varchar(1000) NOT NULL
);
CREATE TABLE IF NOT EXISTS {ARCHIVE} (
    id uuid PRIMARY KEY,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    leaves bytea NOT NULL,
    origin varchar(200) NOT NULL,
    checkpoint_size bigint NOT NULL,
    file varchar(300) NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    verified_at timestamptz NOT NULL,
    CHECK (first_seq > 0 AND last_seq >= first_seq AND checkpoint_size >= last_seq)
);
CREATE TABLE IF NOT EXISTS {RETIREMENT} (
    archive_id uuid PRIMARY KEY,
    last_seq bigint NOT NULL,
    retired_at timestamptz NOT NULL
);
"""

# What a hold is on: events of a time, or events whose record names the subject's id.
HELD = """(
    (h.kind = 'period' AND e.occurred_at >= h.since AND e.occurred_at < h.until)
    OR (h.kind <> 'period' AND position(h.subject_id IN e.payload) > 0)
)"""

MAY_RETIRE = Function(
    "audit_may_retire",
    f"""
DECLARE
    archive {ARCHIVE}%ROWTYPE;
    before bigint;
    wrong text;
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    SELECT * INTO archive FROM {ARCHIVE} WHERE id = NEW.archive_id;
    SELECT coalesce(max(last_seq), 0) INTO before FROM {RETIREMENT};
    IF archive.id IS NULL THEN
        wrong := 'there is no such archive';
    ELSIF archive.first_seq <> before + 1 OR archive.last_seq <> NEW.last_seq THEN
        wrong := 'the archive does not follow what was retired before';
    ELSIF archive.leaves IS DISTINCT FROM (
        SELECT sha256(string_agg(leaf_hash, ''::bytea ORDER BY seq)) FROM audit_auditlink
        WHERE seq BETWEEN archive.first_seq AND archive.last_seq
    ) THEN
        wrong := 'the archive was made of other events';
    ELSIF EXISTS (
        SELECT FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id
        WHERE l.seq BETWEEN archive.first_seq AND archive.last_seq
          AND e.occurred_at > now() - interval '{YOUNGEST_MONTHS} months'
    ) THEN
        wrong := 'an event is younger than {YOUNGEST_MONTHS} months';
    ELSIF EXISTS (
        SELECT FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id JOIN {HOLD} h ON {HELD}
        WHERE l.seq BETWEEN archive.first_seq AND archive.last_seq AND h.lifted_at IS NULL
    ) THEN
        wrong := 'an event is under legal hold';
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these events cannot be retired: %', wrong USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
""",  # noqa: S608 - constants
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)

RETIRE = Function(
    "audit_retire",
    f"""
BEGIN
    DELETE FROM audit_auditdetail d USING {ARCHIVE} a, audit_auditlink l
    WHERE a.id = NEW.archive_id AND l.seq BETWEEN a.first_seq AND a.last_seq AND d.event_id = l.event_id;
    DELETE FROM audit_auditevent e USING {ARCHIVE} a, audit_auditlink l
    WHERE a.id = NEW.archive_id AND l.seq BETWEEN a.first_seq AND a.last_seq AND e.id = l.event_id;
    RETURN NULL;
END
""",  # noqa: S608 - constants
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)


def _only_retirement(name: str, event_id: str) -> Function:
    return Function(
        name,
        f"""
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_auditlink l JOIN {RETIREMENT} r ON l.seq <= r.last_seq WHERE l.event_id = OLD.{event_id}
    ) THEN
        RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
""",
    )


ONLY_RETIRED_EVENTS = _only_retirement("audit_only_retired_events", "id")
ONLY_RETIRED_DETAILS = _only_retirement("audit_only_retired_details", "event_id")

# A hold that is being placed waits for a retirement that is under way, and the other way round.
HOLD_WAITS = Function(
    "audit_hold_waits",
    f"""
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    RETURN NEW;
END
""",
)

ONLY_LIFTING = Function(
    "audit_only_lifting",
    """
BEGIN
    IF OLD.lifted_at IS NOT NULL OR NEW.lifted_at IS NULL
       OR to_jsonb(NEW) - '{lifted_at,lifted_by,lifted_reason}'::text[]
          <> to_jsonb(OLD) - '{lifted_at,lifted_by,lifted_reason}'::text[] THEN
        RAISE EXCEPTION 'a legal hold can only be lifted, not changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
""",
)

FUNCTIONS = (MAY_RETIRE, RETIRE, ONLY_RETIRED_EVENTS, ONLY_RETIRED_DETAILS, HOLD_WAITS, ONLY_LIFTING)
DEFINERS = (MAY_RETIRE, RETIRE)

TRIGGERS = (
    Trigger("audit_hold_waits", HOLD, ROW | BEFORE | INSERT, HOLD_WAITS),
    Trigger("audit_hold_only_lifting", HOLD, ROW | BEFORE | UPDATE, ONLY_LIFTING),
    Trigger("audit_hold_no_delete", HOLD, ROW | BEFORE | DELETE, REFUSE_CHANGE),
    Trigger("audit_hold_no_truncate", HOLD, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_archive_no_change", ARCHIVE, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_archive_no_truncate", ARCHIVE, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_retirement_may", RETIREMENT, ROW | BEFORE | INSERT, MAY_RETIRE),
    Trigger("audit_retirement_retire", RETIREMENT, ROW | INSERT, RETIRE),
    Trigger("audit_retirement_no_change", RETIREMENT, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_retirement_no_truncate", RETIREMENT, BEFORE | TRUNCATE, REFUSE_CHANGE),
)
