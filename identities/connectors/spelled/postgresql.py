"""PostgreSQL: what goes and what comes instead, as one transaction per database."""

from collections.abc import Iterable

from governance.kernel.dialects.postgresql import ATTRIBUTES
from governance.kernel.dialects.postgresql import parts as parts_of
from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef

_WORDS = {"wrapper": "FOREIGN DATA WRAPPER", "server": "FOREIGN SERVER", "largeobject": "LARGE OBJECT"}
_MANY = {"table": "ALL TABLES IN SCHEMA", "sequence": "ALL SEQUENCES IN SCHEMA", "function": "ALL FUNCTIONS IN SCHEMA"}
Rights = dict[str, list[str]]


def spell(grant: GrantRef, target: Permission | None) -> str:
    """SQL for psql. Taking a right from a table takes it from its columns too, so what goes goes first, and both are
    one transaction: nobody sees the state in between.
    """
    role = identifier(grant.identity)
    held = _rights(grant.permission)
    kept = _rights(target) if target is not None else {}
    lines = [_revoke(resource, [each for each in actions if each not in kept.get(resource, ())], role)
             for resource, actions in held.items()]  # fmt: skip
    lines += [_grant(resource, [each for each in actions if each not in held.get(resource, ())], role)
              for resource, actions in kept.items()]  # fmt: skip
    changes = [line for each in lines for line in each]
    if not changes:
        return ""
    databases = sorted({_database(resource) for resource in (*held, *kept)} - {""})
    # A name that does not print could end the line of psql's own command.
    connect = [f"\\connect {identifier(name)}" for name in databases if name.isprintable()]
    return "\n".join([*connect, "BEGIN;", *changes, "COMMIT;", *_unsaid(target)])


def identifier(name: str) -> str:
    """A quoted name."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _rights(permission: Permission) -> Rights:
    found: Rights = {}
    for statement in permission.statements:
        if statement.effect == "allow":
            for resource in statement.resources.include:
                known = found.setdefault(resource, [])
                known += [action for action in statement.actions.include if action not in known]
    return found


def _revoke(resource: str, actions: list[str], role: str) -> Iterable[str]:
    """From the greater right to the lesser: the right to pass a privilege on goes before the privilege does."""
    kind, names = parts_of(resource)
    for action in actions:
        if action in ATTRIBUTES:
            yield f"ALTER ROLE {role} NO{action};"
        elif action == "OWN":
            yield f"-- Give {_object(resource)} another owner: ALTER … OWNER TO …;"
        elif action == "MEMBER" and kind == "role":
            yield f"REVOKE {identifier(names[0])} FROM {role};"
        elif action.startswith("GRANT:"):
            privilege = action.removeprefix("GRANT:")
            option = "ADMIN OPTION FOR " if privilege == "MEMBER" else "GRANT OPTION FOR "
            what = (
                identifier(names[0])
                if privilege == "MEMBER"
                else f"{_privilege(resource, privilege)} ON {_on(resource)}"
            )
            yield f"REVOKE {option}{what} FROM {role};"
        else:
            yield f"REVOKE {_privilege(resource, action)} ON {_on(resource)} FROM {role};"


def _grant(resource: str, actions: list[str], role: str) -> Iterable[str]:
    kind, names = parts_of(resource)
    for action in actions:
        if action == "MEMBER" and kind == "role":
            yield f"GRANT {identifier(names[0])} TO {role};"
        elif action in ATTRIBUTES or action == "OWN" or action.startswith("GRANT:"):
            yield f"-- {_plain(role)} keeps {action} on {_object(resource)}."
        else:
            yield f"GRANT {_privilege(resource, action)} ON {_on(resource)} TO {role};"


def _privilege(resource: str, action: str) -> str:
    kind, names = parts_of(resource)
    word = "ALL PRIVILEGES" if action == "*" else action
    return f"{word} ({identifier(names[-1])})" if kind == "column" and names[-1] != "*" else word


def _on(resource: str) -> str:
    """What stands behind ON: the object with its kind, or all of a kind where the name is a wildcard."""
    kind, names = parts_of(resource)
    if kind == "column":
        kind, names = "table", names[:-1]
    if kind in _MANY and len(names) == 3 and names[2] == "*":
        return f"{_MANY[kind]} {identifier(names[1])}"
    local = names[1:] if len(names) > 1 else names
    written = [identifier(name) for name in local]
    if kind == "function" and len(local) == 2:
        # The arguments stand in the name as PostgreSQL writes them.
        name, bracket, arguments = local[1].partition("(")
        written[1] = identifier(name) + bracket + arguments
    return f"{_WORDS.get(kind, kind.upper())} {'.'.join(written)}"


def _object(resource: str) -> str:
    """The object in a comment, which must stay on its line."""
    return _plain(_on(resource) if ":" in resource else resource)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _database(resource: str) -> str:
    kind, names = parts_of(resource)
    return names[0] if len(names) > 1 and kind not in ("role", "cluster") and names[0] != "*" else ""


def _unsaid(target: Permission | None) -> list[str]:
    statements = target.statements if target else ()
    return [
        "-- The target has conditions, exceptions or an end date, which GRANT can't say: see to it by hand."
        for each in statements
        if each.conditions or each.until or each.actions.exclude or each.resources.exclude or each.effect == "deny"
    ][:1]
