"""Putting a plan together: one transaction around the statements of its facets, and the way back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from identities.connectors.contract import NotPossible, Plan, SourceChanged, Step
from identities.connectors.postgresql.catalog import Role
from identities.connectors.postgresql.desk import Desk
from identities.connectors.postgresql.facets import Facet, difference, from_json, state_hash

Samples = Sequence[tuple[str, str]]

BEGIN, COMMIT = "BEGIN", "COMMIT"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7266348001)"
OPENING = 3
"""How many steps open a transaction, before anything is changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction changes in one database. A plan has several where rights lie in several databases."""

    database: str
    facets: Sequence[Facet]

    def reversed(self) -> "Part":
        return Part(self.database, [facet.reversed() for facet in reversed(self.facets)])


def assemble(
    desk: Desk,
    action: str,
    identity: str,
    grant: str,
    facets: Sequence[Facet],
    *,
    summary: str,
    first: Sequence[Part] = (),
    removes: Samples = (),
    keeps: Samples = (),
    ends_sessions_of: Role | None = None,
    lock_timeout: int = 5,
    notes: Sequence[str] = (),
    side_effects: Sequence[str] = (),
) -> Plan:
    """The plan that takes all facets from before to after: in one transaction, after those that come `first` elsewhere.

    PostgreSQL changes one database at a time. What comes first must only give what is held anyway, so that a plan which
    was cut off between two databases leaves nobody with more or less than before.
    Sessions are ended after the last commit, lest a new one slip in.
    """
    parts = [*first, Part(desk.database, facets)]
    pre_image = _image(parts, desk.database, desk.me.name)
    ending: tuple[Step, ...] = ()
    if ends_sessions_of is not None:
        pre_image["ends_sessions_of"] = {"oid": ends_sessions_of.oid, "name": ends_sessions_of.name}
        ending = (end_sessions(pre_image["ends_sessions_of"]),)
    every = [facet for part in parts for facet in part.facets]
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=(*statements(parts, desk.me.name, lock_timeout, notes), *ending),
        inverse=statements([part.reversed() for part in reversed(parts)], desk.me.name, lock_timeout),
        pre_image=pre_image,
        pre_hash=state_hash(every, [facet.before for facet in every]),
        post_hash=state_hash(every, [facet.after for facet in every]),
        removes=tuple(removes),
        keeps=tuple(keeps),
        side_effects=tuple(side_effects),
        summary=summary,
    )


def _image(parts: Sequence[Part], home: str, me: str) -> dict[str, Any]:
    if len(parts) == 1:
        facets = [facet.to_json() for facet in parts[0].facets]
        return {"database": home, "facets": facets, "connected_as": me}
    several = [{"database": part.database, "facets": [facet.to_json() for facet in part.facets]} for part in parts]
    return {"database": home, "parts": several, "connected_as": me}


def parts_of(plan: Plan) -> list[Part]:
    """The transactions of a stored plan, in their order."""
    image = plan.pre_image
    several = image.get("parts") or [{"database": image["database"], "facets": image["facets"]}]
    return [Part(part["database"], [from_json(data) for data in part["facets"]]) for part in several]


def statements(parts: Sequence[Part], me: str, lock_timeout: int, notes: Sequence[str] = ()) -> tuple[Step, ...]:
    """One transaction per part; where there are several, each says where it runs."""
    steps: list[Step] = []
    for part in parts:
        if len(parts) > 1:
            steps.append(connecting(part.database))
        steps += transaction(me, part.facets, lock_timeout, notes if part is parts[-1] else ())
    return tuple(steps)


def connecting(database: str) -> Step:
    text = sql.SQL("\\connect {}").format(sql.Identifier(database)).as_string(None)
    return Step(text, f"in database {database}; each database is changed in a transaction of its own")


def transaction(me: str, facets: Iterable[Facet], lock_timeout: int, notes: Sequence[str] = ()) -> tuple[Step, ...]:
    """BEGIN … COMMIT around the facets' statements, each issued as the role that may issue it."""
    steps = [
        Step(BEGIN),
        Step(f"SET LOCAL lock_timeout = '{lock_timeout}s'", "give up rather than make others wait"),
        Step(ONE_AT_A_TIME, "two plans of Remit never interleave"),
    ]
    acting = me
    commands = [command for facet in facets for command in facet.commands()]
    for index, command in enumerate(commands):
        if command.acting != acting:
            acting = command.acting
            steps.append(_set_role(acting, me))
        last = index == len(commands) - 1
        steps.append(Step(command.text, " ".join(notes) if last else command.note))
    return (*steps, Step(COMMIT))


def _set_role(name: str, me: str) -> Step:
    if name == me:
        return Step("SET LOCAL ROLE NONE", "as the connector itself")
    text = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(name)).as_string(None)
    return Step(text, f"rights are changed as the role that gave them: {name}")


def check_current(desk: Desk, facets: Sequence[Facet]) -> None:
    """Raises SourceChanged when the server is neither in the state the plan starts from nor in the one it leads to."""
    states = [facet.read(desk.connection) for facet in facets]
    if states == [facet.after for facet in facets]:
        return
    for facet, state in zip(facets, states, strict=True):
        if state != facet.before:
            raise SourceChanged(
                f"The server has changed since it was last read: {facet.title()}: {difference(facet.before, state)}. "
                "Read the source again, then decide on what it holds now."
            )


def end_sessions(role: Mapping[str, Any]) -> Step:
    text = sql.SQL(
        "SELECT pid, pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity"
        " WHERE usesysid = {} AND pid <> pg_backend_pid()"
    ).format(sql.Literal(role["oid"]))
    return Step(text.as_string(None), f"ends the open sessions of {role['name']}, which would outlive the change")


def plan_restore(done: Plan, me: str, lock_timeout: int) -> Plan:
    """The plan turned around: from what it led to, back to what it started from."""
    if done.irreversible:
        raise NotPossible("This change cannot be undone.")
    parts = [part.reversed() for part in reversed(parts_of(done))]
    facets = [facet for part in parts for facet in part.facets]
    return Plan(
        action="restore",
        identity=done.identity,
        grant_external_id=done.grant_external_id,
        steps=statements(parts, me, lock_timeout),
        inverse=statements([part.reversed() for part in reversed(parts)], me, lock_timeout),
        pre_image=_image(parts, done.pre_image["database"], me),
        pre_hash=state_hash(facets, [facet.before for facet in facets]),
        post_hash=state_hash(facets, [facet.after for facet in facets]),
        keeps=tuple(done.removes) + tuple(done.keeps),
        summary=f"Brings back what was taken: {done.summary}",
    )
