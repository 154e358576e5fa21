"""PostgreSQL: privileges on objects of a server.

Actions are privilege names in capitals, attributes of roles, and three words of ours: `OWN` (ownership, which contains
every privilege on the object and passing it on), `MEMBER` (membership in a role) and `GRANT:<privilege>` (the right to
pass a privilege on; nobody has it without the privilege itself).

Resources are `kind:path`, for instance `table:ledger/public/payments`; a right on a table is a right on each of its
columns, never the other way round. Names are case-sensitive and may contain anything: build them with `resource`.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from governance.kernel.dialects import paths
from governance.kernel.dialects.interface import Dialect, Language, exactly, gathered_by, join_words
from governance.kernel.patterns import ANY, Pattern, glob
from governance.kernel.statements import PatternSet, Statement

OBJECT_PRIVILEGES = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE", "CREATE",
    "CONNECT", "TEMPORARY", "EXECUTE", "SET", "ALTER SYSTEM",
)  # fmt: skip
ATTRIBUTES = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
GRANTABLE = tuple(f"GRANT:{privilege}" for privilege in (*OBJECT_PRIVILEGES, "MEMBER"))
ACTIONS = (*OBJECT_PRIVILEGES, "OWN", "MEMBER", *GRANTABLE, *ATTRIBUTES)

DEPTH = {
    "cluster": 0,
    "database": 1, "role": 1, "tablespace": 1, "parameter": 1,
    "schema": 2, "language": 2, "wrapper": 2, "server": 2, "largeobject": 2,
    "table": 3, "sequence": 3, "function": 3, "type": 3,
    "column": 4,
}  # fmt: skip
"""Kinds of resources and the number of elements of their paths. Views and foreign tables are tables."""

CLUSTER = "cluster:"


def resource(kind: str, *parts: str) -> str:
    """The resource of these names: `resource("table", "ledger", "public", "payments")`. Raises ValueError."""
    if DEPTH.get(kind) != len(parts):
        raise ValueError(f"A {kind} resource does not have {len(parts)} names")
    return paths.join(kind, *parts)


def parts(text: str) -> tuple[str, tuple[str, ...]]:
    """Kind and names of a resource, the reverse of `resource`."""
    return paths.split(text)


_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
PRIVILEGES_ON = {
    "table": _TABLE, "column": ("SELECT", "INSERT", "UPDATE", "REFERENCES"), "sequence": ("USAGE", "SELECT", "UPDATE"),
    "database": ("CREATE", "CONNECT", "TEMPORARY"), "schema": ("CREATE", "USAGE"), "function": ("EXECUTE",),
    "language": ("USAGE",), "type": ("USAGE",), "wrapper": ("USAGE",), "server": ("USAGE",), "tablespace": ("CREATE",),
    "parameter": ("SET", "ALTER SYSTEM"), "largeobject": ("SELECT", "UPDATE"), "role": ("MEMBER",), "cluster": (),
}  # fmt: skip
"""Which privileges exist on which kind of object."""

_NOT_OWNED = frozenset({"cluster", "column", "parameter", "role"})


def actions_on(kind: str) -> tuple[str, ...]:
    """Every action that makes sense on a kind of object; on "" (everything) all there are."""
    if not kind:
        return ACTIONS
    privileges = PRIVILEGES_ON[kind]
    own = () if kind in _NOT_OWNED else ("OWN",)
    return (*own, *privileges, *(f"GRANT:{each}" for each in privileges), *(ATTRIBUTES if kind == "cluster" else ()))


def implied(action: str) -> tuple[str, ...]:
    """The action and what it contains wherever it is held (what ownership contains depends on the object)."""
    if action == "*":
        return ACTIONS
    return (action, action.removeprefix("GRANT:")) if action.startswith("GRANT:") else (action,)


_IMPLYING = {wanted: tuple(a for a in ACTIONS if wanted in implied(a)) for wanted in ACTIONS}
_IMPLYING |= {wanted: (*_IMPLYING[wanted], "OWN") for wanted in (*OBJECT_PRIVILEGES, *GRANTABLE)}


class PostgreSQL(Dialect):
    name = "postgresql"
    title = "PostgreSQL"
    literal_actions = True
    known_resources = (
        "table:example/public/example",
        "column:example/public/example/example",
        "schema:example/public",
        "database:example",
        "function:example/public/example()",
        "sequence:example/public/example",
        "role:example",
        CLUSTER,
    )

    @lru_cache(maxsize=1_024)  # noqa: B019 - the dialects are singletons
    def action(self, text: str, *, removing: bool = False) -> Language:
        if removing and text in _IMPLYING:
            return exactly(*_IMPLYING[text])
        return exactly(*implied(text))

    @lru_cache(maxsize=65_536)  # noqa: B019
    def resource(self, text: str, *, removing: bool = False) -> Language:
        if text == "*":
            return Language((Pattern((ANY,)),))
        patterns = [glob(text, "/")]
        kind, _, path = text.partition(":")
        if kind == "table":
            patterns.append(glob(f"column:{path}/*", "/"))
        elif kind == "column" and removing:
            patterns.append(glob(f"table:{path.rpartition('/')[0]}", "/"))
        return Language(tuple(patterns))

    def action_fault(self, text: str) -> str:
        if text == "*" or text in ACTIONS:
            return ""
        return f"PostgreSQL has no privilege {text!r}"

    def resource_fault(self, text: str) -> str:
        if text == "*":
            return ""
        kind, colon, path = text.partition(":")
        if not colon or kind not in DEPTH:
            return f"{text!r} is no PostgreSQL resource; expected kind:path with one of {', '.join(DEPTH)}"
        elements = path.split("/") if path else []
        if len(elements) != DEPTH[kind] or not all(elements):
            return f"a {kind} resource has {DEPTH[kind]} names, {text!r} does not"
        return ""

    def spelled(self, statement: Statement) -> tuple[Statement, ...]:
        """Ownership and `*` become the actions that exist on each kind of object."""
        if statement.effect == "deny" or not {"OWN", "*"} & set(statement.actions.include):
            return (statement,)
        kinds: dict[str, list[str]] = {}
        for text in statement.resources.include:
            kinds.setdefault(text.partition(":")[0] if text != "*" else "", []).append(text)
        spelled = []
        for kind, texts in kinds.items():
            names = tuple(dict.fromkeys(each for text in statement.actions.include for each in _spelled(text, kind)))
            here = PatternSet(tuple(texts), statement.resources.exclude)
            spelled.append(replace(statement, actions=PatternSet(names, statement.actions.exclude), resources=here))
        return tuple(spelled)

    def implications(self, statement: Statement) -> tuple[Statement, ...]:
        """A superuser may do everything, whatever else is granted."""
        wanted = ("SUPERUSER", CLUSTER)
        held = (statement.actions, self.action), (statement.resources, self.resource)
        for name, (patterns, read) in zip(wanted, held, strict=True):
            if not any(read(text).may_contain(name) for text in patterns.include):
                return ()
            if any(read(text, removing=True).may_contain(name) for text in patterns.exclude):
                return ()
        if statement.effect == "deny":
            return ()
        return (replace(statement, actions=PatternSet(ACTIONS), resources=PatternSet(("*",))),)

    def spell_out(self, action: str) -> tuple[str, ...]:
        return implied(action)

    def makes_sense(self, action: str, resource: str) -> bool:
        kind, colon, _ = resource.partition(":")
        return bool(colon) and action in actions_on(kind)

    def family_members(self, family: str) -> tuple[str, ...]:
        return ACTIONS

    def gathered(self, resources: list[str]) -> Iterable[tuple[str, list[str]]]:
        return gathered_by(resources, paths.last_name_open)

    def classes(self, action: str, resource: str) -> frozenset[str]:
        kind = "" if resource == "*" else resource.partition(":")[0]
        return frozenset().union(*(_CLASS_OF.get(name, {"admin"}) for name in _spelled(action, kind)))

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        return "admin" if set(actions) & set(ATTRIBUTES) else "databases"

    def reached(self, statement: Statement) -> set[str]:
        """A superuser reaches every database too."""
        kinds = {"" if text == "*" else text.partition(":")[0] for text in statement.resources.include}
        names = {name for action in statement.actions.include for kind in kinds for name in _spelled(action, kind)}
        found = {"admin"} if names & set(ATTRIBUTES) else set()
        return found | ({"databases"} if names - set(ATTRIBUTES) or "SUPERUSER" in names else set())

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        return _phrase(actions, resource)


def _spelled(action: str, kind: str) -> tuple[str, ...]:
    if action == "*" or (action == "OWN" and kind not in _NOT_OWNED):
        names = actions_on(kind)
        return names if action == "*" else tuple(each for each in names if each == "OWN" or each not in _NOT_BY_OWNING)
    return implied(action)


_NOT_BY_OWNING = frozenset({*ATTRIBUTES, "MEMBER", "GRANT:MEMBER"})
_CLASS_OF: dict[str, set[str]] = {
    "SELECT": {"read"}, "USAGE": {"read"}, "CONNECT": {"read"}, "REFERENCES": {"read"}, "MEMBER": {"read"},
    "INSERT": {"write"}, "UPDATE": {"write"}, "EXECUTE": {"write"}, "TEMPORARY": {"write"}, "MAINTAIN": {"write"},
    "DELETE": {"destructive"}, "TRUNCATE": {"destructive"},
    "CREATE": {"write"}, "TRIGGER": {"admin"}, "SET": {"admin"}, "ALTER SYSTEM": {"admin"},
    "OWN": {"admin", "destructive"},
}  # fmt: skip

_ROW_VERBS = {
    "SELECT": "read", "INSERT": "add", "UPDATE": "change", "DELETE": "delete", "TRUNCATE": "empty",
}  # fmt: skip
_VERBS = {
    "REFERENCES": "refer to", "TRIGGER": "put triggers on", "MAINTAIN": "run maintenance on", "USAGE": "use",
    "CREATE": "create objects in", "CONNECT": "connect to", "TEMPORARY": "create temporary tables in",
    "EXECUTE": "call", "SET": "set", "ALTER SYSTEM": "change server-wide", "OWN": "own", "MEMBER": "act as a member of",
    "SUPERUSER": "do everything as superuser on", "CREATEROLE": "create and change roles on",
    "CREATEDB": "create databases on", "REPLICATION": "replicate all data of",
    "BYPASSRLS": "bypass row security on", "*": "do everything with",
}  # fmt: skip


def _phrase(actions: tuple[str, ...], resource: str) -> str:
    thing = _thing(resource)
    rows = [_ROW_VERBS[action] for action in actions if action in _ROW_VERBS]
    parts = []
    if rows:
        parts.append(f"{join_words(rows)} {_rows_of(resource)}{thing}")
    others = [action for action in actions if action not in _ROW_VERBS]
    verbs = [_VERBS[action] for action in others if action in _VERBS]
    if verbs:
        parts.append(f"{join_words(verbs)} {thing}")
    passed_on = [action.removeprefix("GRANT:") for action in others if action.startswith("GRANT:")]
    if passed_on:
        parts.append(f"grant {join_words(passed_on)} on {thing} to others")
    return join_words(parts)


def _rows_of(resource: str) -> str:
    return "every row of " if resource.startswith("table:") else ""


def _thing(resource: str) -> str:  # noqa: PLR0911 - one per kind
    if resource == "*":
        return "everything on the server"
    kind, names = paths.split(resource)
    words = {"table": "table", "parameter": "setting", "largeobject": "large object", "wrapper": "data wrapper"}
    noun = words.get(kind, kind)
    if kind == "cluster":
        return "the server"
    if kind in ("database", "role", "tablespace", "parameter"):
        return _named(noun, names[0])
    where = f" in database {names[0]}" if names[0] != "*" else " in every database"
    if DEPTH[kind] == 2:
        return f"{_named(noun, names[1])}{where}"
    schema = "" if names[1] == "public" else f"{_named('schema', names[1])} of " if names[1] == "*" else f"{names[1]}."
    if kind == "column":
        return f"{_named('column', names[3])} of table {schema}{names[2]}{where}"
    if names[2] == "*":
        return f"every {noun} in {_named('schema', names[1])}{where}"
    return f"{noun} {'' if names[1] == '*' else schema}{names[2]}{' in every schema' if names[1] == '*' else ''}{where}"


def _named(noun: str, name: str) -> str:
    return f"every {noun}" if name == "*" else f"{noun} {name}"
