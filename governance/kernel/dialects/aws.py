"""AWS IAM: action globs without case, resource globs with case; a `*` spans everything, colons and slashes too."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from governance.kernel import variables
from governance.kernel.conditions import PartlyKnown, values_of
from governance.kernel.dialects.aws_actions import (
    ADMIN,
    ANY_OTHER_SERVICE,
    KNOWN,
    READ_VERBS,
    SECRETS,
    SEGMENT_OF_SERVICE,
    SENDS,
    WRITE_VERBS,
    segment_of_service,
)
from governance.kernel.dialects.interface import ENOUGH, Beginning, Dialect, Language, gathered_by, join_words
from governance.kernel.patterns import Pattern, fixed_beginning, glob
from governance.kernel.statements import Condition, PatternSet, Statement


class AWS(Dialect):
    name = "aws"
    title = "AWS IAM"
    known_actions = KNOWN
    known_resources = ("arn:aws:s3:::example/example", "arn:aws:s3:::example", "arn:aws:example:eu-west-1:1:example")

    @lru_cache(maxsize=65_536)  # noqa: B019 - the dialects are singletons
    def action(self, text: str, *, removing: bool = False) -> Language:
        return Language((glob(text.lower()),))

    @lru_cache(maxsize=65_536)  # noqa: B019
    def resource(self, text: str, *, removing: bool = False) -> Language:
        """A policy variable may stand for anything: the pattern is bounded from above, equal texts are equal."""
        if not variables.is_open(text):
            return Language((variables.bound(text) if "${" in text else glob(text),))
        return Language((variables.bound(text),), opaque=f"resource {text}", template=text)

    def action_beginnings(self, text: str, *, removing: bool = False) -> Iterable[Beginning]:
        return (fixed_beginning(text.lower()),)

    def resource_beginnings(self, text: str, *, removing: bool = False) -> Iterable[Beginning]:
        if "${" in text:
            return super().resource_beginnings(text, removing=removing)
        return (fixed_beginning(text),)

    def fold_action(self, text: str) -> str:
        return text.lower()

    def exact_resource(self, resource: str) -> str | None:
        return None if "${" in resource else super().exact_resource(resource)

    def resolve(self, opaque: str, text: str, context: Mapping[str, Any] | None) -> bool | None:
        """Put the context's values in place of the variables; a pattern with one that is not set matches nothing."""
        if context is None:
            return None

        def lookup(name: str) -> str | None:
            found = values_of(context, name)
            return found[0] if found and len(found) == 1 else None

        pattern = variables.filled(opaque.removeprefix("resource "), lookup)
        if pattern is None:
            return None if isinstance(context, PartlyKnown) else False
        return pattern.matches(text)

    def implies(self, first: str, second: str) -> bool:
        return variables.covers(second.removeprefix("resource "), first.removeprefix("resource "))

    def solve(self, opaque: str, action: str, resource: str, known: Mapping[str, str]) -> dict[str, str] | None:
        return variables.solved(opaque.removeprefix("resource "), resource, known)

    def no_such_action(self, action: str) -> str:
        return _no_such_action(action)

    def family(self, action: str) -> str:
        return action.partition(":")[0].lower()

    def family_members(self, family: str) -> tuple[str, ...]:
        """Patterns by the verb a name begins with, and the names that are known one by one."""
        verbs = (f"{family}:{verb}*" for verb in _VERBS)
        return (*verbs, *(each for each in _CATALOGUE.values() if each.lower().startswith(f"{family}:")))

    def gathered(self, resources: list[str]) -> Iterable[tuple[str, list[str]]]:
        """By paths inside one named thing: objects of a bucket, streams of a log group."""
        return gathered_by(resources, _shortened)

    def gathered_actions(self, actions: list[str]) -> Iterable[tuple[str, list[str]]]:
        """Names with the same first words; two are enough where they share more than the verb."""
        found: dict[str, list[str]] = {}
        for action in actions:
            service, _, name = action.partition(":")
            words = _WORD.findall(name)
            for number in range(1, len(words)):
                found.setdefault(f"{service}:{''.join(words[:number])}*", []).append(action)
            if words and "*" not in name and "?" not in name:
                found.setdefault(f"{service}:{name}*", []).append(action)
        fitting = [
            (pattern, members)
            for pattern, members in found.items()
            if len(members) >= (2 if len(_WORD.findall(pattern.partition(":")[2])) > 1 else ENOUGH)
        ]
        return sorted(fitting, key=lambda each: (-len(each[0]), each[0]))

    def classes(self, action: str, resource: str) -> frozenset[str]:
        return _classes_of(action)

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        listed = list(actions)
        services = {action.partition(":")[0].lower() for action in listed}
        return "admin" if "*" in services else segment_of_service(services)

    def reached(self, statement: Statement) -> set[str]:
        """A wildcard for services reaches all those of the resources, or all there are, but what is spared whole."""
        services = {action.partition(":")[0].lower() for action in statement.actions.include}
        wild = frozenset(each for each in services if "*" in each or "?" in each)
        found = {SEGMENT_OF_SERVICE.get(each, "apis") for each in services - wild}
        if wild:
            found |= _reached_through(wild, statement.actions.exclude, _services_of(statement.resources.include))
        return found

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        plain = [_PLAIN[action.lower()] for action in actions if action.lower() in _PLAIN]
        others = tuple(action for action in actions if action.lower() not in _PLAIN)
        verbs = [*plain, *(_spoken(others) if others else [])]
        return f"{join_words(verbs)} {_thing(resource)}"


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[^A-Za-z0-9]+")
_CATALOGUE = {each.lower(): each for each in (*ADMIN, *SECRETS, *SENDS, *KNOWN)}
_VERBS = tuple("BatchGet" if verb == "batchget" else verb.capitalize() for verb in (*READ_VERBS, *WRITE_VERBS))


# The same few wildcards stand in every policy of an account.
@lru_cache(maxsize=4_096)
def _reached_through(wild: frozenset[str], spared: tuple[str, ...], places: frozenset[str] | None) -> frozenset[str]:
    """Segments of the services that these patterns of services mean, but for those that are spared whole."""
    meant = [glob(each) for each in wild]
    left_out = [glob(text.lower()) for text in spared]
    return frozenset(
        SEGMENT_OF_SERVICE.get(each, "apis")
        for each in (places if places is not None else (*SEGMENT_OF_SERVICE, ANY_OTHER_SERVICE))
        if (each == ANY_OTHER_SERVICE or any(pattern.matches(each) for pattern in meant))
        and not any(pattern.covers(glob(f"{each}:*")) for pattern in left_out)
    )


def _services_of(resources: Iterable[str]) -> frozenset[str] | None:
    """The services that these resources belong to; None where one of them may belong to any."""
    named = frozenset(resource.split(":")[2] if resource.count(":") >= 5 else "*" for resource in resources)
    return None if any(set(each) & set("*?$") for each in named) else named


def _shortened(resource: str) -> Iterable[str]:
    """`arn:…:::bucket/a/b` as `bucket/a/*` and `bucket/*`: never less than one whole name."""
    fields = resource.split(":", 5)
    if len(fields) < 6 or "*" in resource or "?" in resource:
        return
    head, name = ":".join(fields[:5]), fields[5]
    for place in range(len(name) - 1, 0, -1):
        if name[place] in "/:" and name[:place].strip("/:"):
            yield f"{head}:{name[: place + 1]}*"


def _no_such_action(action: str) -> str:
    """By form, or by being one letter away from a name that is known."""
    if action == "*":
        return ""
    service, colon, name = action.partition(":")
    if any(char.isspace() or char == "," for char in action):
        return "no action has a blank or a comma in its name"
    if not (colon and service and name):
        return "no action has this form; expected service:Name"
    folded = action.lower()
    if "*" in action or "?" in action or folded in _CATALOGUE:
        return ""
    meant = next((each for each in _CATALOGUE if _is_one_letter_off(folded, each)), None)
    return f"looks like a misspelling of {_CATALOGUE[meant]}" if meant else ""


def _is_one_letter_off(left: str, right: str) -> bool:
    """Whether one letter inside the name was lost, added, changed or swapped with its neighbour; never its last one.

    The end is where real names differ: `ListUser` is not, `GetParameter` and `GetParameters` are both names.
    """
    if abs(len(left) - len(right)) > 1 or left[:3] != right[:3] or left[-1] != right[-1]:
        return False
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    if start is None or left.partition(":")[0] != right.partition(":")[0]:
        return False
    rest, other = left[start:], right[start:]
    swapped = rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return swapped or rest[1:] == other or rest == other[1:] or rest[1:] == other[1:]


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
            spoken.append(f"{service} {_words_of(name)}")
    return spoken if spoken[-1].endswith(" on") else [*spoken[:-1], f"{spoken[-1]} on"]


_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=8_192)
def _words_of(name: str) -> str:
    return _NEXT_WORD.sub(" ", name).lower().replace("*", "…")


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
        if condition.operator == "DateLessThan" and condition.key.lower() == "aws:currenttime" and condition.values:
            try:
                moment = datetime.fromisoformat(condition.values[0])
            except ValueError:
                return None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
