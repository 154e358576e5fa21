"""“May it, then, and after this?”: a question tried on what was held at a moment, or would be after a narrowing.

The decision point answers for now and by everything that is governed; this answers by grants and conditions alone, for
any moment that the inventory remembers, and with some grants replaced. It changes nothing and decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from governance.kernel.conditions import PartlyKnown
from governance.kernel.decisions import Answer, Stand, concerning, stand_of, together
from governance.kernel.permissions import Permission, describe
from governance.kernel.questions import Question
from identities.models import GrantVersion, Identity
from identities.selectors.as_of import access_as_of

MOST_GRANTS = 5_000


@dataclass(frozen=True, slots=True)
class Speaking:
    """One grant that has something to say to the question.

    effect: "allow" or "deny". is_certain: False where it hangs on what the question leaves open. words: the deciding
    statements, in plain words. is_replaced: whether this is what a narrowing would leave of it.
    """

    grant_id: UUID
    label: str
    source: str
    path: Sequence[Mapping[str, Any]]
    effect: str
    is_certain: bool
    words: tuple[str, ...]
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """The answer of all grants together, and those that speak: denials first, then what is certain."""

    answer: Answer
    speaking: tuple[Speaking, ...]
    looked_at: int
    is_cut: bool


def try_question(
    *,
    identity: Identity,
    question: Question,
    at: datetime,
    context: Mapping[str, str] | None = None,
    replaced: Mapping[UUID, Permission | None] | None = None,
) -> Tried:
    """Ask everything that the identity held at that moment. Three queries.

    context: what is known of the request; other attributes may be set or not. replaced: by grant, what would be left of
    it, None for nothing.
    """
    known = PartlyKnown(context or {})
    instead = replaced or {}
    versions = list(access_as_of(identity, at)[: MOST_GRANTS + 1])
    stands: list[Stand] = []
    speaking: list[Speaking] = []
    for version in versions[:MOST_GRANTS]:
        is_replaced = version.grant_id in instead
        permission = instead[version.grant_id] if is_replaced else Permission.from_json(version.permission)
        if permission is None or permission.dialect != question.dialect:
            continue
        stands.append(stand_of(permission, question.action, question.resource, known, at))
        speaking += _speaking(version, permission, question, known, at, is_replaced)
    speaking.sort(key=lambda each: (each.effect != "deny", not each.is_certain))
    return Tried(together(stands), tuple(speaking), min(len(versions), MOST_GRANTS), len(versions) > MOST_GRANTS)


def _speaking(
    version: GrantVersion, permission: Permission, question: Question, known: PartlyKnown, at: datetime, replaced: bool
) -> list[Speaking]:
    found: dict[tuple[str, bool], list[str]] = {}
    for rule, applies in concerning(permission, question.action, question.resource, known, at):
        key = (str(rule.statement.effect), applies is True)
        found.setdefault(key, []).extend(describe(Permission(permission.dialect, (rule.statement,))))
    grant = version.grant
    return [
        Speaking(
            grant_id=grant.pk,
            label=grant.label,
            source=grant.source.name,
            path=grant.path,
            effect=effect,
            is_certain=is_certain,
            words=tuple(dict.fromkeys(words)),
            is_replaced=replaced,
        )
        for (effect, is_certain), words in found.items()
    ]
