"""Short names of resource patterns: where it is, and what it is, as one would label it in a drawing."""

from functools import lru_cache

from governance.kernel.dialects import paths


@lru_cache(maxsize=16_384)
def place_and_name(dialect: str, resource: str) -> tuple[str, str]:
    """(the service, namespace, database, host or server that it is in; the name inside it). Wildcards stay as they are.

    >>> place_and_name("aws", "arn:aws:s3:::invoices/*")
    ('s3', 'invoices/*')
    """
    if resource == "*":
        return "everywhere", "everything"
    return _READERS.get(dialect, _plain)(resource)


def _plain(resource: str) -> tuple[str, str]:
    kind, colon, name = resource.partition(":")
    return (kind, name or kind) if colon else ("", resource)


def _aws(resource: str) -> tuple[str, str]:
    fields = resource.split(":", 5)
    if len(fields) < 6:
        return "everywhere", resource
    return fields[2], fields[5]


def _kubernetes(resource: str) -> tuple[str, str]:
    kind, elements = paths.split(resource)
    if kind != "api" or len(elements) != 5:
        return "URLs", resource.removeprefix("url:")
    namespace, _, noun, part, name = elements
    where = {"*": "every namespace", "": "the cluster"}.get(namespace, f"namespace {namespace}")
    thing = "everything" if noun == "*" else f"{noun}/{part}" if part not in ("", "*") else noun
    return where, thing if name in ("", "*") else f"{thing} {name}"


def _postgresql(resource: str) -> tuple[str, str]:
    kind, names = paths.split(resource)
    if kind in ("cluster", "role", "tablespace", "parameter"):
        return "the server", f"{kind} {'.'.join(names)}".strip()
    where = "every database" if names[0] == "*" else f"database {names[0]}"
    return where, f"the {kind} itself" if len(names) == 1 else f"{kind} {'.'.join(names[1:])}"


def _rabbitmq(resource: str) -> tuple[str, str]:
    start, slash, expression = resource.partition("/")
    if not slash:
        return "the broker", "the broker"
    return f"virtual host {paths.decode(start.removeprefix('vhost:'))}", expression or "nothing"


def _redis(resource: str) -> tuple[str, str]:
    kind, _, pattern = resource.partition(":")
    if kind == "server":
        return "the server", "commands"
    return ("channels", pattern) if kind == "channel" else (f"keys to {kind}", pattern)


def _tools(resource: str) -> tuple[str, str]:
    name = resource.removeprefix("server:")
    return ("every server", "tools") if name == "*" else (f"server {name}", f"tools of {name}")


def _scopes(resource: str) -> tuple[str, str]:
    owner, slash, rest = resource.partition("/")
    return owner, ("every repository" if rest == "*" else rest) if slash else owner


_READERS = {
    "aws": _aws,
    "kubernetes": _kubernetes,
    "postgresql": _postgresql,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "tools": _tools,
    "scopes": _scopes,
}
