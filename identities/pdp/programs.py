"""Permissions made ready for being asked thousands of times a second.

The kernel compiles a permission so that anything can be asked of it. Here each rule keeps no more than one request
needs, in the smallest form that answers it: literal names as a set or a short tuple, fixed beginnings as such, and the
kernel's own set for everything else. What the kernel says is what these say; tests compare the two on generated cases.
"""

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Protocol, cast

from governance.kernel.conditions import Context, evaluate, parse_operator
from governance.kernel.decisions import Program as Compiled
from governance.kernel.decisions import Rule, compile_permission, resolve_membership
from governance.kernel.dialects import Dialect
from governance.kernel.documents import Permission
from governance.kernel.patterns import ANY, Pattern
from governance.kernel.sets import CompiledSet
from governance.kernel.statements import Condition

# So many names are found faster by going through them than by hashing, and take a third of the memory.
FEW = 3


class Beginnings:
    """Every text that begins with one of these."""

    __slots__ = ("starts",)

    def __init__(self, starts: tuple[str, ...]) -> None:
        self.starts = starts

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and text.startswith(self.starts)


class Asked:
    """Any other set: contains what is or may be a member; `certainty` says which of the two."""

    __slots__ = ("compiled",)

    def __init__(self, compiled: CompiledSet) -> None:
        self.compiled = compiled

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and self.compiled.membership(text) is not False

    def certainty(self, dialect: Dialect, text: str, context: Context) -> bool | None:
        """Whether a contained text is a member, where the context can tell."""
        return resolve_membership(dialect, self.compiled.membership(text), text, context)


class Around(Protocol):
    """What conditions look at. known: attributes of the request, of which absence is known. partly: the same for what
    sources call otherwise, of which it is not.
    """

    @property
    def known(self) -> Context: ...

    @property
    def partly(self) -> Context: ...

    def value(self, key: str) -> str | list[str] | None:
        """What `known` holds under this key."""


class Test:
    """One condition. The commonest form, a text that must be one of some, is answered here; others by the kernel."""

    __slots__ = ("condition", "key", "values")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.key = condition.key.lower()
        self.values: frozenset[str] | None = None
        operator = parse_operator(condition.operator)
        if (
            operator is not None
            and (operator.sort, operator.relation) == ("text", "equals")
            and not (operator.negated or operator.if_exists or operator.qualifier)
            and not any("$" in value for value in condition.values)
        ):
            self.values = frozenset(condition.values)

    def holds(self, around: "Around") -> bool | None:
        """Whether the condition holds there; None where that cannot be known."""
        if self.values is not None:
            value = around.value(self.key)
            if type(value) is str:
                return value in self.values
        return evaluate(self.condition, around.known if self.key.startswith(ATTRIBUTES) else around.partly)

    def is_absent_from(self, around: "Around") -> bool:
        return around.value(self.key) is None


ATTRIBUTES = ("subject.", "resource.", "action.", "context.")


class FastRule:
    """One rule: `actions` and `resources` contain what concerns it, `tests` and `until` say when it applies."""

    __slots__ = ("actions", "is_deny", "is_open", "is_plain", "resources", "starts", "tests", "until")

    def __init__(self, rule: Rule) -> None:
        self.is_deny = rule.statement.effect == "deny"
        self.actions = _shrunk(rule.actions)
        self.resources = _shrunk(rule.resources)
        self.starts = self.resources.starts if isinstance(self.resources, Beginnings) else None
        self.tests = tuple(Test(each) for each in sorted(rule.conditions))
        self.until: datetime | None = rule.until
        self.is_open = isinstance(self.actions, Asked) or isinstance(self.resources, Asked)
        self.is_plain = not (self.tests or self.until or self.is_open)

    def is_certain(self, dialect: Dialect, action: str, resource: str, partly: Context) -> bool | None:
        """Whether a rule that contains both names really concerns them."""
        found: bool | None = True
        for side, text in ((self.actions, action), (self.resources, resource)):
            if isinstance(side, Asked):
                member = side.certainty(dialect, text, partly)
                if member is False:
                    return False
                found = found if member else None
        return found


class Program:
    """A permission as fast rules. size: bytes it takes, estimated from above."""

    __slots__ = ("dialect", "rules", "size")

    def __init__(self, permission: Permission) -> None:
        self._take(compile_permission(permission))

    @classmethod
    def of(cls, compiled: Compiled) -> "Program":
        """Of one that the kernel has compiled; its rules in the same order, those that allow first."""
        made = cls.__new__(cls)
        made._take(compiled)
        return made

    def _take(self, compiled: Compiled) -> None:
        self.dialect = compiled.dialect
        self.rules = tuple(FastRule(rule) for rule in (*compiled.allows, *compiled.denies))
        self.size = 160 + sum(_size_of(rule) for rule in self.rules)


def _shrunk(compiled: CompiledSet) -> Container[str]:
    side = compiled.include
    if compiled.source.exclude or side.opaque:
        return Asked(compiled)
    patterns = [pattern for language in side.languages for pattern in language.patterns]
    texts = sorted({pattern.prefix for pattern in patterns if pattern.is_literal})
    open_ = [pattern for pattern in patterns if not pattern.is_literal]
    if not open_:
        return _interned(texts)
    if not texts and all(map(_is_beginning, open_)):
        return Beginnings(tuple(sorted({pattern.prefix for pattern in open_})))
    return Asked(compiled)


def _is_beginning(pattern: Pattern) -> bool:
    """Whether the pattern is a fixed text and anything after it."""
    return len(pattern.tokens) == len(pattern.prefix) + 1 and pattern.tokens[-1] == ANY


_known_sets: dict[tuple[str, ...], Container[str]] = {}
_MOST_KNOWN = 50_000


def _interned(texts: Iterable[str]) -> Container[str]:
    """The same object for the same names: the names of actions come again and again."""
    key = tuple(texts)
    found = _known_sets.get(key)
    if found is None:
        found = key if len(key) <= FEW else frozenset(key)
        if len(_known_sets) < _MOST_KNOWN:
            _known_sets[key] = found
    return found


def _size_of(rule: FastRule) -> int:
    total = 150 + sum(250 + sum(60 + len(value) for value in test.condition.values) for test in rule.tests)
    for side in (rule.actions, rule.resources):
        if isinstance(side, Asked):
            source = side.compiled.source
            total += 400 + sum(400 + 10 * len(text) for text in (*source.include, *source.exclude))
        elif isinstance(side, Beginnings):
            total += 110 + sum(60 + len(start) for start in side.starts)
        else:
            total += 60 + sum(60 + len(text) for text in cast(Iterable[str], side))
    return total
