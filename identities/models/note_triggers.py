"""What the database itself does so that no change of what decisions depend on goes unnoticed.

A statement that writes one of these tables leaves a note of everything, unless the writer has said (`remit.notes` is
`own` for its transaction) that it notes precisely what it changes: `identities.services.decision_notes`. So whoever
forgets, and whoever changes rows by hand, costs time and never a revocation. Columns that decisions do not look at
wake nobody. Levels of assurance are noted precisely by the database, because they are written in bulk.

A migration installs what stands here. Whoever changes it adds a migration that installs it again.
"""

NOTE_EVERYTHING = """
CREATE OR REPLACE FUNCTION identities_note_everything() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('remit.notes', true) IS DISTINCT FROM 'own' AND NOT EXISTS (
        SELECT FROM identities_decisionnote
        WHERE xid = ((pg_current_xact_id())::text)::bigint AND scope = 'everything'
    ) THEN
        INSERT INTO identities_decisionnote (scope) VALUES ('everything');
    END IF;
    RETURN NULL;
END $$
"""
NOTE_SHARED = """
CREATE OR REPLACE FUNCTION identities_note_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO identities_decisionnote (scope) VALUES ('shared');
    RETURN NULL;
END $$
"""
NOTE_ASSURANCE = """
CREATE OR REPLACE FUNCTION identities_note_assurance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO identities_decisionnote (scope, object_id) SELECT 'identity', identity_id FROM new_rows;
    ELSE
        INSERT INTO identities_decisionnote (scope, object_id)
        SELECT 'identity', n.identity_id FROM new_rows n JOIN old_rows o USING (identity_id)
        WHERE n.assurance_lower <> o.assurance_lower;
    END IF;
    RETURN NULL;
END $$
"""

# (table, columns that decisions look at)
WATCHED = (
    (
        "identities_identity",
        "source_id, external_id, kind, status, environment, environment_edited, acts_for, attributes, source_tags,"
        " tags, retired_at",
    ),
    (
        "identities_grant",
        "source_id, identity_id, is_privileged, reviewed_at, reviewed_digest, approved_until, withheld_why,"
        " narrowed_to, retired_at",
    ),
    ("identities_grantversion", "grant_id, permission, digest, valid_from, valid_until, seen_until"),
    (
        "identities_credential",
        "identity_id, external_id, kind, status, expires_at, never_expires, fingerprint, retired_at",
    ),
    ("identities_trustrelation", "identity_id, issuer, subject, audience, retired_at"),
)
SHARED = (
    ("identities_source", "slug, is_enabled, freshness_limit_seconds, last_success_at"),
    ("identities_decisionpolicy", "number, document"),
)


def note_trigger(table: str, columns: str = "", *, function: str = "identities_note_everything") -> str:
    """SQL of a trigger that notes every change of a table, or of these columns of it."""
    update = f"UPDATE OF {columns}" if columns else "UPDATE"
    return (
        f"CREATE OR REPLACE TRIGGER {table}_noted AFTER INSERT OR DELETE OR {update} ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )


def drop_note_trigger(table: str) -> str:
    return f"DROP TRIGGER IF EXISTS {table}_noted ON {table}"


# Kill switches and accepted definitions of tools: few rows, looked at by every decision.
SWITCHES = (
    ("identities_cutoff", "kind, identity_id, server_id, tool, restored_at"),
    ("identities_gatewaytool", "server_id, name, accepted_hash, seen_hash, gone_at"),
)
INSTALL_SWITCHES = tuple(note_trigger(table, columns, function="identities_note_shared") for table, columns in SWITCHES)
REMOVE_SWITCHES = tuple(drop_note_trigger(table) for table, _ in SWITCHES)

_POSTURE = "identities_identityposture"
INSTALL = (
    NOTE_EVERYTHING,
    NOTE_SHARED,
    NOTE_ASSURANCE,
    *(note_trigger(table, columns) for table, columns in WATCHED),
    *(note_trigger(table, columns, function="identities_note_shared") for table, columns in SHARED),
    f"CREATE TRIGGER {_POSTURE}_added AFTER INSERT ON {_POSTURE} REFERENCING NEW TABLE AS new_rows"
    " FOR EACH STATEMENT EXECUTE FUNCTION identities_note_assurance()",
    f"CREATE TRIGGER {_POSTURE}_moved AFTER UPDATE ON {_POSTURE} REFERENCING OLD TABLE AS old_rows"
    " NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION identities_note_assurance()",
    f"CREATE TRIGGER {_POSTURE}_gone AFTER DELETE ON {_POSTURE}"
    " FOR EACH STATEMENT EXECUTE FUNCTION identities_note_everything()",
)
REMOVE = (
    *(drop_note_trigger(table) for table, _ in (*WATCHED, *SHARED)),
    *(f"DROP TRIGGER IF EXISTS {_POSTURE}_{event} ON {_POSTURE}" for event in ("added", "moved", "gone")),
    *(f"DROP FUNCTION IF EXISTS identities_note_{what}()" for what in ("everything", "shared", "assurance")),
)
