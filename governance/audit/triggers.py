"""What the database itself does for the trail: refuse changes, and seal new rows at commit.

Plain SQL instead of django-pgtrigger, because the guards must be ENABLE ALWAYS (otherwise
`session_replication_role = replica` walks around them), must have no switch in the application, and the seal must
be a deferred constraint trigger.

A deferred trigger can only fire per row, and firing for each of 100,000 events costs as much as sealing them. So
every statement that inserts events puts one row per transaction into `audit_pending`, and the deferred trigger sits
there: at COMMIT it seals all events of the transaction with one set-based statement under the lock of the head row.
So the lock is held for the commit only, and commits cannot fork the chain. Transactions that write the trail stay at
READ COMMITTED (the default); at a stricter level two of them at once end in a serialisation error and one must be
repeated.

A pending row exists only while its own transaction's firing is outstanding: nobody can insert one for another
transaction, and a firing does not need the row. So a row that is found there always means "will be sealed".

A migration installs what stands here. Whoever changes it adds a migration that installs it again.
"""

from django.db import connection

from governance.audit import retirement_triggers
from governance.audit.guard_parts import (
    BEFORE,
    BY_A_CLIENT,
    DELETE,
    FOREIGN,
    INSERT,
    ONLY_ERASURE,
    ONLY_SEALING,
    OWN_TRANSACTION,
    REFUSE_CHANGE,
    REPLICATED,
    ROW,
    TRUNCATE,
    UPDATE,
    Function,
    Trigger,
)

EVENT, LINK, HEAD = "audit_auditevent", "audit_auditlink", "audit_audithead"
CHECKPOINT, DETAIL = "audit_auditcheckpoint", "audit_auditdetail"
PENDING = "audit_pending"

# 0x636861696e2e763100 is "chain.v1" and a NUL: it keeps these hashes apart from those of the tree.
CHAIN_STEP = Function(
    "audit_chain_step",
    r"""
BEGIN
    RETURN sha256('\x636861696e2e763100'::bytea || coalesce(state, start) || int8send(seq) || payload_hash);
END
""",
    "(state bytea, start bytea, seq bigint, payload_hash bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE",
    "bytea, bytea, bigint, bytea",
)

CALL_SEAL = Function(
    "audit_call_seal",
    """
BEGIN
    INSERT INTO audit_pending (xact) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
""",
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)

# The probe of each event costs a fifth of sealing it, so it is done only when the first event is sealed already: the
# transaction was sealed half-way (SET CONSTRAINTS), or rows of an earlier life of the database, a restored dump, carry
# its number. Where that guess is wrong (somebody forged `ordinal`), the unique event_id of links refuses the commit.
# OFFSET 0 keeps payload_bytes from being made twice, and the probe from reading the whole chain for one event.
SEAL = Function(
    "audit_seal",
    r"""
DECLARE
    head record;
    is_begun boolean;
BEGIN
    DELETE FROM audit_pending WHERE xact = pg_current_xact_id();
    SELECT EXISTS (SELECT FROM audit_auditlink WHERE event_id = first.id) INTO is_begun
    FROM (SELECT id FROM audit_auditevent WHERE xact = pg_current_xact_id() ORDER BY ordinal LIMIT 1) first;
    SELECT seq, entry_hash INTO STRICT head FROM audit_audithead WHERE id = 1 FOR UPDATE;
    WITH hashed AS (
        SELECT ordinal, id, head.seq + row_number() OVER written AS seq,
               sha256(payload_bytes) AS payload_hash, sha256('\x00'::bytea || payload_bytes) AS leaf_hash
        FROM (
            SELECT e.ordinal, e.id, convert_to(e.payload, 'UTF8') AS payload_bytes
            FROM audit_auditevent e
            WHERE e.xact = pg_current_xact_id()
              AND (NOT is_begun OR NOT EXISTS (SELECT FROM audit_auditlink l WHERE l.event_id = e.id OFFSET 0))
            ORDER BY e.ordinal OFFSET 0
        ) mine
        WINDOW written AS (ORDER BY ordinal ROWS UNBOUNDED PRECEDING)
    ), chained AS (
        SELECT *, audit_chain(head.entry_hash, seq, payload_hash) OVER written AS entry_hash
        FROM hashed
        WINDOW written AS (ORDER BY ordinal ROWS UNBOUNDED PRECEDING)
    ), sealed AS (
        INSERT INTO audit_auditlink (seq, event_id, payload_hash, prev_hash, entry_hash, leaf_hash)
        SELECT seq, id, payload_hash, lag(entry_hash, 1, head.entry_hash) OVER (ORDER BY ordinal), entry_hash, leaf_hash
        FROM chained
        RETURNING seq, entry_hash
    )
    UPDATE audit_audithead SET seq = last.seq, entry_hash = last.entry_hash
    FROM (SELECT seq, entry_hash FROM sealed ORDER BY seq DESC LIMIT 1) last
    WHERE id = 1;
    RETURN NULL;
END
""",
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)

FUNCTIONS = (
    REFUSE_CHANGE,
    ONLY_SEALING,
    OWN_TRANSACTION,
    ONLY_ERASURE,
    CHAIN_STEP,
    CALL_SEAL,
    SEAL,
    *retirement_triggers.FUNCTIONS,
)
# These run with their owner's rights, so nobody else's schema may come into their name look-up.
DEFINERS = (CALL_SEAL, SEAL, *retirement_triggers.DEFINERS)

TRIGGERS = (
    Trigger("audit_event_seal", EVENT, INSERT, CALL_SEAL),
    Trigger("audit_event_seal_replicated", EVENT, ROW | INSERT, CALL_SEAL, condition=REPLICATED),
    Trigger("audit_event_own_transaction", EVENT, ROW | INSERT, OWN_TRANSACTION, condition=FOREIGN),
    Trigger("audit_event_no_change", EVENT, ROW | BEFORE | UPDATE, REFUSE_CHANGE),
    Trigger("audit_event_only_retirement", EVENT, ROW | BEFORE | DELETE, retirement_triggers.ONLY_RETIRED_EVENTS),
    Trigger("audit_event_no_truncate", EVENT, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_pending_seal", PENDING, ROW | INSERT, SEAL, is_deferred=True),
    Trigger("audit_pending_sealing_only", PENDING, ROW | BEFORE | INSERT | DELETE, ONLY_SEALING, condition=BY_A_CLIENT),
    Trigger("audit_pending_own_transaction", PENDING, ROW | INSERT, OWN_TRANSACTION, condition=FOREIGN),
    Trigger("audit_pending_no_change", PENDING, ROW | BEFORE | UPDATE, REFUSE_CHANGE),
    Trigger("audit_pending_no_truncate", PENDING, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_link_sealing_only", LINK, ROW | BEFORE | INSERT, ONLY_SEALING, condition=BY_A_CLIENT),
    Trigger("audit_link_no_change", LINK, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_link_no_truncate", LINK, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_head_sealing_only", HEAD, ROW | BEFORE | UPDATE, ONLY_SEALING, condition=BY_A_CLIENT),
    Trigger("audit_head_no_delete", HEAD, ROW | BEFORE | DELETE, REFUSE_CHANGE),
    Trigger("audit_head_no_truncate", HEAD, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_checkpoint_no_change", CHECKPOINT, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_checkpoint_no_truncate", CHECKPOINT, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_detail_only_erasure", DETAIL, ROW | BEFORE | UPDATE, ONLY_ERASURE),
    Trigger("audit_detail_only_retirement", DETAIL, ROW | BEFORE | DELETE, retirement_triggers.ONLY_RETIRED_DETAILS),
    Trigger("audit_detail_no_truncate", DETAIL, BEFORE | TRUNCATE, REFUSE_CHANGE),
    *retirement_triggers.TRIGGERS,
)

COLUMNS = """
ALTER TABLE audit_auditevent
    ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN ordinal bigint GENERATED ALWAYS AS IDENTITY;
CREATE INDEX audit_event_xact ON audit_auditevent (xact, ordinal);
INSERT INTO audit_audithead (id, seq, entry_hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
"""

# Oldest first: a trail grows at its end, and only ascending keys fill their pages. `ordinal` settles ties of time.
INDEXES = """
CREATE INDEX audit_event_time ON audit_auditevent (occurred_at, ordinal);
CREATE INDEX audit_event_verb ON audit_auditevent (verb, occurred_at, ordinal);
CREATE INDEX audit_event_actor ON audit_auditevent (actor_id, occurred_at, ordinal);
CREATE INDEX audit_event_kind ON audit_auditevent (subject_kind, occurred_at, ordinal);
CREATE INDEX audit_event_subject ON audit_auditevent (subject_id, occurred_at, ordinal);
"""

REMOVE_INDEXES = (
    "DROP INDEX audit_event_time, audit_event_verb, audit_event_actor, audit_event_kind, audit_event_subject;"
)

REMOVE_COLUMNS = """
ALTER TABLE audit_auditevent DROP COLUMN xact, DROP COLUMN ordinal;
DELETE FROM audit_audithead;
"""

# Unlogged: after a crash no transaction is pending.
PENDING_TABLE = "CREATE UNLOGGED TABLE IF NOT EXISTS audit_pending (xact xid8 PRIMARY KEY);"

AGGREGATE = """
CREATE OR REPLACE AGGREGATE audit_chain(start bytea, seq bigint, payload_hash bytea)
    (SFUNC = audit_chain_step, STYPE = bytea);
"""

FIX_SEARCH_PATH = "".join(
    f"""
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION {function.name}() SET search_path = pg_catalog, %1$I, pg_temp', current_schema());
END $$;
"""
    for function in DEFINERS
)

# Triggers of earlier versions under names that are no longer used.
FORMER = ((DETAIL, "audit_detail_no_delete"),)


def install_sql() -> str:
    """Functions and triggers, for a migration. Needs no superuser, only the owner of the tables."""
    functions = [function.create() for function in FUNCTIONS]
    replaced = [f"DROP TRIGGER IF EXISTS {trigger.name} ON {trigger.table};" for trigger in TRIGGERS]
    replaced += [f"DROP TRIGGER IF EXISTS {name} ON {table};" for table, name in FORMER]
    triggers = [trigger.create() for trigger in TRIGGERS]
    return "\n".join(
        [PENDING_TABLE, retirement_triggers.TABLES, *functions, AGGREGATE, FIX_SEARCH_PATH, *replaced, *triggers]
    )


def remove_sql() -> str:
    """The reverse of `install_sql`."""
    triggers = [f"DROP TRIGGER IF EXISTS {trigger.name} ON {trigger.table};" for trigger in TRIGGERS]
    aggregate = "DROP AGGREGATE IF EXISTS audit_chain(bytea, bigint, bytea);"
    functions = [function.drop() for function in reversed(FUNCTIONS)]
    tables = f"DROP TABLE IF EXISTS {', '.join([PENDING, *retirement_triggers.NAMES])};"
    return "\n".join([*triggers, aggregate, *functions, tables])


def broken_guards() -> list[str]:
    """What is missing, switched off or altered, one sentence each; empty when every guard stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.tgrelid::regclass::text, t.tgname, t.tgtype, t.tgenabled,
                   coalesce(substring(pg_get_triggerdef(t.oid) FROM ' WHEN (.*) EXECUTE FUNCTION '), ''),
                   t.tgdeferrable AND t.tginitdeferred, p.proname, p.prosrc
            FROM unnest(%s::text[]) AS guarded (name)
            JOIN pg_trigger t ON t.tgrelid = to_regclass(guarded.name)
            JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE NOT t.tgisinternal
            """,
            [sorted({trigger.table for trigger in TRIGGERS})],
        )
        found = {(table, name): tuple(rest) for table, name, *rest in cursor.fetchall()}
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [CHAIN_STEP.name])
        chain_steps = [body for (body,) in cursor.fetchall()]
    problems = [problem for trigger in TRIGGERS if (problem := _problem(trigger, found))]
    if chain_steps != [CHAIN_STEP.body]:
        problems.append(f"function {CHAIN_STEP.name} is not the one that was installed")
    return problems


def guards_intact() -> bool:
    """Whether the database still refuses changes to the trail and seals new rows."""
    return not broken_guards()


def _problem(trigger: Trigger, found: dict[tuple[str, str], tuple[object, ...]]) -> str:
    state = found.get((trigger.table, trigger.name))
    if state is None:
        return f"trigger {trigger.name} on {trigger.table} is missing"
    kind, enabled, condition, is_deferred, function, body = state
    if enabled != "A":
        return f"trigger {trigger.name} on {trigger.table} is switched off or not ENABLE ALWAYS"
    expected = (trigger.kind, trigger.condition, trigger.is_deferred, trigger.function.name, trigger.function.body)
    if (kind, condition, is_deferred, function, body) != expected:
        return f"trigger {trigger.name} on {trigger.table} is not the one that was installed"
    return ""
