"""Taking permissions apart and putting them together."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Protocol

from governance.kernel import dialects
from governance.kernel.decisions import Answer, Rule, compile_permission, compile_statement, matches
from governance.kernel.dialects import Dialect, Language
from governance.kernel.documents import Permission
from governance.kernel.errors import DomainError
from governance.kernel.inclusion import includes
from governance.kernel.patterns import Pattern, representatives
from governance.kernel.sets import CompiledSet
from governance.kernel.statements import PatternSet, Statement


class _Read(Protocol):
    """`Dialect.action` or `Dialect.resource`."""

    def __call__(self, text: str, *, removing: bool = False) -> Language: ...


class NotExpressible(DomainError):
    """The result of an operation cannot be written as a permission of this dialect."""

    code = "not-expressible"
    title = "This cannot be written as a permission"


def union(first: Permission, second: Permission) -> Permission:
    """Statements of both. A deny of either side denies in the result, as it does at the sources."""
    if first.dialect != second.dialect:
        raise NotExpressible("Permissions of different kinds of sources cannot be joined.")
    return Permission(first.dialect, tuple(dict.fromkeys((*first.statements, *second.statements))))


def effective(permission: Permission) -> Permission:
    """The same permission with its denies worked into the allowing statements where that can be written.

    Denies that touch nothing disappear; denies under conditions or until a date stay as they are. So does the whole
    permission where the outcome cannot be proved to mean the same: rights that contain each other, denied in part.
    """
    if all(each.effect == "allow" for each in permission.statements):
        return permission
    worked_in = _work_denies_in(permission)
    same = includes(permission, worked_in).holds and includes(worked_in, permission).holds
    return worked_in if same else permission


def _work_denies_in(permission: Permission) -> Permission:
    dialect = dialects.get(permission.dialect)
    spelled = [each for statement in permission.statements for each in dialect.spelled(statement)]
    allows = [each for each in spelled if each.effect == "allow"]
    kept = []
    for deny in (each for each in spelled if each.effect == "deny"):
        try:
            allows = _cut_all(dialect, allows, deny)
        except NotExpressible:
            kept.append(deny)
    return Permission(permission.dialect, (*dict.fromkeys(allows), *kept))


def subtract(permission: Permission, removed: Permission) -> Permission:
    """What is left of a permission without what `removed` allows. Raises `NotExpressible`.

    Removing a part removes what contains it: without SELECT there is no ownership of the table left, but every other
    privilege that came with it.
    """
    if permission.dialect != removed.dialect:
        raise NotExpressible("Permissions of different kinds of sources cannot be subtracted.")
    taken = effective(removed).statements
    if any(each.effect == "deny" for each in taken):
        raise NotExpressible("What is removed holds a deny that cannot be worked in.")
    dialect = dialects.get(permission.dialect)
    left = [piece for each in permission.statements for piece in dialect.spelled(each)]
    for each in taken:
        left = _cut_all(dialect, left, each)
    return Permission(permission.dialect, tuple(dict.fromkeys(left)))


def _cut_all(dialect: Dialect, statements: list[Statement], removed: Statement) -> list[Statement]:
    """Every statement without what is removed. Raises NotExpressible."""
    if all(_are_apart(dialect, each, removed) for held in statements for each in (held, *dialect.implications(held))):
        return statements
    if removed.conditions or removed.until:
        raise NotExpressible("Only what is removed without conditions and for good can be subtracted.")
    left = [piece for each in statements for piece in _cut(dialect, each, removed)]
    for implied in (each for piece in left for each in dialect.implications(piece)):
        if not _are_apart(dialect, implied, removed):
            raise NotExpressible("What is removed would come back through a right that contains everything.")
    return left


def _are_apart(dialect: Dialect, statement: Statement, removed: Statement) -> bool:
    left = compile_statement(dialect.name, statement)
    right = compile_statement(dialect.name, replace(removed, effect="deny"))
    return left.actions.apart(right.actions) or left.resources.apart(right.resources)


def _cut(dialect: Dialect, statement: Statement, removed: Statement) -> Iterator[Statement]:
    """The statement without removed actions x resources: all other actions, and these actions elsewhere."""
    if statement.effect == "deny" or _are_apart(dialect, statement, removed):
        yield statement
        return
    for read, patterns in ((dialect.action, removed.actions), (dialect.resource, removed.resources)):
        if any(read(text) != read(text, removing=True) for text in patterns.exclude):
            # What is spared is smaller than what an exclude list would leave out: no list says that.
            raise NotExpressible("What is removed spares a right that others contain.")
    spelled = tuple(dict.fromkeys(name for text in statement.actions.include for name in dialect.spell_out(text)))
    actions = PatternSet(spelled, statement.actions.exclude)
    for outside in _without(dialect.action, actions, removed.actions, literal=dialect.literal_actions):
        yield replace(statement, actions=outside)
    inside = _common(dialect.action, actions, removed.actions, literal=dialect.literal_actions)
    if not inside.include:
        return
    for elsewhere in _without(dialect.resource, statement.resources, removed.resources, literal=False):
        yield replace(statement, actions=inside, resources=elsewhere)


def _without(read: _Read, held: PatternSet, removed: PatternSet, *, literal: bool) -> Iterator[PatternSet]:
    gone = [read(text, removing=True) for text in removed.include]
    left = []
    for text in held.include:
        language = read(text, removing=False)
        dropped = any(
            each.covers(language) or (literal and not each.opaque and each.may_contain(text)) for each in gone
        )
        if not dropped:
            left.append(text)
    touched = [
        text
        for text, each in zip(removed.include, gone, strict=True)
        if any(read(other, removing=False).overlaps(each) for other in left)
    ]
    if left:
        yield PatternSet(tuple(left), tuple(dict.fromkeys((*held.exclude, *touched))))
    if removed.exclude:
        spared = _common(read, held, PatternSet(removed.exclude), literal=literal)
        if spared.include:
            yield spared


def _common(read: _Read, held: PatternSet, removed: PatternSet, *, literal: bool) -> PatternSet:
    """What both sets hold, written with patterns of either. Raises NotExpressible where neither pattern will do."""
    found = []
    for text in held.include:
        language = read(text, removing=False)
        for other in removed.include:
            theirs = read(other, removing=True)
            if theirs.covers(language):
                found.append(text)
            elif literal and all(pattern.is_literal for pattern in theirs.patterns):
                # One right out of a list, and those that contain it: each name is a pattern of its own.
                found += [each.prefix for each in theirs.patterns if language.may_contain(each.prefix)]
            elif language.covers(read(other, removing=False)):
                found.append(other)
            elif language.overlaps(theirs):
                raise NotExpressible(f"The overlap of {text} and {other} cannot be written as one pattern.")
    return PatternSet(tuple(dict.fromkeys(found)), tuple(dict.fromkeys((*held.exclude, *removed.exclude))))


def intersects(first: Permission, second: Permission) -> bool:
    """Whether some request may be permitted by both. Conditions are taken as fulfilled: never a false no."""
    if first.dialect != second.dialect:
        return False
    left, right = compile_permission(first), compile_permission(second)
    denies = (*left.denies, *right.denies)
    return any(_meet(one, other, denies) for one in left.allows for other in right.allows)


def lets_through(permission: Permission, request: Rule, *, for_certain: bool = False) -> bool:
    """Whether some request of a compiled statement may be permitted. Conditions are taken as fulfilled.

    for_certain: whether some is permitted although no condition holds that would allow it, and each that would deny.
    """
    program = compile_permission(permission)
    allows, denies = program.allows, program.denies
    if for_certain:
        allows = tuple(rule for rule in allows if not rule.conditions)
        denies = tuple(replace(rule, is_plain=True) for rule in denies)
    return any(_lets_through(rule, request, denies) for rule in allows)


def _lets_through(rule: Rule, request: Rule, denies: tuple[Rule, ...]) -> bool:
    if request.actions.apart(rule.actions) or request.resources.apart(rule.resources):
        return False
    near = tuple(deny for deny in denies if not deny.actions.apart(request.actions))
    if near or rule.actions.exclude.languages or rule.resources.exclude.languages:
        return _meet(request, rule, near)
    return _share(request.actions, rule.actions) and _share(request.resources, rule.resources)


def _share(asked: CompiledSet, held: CompiledSet) -> bool:
    """Whether two sets without exclusions have a text in common."""
    if any(held.membership(text) is not False for text in asked.include.fixed):
        return True
    loose = [pattern for pattern in asked.targets() if not pattern.is_literal]
    return any(mine.overlaps(theirs) for mine in loose for theirs in held.targets())


def _meet(one: Rule, other: Rule, denies: tuple[Rule, ...]) -> bool:
    if one.actions.apart(other.actions) or one.resources.apart(other.resources):
        return False
    near = [rule for rule in denies if rule.is_plain]
    for action in _shared([one, other, *near], "actions"):
        hit = [rule for rule in near if rule.actions.membership(action) is True]
        for resource in _shared([one, other, *hit], "resources"):
            if not any(rule.resources.membership(resource) is True for rule in hit):
                return True
    return False


def _shared(rules: list[Rule], which: str) -> Iterator[str]:
    """Representative texts in the sets of the first two rules, telling apart the sets of the others."""
    one, other = getattr(rules[0], which), getattr(rules[1], which)
    patterns: list[Pattern] = [pattern for rule in rules for pattern in getattr(rule, which).patterns()]
    for target in one.targets():
        found = representatives(target, patterns)
        if not found.complete:
            yield target.sample()
        for text in found.texts:
            if one.membership(text) is not False and other.membership(text) is not False:
                yield text


def sample_requests(permission: Permission, limit: int = 100) -> list[tuple[str, str]]:
    """Concrete (action, resource) pairs that the permission lets through, every statement and pattern in turn.

    Literals stand for themselves, wildcards for a well-known name or the word "example". Pairs that only hold under
    conditions are among them.
    """
    dialect = dialects.get(permission.dialect)
    found: dict[tuple[str, str], None] = {}
    for statement in (rule.statement for rule in compile_permission(permission).allows):
        pairs = (
            (action, resource)
            for resource in _instances(dialect.resource, statement.resources, dialect.known_resources)
            for action in _instances(dialect.action, _spelled(dialect, statement.actions), dialect.known_actions)
        )
        for pair in pairs:
            if len(found) >= limit:
                return list(found)
            if dialect.makes_sense(*pair) and matches(permission, *pair) is not Answer.NO:
                found[pair] = None
    return list(found)


def _spelled(dialect: Dialect, actions: PatternSet) -> PatternSet:
    return PatternSet(tuple(dict.fromkeys(name for text in actions.include for name in dialect.spell_out(text))))


def _instances(read: _Read, patterns: PatternSet, known: tuple[str, ...]) -> list[str]:
    found: dict[str, None] = {}
    for text in patterns.include:
        language = read(text, removing=False)
        if not language.patterns:
            continue
        if language.patterns[0].is_literal:
            found[text if language.may_contain(text) else language.patterns[0].prefix] = None
            continue
        listed = [name for name in known if language.may_contain(name) or language.may_contain(name.lower())]
        found |= dict.fromkeys(islice(listed, 3) if listed else [language.patterns[0].sample()])
    return list(found)
