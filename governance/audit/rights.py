"""The rights of a role that the programs sign in as in production: it works with everything and rewrites no history.

The tables belong to another role, which runs `manage.py prepare` and nothing else. What stands here is what
`governance.audit.drift` accepts.
"""

from collections.abc import Iterable

from psycopg import sql

from governance.audit.triggers import TRIGGERS

# Every table that has guards.
TABLES = tuple(sorted({trigger.table for trigger in TRIGGERS}))
# Written by triggers alone, with the owner's rights.
NEVER_INSERTED = frozenset({"audit_auditlink", "audit_audithead", "audit_pending", "audit_streamlink"})
# The columns that may be changed once, which a trigger narrows down: erasing a detail, lifting a hold.
CHANGEABLE = {
    "audit_auditdetail": ("salt", "text", "erased_at"),
    "audit_legalhold": ("lifted_by", "lifted_at", "lifted_reason"),
}

STATEMENTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role};",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role};",
    "REVOKE ALL ON {trail} FROM {role};",
    "GRANT SELECT ON {trail} TO {role};",
    "GRANT INSERT ON {appended} TO {role};",
)
# The message queue, where it stands in this database.
QUEUE = """DO $$ BEGIN
    IF to_regnamespace('pgmq') IS NOT NULL THEN
        EXECUTE {usage}; EXECUTE {tables}; EXECUTE {sequences};
    END IF;
END $$;"""


def grants_sql(role: str, schema: str = "public") -> str:
    """The statements that give `role` what it needs, one a line; to be run as the owner after every `prepare`."""
    names: dict[str, sql.Composable] = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(schema),
        "trail": _tables(schema, TABLES),
        "appended": _tables(schema, [table for table in TABLES if table not in NEVER_INSERTED]),
    }
    lines = [sql.SQL(statement).format(**names).as_string(None) for statement in STATEMENTS]
    lines += [_change(sql.Identifier(schema, table), columns, names["role"]) for table, columns in _changeable()]
    queue = {
        "usage": "GRANT USAGE ON SCHEMA pgmq TO {}",
        "tables": "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgmq TO {}",
        "sequences": "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA pgmq TO {}",
    }
    quoted = {
        name: sql.Literal(sql.SQL(statement).format(sql.Identifier(role)).as_string(None))
        for name, statement in queue.items()
    }
    return "\n".join([*lines, sql.SQL(QUEUE).format(**quoted).as_string(None)])


def _changeable() -> list[tuple[str, tuple[str, ...]]]:
    return [(table, columns) for table, columns in CHANGEABLE.items() if table in TABLES]


def _change(table: sql.Composable, columns: Iterable[str], role: sql.Composable) -> str:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("GRANT UPDATE ({}) ON {} TO {};").format(listed, table, role).as_string(None)


def _tables(schema: str, names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)
