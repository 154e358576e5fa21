"""Redis: the rules of a user set to what remains, then its connections are closed."""

from governance.kernel.permissions import Permission, Statement
from identities.connectors.contract import GrantRef

_SIGNS = {"read": "%R~", "write": "%W~", "channel": "&"}


def spell(grant: GrantRef, target: Permission | None) -> str:
    """`ACL SETUSER` with one selector per further statement."""
    user = _word(grant.identity)
    note = "# This sets all rules of the user: add those that it keeps from other grants."
    end = f"ACL SAVE\nCLIENT KILL USER {user}"
    if target is None or target.is_empty:
        return f"{note}\nACL SETUSER {user} resetkeys resetchannels clearselectors -@all\n{end}"
    allowed = [each for each in target.statements if each.effect == "allow"]
    sayable = [_rules(each) for each in allowed if _is_sayable(each)]
    unsaid = "".join(
        f"\n# A rule can't hold a space or a quote; leave this out: {_rules(each)}"
        for each in allowed
        if not _is_sayable(each)
    )
    first, selectors = "".join(sayable[:1]), "".join(f" ({rules})" for rules in sayable[1:])
    return f"{note}\nACL SETUSER {user} resetkeys resetchannels clearselectors -@all {first}{selectors}\n{end}{unsaid}"


def _is_sayable(statement: Statement) -> bool:
    """Redis takes no white space in a rule, and within the parentheses of a selector nothing can be quoted."""
    return '"' not in _rules(statement)


def _rules(statement: Statement) -> str:
    commands = [_word("+@all" if each == "*" else f"+{each}") for each in statement.actions.include]
    commands += [_word(f"-{each}") for each in statement.actions.exclude]
    patterns: dict[str, set[str]] = {}
    for resource in statement.resources.include:
        kind, _, pattern = resource.partition(":")
        if resource == "*":
            for each in _SIGNS:
                patterns.setdefault("*", set()).add(each)
        elif kind in _SIGNS:
            patterns.setdefault(pattern, set()).add(kind)
    keys = []
    for pattern, kinds in patterns.items():
        if {"read", "write"} <= kinds:
            keys.append(_word(f"~{pattern}"))
        else:
            keys += [_word(f"{_SIGNS[kind]}{pattern}") for kind in ("read", "write") if kind in kinds]
        if "channel" in kinds:
            keys.append(_word(f"&{pattern}"))
    return " ".join([*commands, *keys])


def _word(text: str) -> str:
    """One word for redis-cli: in quotes where it holds a space, a quote or something that does not print."""
    if text.isprintable() and not any(char in text for char in " \"'\\"):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char.isprintable() and char not in '"\\':
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
