"""A later look at the server: is what a plan removed really out of reach, by any path?

Two sources that must agree are asked: the server's own has_…_privilege functions say *whether* something is
effective, for the role itself and for every role it may SET ROLE to; the catalogues say *why*.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from governance.kernel.dialects.postgresql import ATTRIBUTES, parts
from governance.kernel.patterns import glob
from identities.connectors.contract import Plan, SourceUnreachable, Verification, VerificationState
from identities.connectors.postgresql.assembly import parts_of
from identities.connectors.postgresql.catalog import (
    COLUMN_PRIVILEGES,
    KINDS,
    PUBLIC,
    DatabaseObject,
    Entry,
    Role,
    read_cluster,
    read_database,
)
from identities.connectors.postgresql.facets import Facet, MembershipFacet, difference
from identities.connectors.postgresql.rights import PREDEFINED, Estate, Reach
from identities.connectors.postgresql.session import Connection, Settings, connect, plain_error

Sample = tuple[str, str]


def verify(settings: Settings, plan: Plan, since: datetime | None = None) -> Verification:
    """Read the server anew and compare it with what the plan promised. Raises SourceUnreachable.

    since: when the plan was carried out. Sessions older than that may still act as a role that was taken away.
    """
    try:
        return _verify(settings, plan, since)
    except psycopg.Error as error:
        raise SourceUnreachable(f"Reading the server for verification failed: {plain_error(error)}") from error


def _verify(settings: Settings, plan: Plan, since: datetime | None) -> Verification:
    home = plan.pre_image["database"]
    facets_in = {part.database: part.facets for part in parts_of(plan)}
    sessions = 0
    problems: list[str] = []
    still: dict[Sample, str] = {}
    kept: dict[Sample, str] = {}
    removes, keeps = (_by_database(settings, home, samples) for samples in (plan.removes, plan.keeps))
    observed_at = datetime.now(UTC)
    for database in [home, *sorted({*removes, *keeps, *facets_in} - {home})]:
        with connect(settings, database) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cluster = read_cluster(connection)
            problems += _problems(connection, facets_in.get(database, ()))
            role = cluster.by_external_id(plan.identity)
            if role is not None:
                if database == home:
                    sessions = _sessions(connection, plan, facets_in[home], since)
                estate = Estate(cluster, [read_database(connection, database)])
                looker = _Looker(connection, estate, role, frozenset(plan.keeps))
                still |= looker.effective(removes.get(database, []), leaving=True)
                kept |= looker.effective(keeps.get(database, []), leaving=False)
    return _answer(
        plan,
        observed_at,
        problems,
        sorted((action, name, via) for (action, name), via in still.items()),
        sessions,
        [sample for sample in plan.keeps if sample not in kept],
    )


def _problems(connection: Connection, facets: Sequence[Facet]) -> list[str]:
    states = [(facet, facet.read(connection)) for facet in facets]
    return [f"{facet.title()}: {difference(facet.after, state)}" for facet, state in states if state != facet.after]


def _answer(
    plan: Plan, observed_at: datetime, problems: list[str], still: list[tuple[str, str, str]], sessions: int,
    lost: list[Sample],
) -> Verification:  # fmt: skip
    state, reason = VerificationState.GONE, ""
    if problems:
        state, reason = (
            VerificationState.STILL_PRESENT,
            f"The source does not hold what was planned: {'; '.join(problems)}.",
        )
    elif still:
        paths = sorted({via for _, _, via in still})
        state, reason = VerificationState.STILL_EFFECTIVE, f"Still effective via {'; '.join(paths[:5])}."
    elif sessions:
        plural = "s" if sessions != 1 else ""
        state, reason = (
            VerificationState.SESSIONS_REMAIN,
            f"{sessions} open session{plural} of {plan.identity} outlived the change.",
        )
    if lost and not reason:
        reason = f"{len(lost)} right(s) that should have stayed are not effective."
    return Verification(state, observed_at, tuple(still), sessions, tuple(lost), reason)


def _sessions(connection: Connection, plan: Plan, facets: Sequence[Facet], since: datetime | None) -> int:
    """Open sessions that the change does not reach; to all others it applies at their next statement.

    Those are every session of a role that was locked out, and the older ones of a role that lost a membership: nobody
    can see whether such a session had said SET ROLE, after which it keeps the role until it ends.
    """
    if plan.action in ("quarantine", "deactivate"):
        began_before = None
    elif since is not None and any(_could_be_switched_to(facet) for facet in facets):
        began_before = since
    else:
        return 0
    row = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
        " AND (%s::timestamptz IS NULL OR backend_start < %s)",
        [plan.identity, began_before, began_before],
    ).fetchone()
    return int(row[0]) if row else 0


def _could_be_switched_to(facet: Facet) -> bool:
    # Before version 16 every membership allowed SET ROLE and the server did not write it down.
    return (
        isinstance(facet, MembershipFacet) and bool(facet.before) and not facet.after and facet.before.get("set", True)
    )


def _by_database(settings: Settings, home: str, samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by the database in which they can be asked; `*` means every governed one."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for action, name in sorted(samples):
        kind, names = parts(name)
        database = names[0] if kind in KINDS and len(names) > 1 else home
        if kind == "column":
            database = names[0]
        for each in settings.databases if database == "*" else [database]:
            if each in settings.databases:
                found[each].append((action, name))
    return found


# Servers before version 18 have no function that tells; every role that could lend its rights is asked by itself.
_LARGE_OBJECT = """EXISTS (
    SELECT FROM pg_catalog.pg_largeobject_metadata m
     CROSS JOIN LATERAL aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) a
     WHERE m.oid = o AND a.grantee IN (0, r) AND p = a.privilege_type || CASE
           WHEN p LIKE '%% WITH GRANT OPTION' AND a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    ) OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = r)"""


def _table_of(column: str) -> str:
    return "table:" + column.removeprefix("column:").rpartition("/")[0]


@dataclass
class _Question:
    sample: Sample
    target: DatabaseObject
    column: str | None


class _Looker:
    """Asks one database about one role."""

    def __init__(self, connection: Connection, estate: Estate, role: Role, kept: frozenset[Sample]) -> None:
        self.connection, self.estate, self.role, self.kept = connection, estate, role, kept
        self.column_kept = {(action, _table_of(name)) for action, name in kept if name.startswith("column:")}
        self.reaches = [Reach(role.oid, (), by_set_role=False)]
        for membership in estate.memberships_of.get(role.oid, ()):
            self.reaches += estate.through(membership)

    def effective(self, samples: Sequence[Sample], *, leaving: bool) -> dict[Sample, str]:
        """Those of the samples that the role can do, each with the paths that allow it.

        leaving: they should be gone. What everybody may do with a schema or a database only opens a door; that it is
        still open through PUBLIC says nothing about the grant that went.
        """
        found: dict[Sample, str] = {}
        questions: dict[tuple[str, bool], list[_Question]] = defaultdict(list)
        for sample in samples:
            action, name = sample
            kind, names = parts(name)
            if kind == "role":
                self._note(found, sample, self._membership(action, names[0]))
            elif action in ATTRIBUTES:
                self._note(found, sample, self._attribute(action))
            else:
                for question in self._questions(sample):
                    if leaving and (self._is_kept(question) or self._is_open_to_all(question)):
                        continue
                    questions[question.target.kind, question.column is not None].append(question)
        for (kind, is_column), asked in questions.items():
            for question in self._asked(kind, is_column, asked):
                self._note(found, question.sample, self._why(question))
        return found

    def _note(self, found: dict[Sample, str], sample: Sample, via: str) -> None:
        if via:
            known = found.get(sample, "").split("; ") if sample in found else []
            found[sample] = "; ".join(dict.fromkeys([*known, *via.split("; ")]))

    def _questions(self, sample: Sample) -> Iterator[_Question]:
        """The objects that a sample is about: one, or all that its wildcards match."""
        _, name = sample
        kind = name.partition(":")[0]
        wanted = "table" if kind == "column" else kind
        text = _table_of(name) if kind == "column" else name
        column = parts(name)[1][-1] if kind == "column" else None
        pattern = glob(text, "/")
        for database in self.estate.databases:
            for target in database.objects.values():
                if target.kind == wanted and (target.resource == text or pattern.matches(target.resource)):
                    yield _Question(sample, target, column)

    def _is_kept(self, question: _Question) -> bool:
        """Whether a wildcard reached an object that was meant to stay."""
        action, name = question.sample
        if question.column is not None or name == question.target.resource:
            return False
        kept = (action, question.target.resource)
        return kept in self.kept or kept in self.column_kept

    def _is_open_to_all(self, question: _Question) -> bool:
        target = question.target
        return target.kind in ("schema", "database") and any(
            entry.target.oid == target.oid
            and entry.target.kind == target.kind
            and question.sample[0] in entry.privileges
            for entry in self.estate.entries_of.get(PUBLIC, ())
        )

    def _asked(self, kind: str, is_column: bool, questions: list[_Question]) -> list[_Question]:
        """Those that the server's own functions call effective, for the role or one it may SET ROLE to."""
        owned = [q for q in questions if q.sample[0] == "OWN" and self._holders({q.target.owner})]
        rest = [q for q in questions if q.sample[0] != "OWN"]
        roles = sorted({reach.role for reach in self.reaches if self._is_usable(reach)})
        call = "has_column_privilege(r, o, c, p)" if is_column else f"{KINDS[kind].check}(r, o, p)"
        if kind == "table" and not is_column:
            call = f"CASE WHEN w THEN has_any_column_privilege(r, o, p) ELSE {call} END"
        if kind == "parameter":
            call = "has_parameter_privilege(r, n, p)"
        elif kind == "largeobject":
            call = _LARGE_OBJECT
        rows = self.connection.execute(
            f"""SELECT DISTINCT i FROM unnest(%s::int[], %s::oid[], %s::text[], %s::text[], %s::text[], %s::bool[])
                       AS q (i, o, n, c, p, w), unnest(%s::oid[]) AS r WHERE {call}""",  # noqa: S608 - constants
            [
                list(range(len(rest))),
                [q.target.oid for q in rest],
                [q.target.name for q in rest],
                [q.column for q in rest],
                [_privilege(q.sample[0]) for q in rest],
                [self._whole(q) for q in rest],
                roles,
            ],
        ).fetchall()
        return owned + [rest[index] for (index,) in rows]

    def _whole(self, question: _Question) -> bool:
        """Whether the right on any column counts: yes, unless some columns were meant to stay."""
        action, name = question.sample
        return action.removeprefix("GRANT:") in COLUMN_PRIVILEGES and (action, name) not in self.column_kept

    def _is_usable(self, reach: Reach) -> bool:
        # A superuser that can be reached makes everything effective; asking as it tells so.
        return reach.role in self.estate.cluster.roles

    def _holders(self, roles: set[int]) -> list[Reach]:
        return [reach for reach in self.reaches if reach.role in roles]

    def _why(self, question: _Question) -> str:
        """The paths, in plain words."""
        action, target = question.sample[0], question.target
        found = [self._path(reach, "superuser") for reach in self.reaches if self._role(reach).superuser]
        if not found:
            if action == "OWN":
                return "; ".join(self._path(reach, "ownership") for reach in self._holders({target.owner}))
            for entry in self.estate.databases[0].entries:
                if entry.target.oid == target.oid and entry.target.kind == target.kind:
                    found += self._through(entry, action, question.column)
            found += self._built_in(action.removeprefix("GRANT:"), target.kind)
            if action.startswith("GRANT:"):
                found += [self._path(reach, "ownership") for reach in self._holders({target.owner})]
        return "; ".join(dict.fromkeys(found)) or "a path that the catalogues do not show"

    def _through(self, entry: Entry, action: str, column: str | None) -> Iterator[str]:
        name = action.removeprefix("GRANT:")
        needs_option = action.startswith("GRANT:")
        on_columns = [held for each, held in entry.columns.items() if column in (None, each)]
        on_table = name in entry.privileges and (entry.privileges[name] or not needs_option)
        in_part = any(name in held and (held[name] or not needs_option) for held in on_columns)
        if not on_table and not in_part:
            return
        what = "the right on the whole table, " if column and on_table else ""
        what = "rights on single columns, " if not column and not on_table else what
        if entry.grantee == PUBLIC:
            yield f"{what}PUBLIC"
        for reach in self._holders({entry.grantee}):
            if reach.chain:
                yield what + self._path(reach, "")
            else:
                yield f"{what}its own grant from {self.estate.cluster.name_of(entry.grantor)}"

    def _built_in(self, action: str, kind: str) -> Iterator[str]:
        for reach in self.reaches:
            if (action, kind) in PREDEFINED.get(self._role(reach).name, ()):
                yield self._path(reach, "")

    def _role(self, reach: Reach) -> Role:
        return self.estate.cluster.roles[reach.role]

    def _path(self, reach: Reach, what: str) -> str:
        if not reach.chain:
            return {"ownership": "its own ownership", "superuser": "being a superuser"}.get(what, what)
        chain = " → ".join(self.estate.cluster.name_of(role) for role in reach.chain)
        extra = {"ownership": ", the owner", "superuser": ", a superuser"}.get(what, "")
        return f"membership in {chain}{extra}{' (after SET ROLE)' if reach.by_set_role else ''}"

    def _membership(self, action: str, name: str) -> str:
        group = self.estate.cluster.by_name(name)
        if group is None:
            return ""
        if self.role.superuser:
            return "being a superuser"
        if action == "GRANT:MEMBER":
            row = self.connection.execute(
                "SELECT pg_has_role(%s::oid, %s::oid, 'MEMBER WITH ADMIN OPTION')", [self.role.oid, group.oid]
            ).fetchone()
            return f"ADMIN OPTION on {name}" if row and row[0] else ""
        return "; ".join(self._path(reach, "") for reach in self._holders({group.oid}))

    def _attribute(self, attribute: str) -> str:
        return "; ".join(
            self._path(reach, "") or f"the attribute {attribute} itself"
            for reach in self.reaches
            if attribute in self._role(reach).attributes
        )


def _privilege(action: str) -> str:
    if action.startswith("GRANT:"):
        return f"{action.removeprefix('GRANT:')} WITH GRANT OPTION"
    return action
