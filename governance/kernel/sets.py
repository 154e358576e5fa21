"""Compiled sets of patterns: one membership, one set inside another, two sets apart, without comparing all with all."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from governance.kernel.dialects import Language
from governance.kernel.patterns import Pattern
from governance.kernel.statements import PatternSet

FEW = 6
"""Up to so many patterns are gone through one by one; beyond, they are found by their fixed beginnings."""


@dataclass(frozen=True, slots=True)
class Depends:
    """Membership that hangs on what some opaque patterns mean: (certain or one of includes) and none of excludes."""

    certain: bool
    includes: frozenset[str]
    excludes: frozenset[str]


Membership = bool | Depends


class _ByPrefix:
    """Open patterns, found by how they begin."""

    __slots__ = ("_by_prefix", "_lengths", "_ordered", "_starts", "patterns")

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self.patterns = patterns
        self._by_prefix: dict[str, list[Pattern]] | None = None

    def _build(self) -> dict[str, list[Pattern]]:
        if self._by_prefix is None:
            found: dict[str, list[Pattern]] = {}
            for pattern in self.patterns:
                found.setdefault(pattern.prefix, []).append(pattern)
            self._lengths = sorted({len(prefix) for prefix in found})
            self._starts = sorted(found)
            self._by_prefix = found
        return self._by_prefix

    def beginning_within(self, text: str) -> Iterable[Pattern]:
        """Those whose fixed beginning is a beginning of this text."""
        if len(self.patterns) <= FEW:
            return self.patterns
        found = self._build()
        return [
            pattern
            for length in self._lengths
            if length <= len(text)
            for pattern in found.get(text[:length], ())
        ]  # fmt: skip

    def compatible(self, prefix: str) -> Iterable[Pattern]:
        """Those that may share a text with a pattern that begins so."""
        if len(self.patterns) <= FEW:
            return self.patterns
        found = self._build()
        shorter = [p for n in self._lengths if n < len(prefix) for p in found.get(prefix[:n], ())]
        return [*shorter, *(p for start in _starting(self._starts, prefix) for p in found[start])]


def _starting(ordered: list[str], prefix: str) -> Iterator[str]:
    for place in range(bisect_left(ordered, prefix), len(ordered)):
        if not ordered[place].startswith(prefix):
            return
        yield ordered[place]


class Side:
    """The union of some languages, arranged so that many literals cost one look-up."""

    __slots__ = ("_bounds", "_loose", "_ordered", "fixed", "languages", "opaque")

    def __init__(self, languages: Iterable[Language]) -> None:
        self.languages = tuple(languages)
        fixed: list[str] = []
        open_: list[Pattern] = []
        opaque: list[Language] = []
        for each in self.languages:
            if each.opaque:
                opaque.append(each)
                continue
            for pattern in each.patterns:
                if pattern.is_literal:
                    fixed.append(pattern.prefix)
                else:
                    open_.append(pattern)
        self.fixed = frozenset(fixed)
        self.opaque = tuple(opaque)
        loose = tuple(open_)
        self._loose = _ByPrefix(loose)
        self._bounds = (
            _ByPrefix((*loose, *(pattern for each in self.opaque for pattern in each.patterns)))
            if self.opaque
            else self._loose
        )
        self._ordered: list[str] | None = None

    def has(self, text: str) -> bool:
        if text in self.fixed:
            return True
        return bool(self._loose.patterns) and any(p.matches(text) for p in self._loose.beginning_within(text))

    def maybe(self, text: str) -> frozenset[str]:
        return frozenset(each.opaque for each in self.opaque if each.may_contain(text))

    def covers(self, language: Language) -> bool:
        if self.opaque and any(each.covers(language) for each in self.opaque):
            return True
        return all(self.has_all_of(pattern) for pattern in language.patterns)

    def has_all_of(self, pattern: Pattern) -> bool:
        """Whether the pattern is seen to lie inside one of this side."""
        if pattern.is_literal:
            return self.has(pattern.prefix)
        return any(own.covers(pattern) for own in self._loose.beginning_within(pattern.prefix))

    def covers_side(self, other: "Side") -> bool:
        """The same for all languages of another side."""
        more = other.fixed - self.fixed
        if more and not (self._loose.patterns and all(self.has(text) for text in more)):
            return False
        if not all(self.has_all_of(pattern) for pattern in other._loose.patterns):
            return False
        return not other.opaque or all(self.covers(each) for each in other.opaque)

    def may_overlap(self, language: Language) -> bool:
        return any(True for pattern in language.patterns for _ in self.overlapping(pattern))

    def apart(self, other: "Side") -> bool:
        """Whether nothing of the other side can be in this one."""
        if self.fixed & other.fixed:
            return False
        if any(True for pattern in self._bounds.patterns for _ in other.overlapping(pattern)):
            return False
        return not any(True for pattern in other._bounds.patterns for _ in self._literals_in(pattern))

    def overlapping(self, target: Pattern) -> Iterator[Pattern | str]:
        """Every pattern (or literal text) of this side that may share something with the target."""
        if target.is_literal:
            if target.prefix in self.fixed:
                yield target.prefix
            yield from (p for p in self._bounds.beginning_within(target.prefix) if p.matches(target.prefix))
            return
        yield from self._literals_in(target)
        yield from (p for p in self._bounds.compatible(target.prefix) if p.may_overlap(target))

    def _literals_in(self, target: Pattern) -> Iterator[str]:
        if target.is_literal:
            yield from (target.prefix,) if target.prefix in self.fixed else ()
            return
        if len(self.fixed) <= FEW:
            yield from (text for text in self.fixed if target.matches(text))
            return
        if self._ordered is None:
            self._ordered = sorted(self.fixed)
        yield from (text for text in _starting(self._ordered, target.prefix) if target.matches(text))


_NOTHING = Side(())


class CompiledSet:
    """A pattern set that can be asked. It is read when it is first asked: most sets of a comparison never are."""

    __slots__ = ("_read", "exclude", "include", "source")
    include: Side
    exclude: Side

    def __init__(self, source: PatternSet, read: Callable[..., Language], *, removing: bool = False) -> None:
        """read: `Dialect.action` or `Dialect.resource`; what is excluded is read the other way round."""
        self.source = source
        self._read = (read, removing)

    def __getattr__(self, name: str) -> Side:
        read, removing = self._read
        if name == "include":
            self.include = Side([read(text, removing=removing) for text in self.source.include])
            return self.include
        if name == "exclude":
            texts = self.source.exclude
            self.exclude = Side([read(text, removing=not removing) for text in texts]) if texts else _NOTHING
            return self.exclude
        raise AttributeError(name)

    def membership(self, text: str) -> Membership:
        """Whether a (folded) text is in the set."""
        certain = self.include.has(text)
        maybe = frozenset() if certain or not self.include.opaque else self.include.maybe(text)
        if not (certain or maybe) or (self.exclude.languages and self.exclude.has(text)):
            return False
        doubts = self.exclude.maybe(text) if self.exclude.opaque else frozenset()
        return certain if not (maybe or doubts) else Depends(certain, maybe, doubts)

    def covers(self, other: "CompiledSet") -> bool:
        """Whether the other set is seen to lie inside this one, pattern by pattern. Sound, not complete."""
        if self is other:
            return True
        if self.source == other.source and self.include.languages == other.include.languages:
            return self.exclude.languages == other.exclude.languages
        if not self.include.covers_side(other.include):
            return False
        return all(other.exclude.covers(each) or not other.include.may_overlap(each) for each in self.exclude.languages)

    def apart(self, other: "CompiledSet") -> bool:
        """Whether the two sets are seen to have nothing in common. Sound, not complete."""
        if self.include.apart(other.include):
            return True
        if self.exclude.languages and all(self.exclude.covers(each) for each in other.include.languages):
            return True
        return bool(other.exclude.languages) and all(other.exclude.covers(each) for each in self.include.languages)

    def targets(self) -> list[Pattern]:
        """The patterns whose union bounds the set from above."""
        return list(dict.fromkeys(pattern for language in self.include.languages for pattern in language.patterns))

    def patterns(self) -> list[Pattern]:
        """Every pattern that decides about membership."""
        sides = (*self.include.languages, *self.exclude.languages)
        return list(dict.fromkeys(pattern for language in sides for pattern in language.patterns))

    def near(self, target: Pattern) -> Iterator[Pattern | str]:
        """Every pattern (or literal text) that decides about membership of something in the target."""
        yield from self.include.overlapping(target)
        yield from self.exclude.overlapping(target)
