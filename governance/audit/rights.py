"""The rights of a role that the programs sign in as in production: it works with everything and rewrites no history.

The tables belong to another role, which runs `manage.py prepare` and nothing else. What stands here is what
`governance.audit.drift` accepts.
"""

from psycopg import sql

APPENDED = ("audit_auditevent", "audit_auditdetail", "audit_auditcheckpoint", "audit_stream", "audit_streambatch")
READ = ("audit_auditlink", "audit_audithead", "audit_streamlink")
UNSEEN = ("audit_pending",)

STATEMENTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role};",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role};",
    "REVOKE ALL ON {trail} FROM {role};",
    "GRANT SELECT ON {trail} TO {role};",
    "REVOKE ALL ON {unseen} FROM {role};",
    "GRANT INSERT ON {appended} TO {role};",
    "GRANT UPDATE (salt, text, erased_at) ON {detail} TO {role};",
)
# The message queue, where it stands in this database.
QUEUE = """DO $$ BEGIN
    IF to_regnamespace('pgmq') IS NOT NULL THEN
        EXECUTE {usage}; EXECUTE {tables}; EXECUTE {sequences};
    END IF;
END $$;"""


def grants_sql(role: str, schema: str = "public") -> str:
    """The statements that give `role` what it needs, one a line; to be run as the owner after every `prepare`."""
    names = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(schema),
        "trail": _tables(schema, APPENDED + READ),
        "unseen": _tables(schema, UNSEEN),
        "appended": _tables(schema, APPENDED),
        "detail": sql.Identifier(schema, "audit_auditdetail"),
    }
    lines = [sql.SQL(statement).format(**names).as_string(None) for statement in STATEMENTS]
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


def _tables(schema: str, names: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)
