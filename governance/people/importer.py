"""Bring people in from a list: plan what would change, show it, and apply all of it or nothing."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.people.access import require_role
from governance.people.accounts import keep_an_administrator, person_subject
from governance.people.models import MailLink, RoleAssignment, Team, User
from governance.people.people_csv import PeopleTable, PersonRow, Readable, RowError, read_people

_T = TypeVar("_T")
CHUNK = 5000
MOST_SHOWN = 200
_LOCK = 0x5045_4F50  # "PEOP": two imports at once would plan against each other's half-done state


@dataclass(frozen=True, slots=True)
class PersonChange:
    """One line of the preview: who, and in words what becomes of them."""

    line: int
    email: str
    kind: str  # new, changed, left, returned
    what: str


@dataclass(slots=True)
class ImportReport:
    """What an import did (`is_applied`) or would do. With errors nothing is applied."""

    is_applied: bool = False
    created: int = 0
    changed: int = 0
    left: int = 0
    returned: int = 0
    unchanged: int = 0
    new_teams: list[str] = field(default_factory=list)
    changes: list[PersonChange] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    error_count: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def total_changes(self) -> int:
        return self.created + self.changed + self.left + self.returned


@dataclass(slots=True)
class _Step:
    """What one row makes of one person."""

    row: PersonRow
    user: User
    kind: str
    old_roles: frozenset[Role]
    words: list[str] = field(default_factory=list)
    is_written: bool = False
    ends_access: bool = False

    @property
    def new_roles(self) -> frozenset[Role]:
        if self.kind == "left":
            return frozenset()
        return self.old_roles if self.row.roles is None else self.row.roles


def import_people(*, file: Readable, actor: Actor, now: datetime, dry_run: bool = False) -> ImportReport:
    """Read `file` (see `people_csv`) and make people look like it. People it doesn't name stay as they are.

    All or nothing: any bad row, and nothing changes. `dry_run` plans without writing. New people have no
    password; they set one by mail. Raises `FileRefused`, `Forbidden`, `LastAdministrator`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    digest = hashlib.sha256()
    table = read_people(_Hashing(file, digest))
    if dry_run:
        return _Plan(table, actor, now).report()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        plan = _Plan(table, actor, now)
        report = plan.report()
        if not report.error_count:
            plan.apply()
            _record(plan, report, digest.hexdigest())
            report.is_applied = True
    return report


class _Plan:
    """The difference between a table and the people there are."""

    def __init__(self, table: PeopleTable, actor: Actor, now: datetime) -> None:
        self.table, self.actor, self.now = table, actor, now
        self.notes: list[str] = []
        known = _load_users(row.email for row in table.rows)
        roles = _load_roles(known.values())
        self.teams = {team.name.casefold(): team for team in Team.objects.all()}
        self.memberships = set(Team.members.through.objects.values_list("team_id", "user_id"))
        self.new_teams = self._missing_teams()
        self.steps = [self._step(row, known.get(row.email), roles) for row in table.rows]
        self._plan_managers(known)
        self._check_administrators()

    def report(self) -> ImportReport:
        report = ImportReport(
            new_teams=[team.name for team in self.new_teams],
            errors=sorted(self.table.errors, key=lambda error: error.line),
            error_count=self.table.error_count,
            notes=self._notes(),
        )
        for step in self.steps:
            if not step.words:
                report.unchanged += 1
                continue
            name = {"new": "created", "changed": "changed", "left": "left", "returned": "returned"}[step.kind]
            setattr(report, name, getattr(report, name) + 1)
            if len(report.changes) < MOST_SHOWN:
                what = "; ".join(step.words)
                report.changes.append(PersonChange(step.row.line, step.row.email, step.kind, what))
        return report

    def apply(self) -> None:
        # Managers may stand further down: the foreign key is checked at commit.
        User.objects.bulk_create([step.user for step in self.steps if step.kind == "new"], batch_size=CHUNK)
        User.objects.bulk_create(
            [step.user for step in self.steps if step.is_written],
            batch_size=CHUNK,
            # One statement per chunk; Django's bulk_update writes a CASE per cell and takes minutes.
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name", "is_active", "left_at", "left_recorded_at", "manager", "version"],
        )
        self._end_access([step.user.pk for step in self.steps if step.ends_access])
        self._write_roles()
        self._write_teams()

    def _step(self, row: PersonRow, user: User | None, roles: dict[UUID, frozenset[Role]]) -> _Step:
        is_new = user is None
        if user is None:
            user = User(email=row.email, name=row.name or "", created_at=self.now)
            user.set_unusable_password()
            if row.name is None:
                self.table.add_error(row.line, "name", "A new person needs a name.")
        step = _Step(row, user, "new" if is_new else "changed", roles.get(user.pk, frozenset()))
        if is_new:
            step.words.append("added")
        elif row.name is not None and row.name != user.name:
            step.words.append(f"name becomes {row.name}")
            user.name = row.name
        self._plan_presence(step)
        self._plan_roles(step)
        joined = [name for name in row.teams if not self._is_member(name, user)]
        if joined:
            step.words.append("joins " + ", ".join(joined))
        if step.words and not is_new:
            user.version += 1
            step.is_written = True
        return step

    def _plan_presence(self, step: _Step) -> None:
        row, user = step.row, step.user
        if row.left_on is not None and row.left_on > self.now.date():
            self.notes.append(f"Line {row.line}: {row.email} is still here until {row.left_on}.")
            return
        if row.left_on is not None or row.active is False:
            if user.left_at is not None:
                return
            step.kind = "new" if step.kind == "new" else "left"
            day = row.left_on or self.now.date()
            left_at = datetime.combine(day, time.min, UTC) if row.left_on else self.now
            user.left_at, user.left_recorded_at, user.is_active = left_at, self.now, False
            step.ends_access = step.kind == "left"
            step.words.append(f"left on {day}, signed out, loses all roles")
            if str(user.pk) == self.actor.id:
                self.table.add_error(row.line, "left_on", "You can't mark yourself as gone.")
        elif row.active and user.left_at is not None:
            user.left_at = user.left_recorded_at = None
            user.is_active = True
            step.kind = "returned"
            step.words.append("is here again")

    def _plan_roles(self, step: _Step) -> None:
        if step.user.left_at is not None and step.row.roles:
            self.table.add_error(step.row.line, "roles", "Somebody who left can't have roles.")
        if step.kind == "left" or step.new_roles == step.old_roles:
            return
        if str(step.user.pk) == self.actor.id:
            self.table.add_error(step.row.line, "roles", "Nobody changes their own roles.")
        names = ", ".join(sorted(role.value.replace("_", " ") for role in step.new_roles)) or "none"
        step.words.append(f"roles become {names}")

    def _plan_managers(self, known: dict[str, User]) -> None:
        by_email = known | {step.row.email: step.user for step in self.steps}
        wanted = {step.row.manager_email for step in self.steps if step.row.manager_email}
        by_email |= _load_users(wanted - by_email.keys())
        for step in self.steps:
            if step.row.manager_email is None:
                continue
            manager = by_email.get(step.row.manager_email)
            if manager is None:
                self._manager_error(step, f"There is nobody with the address {step.row.manager_email}.")
            elif step.user.manager_id != manager.pk:
                step.user.manager_id = manager.pk
                if not step.words:
                    step.user.version += 1
                step.is_written = step.is_written or step.kind != "new"
                step.words.append(f"manager becomes {step.row.manager_email}")
        self._check_circles()

    def _check_circles(self) -> None:
        above: dict[UUID, UUID | None] = dict(
            User.objects.filter(manager__isnull=False).values_list("pk", "manager_id")
        )
        above |= {step.user.pk: step.user.manager_id for step in self.steps}
        fine: set[UUID] = set()
        for step in self.steps:
            path: list[UUID] = []
            person: UUID | None = step.user.pk
            while person is not None and person not in fine and person not in path:
                path.append(person)
                person = above.get(person)
            if person == step.user.pk and path:
                self._manager_error(step, "Somebody can't be their own manager, not even in a circle.")
            elif person is None or person in fine:
                fine.update(path)

    def _manager_error(self, step: _Step, reason: str) -> None:
        self.table.add_error(step.row.line, "manager_email", reason)

    def _check_administrators(self) -> None:
        losing = [step.user.pk for step in self.steps if Role.ADMINISTRATOR in step.old_roles - step.new_roles]
        gaining = any(Role.ADMINISTRATOR in step.new_roles - step.old_roles for step in self.steps)
        if losing and not gaining:
            with transaction.atomic():
                keep_an_administrator(losing)

    def _missing_teams(self) -> list[Team]:
        missing: dict[str, Team] = {}
        for row in self.table.rows:
            for name in row.teams:
                if name.casefold() not in self.teams:
                    missing.setdefault(name.casefold(), Team(name=name, created_at=self.now))
        return list(missing.values())

    def _is_member(self, team_name: str, user: User) -> bool:
        team = self.teams.get(team_name.casefold())
        return team is not None and (team.pk, user.pk) in self.memberships

    def _end_access(self, user_ids: list[UUID]) -> None:
        for ids in _chunks(user_ids):
            User.objects.filter(pk__in=ids).update(session_epoch=F("session_epoch") + 1)
            MailLink.objects.filter(user__in=ids, revoked_at__isnull=True).update(revoked_at=self.now)

    def _write_roles(self) -> None:
        changed = [step for step in self.steps if step.new_roles != step.old_roles]
        for part in _chunks(changed):
            lost = RoleAssignment.objects.filter(user__in=[step.user.pk for step in part])
            lost.delete()
            RoleAssignment.objects.bulk_create(
                RoleAssignment(user_id=step.user.pk, role=role) for step in part for role in sorted(step.new_roles)
            )

    def _write_teams(self) -> None:
        Team.objects.bulk_create(self.new_teams)
        teams = self.teams | {team.name.casefold(): team for team in self.new_teams}
        membership = Team.members.through
        rows = {(teams[name.casefold()].pk, step.user.pk): None for step in self.steps for name in step.row.teams}
        membership.objects.bulk_create(
            (membership(team_id=team, user_id=user) for team, user in rows),
            batch_size=CHUNK,
            ignore_conflicts=True,
        )

    def _notes(self) -> list[str]:
        notes = self.notes[:20]
        if len(self.notes) > len(notes):
            notes.append(f"And {len(self.notes) - len(notes)} more of this kind.")
        if self.table.ignored_columns:
            notes.append("Columns that were ignored: " + ", ".join(self.table.ignored_columns[:20]) + ".")
        return notes


def _record(plan: _Plan, report: ImportReport, digest: str) -> None:
    """One record for the import, and one in the story of everybody whose powers it changed."""
    counts = {name: getattr(report, name) for name in ("created", "changed", "left", "returned", "unchanged")}
    records = [
        log.Record(
            verb=Verb.PEOPLE_IMPORTED,
            actor=plan.actor,
            subject=log.Subject(kind="people_file", id=digest, label="list of people"),
            now=plan.now,
            new=counts | {"teams": len(report.new_teams)},
        )
    ]
    for step in plan.steps:
        if step.kind == "left" or step.new_roles != step.old_roles:
            left = step.kind == "left"
            records.append(
                log.Record(
                    verb=Verb.USER_LEFT if left else Verb.USER_ROLES_CHANGED,
                    actor=plan.actor,
                    subject=person_subject(step.user),
                    now=plan.now,
                    old={"roles": sorted(step.old_roles)},
                    new={"roles": sorted(step.new_roles)},
                    context={"import": digest},
                )
            )
    log.record_many(records)


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: Readable, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _load_users(emails: Iterable[str]) -> dict[str, User]:
    users: dict[str, User] = {}
    for part in _chunks(list(emails)):
        users.update((user.email, user) for user in User.objects.filter(email__in=part))
    return users


def _load_roles(users: Iterable[User]) -> dict[UUID, frozenset[Role]]:
    held: dict[UUID, set[Role]] = {}
    wanted = {user.pk for user in users}
    for user_id, role in RoleAssignment.objects.values_list("user_id", "role"):
        if user_id in wanted:
            held.setdefault(user_id, set()).add(Role(role))
    return {user_id: frozenset(roles) for user_id, roles in held.items()}


def _chunks(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
