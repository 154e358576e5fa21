"""From an older version's database to this one's: say what will happen, back up, migrate, check, tell the way back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core import checks
from django.core.management import call_command
from django.db import connection
from django.db.migrations import RunPython, RunSQL
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel

from governance.audit.verify import Report, verify
from governance.operations import loading
from governance.operations.backup import Say, Written, write_backup
from governance.operations.locks import maintenance
from governance.operations.problems import OperationFailed, explained

# Above this many rows a migration that rewrites, fills or indexes a table takes time that somebody notices.
MANY_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that is to run. rows: of the largest table that it works on, estimated; 0 where it is unknown."""

    app: str
    name: str
    rows: int
    runs_code: bool

    @property
    def is_long(self) -> bool:
        """Whether an operator should plan time for it."""
        return self.rows >= MANY_ROWS

    def __str__(self) -> str:
        note = f"  LONG: works on about {self.rows:,} rows" if self.is_long else ""
        return f"{self.app}.{self.name}{note}"


@dataclass(slots=True)
class Upgraded:
    """What an upgrade did. saved: the backup that leads back; None where there was nothing to migrate or to save."""

    steps: list[Step] = field(default_factory=list)
    saved: Written | None = None
    problems: list[str] = field(default_factory=list)
    report: Report | None = None


def plan_upgrade() -> list[Step]:
    """The migrations that wait, in their order. Changes nothing."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    rows = _estimated_rows()
    return [_step(migration.app_label, migration.name, migration.operations, rows) for migration, _ in plan]


def upgrade(*, backup_to: Path | None, now: Callable[[], datetime], say: Say = lambda text: None) -> Upgraded:
    """Bring the database to this version. backup_to: the file that leads back; None means that there is one elsewhere.

    A second upgrade waits for the first and then finds nothing to do. Raises OperationFailed; what was migrated until
    then is whole, because each migration is a transaction.
    """
    with explained(backup_to or Path()), maintenance(say):
        if mark := loading.unfinished():
            raise OperationFailed(
                f"The restore of {mark['backup']} was interrupted; finish it first (restore --finish)."
            )
        done = Upgraded(plan_upgrade())
        if done.steps and backup_to is not None and not loading.is_empty():
            say("backing up before anything is changed")
            done.saved = write_backup(path=backup_to, now=now(), say=say)
        for step in done.steps:
            say(f"migrating {step}")
            call_command("migrate", step.app, step.name, interactive=False, verbosity=0)
        call_command("prepare", verbosity=0, unlocked=True)
        done.problems = [str(problem) for problem in checks.run_checks(databases=["default"]) if problem.is_serious()]
        say("verifying the trail from its newest checkpoint on")
        done.report = verify(from_checkpoint=True)
    return done


def _step(app: str, name: str, operations: Sequence[Operation], rows: dict[str, int]) -> Step:
    touched = [_table(app, operation) for operation in operations]
    runs_code = any(isinstance(operation, RunPython | RunSQL) for operation in operations)
    if runs_code:
        # What code works on is not written down; the largest table of its app is the honest guess.
        touched += [table for table in rows if table.startswith(f"{app}_")]
    return Step(app, name, max((rows.get(table, 0) for table in touched), default=0), runs_code)


def _table(app: str, operation: Any) -> str:
    if isinstance(operation, CreateModel):
        return ""
    model = getattr(operation, "model_name", None) or getattr(operation, "name", "")
    return f"{app}_{str(model).lower()}"


def _estimated_rows() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, greatest(reltuples, 0)::bigint FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        return dict(cursor.fetchall())
