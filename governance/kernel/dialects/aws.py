"""AWS IAM: action globs without case, resource globs with case; a `*` spans everything, colons and slashes too."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from governance.kernel.dialects.aws_actions import (
    ADMIN,
    KNOWN,
    READ_VERBS,
    SECRETS,
    SENDS,
    WRITE_VERBS,
    segment_of_service,
)
from governance.kernel.dialects.interface import Dialect, Language, join_words
from governance.kernel.patterns import Pattern, Token, exact, glob
from governance.kernel.statements import Condition, PatternSet, Statement

_VARIABLE = re.compile(r"\$\{[^}]*\}")


class AWS(Dialect):
    name = "aws"
    title = "AWS IAM"
    known_actions = KNOWN
    known_resources = ("arn:aws:s3:::example/example", "arn:aws:s3:::example", "arn:aws:example:eu-west-1:1:example")

    def action(self, text: str, *, removing: bool = False) -> Language:
        return Language((glob(text.lower()),))

    @lru_cache(maxsize=65_536)  # noqa: B019 - the dialects are singletons
    def resource(self, text: str, *, removing: bool = False) -> Language:
        """A policy variable may stand for anything: the pattern is bounded from above, equal texts are equal."""
        if not _VARIABLE.search(text):
            return Language((glob(text),))
        bound = _VARIABLE.sub("*", text)
        return Language((glob(bound),), opaque=f"resource {text}")

    def fold_action(self, text: str) -> str:
        return text.lower()

    def exact_resource(self, resource: str) -> str | None:
        return None if "${" in resource else super().exact_resource(resource)

    def resolve(self, opaque: str, text: str, context: Mapping[str, Any] | None) -> bool | None:
        """Put the context's values in place of the variables; an unset variable leaves it open."""
        values = {key.lower(): value for key, value in (context or {}).items()}
        tokens: list[Token] = []
        rest = opaque.removeprefix("resource ")
        while found := _VARIABLE.search(rest):
            name = found.group()[2:-1]
            value = name if name in ("*", "?", "$") else values.get(name.lower())
            if not isinstance(value, str):
                return None
            tokens += [*glob(rest[: found.start()]).tokens, *exact(value).tokens]
            rest = rest[found.end() :]
        return Pattern((*tokens, *glob(rest).tokens)).matches(text)

    def classes(self, action: str, resource: str) -> frozenset[str]:
        return _classes_of(action)

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        listed = list(actions)
        services = {action.partition(":")[0].lower() for action in listed}
        return "admin" if "*" in services else segment_of_service(services)

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        plain = [_PLAIN[action.lower()] for action in actions if action.lower() in _PLAIN]
        others = tuple(action for action in actions if action.lower() not in _PLAIN)
        verbs = [*plain, *(_spoken(others) if others else [])]
        return f"{join_words(verbs)} {_thing(resource)}"


_EXEMPLARS = {"admin": ADMIN, "secret_read": SECRETS, "external_send": SENDS}


# The same few action patterns stand in every policy of an account, and each is compared with some hundred names.
@lru_cache(maxsize=8_192)
def _classes_of(action: str) -> frozenset[str]:
    pattern = glob(action.lower())
    found = {kind for kind, names in _EXEMPLARS.items() if any(pattern.matches(name) for name in names)}
    return frozenset(found | _by_verb(action, pattern))


def _by_verb(action: str, pattern: Pattern) -> set[str]:
    name = action.partition(":")[2] or action
    lead = re.match(r"[A-Za-z]*", name)
    verb = lead.group().lower() if lead else ""
    whole = len(verb) == len(name)
    if verb.startswith(READ_VERBS):
        return {"read"}
    for start, kind in WRITE_VERBS.items():
        if verb.startswith(start):
            return {kind}
    # An unknown verb may change things; a bare wildcard may do all of it.
    return {"write"} if whole else {"read", "write", "destructive"}


_SERVICES = {
    "s3": "storage", "sqs": "queue", "sns": "topic", "dynamodb": "table", "lambda": "function", "iam": "identity",
    "secretsmanager": "secret", "kms": "key", "ssm": "parameter", "rds": "database",
}  # fmt: skip


_PLAIN = {
    "s3:getobject": "read", "s3:putobject": "write", "s3:deleteobject": "delete", "s3:listbucket": "list",
    "sqs:sendmessage": "send messages to", "sqs:receivemessage": "receive messages from",
    "sqs:deletemessage": "delete messages from", "sns:publish": "publish to", "sts:assumerole": "become",
    "secretsmanager:getsecretvalue": "read the secret value of", "kms:decrypt": "decrypt with",
    "kms:encrypt": "encrypt with", "lambda:invokefunction": "call", "iam:passrole": "hand over",
}  # fmt: skip


def _spoken(actions: tuple[str, ...]) -> list[str]:
    if "*" in actions:
        return ["do everything on"]
    spoken = []
    for action in actions:
        service, _, name = action.partition(":")
        if name == "*":
            spoken.append(f"do everything in {service} on")
        else:
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().replace("*", "…")
            spoken.append(f"{service} {words}")
    return spoken if spoken[-1].endswith(" on") else [*spoken[:-1], f"{spoken[-1]} on"]


def _thing(resource: str) -> str:
    if resource == "*":
        return "everything in the account"
    fields = resource.split(":", 5)
    if len(fields) < 6 or fields[0] != "arn":
        return resource
    service, name = fields[2], fields[5]
    if service == "s3":
        bucket, slash, key = name.partition("/")
        if not slash:
            return f"bucket {bucket}"
        return f"every object in bucket {bucket}" if key == "*" else f"object {key} in bucket {bucket}"
    kind, _, rest = name.replace(":", "/", 1).partition("/")
    return f"{kind} {rest}" if rest else f"{_SERVICES.get(service, service)} {name}"


def from_policy_document(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """The statements of an IAM policy document (already decoded JSON).

    Statements naming a principal get a condition that the kernel does not interpret, so that nothing is proved across
    different principals. Raises ValueError naming what cannot be read.
    """
    listed = document.get("Statement") if isinstance(document, Mapping) else None
    if isinstance(listed, Mapping):
        listed = [listed]
    if not isinstance(listed, list):
        raise ValueError("a policy document needs a Statement")
    return tuple(_statement(entry, f"/Statement/{index}") for index, entry in enumerate(listed))


def _statement(entry: Any, where: str) -> Statement:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is no object")
    effect = entry.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise ValueError(f"{where}/Effect must be Allow or Deny")
    conditions = []
    for operator, block in _mapping(entry.get("Condition", {}), f"{where}/Condition").items():
        for key, values in _mapping(block, f"{where}/Condition/{operator}").items():
            conditions.append(Condition(operator, key, _texts(values, f"{where}/Condition/{operator}/{key}")))
    for word in ("Principal", "NotPrincipal"):
        if word in entry:
            conditions.append(Condition(word, "principal", _principals(entry[word], f"{where}/{word}")))
    return Statement(
        actions=_patterns(entry, "Action", where),
        resources=_patterns(entry, "Resource", where),
        effect="allow" if effect == "Allow" else "deny",
        conditions=tuple(conditions),
    )


def _patterns(entry: Mapping[str, Any], word: str, where: str) -> PatternSet:
    if word in entry:
        return PatternSet(_texts(entry[word], f"{where}/{word}"))
    if f"Not{word}" in entry:
        return PatternSet(("*",), _texts(entry[f"Not{word}"], f"{where}/Not{word}"))
    if word == "Resource":  # resource policies and trust policies leave it out: it is the object they hang on
        return PatternSet(("*",))
    raise ValueError(f"{where} needs {word} or Not{word}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is no object")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    texts = []
    for item in listed:
        if isinstance(item, bool):
            texts.append("true" if item else "false")
        elif isinstance(item, str | int | float):
            texts.append(str(item))
        else:
            raise ValueError(f"{where} is no text")
    return tuple(dict.fromkeys(texts))


def _principals(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(
        f"{kind}:{name}" for kind, names in _mapping(value, where).items() for name in _texts(names, f"{where}/{kind}")
    )


def expiry_of(statement: Statement) -> datetime | None:
    """The moment a `DateLessThan aws:CurrentTime` condition ends the statement, if it has a plain one."""
    for condition in statement.conditions:
        if condition.operator == "DateLessThan" and condition.key.lower() == "aws:currenttime":
            try:
                moment = datetime.fromisoformat(condition.values[0])
            except ValueError:
                return None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
