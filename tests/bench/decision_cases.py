"""Principals, their grants and questions, in the words of each engine: Remit's permissions, Cedar's text, Casbin's lines.

Everything is drawn from a seed. What is drawn can be said in all three: literal names, names with a fixed beginning, one
attribute of the context that must have a value, permits and forbids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

SEED = 20_261_127
ACTIONS = ("read", "write", "list", "delete", "create", "update", "share", "export", "approve", "cancel", "send", "run")
ENVIRONMENTS = ("prod", "test", "dev")
ROLES = 500
"""Grants that many principals hold alike."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One grant: these actions on a resource, or on all that begin so, where the environment is this one, if any."""

    actions: tuple[str, ...]
    resource: str
    environment: str = ""
    is_deny: bool = False

    @property
    def beginning(self) -> str:
        return self.resource.removesuffix("*") if self.resource.endswith("*") else ""

    def document(self) -> dict[str, Any]:
        """As a permission of Remit."""
        statement: dict[str, Any] = {"actions": list(self.actions), "resources": [self.resource]}
        if self.environment:
            statement["conditions"] = [{"operator": "StringEquals", "key": "context.env", "values": [self.environment]}]
        if self.is_deny:
            statement["effect"] = "deny"
        return {"dialect": "authzen", "statements": [statement]}

    def cedar(self, principal: str) -> str:
        """As a policy of Cedar."""
        actions = ", ".join(f'Action::"{action}"' for action in self.actions)
        resource = "resource" if self.beginning else f'resource == Resource::"{self.resource}"'
        tests = [f'context.resource like "{self.resource}"'] if self.beginning else []
        tests += [f'context.env == "{self.environment}"'] if self.environment else []
        when = f" when {{ {' && '.join(tests)} }}" if tests else ""
        effect = "forbid" if self.is_deny else "permit"
        return f'{effect}(principal == Agent::"{principal}", action in [{actions}], {resource}){when};'

    def casbin(self, principal: str) -> list[list[str]]:
        """As lines of Casbin."""
        effect = "deny" if self.is_deny else "allow"
        return [[principal, self.resource, action, self.environment or "*", effect] for action in self.actions]


@dataclass(frozen=True, slots=True)
class Question:
    """May this principal do this on that, in this environment?"""

    principal: str
    action: str
    resource: str
    environment: str

    def request(self) -> Any:
        """As Remit's request."""
        from identities.pdp.requests import Request

        kind, _, identifier = self.resource.partition(":")
        return Request(
            subject_type="identity", subject_id=self.principal, action=self.action, resource_type=kind,
            resource_id=identifier, context={"env": self.environment},
        )  # fmt: skip

    def cedar(self) -> dict[str, Any]:
        return {
            "principal": f'Agent::"{self.principal}"',
            "action": f'Action::"{self.action}"',
            "resource": f'Resource::"{self.resource}"',
            "context": {"env": self.environment, "resource": self.resource},
        }

    def casbin(self) -> list[str]:
        return [self.principal, self.resource, self.action, self.environment]

    def body(self) -> dict[str, Any]:
        """As AuthZEN asks."""
        kind, _, identifier = self.resource.partition(":")
        return {
            "subject": {"type": "identity", "id": self.principal},
            "action": {"name": self.action},
            "resource": {"type": kind, "id": identifier},
            "context": {"env": self.environment},
        }


def name_of(number: int) -> str:
    return f"agent-{number:06d}"


def rules_of(number: int, grants: int = 20) -> list[Rule]:
    """The grants of one principal: most from roles that others hold too, a few of its own, now and then a forbid."""
    random = Random(SEED * 1_000_003 + number)
    rules = [_role(random.randrange(ROLES)) for _ in range(grants - 5)]
    for place in range(4):
        own = f"table:ledger{number % 997}/t{place}-{number}"
        rules.append(Rule(_some(random), own if place % 2 else f"{own}*", random.choice(("", "", *ENVIRONMENTS))))
    is_deny = random.random() < 0.3
    rules.append(Rule(_some(random), f"queue:q{random.randrange(ROLES)}*", is_deny=is_deny))
    return rules


@cache
def _role(number: int) -> Rule:
    random = Random(SEED + number)
    resource = f"queue:q{number}"
    return Rule(_some(random), f"{resource}/*" if number % 3 else resource, random.choice(("", "", "", *ENVIRONMENTS)))


def _some(random: Random) -> tuple[str, ...]:
    return tuple(random.sample(ACTIONS, random.randint(1, 4)))


def questions_of(number: int, rules: Sequence[Rule], count: int, random: Random) -> Iterator[Question]:
    """Questions of one principal: half of them near what it holds, half at random."""
    for _ in range(count):
        if random.random() < 0.5:
            rule = random.choice(rules)
            action, resource = random.choice(rule.actions), rule.resource.replace("*", f"x{random.randrange(9)}")
        else:
            action, resource = random.choice(ACTIONS), f"queue:q{random.randrange(ROLES)}/x{random.randrange(9)}"
        yield Question(name_of(number), action, resource, random.choice(ENVIRONMENTS))


def permits(rules: Sequence[Rule], asked: Question) -> bool:
    """What the words mean, written down once more without any engine."""

    def speaks(rule: Rule) -> bool:
        fits = asked.resource.startswith(rule.beginning) if rule.beginning else asked.resource == rule.resource
        return fits and asked.action in rule.actions and rule.environment in ("", asked.environment)

    speaking = [rule for rule in rules if speaks(rule)]
    return bool(speaking) and not any(rule.is_deny for rule in speaking)
