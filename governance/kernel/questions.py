"""“Who could do X on Z”: reading the question, and what one permission has to say to it."""

from dataclasses import dataclass
from datetime import datetime

from governance.kernel import dialects
from governance.kernel.decisions import Rule, Stand, stand_of, undecided
from governance.kernel.dialects.interface import join_words
from governance.kernel.dialects.postgresql import DEPTH
from governance.kernel.documents import MAX_PATTERN_LENGTH, Permission
from governance.kernel.errors import DomainError
from governance.kernel.heads import Heads, heads_of_request
from governance.kernel.sets import Depends
from governance.kernel.wording import condition_words

# How a resource of each dialect begins; scopes name theirs as they like.
_SIGNS = {
    "postgresql": tuple(f"{kind}:" for kind in DEPTH),
    "aws": ("arn:",),
    "kubernetes": ("api:", "url:"),
    "rabbitmq": ("vhost:", "broker:"),
    "tools": ("server:",),
    "redis": ("read:", "write:", "channel:"),
}


class InvalidQuestion(DomainError):
    """Nothing could be looked up: a part is missing, means several things at once, or cannot exist in that system."""

    code = "invalid-question"
    status = 400
    title = "This question can't be answered"


@dataclass(frozen=True, slots=True)
class Question:
    """One action on one resource, in the words of one dialect."""

    dialect: str
    action: str
    resource: str

    @property
    def heads(self) -> Heads:
        """What the net of known permissions is asked for."""
        return heads_of_request(self.dialect, self.action, self.resource)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one permission says. The sentences name what an undecided part hangs on."""

    stand: Stand
    allowed_if: tuple[str, ...] = ()
    denied_if: tuple[str, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether the permission has nothing to say to the question."""
        return self.stand.allows is False and self.stand.denies is False


def read_question(action: str, resource: str, dialect: str = "") -> Question:
    """The question in its one form; without a dialect, the form of the resource tells it. Raises InvalidQuestion."""
    action, resource = action.strip(), resource.strip()
    for name, text in (("action", action), ("resource", resource)):
        if not text:
            raise InvalidQuestion(f"Name one {name}.", field=name)
        if len(text) > MAX_PATTERN_LENGTH or not text.isprintable():
            raise InvalidQuestion(f"The {name} is too long or holds characters that no name has.", field=name)
    if dialect and dialect not in dialects.DIALECTS:
        raise InvalidQuestion(f"There is no dialect {dialect[:40]!r}. Known: {_known()}.", field="dialect")
    dialect = dialect or _recognised(action, resource)
    if dialect == "postgresql":
        action = action.upper()
    _require_one(dialect, action, resource)
    return Question(dialect, action, resource)


def find(question: Question, permission: Permission, at: datetime) -> Finding:
    """What this permission says at a moment, nothing being known of how the request is made."""
    if permission.dialect != question.dialect:
        return Finding(Stand(allows=False, denies=False))
    request = (question.action, question.resource)
    stand = stand_of(permission, *request, at=at)
    if stand.allows is not None and stand.denies is not None:
        return Finding(stand)
    hanging = undecided(permission, *request, at=at)
    return Finding(
        stand,
        allowed_if=_sayings(question, [rule for rule in hanging if rule.statement.effect == "allow"]),
        denied_if=_sayings(question, [rule for rule in hanging if rule.statement.effect == "deny"]),
    )


def _known() -> str:
    return ", ".join(dialects.DIALECTS)


def _recognised(action: str, resource: str) -> str:
    for name, signs in _SIGNS.items():
        if resource.startswith(signs):
            spoken = dialects.get(name)
            fault = spoken.action_fault(action.upper() if name == "postgresql" else action)
            if not (fault or spoken.resource_fault(resource)):
                return name
    if resource == "*" and ":" in action:
        return "aws"
    raise InvalidQuestion(
        f"Which system is meant cannot be told from “{resource[:100]}”: name one of {_known()}.", field="dialect"
    )


def _require_one(dialect: str, action: str, resource: str) -> None:
    spoken = dialects.get(dialect)
    if "*" in action or "?" in action:
        raise InvalidQuestion("Ask about one action; a pattern such as s3:* is many.", field="action")
    if "*" in resource and not (dialect == "aws" and resource == "*"):
        raise InvalidQuestion("Ask about one resource; a pattern with * is many.", field="resource")
    if fault := spoken.action_fault(action):
        raise InvalidQuestion(f"{fault}.", field="action")
    if fault := spoken.resource_fault(resource):
        raise InvalidQuestion(f"{fault[:1].upper()}{fault[1:]}.", field="resource")
    if not spoken.makes_sense(action, resource):
        raise InvalidQuestion(f"{spoken.title} has no {action} on {resource[:100]}.", field="action")


def _sayings(question: Question, rules: list[Rule]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_saying(question, rule) for rule in rules))


def _saying(question: Question, rule: Rule) -> str:
    spoken = dialects.get(question.dialect)
    parts = []
    for member in (
        rule.actions.membership(spoken.fold_action(question.action)),
        rule.resources.membership(spoken.fold_resource(question.resource)),
    ):
        if isinstance(member, Depends):
            parts += [f"“{name.partition(' ')[2]}” stands for it" for name in sorted(member.includes)]
            parts += [f"“{name.partition(' ')[2]}” does not stand for it" for name in sorted(member.excludes)]
    parts += [condition_words(each) for each in rule.statement.conditions]
    return join_words(parts)
