"""Which rights a normalised statement needs, read off its text."""

import pytest

from identities.connectors.postgresql.usage import Name, read_statement

A, B = Name("s", "a"), Name(None, "b")


@pytest.mark.parametrize(
    ("query", "uses"),
    [
        ("SELECT x FROM s.a WHERE y = $1", {("SELECT", A)}),
        ("SELECT * FROM s.a, b AS other WHERE a.i = other.i", {("SELECT", A), ("SELECT", B)}),
        ("select 1 from s.a join b using (id)", {("SELECT", A), ("SELECT", B)}),
        ("SELECT * FROM s.a LEFT JOIN b ON b.i = a.i", {("SELECT", A), ("SELECT", B)}),
        ("SELECT * FROM s.a WHERE i IN (SELECT i FROM b)", {("SELECT", A), ("SELECT", B)}),
        ("SELECT extract(year FROM created) FROM s.a", {("SELECT", A)}),
        ("SELECT 1 WHERE $1 IS DISTINCT FROM $2", set()),
        ("SELECT 'FROM b' FROM s.a -- FROM c", {("SELECT", A)}),
        ('SELECT 1 FROM "S"."A.b"', {("SELECT", Name("S", "A.b"))}),
        ("SELECT 1 FROM s.a FOR UPDATE", {("SELECT", A), ("UPDATE", A)}),
        ("INSERT INTO s.a VALUES ($1)", {("INSERT", A)}),
        ("INSERT INTO s.a (x) SELECT x FROM b", {("INSERT", A), ("SELECT", B)}),
        ("INSERT INTO s.a VALUES ($1) RETURNING id", {("INSERT", A), ("SELECT", A)}),
        ("INSERT INTO s.a VALUES ($1) ON CONFLICT DO NOTHING", {("INSERT", A), ("SELECT", A)}),
        (
            "INSERT INTO s.a VALUES ($1) ON CONFLICT (i) DO UPDATE SET x = 1",
            {("INSERT", A), ("SELECT", A), ("UPDATE", A)},
        ),
        ("UPDATE s.a SET x = $1 WHERE i = $2", {("UPDATE", A), ("SELECT", A)}),
        ("UPDATE s.a SET x = b.x FROM b WHERE a.i = b.i", {("UPDATE", A), ("SELECT", A), ("SELECT", B)}),
        ("DELETE FROM s.a", {("DELETE", A)}),
        ("DELETE FROM s.a WHERE i = $1", {("DELETE", A), ("SELECT", A)}),
        ("DELETE FROM s.a USING b WHERE a.i = b.i", {("DELETE", A), ("SELECT", A), ("SELECT", B)}),
        ("TRUNCATE TABLE ONLY s.a, b", {("TRUNCATE", A), ("TRUNCATE", B)}),
        ("COPY s.a (x, y) TO STDOUT", {("SELECT", A)}),
        ("COPY s.a FROM STDIN", {("INSERT", A)}),
        ("WITH c AS (SELECT * FROM s.a) SELECT * FROM c JOIN b ON true", {("SELECT", A), ("SELECT", B)}),
        ("WITH c AS (DELETE FROM s.a RETURNING *) SELECT * FROM c", {("DELETE", A), ("SELECT", A)}),
        ("DECLARE c CURSOR FOR SELECT * FROM s.a", {("SELECT", A)}),
        ("PREPARE p (int) AS SELECT * FROM s.a WHERE i = $1", {("SELECT", A)}),
        ("BEGIN", set()),
        ("SET search_path TO s", set()),
    ],
)
def test_needed_rights_are_found(query, uses):
    reading = read_statement(query)

    assert reading.is_understood
    assert reading.uses == uses


@pytest.mark.parametrize(
    "query",
    [
        "DO $$ BEGIN DELETE FROM s.a; END $$",
        "MERGE INTO s.a USING b ON a.i = b.i WHEN MATCHED THEN DELETE",
        "EXPLAIN ANALYZE SELECT * FROM s.a",
        "CREATE TABLE x AS SELECT * FROM s.a",
        "SELECT * INTO x FROM s.a",
        "REFRESH MATERIALIZED VIEW s.a",
        "ALTER TABLE s.a ADD COLUMN y int",
        "VACUUM s.a",
        "TABLE s.a",
        "<insufficient privilege>",
    ],
)
def test_what_is_not_understood_says_so(query):
    assert not read_statement(query).is_understood


def test_calls_are_found_and_words_of_the_language_are_not():
    reading = read_statement("SELECT s.refund($1), count(*) FROM unnest($2) WHERE x IN ($3) AND coalesce(y, z) = $4")

    assert reading.calls == {Name("s", "refund"), Name(None, "count"), Name(None, "unnest")}


@pytest.mark.parametrize(
    "query", ["SELECT (((", 'SELECT "', "INSERT INTO", "SELECT '", "WITH x AS", "COPY", ";;", "", "$$", "FROM"]
)
def test_broken_text_never_raises(query):
    read_statement(query)
