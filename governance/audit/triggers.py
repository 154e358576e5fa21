"""What the database itself does for the trail: refuse changes, and seal new rows at commit.

Plain SQL instead of django-pgtrigger, because the guards must be ENABLE ALWAYS (otherwise
`session_replication_role = replica` walks around them), must have no switch in the application, and the seal must
be a deferred constraint trigger.

The sealing trigger fires once per row at COMMIT. Its first firing seals every row of the transaction with one
set-based statement under the lock of the head row; the others find their row sealed and return. So the lock is held
for the commit only, and commits cannot fork the chain. Transactions that write the trail stay at READ COMMITTED
(the default); at a stricter level two of them at once end in a serialisation error and one must be repeated.

A migration installs what stands here. Whoever changes it adds a migration that installs it again.
"""

from dataclasses import dataclass

from django.db import connection

EVENT, LINK, HEAD = "audit_auditevent", "audit_auditlink", "audit_audithead"
CHECKPOINT, DETAIL = "audit_auditcheckpoint", "audit_auditdetail"


@dataclass(frozen=True, slots=True)
class Function:
    """A function in the schema of the trail's tables. `body` is compared with the database's own copy."""

    name: str
    body: str
    signature: str = "() RETURNS trigger LANGUAGE plpgsql"
    parameters: str = ""

    def create(self) -> str:
        return f"CREATE OR REPLACE FUNCTION {self.name}{self.signature} AS $body${self.body}$body$;"

    def drop(self) -> str:
        return f"DROP FUNCTION IF EXISTS {self.name}({self.parameters});"


REFUSE_CHANGE = Function(
    "audit_refuse_change",
    """
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
""",
)

# Depth 1 is a statement of a client; the sealing trigger's own statements run deeper.
ONLY_SEALING = Function(
    "audit_only_sealing",
    """
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'only sealing at commit writes %: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
""",
)

ONLY_ERASURE = Function(
    "audit_only_erasure",
    """
BEGIN
    IF OLD.erased_at IS NOT NULL OR NEW.event_id <> OLD.event_id OR NEW.erased_at IS NULL THEN
        RAISE EXCEPTION 'a detail of the audit trail can only be erased, not changed'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
""",
)

# 0x636861696e2e763100 is "chain.v1" and a NUL: it keeps these hashes apart from those of the tree.
CHAIN_STEP = Function(
    "audit_chain_step",
    r"""
    SELECT sha256('\x636861696e2e763100'::bytea || coalesce(state, start) || int8send(seq) || payload_hash)
""",
    "(state bytea, start bytea, seq bigint, payload_hash bytea) RETURNS bytea LANGUAGE sql IMMUTABLE",
    "bytea, bytea, bigint, bytea",
)

SEAL = Function(
    "audit_seal",
    r"""
DECLARE
    head record;
BEGIN
    IF EXISTS (SELECT FROM audit_auditlink WHERE event_id = NEW.id) THEN
        RETURN NULL;
    END IF;
    SELECT seq, entry_hash INTO STRICT head FROM audit_audithead WHERE id = 1 FOR UPDATE;
    WITH mine AS (
        SELECT e.id, e.payload_bytes, head.seq + row_number() OVER (ORDER BY e.ordinal) AS seq
        FROM (SELECT *, convert_to(payload, 'UTF8') AS payload_bytes FROM audit_auditevent) e
        WHERE e.xact = pg_current_xact_id()
          AND NOT EXISTS (SELECT FROM audit_auditlink l WHERE l.event_id = e.id)
    ), hashed AS (
        SELECT id, seq, sha256(payload_bytes) AS payload_hash, sha256('\x00'::bytea || payload_bytes) AS leaf_hash
        FROM mine
    ), chained AS (
        SELECT *, audit_chain(head.entry_hash, seq, payload_hash) OVER (ORDER BY seq) AS entry_hash
        FROM hashed
    ), sealed AS (
        INSERT INTO audit_auditlink (seq, event_id, payload_hash, prev_hash, entry_hash, leaf_hash)
        SELECT seq, id, payload_hash, lag(entry_hash, 1, head.entry_hash) OVER (ORDER BY seq), entry_hash, leaf_hash
        FROM chained
        RETURNING seq, entry_hash
    )
    UPDATE audit_audithead SET seq = last.seq, entry_hash = last.entry_hash
    FROM (SELECT seq, entry_hash FROM sealed ORDER BY seq DESC LIMIT 1) last
    WHERE id = 1;
    IF NOT EXISTS (SELECT FROM audit_auditlink WHERE event_id = NEW.id) THEN
        RAISE EXCEPTION 'audit event % claims to belong to another transaction', NEW.id
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
""",
    "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER",
)

FUNCTIONS = (REFUSE_CHANGE, ONLY_SEALING, ONLY_ERASURE, CHAIN_STEP, SEAL)

# Bits of pg_trigger.tgtype.
ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32
WORDS = {INSERT: "INSERT", DELETE: "DELETE", UPDATE: "UPDATE", TRUNCATE: "TRUNCATE"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger: `kind` is the sum of the bits above, as PostgreSQL stores it."""

    name: str
    table: str
    kind: int
    function: Function
    is_deferred: bool = False

    def create(self) -> str:
        moment = "BEFORE" if self.kind & BEFORE else "AFTER"
        events = " OR ".join(word for bit, word in WORDS.items() if self.kind & bit)
        level = "ROW" if self.kind & ROW else "STATEMENT"
        constraint = "CONSTRAINT " if self.is_deferred else ""
        deferred = "DEFERRABLE INITIALLY DEFERRED " if self.is_deferred else ""
        return (
            f"CREATE {constraint}TRIGGER {self.name} {moment} {events} ON {self.table} {deferred}"
            f"FOR EACH {level} EXECUTE FUNCTION {self.function.name}();\n"
            f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name};"
        )


TRIGGERS = (
    Trigger("audit_event_seal", EVENT, ROW | INSERT, SEAL, is_deferred=True),
    Trigger("audit_event_no_change", EVENT, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_event_no_truncate", EVENT, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_link_sealing_only", LINK, ROW | BEFORE | INSERT, ONLY_SEALING),
    Trigger("audit_link_no_change", LINK, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_link_no_truncate", LINK, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_head_sealing_only", HEAD, ROW | BEFORE | UPDATE, ONLY_SEALING),
    Trigger("audit_head_no_delete", HEAD, ROW | BEFORE | DELETE, REFUSE_CHANGE),
    Trigger("audit_head_no_truncate", HEAD, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_checkpoint_no_change", CHECKPOINT, ROW | BEFORE | UPDATE | DELETE, REFUSE_CHANGE),
    Trigger("audit_checkpoint_no_truncate", CHECKPOINT, BEFORE | TRUNCATE, REFUSE_CHANGE),
    Trigger("audit_detail_only_erasure", DETAIL, ROW | BEFORE | UPDATE, ONLY_ERASURE),
    Trigger("audit_detail_no_delete", DETAIL, ROW | BEFORE | DELETE, REFUSE_CHANGE),
    Trigger("audit_detail_no_truncate", DETAIL, BEFORE | TRUNCATE, REFUSE_CHANGE),
)

COLUMNS = """
ALTER TABLE audit_auditevent
    ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN ordinal bigint GENERATED ALWAYS AS IDENTITY;
CREATE INDEX audit_event_xact ON audit_auditevent (xact, ordinal);
INSERT INTO audit_audithead (id, seq, entry_hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
"""

REMOVE_COLUMNS = """
ALTER TABLE audit_auditevent DROP COLUMN xact, DROP COLUMN ordinal;
DELETE FROM audit_audithead;
"""

AGGREGATE = """
CREATE OR REPLACE AGGREGATE audit_chain(start bytea, seq bigint, payload_hash bytea)
    (SFUNC = audit_chain_step, STYPE = bytea);
"""

# The sealing function runs with its owner's rights, so nobody else's schema may come into its name look-up.
FIX_SEARCH_PATH = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION audit_seal() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;
"""


def install_sql() -> str:
    """Functions and triggers, for a migration. Needs no superuser, only the owner of the tables."""
    functions = [function.create() for function in FUNCTIONS]
    replaced = [f"DROP TRIGGER IF EXISTS {trigger.name} ON {trigger.table};" for trigger in TRIGGERS]
    return "\n".join([*functions, AGGREGATE, FIX_SEARCH_PATH, *replaced, *(trigger.create() for trigger in TRIGGERS)])


def remove_sql() -> str:
    """The reverse of `install_sql`."""
    triggers = [f"DROP TRIGGER IF EXISTS {trigger.name} ON {trigger.table};" for trigger in TRIGGERS]
    aggregate = "DROP AGGREGATE IF EXISTS audit_chain(bytea, bigint, bytea);"
    return "\n".join([*triggers, aggregate, *(function.drop() for function in reversed(FUNCTIONS))])


def broken_guards() -> list[str]:
    """What is missing, switched off or altered, one sentence each; empty when every guard stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT t.tgrelid::regclass::text, t.tgname, t.tgtype, t.tgenabled, t.tgqual IS NULL,
                   t.tgdeferrable AND t.tginitdeferred, p.proname, p.prosrc
            FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = ANY (%s::text[]::regclass[]) AND NOT t.tgisinternal
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
    kind, enabled, is_unconditional, is_deferred, function, body = state
    if enabled != "A":
        return f"trigger {trigger.name} on {trigger.table} is switched off or not ENABLE ALWAYS"
    expected = (trigger.kind, True, trigger.is_deferred, trigger.function.name, trigger.function.body)
    if (kind, is_unconditional, is_deferred, function, body) != expected:
        return f"trigger {trigger.name} on {trigger.table} is not the one that was installed"
    return ""
