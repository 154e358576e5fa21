"""What guards of the trail are made of: functions and triggers, as SQL and as what the catalogue should say of them."""

from dataclasses import dataclass


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


# Bits of pg_trigger.tgtype.
ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32
WORDS = {INSERT: "INSERT", DELETE: "DELETE", UPDATE: "UPDATE", TRUNCATE: "TRUNCATE"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger: `kind` is the sum of the bits above; `condition` is its WHEN, both as PostgreSQL tells them."""

    name: str
    table: str
    kind: int
    function: Function
    is_deferred: bool = False
    condition: str = ""

    def create(self) -> str:
        moment = "BEFORE" if self.kind & BEFORE else "AFTER"
        events = " OR ".join(word for bit, word in WORDS.items() if self.kind & bit)
        level = "ROW" if self.kind & ROW else "STATEMENT"
        constraint = "CONSTRAINT " if self.is_deferred else ""
        deferred = "DEFERRABLE INITIALLY DEFERRED " if self.is_deferred else ""
        condition = f"WHEN {self.condition} " if self.condition else ""
        return (
            f"CREATE {constraint}TRIGGER {self.name} {moment} {events} ON {self.table} {deferred}"
            f"FOR EACH {level} {condition}EXECUTE FUNCTION {self.function.name}();\n"
            f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name};"
        )


# Depth 0 is a statement of a client; the statements of the sealing triggers run deeper.
BY_A_CLIENT = "((pg_trigger_depth() = 0))"
FOREIGN = "((new.xact <> pg_current_xact_id()))"
# Rows applied by logical replication fire row triggers only.
REPLICATED = "((current_setting('session_replication_role'::text) = 'replica'::text))"

REFUSE_CHANGE = Function(
    "audit_refuse_change",
    """
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
""",
)

# Runs only when its trigger's condition holds. A condition costs a tenth of a call, and links are written in bulk.
ONLY_SEALING = Function(
    "audit_only_sealing",
    """
BEGIN
    RAISE EXCEPTION 'only sealing at commit writes %: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
""",
)

OWN_TRANSACTION = Function(
    "audit_own_transaction",
    """
BEGIN
    RAISE EXCEPTION 'a row of % claims to belong to another transaction', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
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
