"""RabbitMQ: `configure`, `write` and `read` on names in a virtual host, and the tags of a user.

A resource pattern is `vhost:<virtual host>/<regular expression>`; a concrete resource `vhost:<virtual host>/<name>`.
The expression *searches*: `orders` also matches `my-orders-ex`. An empty expression matches nothing. The default
exchange is called `amq.default`. Tags are actions (`tag:administrator`) on resource `broker:`.

Expressions made of characters, classes, `.`, `*`, `+`, `?`, groups with alternatives and outer anchors are decided
exactly. Others (look-around, back-references, counted or nested repeats) are kept as they are: equal texts are equal,
anything else is not provable. They are never run, so a hostile expression costs nothing.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from governance.kernel.dialects import paths
from governance.kernel.dialects.interface import Dialect, Language, exactly, join_words
from governance.kernel.dialects.regex import Unsupported, search_patterns
from governance.kernel.patterns import ANY, Pattern, exact
from governance.kernel.statements import Statement

ACTIONS = ("configure", "write", "read")
TAGS = ("administrator", "monitoring", "policymaker", "management", "impersonator")
BROKER = "broker:"


class RabbitMQ(Dialect):
    name = "rabbitmq"
    title = "RabbitMQ"
    literal_actions = True
    known_actions = ACTIONS
    known_resources = ("vhost:%2F/example", "vhost:%2F/amq.default")

    def action(self, text: str, *, removing: bool = False) -> Language:
        return exactly(*ACTIONS, *(f"tag:{tag}" for tag in TAGS)) if text == "*" else exactly(text)

    @lru_cache(maxsize=4_096)  # noqa: B019 - the dialects are singletons
    def resource(self, text: str, *, removing: bool = False) -> Language:
        if text == "*":
            return Language((Pattern((ANY,)),))
        start, slash, expression = text.partition("/")
        if not slash:
            return exactly(text)
        head = exact(start + "/").tokens
        if not expression:
            return Language(())
        try:
            found = search_patterns(expression)
        except Unsupported:
            return Language((Pattern((*head, ANY)),), opaque=f"expression {text}")
        return Language(tuple(Pattern((*head, *tokens)) for tokens in found))

    def exact_resource(self, resource: str) -> str | None:
        start, slash, name = resource.partition("/")
        return f"{start}/^{re.escape(name)}$" if slash else resource

    def fold_resource(self, text: str) -> str:
        return text if text.isascii() else text.encode().decode("latin-1")

    def action_fault(self, text: str) -> str:
        if text == "*" or text in ACTIONS or text.startswith("tag:"):
            return ""
        return f"RabbitMQ has no action {text!r}; expected configure, write, read or tag:<name>"

    def resource_fault(self, text: str) -> str:
        if text in ("*", BROKER) or (text.startswith("vhost:") and "/" in text):
            return ""
        return f"{text!r} is no RabbitMQ resource; expected vhost:<name>/<regular expression> or broker:"

    def spell_out(self, action: str) -> tuple[str, ...]:
        return (*ACTIONS, *(f"tag:{tag}" for tag in TAGS)) if action == "*" else (action,)

    def classes(self, action: str, resource: str) -> frozenset[str]:
        if action == "*":
            return frozenset({"read", "write", "destructive", "admin"})
        if action in ("tag:administrator", "tag:policymaker", "tag:impersonator"):
            return frozenset({"admin"})
        # Whoever may configure a queue may delete it, with what it holds.
        return frozenset({{"configure": "destructive", "write": "write"}.get(action, "read")})

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        return "admin" if any(action.startswith("tag:") for action in actions) else "queues"

    def reached(self, statement: Statement) -> set[str]:
        """Tags are of the broker; `*` holds them too, wherever it is not about a virtual host."""
        found = set()
        for action in statement.actions.include:
            for place in statement.resources.include:
                is_tag = action.startswith("tag:")
                if is_tag or (action == "*" and place in ("*", BROKER)):
                    found.add("admin")
                if not is_tag and place != BROKER:
                    found.add("queues")
        return found

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        tags = [action.removeprefix("tag:") for action in actions if action.startswith("tag:")]
        verbs = {
            "configure": "declare and delete",
            "write": "publish to",
            "read": "consume from",
            "*": "do everything with",
        }
        plain = [verbs.get(action, action) for action in actions if not action.startswith("tag:")]
        said = [f"act as {join_words(tags)} of the broker"] if tags else []
        if plain:
            said.append(f"{join_words(plain)} {_thing(resource)}")
        return join_words(said)


def _thing(resource: str) -> str:
    start, slash, expression = resource.partition("/")
    if not slash:
        return "everything on the broker" if resource == "*" else "the broker"
    where = f"in virtual host {paths.decode(start.removeprefix('vhost:'))}"
    if expression in (".*", "^.*$", "^.*", ".*$"):
        return f"every queue and exchange {where}"
    return f"queues and exchanges matching {expression} {where}" if expression else f"nothing {where}"
