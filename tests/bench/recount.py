"""Count everything again in plain SQL, and compare with what the clients were told. Nothing of the product is used."""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.users import Pusher, Reader, Reviewer

_TABLES = {"identity": "identities_identity", "credential": "identities_credential", "grant": "identities_grant"}


def recount(
    url: str, pushers: Sequence[Pusher], reviewers: Sequence[Reviewer], reader: Reader
) -> tuple[list[str], dict[str, Any]]:
    """Sentences about what is wrong (none is good), and the numbers."""
    with psycopg.connect(url) as connection:
        wrong: list[str] = []
        facts: dict[str, Any] = {}
        for pusher in pushers:
            wrong += _source(connection, pusher, facts)
        wrong += _decisions(connection, reviewers, facts)
        wrong += _inventory(connection, facts)
        wrong += _feed(connection, reader, facts)
    return wrong, facts


def verify_audit(environment: Mapping[str, str], root: Path) -> tuple[list[str], str]:
    """`manage.py verify_audit`, as an operator would call it."""
    outcome = subprocess.run(
        [sys.executable, "manage.py", "verify_audit"],
        cwd=root,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [] if outcome.returncode == 0 else [f"verify_audit ended with {outcome.returncode}"]
    return wrong, (outcome.stdout + outcome.stderr)[-1500:]


def _source(connection: psycopg.Connection[Any], pusher: Pusher, facts: dict[str, Any]) -> list[str]:
    wrong = []
    for kind, table in _TABLES.items():
        label = "label" if kind == "grant" else "''"
        rows = connection.execute(
            f"SELECT t.external_id, {label} FROM {table} t JOIN identities_source s ON s.id = t.source_id"  # type: ignore[arg-type]
            " WHERE s.slug = %s AND t.retired_at IS NULL",
            [pusher.source],
        ).fetchall()
        told = {
            (id, record.get("label", "") if kind == "grant" else "")
            for (of, id), record in pusher.known.items()
            if of == kind
        }
        found = set(rows)
        facts[f"{pusher.source} {kind}"] = len(rows)
        if len(found) != len(rows) or found != told:
            lost, extra = len(told - found), len(found - told)
            wrong.append(
                f"{pusher.source}: {len(rows)} live {kind} rows; {lost} acknowledged ones are missing, {extra} too many"
            )
    applied = connection.execute(
        "SELECT r.idempotency_key, count(*) FROM identities_syncrun r JOIN identities_source s ON s.id = r.source_id"
        " WHERE s.slug = %s AND r.state = 'applied' AND r.idempotency_key <> '' GROUP BY 1",
        [pusher.source],
    ).fetchall()
    facts[f"{pusher.source} runs applied"] = len(applied)
    if dict(applied) != dict.fromkeys(pusher.acknowledged, 1):
        wrong.append(f"{pusher.source}: {len(applied)} runs applied, {len(pusher.acknowledged)} acknowledged")
    return wrong


def _decisions(connection: psycopg.Connection[Any], reviewers: Sequence[Reviewer], facts: dict[str, Any]) -> list[str]:
    rows = connection.execute(
        "SELECT item_id::text, answer FROM reviews_decision WHERE decided_by_id IS NOT NULL"
    ).fetchall()
    found = Counter(rows)
    told = Counter(each for reviewer in reviewers for each in reviewer.acknowledged)
    under_way = {reviewer.pending for reviewer in reviewers if reviewer.pending}
    facts |= {
        "decisions": len(rows),
        "decisions acknowledged": sum(told.values()),
        "under way at the kill": len(under_way),
    }
    wrong = []
    if lost := told - found:
        wrong.append(f"{sum(lost.values())} acknowledged decisions are missing")
    if extra := [each for each in found - told if each not in under_way]:
        wrong.append(f"{len(extra)} decisions that nobody was told of, e.g. {extra[0]}")
    (undecided,) = connection.execute(
        "SELECT count(*) FROM reviews_decision d JOIN reviews_reviewitem i ON i.id = d.item_id"
        " WHERE i.state = 'open' AND NOT d.is_attestation AND d.answer NOT IN ('not_mine', 'dont_know')"
        " AND NOT EXISTS (SELECT FROM reviews_decision r WHERE r.recalls_id = d.id)"
    ).fetchone()  # type: ignore[misc]
    return [*wrong, *([f"{undecided} questions are open although they were decided"] if undecided else [])]


_SOUND = {
    "live grants without exactly one current version": """
        SELECT count(*) FROM identities_grant g WHERE g.retired_at IS NULL
          AND (SELECT count(*) FROM identities_grantversion v WHERE v.grant_id = g.id AND v.seen_until IS NULL) <> 1""",
    "retired grants with a current version": """
        SELECT count(*) FROM identities_grant g JOIN identities_grantversion v ON v.grant_id = g.id
        WHERE g.retired_at IS NOT NULL AND v.seen_until IS NULL""",
    "live grants of retired identities": """
        SELECT count(*) FROM identities_grant g JOIN identities_identity i ON i.id = g.identity_id
        WHERE g.retired_at IS NULL AND i.retired_at IS NOT NULL""",
    "applied runs whose counts differ from their changes": """
        SELECT count(*) FROM identities_syncrun r WHERE r.state = 'applied' AND
          (SELECT count(*) FROM identities_change c WHERE c.run_id = r.id AND c.object_kind = 'grant')
          <> (r.counts->'grant'->>'added')::int + (r.counts->'grant'->>'changed')::int + (r.counts->'grant'->>'retired')::int""",
    "runs still running": "SELECT count(*) FROM identities_syncrun WHERE state = 'running'",
    "audit events without a seal": """
        SELECT count(*) FROM audit_auditevent e WHERE NOT EXISTS (SELECT FROM audit_auditlink l WHERE l.event_id = e.id)""",
}
_COUNTERS = """
SELECT count(*) FROM identities_identity i WHERE i.retired_at IS NULL AND i.grant_count <>
  (SELECT count(*) FROM identities_grant g WHERE g.identity_id = i.id AND g.retired_at IS NULL)"""


def _inventory(connection: psycopg.Connection[Any], facts: dict[str, Any]) -> list[str]:
    queries = dict(_SOUND)
    has_counters = connection.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'identities_identity' AND column_name = 'grant_count'"
    ).fetchone() == (1,)
    if has_counters:
        queries["identities whose counter is wrong"] = _COUNTERS
    wrong = []
    for what, query in queries.items():
        (number,) = connection.execute(query).fetchone()  # type: ignore[misc,arg-type]
        facts[what] = number
        if number:
            wrong.append(f"{number} {what}")
    return wrong


def _feed(connection: psycopg.Connection[Any], reader: Reader, facts: dict[str, Any]) -> list[str]:
    (there,) = connection.execute("SELECT count(*) FROM identities_change").fetchone()  # type: ignore[misc]
    facts |= {"changes": there, "changes read from the feed": len(reader.seen)}
    if there != len(reader.seen) or len(set(reader.seen)) != len(reader.seen):
        return [f"the feed gave {len(reader.seen)} changes, the table holds {there}"]
    return []
