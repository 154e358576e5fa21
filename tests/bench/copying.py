"""The physical limit: binary COPY of rows that the product really holds.

Columns and types are read from the catalogue, so the baseline follows the schema.
"""

import time
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

BARE, INDEXED = "bench_bare", "bench_indexed"
ROWS_AT_ONCE = 20_000

_COLUMNS = """
SELECT a.attname, a.atttypid, format_type(a.atttypid, NULL)
FROM pg_attribute a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""


class Copying:
    """Rows of `table`, read once into memory as Python values, to be written by COPY as often as wanted."""

    def __init__(self, url: str, table: str, *, most: int, where: LiteralString = "true") -> None:
        """Opens connections of its own; `close` ends it. Rows stay in memory: up to about 1 kB each."""
        self._url, self.table = url, table
        with psycopg.connect(url) as connection:
            columns = connection.execute(_COLUMNS, [table]).fetchall()
            if not columns:
                raise RuntimeError(f"there is no table {table}")
            self._names = sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns)
            self._types = [int(number) for _, number, _ in columns]
            # jsonb travels as text: decoding and encoding it in Python would slow the baseline down for nothing.
            shown = sql.SQL(", ").join(
                sql.SQL("{}::text" if kind in ("jsonb", "json") else "{}").format(sql.Identifier(name))
                for name, _, kind in columns
            )
            query = sql.SQL("SELECT {} FROM {} WHERE {} LIMIT {}").format(
                shown, sql.Identifier(table), sql.SQL(where), sql.Literal(most)
            )
            json_at = [index for index, (_, _, kind) in enumerate(columns) if kind in ("jsonb", "json")]
            self._rows = _read(connection, query, json_at)

    @property
    def number(self) -> int:
        return len(self._rows)

    def run(self, *, is_indexed: bool) -> float:
        """Rows per second of one COPY with its commit, into a fresh table."""
        name = sql.Identifier(INDEXED if is_indexed else BARE)
        like = sql.SQL("INCLUDING ALL" if is_indexed else "INCLUDING GENERATED")
        with psycopg.connect(self._url) as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} {})").format(name, sql.Identifier(self.table), like))
            connection.commit()
            began = time.perf_counter()
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(name, self._names)
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(self._types)
                for row in self._rows:
                    copy.write_row(row)
            connection.commit()
            seconds = time.perf_counter() - began
            connection.execute(sql.SQL("DROP TABLE {}").format(name))
        return self.number / seconds


def _read(connection: psycopg.Connection[Any], query: sql.Composed, json_at: Sequence[int]) -> list[tuple[Any, ...]]:
    from psycopg.types.json import Jsonb

    # `dumps` gets the text that stands there already.
    def written(value: str | None) -> Any:
        return None if value is None else Jsonb(value, dumps=str)

    rows: list[tuple[Any, ...]] = []
    with connection.cursor(name="bench_rows") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for row in cursor.execute(query):
            values = list(row)
            for index in json_at:
                values[index] = written(values[index])
            rows.append(tuple(values))
    return rows
