"""How far a permission reaches: one thing, a set of things, a whole service, a whole account, a whole organisation.

What counts is what allowing statements name (denies worked in where that can be written; conditions left aside). Every
name is read as a *unit*, the smallest thing that one would call one thing: a bucket with all its objects, a table with
all its columns, a queue, a tool. Several units are a set, however many; a wildcard inside a name is a set too, because
nobody knows how many it will stand for. What is more than that, each dialect says in its own words:

- aws: everything of one sort (every table, every user), or everything of up to three services, is a *service*; more
  services, or everything, the *account*. What it does in other accounts hangs on their trust, so it ends there.
- kubernetes: every object of up to three kinds in namespaces is a *service*; more kinds, the *account* (a namespace is
  one); anything that holds in every namespace, the *organisation* (the cluster).
- postgresql: a database, or everything of one sort in it, is a *service*; several databases, and the server, the
  *account*. The right to connect or to look into a schema is a way in, and not counted beside what is reached.
- rabbitmq: everything in a virtual host is a *service*, the broker the *account*. redis: every key or every channel,
  and the server. tools: every tool of a server, and tools of every server.
- scopes: every repository of an owner is a *service*, everything it is installed on the *account*, rights on the owner
  itself the *organisation*.

A wider permission never has less breadth than one that it includes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from governance.kernel import dialects
from governance.kernel.algebra import effective
from governance.kernel.dialects.redis_commands import CATEGORIES
from governance.kernel.documents import Permission
from governance.kernel.patterns import ANY, Pattern, exact
from governance.kernel.statements import Statement

ONE, SET, SERVICE, ACCOUNT, ORGANISATION = "one", "set", "service", "account", "organisation"
ORDER = (ONE, SET, SERVICE, ACCOUNT, ORGANISATION)
"""From narrow to wide."""

MANY = 3
"""So many whole services, or kinds of a namespace, are still services; more are the account."""

Part = tuple[str, str]
"""(breadth, what it is about): one unit or one whole, for counting."""


class _Unclear(Exception):
    """A pattern of which nobody can say how much it stands for."""


@lru_cache(maxsize=16_384)
def breadth_of(permission: Permission) -> str | None:
    """One of `ORDER`; None where a pattern does not tell how much it stands for.

    Nothing that is allowed counts as "one": who asks for breadth asks whether anything is allowed first.
    """
    read = _READERS[permission.dialect]
    statements = [each for each in effective(permission).statements if each.effect == "allow"]
    parts: set[Part] = set()
    is_unclear = False
    for statement in statements:
        try:
            parts.update(read(statement))
        except _Unclear:
            is_unclear = True
    found = _widest(parts)
    # Nothing is wider than everything, whatever the unclear part is.
    return None if is_unclear and found not in (ACCOUNT, ORGANISATION) else found


def _widest(parts: set[Part]) -> str:
    levels = [level for level, _ in parts]
    if ORGANISATION in levels:
        return ORGANISATION
    whole = levels.count(SERVICE)
    if ACCOUNT in levels or whole > MANY:
        return ACCOUNT
    if whole:
        return SERVICE
    return SET if SET in levels or levels.count(ONE) > 1 else ONE


# AWS: `arn:partition:service:region:account:name`

_ENDS = {"s3": ("", "/"), "dynamodb": ("table/", "/"), "logs": ("log-group:", ":"), "lambda": ("function:", ":")}
"""Services of which one thing holds others: how its name begins, and what ends it."""
_WITHOUT_KIND = frozenset({"s3", "sqs", "sns"})
"""Services whose names have no kind before them."""
_KIND = re.compile(r"[\w.-]+[/:]")


def _aws(statement: Statement) -> Iterator[Part]:
    services = {_service_of(action) for action in statement.actions.include}
    for resource in statement.resources.include:
        yield from _aws_resource(resource, services)


def _service_of(action: str) -> str:
    service, colon, _ = action.partition(":")
    return service.lower() if colon and not _is_wild(service) else "*"


def _aws_resource(resource: str, services: set[str]) -> Iterator[Part]:
    fields = resource.split(":", 5)
    service = fields[2] if len(fields) == 6 and fields[0] == "arn" else "*"
    if _is_wild(service):
        # It may be a thing of any service that the actions are of.
        yield from ((ACCOUNT, "*") if each == "*" else (SERVICE, each) for each in services)
        return
    place, unit = ":".join(fields[:5]), _unit(service, fields[5])
    if _is_whole(service, unit):
        yield SERVICE, service if services & {service, "*"} else min(services)
    else:
        yield (SET if _is_wild(place) or _is_wild(unit) else ONE), f"{place}:{unit}"


def _unit(service: str, name: str) -> str:
    start, end = _ENDS.get(service, ("", ""))
    if not end or not name.startswith(start):
        return name
    return start + name.removeprefix(start).partition(end)[0]


def _is_whole(service: str, unit: str) -> bool:
    """Whether it stands for everything of one sort at least."""
    if service in _WITHOUT_KIND:
        return not unit.strip("*")
    kind = _KIND.match(unit)
    return not unit.removeprefix(kind.group()).strip("*") if kind else _is_wild(unit)


# Kubernetes: `api:namespace/group/kind/subresource/name`


def _kubernetes(statement: Statement) -> Iterator[Part]:
    for resource in statement.resources.include:
        yield _kubernetes_resource(resource)


def _kubernetes_resource(resource: str) -> Part:
    scheme, _, path = resource.partition(":")
    if resource == "*":
        return ORGANISATION, resource
    if scheme == "url":
        return (SERVICE if path == "*" else SET if _is_wild(path) else ONE), resource
    namespace, group, kind, _, name = path.split("/")
    if name != "*":
        is_one = "*" not in (namespace, group, kind)
        return (ONE if is_one else SET), f"{namespace}/{group}/{kind}/{name}"
    if namespace == "*":
        return ORGANISATION, resource
    return (ACCOUNT if "*" in (group, kind) else SERVICE), f"{group}/{kind}"


# PostgreSQL: `table:database/schema/table`

_GATES = frozenset({"CONNECT", "USAGE", "TEMPORARY"})


def _postgresql(statement: Statement) -> Iterator[Part]:
    for resource in statement.resources.include:
        kind, _, path = resource.partition(":")
        if kind in ("database", "schema") and set(statement.actions.include) <= _GATES:
            continue  # a way in, beside what is to be reached
        yield _postgresql_resource(kind, path)


def _postgresql_resource(kind: str, path: str) -> Part:
    if kind in ("*", "cluster"):
        return ACCOUNT, "*"
    names = path.split("/")
    if kind == "column":
        kind, names = "table", names[:3]
    if kind == "database":
        return (ACCOUNT if _is_wild(path) else SERVICE), path
    if kind in ("role", "parameter", "tablespace"):
        return (SERVICE if path == "*" else SET if _is_wild(path) else ONE), f"{kind}:{path}"
    if _is_wild(names[0]):
        return ACCOUNT, "*"
    if all(name == "*" for name in names[1:]):
        return SERVICE, names[0]
    return (SET if _is_wild(path) or kind == "schema" else ONE), f"{kind}:{'/'.join(names)}"


# RabbitMQ: `vhost:name/expression`


def _rabbitmq(statement: Statement) -> Iterator[Part]:
    for resource in statement.resources.include:
        start, slash, expression = resource.partition("/")
        if not slash:
            yield ACCOUNT, "*"
        elif expression:
            yield from _of_vhost(resource, start)


def _of_vhost(resource: str, start: str) -> Iterator[Part]:
    language = dialects.get("rabbitmq").resource(resource)
    if language.opaque:
        raise _Unclear
    whole = Pattern((*exact(f"{start}/").tokens, ANY))
    for pattern in language.patterns:
        level = ONE if pattern.is_literal else SERVICE if pattern.covers(whole) else SET
        yield level, start if level == SERVICE else f"{resource} {pattern.prefix}" if level == SET else pattern.prefix


# Redis: `read:pattern`, `write:pattern`, `channel:pattern`, `server:`

_SERVER_WIDE = CATEGORIES["admin"] | {"flushall", "flushdb", "swapdb", "keys"}


def _redis(statement: Statement) -> Iterator[Part]:
    spoken = dialects.get("redis")
    for resource in statement.resources.include:
        kind, _, pattern = resource.partition(":")
        if resource == "*":
            yield ACCOUNT, "*"
        elif kind == "server":
            named = [spoken.action(action) for action in statement.actions.include]
            if any(each.may_contain(command) for each in named for command in _SERVER_WIDE):
                yield ACCOUNT, "*"
        else:
            noun = "channel" if kind == "channel" else "key"
            is_whole = bool(pattern) and not pattern.strip("*")
            yield (SERVICE if is_whole else SET if set(pattern) & set("*?[") else ONE), f"{noun} {pattern}"


# Tools of agents: actions on `server:name`


def _tools(statement: Statement) -> Iterator[Part]:
    for resource in statement.resources.include:
        every_server = not resource.removeprefix("server:").strip("*")
        for action in statement.actions.include:
            every_tool = not action.strip("*")
            if every_server or (every_tool and _is_wild(resource)):
                yield ACCOUNT, "*"
            elif every_tool:
                yield SERVICE, resource
            else:
                yield (SET if _is_wild(resource) or _is_wild(action) else ONE), f"{resource} {action}"


# Scopes: on `owner/repository`, `owner`, or whatever the issuer calls its things

_OF_ORGANISATION = ("organization_", "members:", "admin:org", "*")


def _scopes(statement: Statement) -> Iterator[Part]:
    of_account = any(action.startswith(_OF_ORGANISATION) for action in statement.actions.include)
    for resource in statement.resources.include:
        owner, slash, rest = resource.partition("/")
        if of_account and (_is_wild(owner) or not slash):
            yield ORGANISATION, owner
        elif _is_wild(owner):
            yield ACCOUNT, "*"
        else:
            yield (SERVICE if rest == "*" else SET if _is_wild(rest) else ONE), resource


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


_READERS: Mapping[str, Callable[[Statement], Iterator[Part]]] = {
    "aws": _aws,
    "kubernetes": _kubernetes,
    "postgresql": _postgresql,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "tools": _tools,
    "scopes": _scopes,
}
