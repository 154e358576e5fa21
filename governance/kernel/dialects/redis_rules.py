"""Ordered ACL rules folded left into the set of commands that they allow, as Redis does it.

The order counts: `+@all -@dangerous +flushall` allows flushall. A word such as `config` carries its second words along;
`-config|set` takes what `+config` gave, and nothing where nothing was given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from governance.kernel.dialects import redis_commands as built_in


class UnknownRule(ValueError):
    """A rule that this catalogue does not know, so what the list allows cannot be told."""


@dataclass(frozen=True)
class Catalogue:
    """categories: the categories of every command, words with second words (`containers`) included."""

    categories: Mapping[str, frozenset[str]]
    containers: Mapping[str, frozenset[str]]

    @property
    def commands(self) -> frozenset[str]:
        """What can be called: everything but the containers themselves."""
        return frozenset(self.categories) - frozenset(self.containers)

    def named(self, word: str) -> frozenset[str]:
        """The commands that a word stands for: itself, or its second words."""
        return self.containers.get(word, frozenset({word}))

    def of_category(self, category: str) -> frozenset[str]:
        found = [name for name, categories in self.categories.items() if category in categories]
        if not found:
            raise UnknownRule(f"there is no category @{category}")
        return frozenset().union(*map(self.named, found))


def catalogue_of(categories: Mapping[str, Iterable[str]]) -> Catalogue:
    """A catalogue from the categories of each command, containers included."""
    listed = {name: frozenset(found) for name, found in categories.items()}
    containers: dict[str, set[str]] = {}
    for name in listed:
        word, bar, _ = name.partition("|")
        if bar:
            containers.setdefault(word, set()).add(name)
    return Catalogue(listed, {word: frozenset(found) for word, found in containers.items()})


def _built_in() -> Catalogue:
    categories: dict[str, set[str]] = {}
    for category, names in built_in.CATEGORIES.items():
        for name in names:
            categories.setdefault(name, set()).add(category)
    return catalogue_of(categories)


BUILT_IN = _built_in()


@dataclass(frozen=True, slots=True)
class Commands:
    """What a list of rules comes to. is_open: commands that the catalogue does not know yet are allowed too.

    first_words: commands allowed with this first argument only, written `command|argument`.
    """

    allowed: frozenset[str]
    is_open: bool = False
    first_words: frozenset[str] = field(default_factory=frozenset)

    def within(self, other: "Commands") -> bool:
        """Whether everything allowed here is allowed there."""
        words = {each for each in self.first_words if each.partition("|")[0] not in other.allowed}
        return self.allowed <= other.allowed and self.is_open <= other.is_open and words <= other.first_words


def fold(rules: Iterable[str], catalogue: Catalogue = BUILT_IN) -> Commands:
    """Rules such as `+@all`, `-@dangerous`, `+config|get`, in their order. Raises UnknownRule."""
    allowed: set[str] = set()
    first_words: set[str] = set()
    is_open = False
    for rule in rules:
        sign, word = rule[:1], rule[1:].lower()
        if rule.lower() in ("allcommands", "nocommands"):
            sign, word = ("+" if rule.lower() == "allcommands" else "-"), "@all"
        if sign not in ("+", "-") or not word:
            raise UnknownRule(f"{rule[:60]!r} is no rule about commands")
        if word == "@all":
            is_open = sign == "+"
            allowed = set(catalogue.commands) if is_open else set()
            first_words.clear()
            continue
        meant = _meant(word, catalogue)
        if meant is None:
            if sign == "-" or word.partition("|")[0] not in catalogue.categories:
                raise UnknownRule(f"there is no command {word!r}")
            first_words |= {word} if word.partition("|")[0] not in allowed else set()
            continue
        first_words = {each for each in first_words if each.partition("|")[0] not in meant}
        allowed = allowed | meant if sign == "+" else allowed - meant
    return Commands(frozenset(allowed), is_open, frozenset(first_words))


def _meant(word: str, catalogue: Catalogue) -> frozenset[str] | None:
    """The commands of a category or a name; None for a command with a first argument."""
    if word.startswith("@"):
        return catalogue.of_category(word[1:])
    if word in catalogue.categories:
        return catalogue.named(word)
    if "|" in word:
        return None
    raise UnknownRule(f"there is no command {word!r}")
