"""RabbitMQ: permissions of a user in each virtual host set to what remains, then its connections are closed."""

from shlex import quote

from governance.kernel.dialects.paths import decode
from governance.kernel.dialects.rabbitmq import ACTIONS
from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef

Expressions = dict[str, dict[str, list[str]]]
# An empty expression matches nothing.
NOTHING = ""


def spell(grant: GrantRef, target: Permission | None) -> str:
    """`rabbitmqctl` lines."""
    user = quote(str(grant.native_ref.get("user") or grant.identity))
    held, held_tags = _read(grant.permission)
    kept, kept_tags = _read(target) if target is not None else ({}, [])
    lines = []
    for vhost in held:
        if vhost not in kept:
            lines.append(f"rabbitmqctl clear_permissions -p {quote(vhost)} {user}")
            continue
        texts = " ".join(quote(_joined(kept[vhost].get(action, []))) for action in ACTIONS)
        lines.append(f"rabbitmqctl set_permissions -p {quote(vhost)} {user} {texts}")
    if held_tags != kept_tags:
        gone = " ".join(", ".join(tag for tag in held_tags if tag not in kept_tags).split())
        lines.append(f"rabbitmqctl set_user_tags {user} {' '.join(map(quote, kept_tags))}".rstrip())
        lines.append(f"# This sets all tags at once: name those that the user keeps beside; what goes is {gone}.")
    if lines:
        lines.append(f"rabbitmqctl close_all_user_connections {user} 'permissions were narrowed'")
    return "\n".join(lines)


def _read(permission: Permission) -> tuple[Expressions, list[str]]:
    found: Expressions = {}
    tags: list[str] = []
    for statement in permission.statements:
        actions = ACTIONS if "*" in statement.actions.include else statement.actions.include
        for action in actions:
            if action.startswith("tag:"):
                tags.append(action.removeprefix("tag:"))
                continue
            for resource in statement.resources.include:
                vhost, expression = _split(resource)
                if vhost:
                    found.setdefault(vhost, {}).setdefault(action, []).append(expression)
    return found, tags


def _split(resource: str) -> tuple[str, str]:
    start, slash, expression = resource.partition("/")
    return (decode(start.removeprefix("vhost:")), expression) if slash and start.startswith("vhost:") else ("", "")


def _joined(expressions: list[str]) -> str:
    distinct = list(dict.fromkeys(each for each in expressions if each))
    return "|".join(distinct) if distinct else NOTHING
