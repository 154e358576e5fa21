"""Ways to narrow an AWS permission a little, at random but repeatable."""

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from governance.kernel.permissions import Condition, PatternSet, Permission, Statement

_WILD = re.compile(r"(?<!\$\{)\*")  # "${*}" is a star, not a wildcard
REGION = Condition("StringEquals", "aws:RequestedRegion", ("eu-west-1",))
Narrowing = tuple[str, Permission]
"""How it was narrowed (`dropped`, `named`, `fixed`, `conditioned`), and what is left."""


def narrowings(held: Permission, random: Random) -> list[Narrowing]:
    """Up to four of each allowing statement, in random order. Most are strict; another statement may give it all again."""
    found = [
        (kind, Permission(held.dialect, (*held.statements[:index], fewer, *held.statements[index + 1 :])))
        for index, statement in enumerate(held.statements)
        if statement.effect == "allow"
        for kind, fewer in _of_statement(statement, random)
    ]
    random.shuffle(found)
    return found


def _of_statement(statement: Statement, random: Random) -> Iterator[tuple[str, Statement]]:
    actions, resources = statement.actions, statement.resources
    if len(actions.include) > 1:
        place = random.randrange(len(actions.include))
        yield "dropped", replace(statement, actions=_put(actions, place, None))
    if (place := _wildcard(actions, random)) is not None:
        name = actions.include[place]
        named = (
            "s3:GetObject" if name == "*" else name.replace("*", f"Example{random.randrange(100)}").replace("?", "x")
        )
        yield "named", replace(statement, actions=_put(actions, place, named))
    if (place := _wildcard(resources, random)) is not None:
        name = resources.include[place]
        fixed = "arn:aws:s3:::ledger" if name == "*" else _WILD.sub(f"example{random.randrange(100)}", name)
        yield "fixed", replace(statement, resources=_put(resources, place, fixed))
    yield "conditioned", replace(statement, conditions=(*statement.conditions, REGION))


def _wildcard(patterns: PatternSet, random: Random) -> int | None:
    places = [place for place, text in enumerate(patterns.include) if _WILD.search(text)]
    return random.choice(places) if places else None


def _put(patterns: PatternSet, place: int, text: str | None) -> PatternSet:
    listed = list(patterns.include)
    listed[place : place + 1] = [] if text is None else [text]
    return replace(patterns, include=tuple(listed))
