"""Tools of AI agents (MCP): actions are tool names, resources are servers. Both are case-sensitive globs.

The same tool name on two servers is two things. Annotations that a server gives about itself are never trusted:
well-known tools are looked up in a catalogue, of others the words are read, and one that neither knows counts as
destructive and open to the world.
"""

import re
from collections.abc import Iterable

from governance.kernel.dialects.interface import Dialect, gathered_by, join_words
from governance.kernel.dialects.tool_names import KNOWN_TOOLS

_WORDS = {
    "read": {"get", "list", "read", "search", "find", "show", "describe", "status", "log", "diff", "fetch", "query",
             "view", "count", "info", "tree", "stat", "time", "convert", "directory", "lookup", "browse"},
    "write": {"create", "write", "edit", "update", "add", "set", "put", "move", "rename", "commit", "checkout",
              "insert", "append", "copy", "branch", "init", "mkdir", "stage", "comment", "assign", "upload"},
    "destructive": {"delete", "remove", "drop", "truncate", "reset", "purge", "destroy", "kill", "exec", "execute",
                    "run", "shell", "bash", "eval", "merge", "push", "deploy", "refund", "pay", "transfer", "cancel",
                    "approve", "terminate", "sql"},
    "admin": {"grant", "revoke", "permission", "permissions", "role", "roles", "user", "users", "admin", "invite"},
    "secret_read": {"secret", "secrets", "password", "passwords", "credential", "credentials", "token", "tokens",
                    "env", "key", "keys", "vault"},
    "external_send": {"send", "post", "email", "mail", "message", "publish", "webhook", "notify", "share", "tweet",
                      "sms", "fetch", "http", "push", "reply", "browse"},
}  # fmt: skip
_FIRST_PART = re.compile(r"[A-Za-z0-9]+[_.-]")
_UNKNOWN = frozenset({"destructive", "external_send"})


class Tools(Dialect):
    name = "tools"
    title = "Agent tools"

    def gathered_actions(self, actions: list[str]) -> Iterable[tuple[str, list[str]]]:
        """By what stands before the first mark, such as `git_*`."""
        return gathered_by(actions, lambda name: [f"{found.group()}*"] if (found := _FIRST_PART.match(name)) else [])

    def classes(self, action: str, resource: str) -> frozenset[str]:
        if "*" in action or "?" in action:
            return frozenset({"read", "write", *_UNKNOWN}) | classes_by_words(action)
        return KNOWN_TOOLS.get(action) or classes_by_words(action) or _UNKNOWN

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        return "ai_tools"

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        server = resource.removeprefix("server:")
        where = "every server" if server == "*" else f"server {server}"
        if "*" in actions:
            return f"call every tool on {where}, also tools added later"
        noun = "tool" if len(actions) == 1 else "tools"
        return f"call {noun} {join_words(actions)} on {where}"


def classes_by_words(name: str) -> frozenset[str]:
    """Privilege classes that the words of a name speak of; none where it says nothing."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = set(re.split(r"[^a-z0-9]+", spaced))
    return frozenset(kind for kind, vocabulary in _WORDS.items() if words & vocabulary)
