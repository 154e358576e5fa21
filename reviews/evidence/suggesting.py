"""Where choosing can start: targets that somebody proposed, that were recommended, or that right-sizing finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.kernel.permissions import Permission
from governance.kernel.rightsizing import STYLES
from reviews.evidence.observing import Observed
from reviews.recommend import suggest

PROPOSED, RECOMMENDED = "proposed", "recommended"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One start for choosing. style: proposed, recommended, or one of the styles of right-sizing."""

    style: str
    target: Permission


def suggestions_of(
    held: Permission, observed: Observed, now: datetime, first: Mapping[str, Any] | None = None
) -> list[Suggestion]:
    """What was used and what nobody could have seen, in each style; nothing where that is nothing smaller.

    first: documents that go before them, by style. Each content once, under the first name that it has.
    """
    listed = [Suggestion(name, Permission.from_json(each)) for name, each in (first or {}).items() if each]
    facts = observed.facts(held, now)
    listed += [Suggestion(name, found) for name in STYLES if (found := suggest(facts, name)) is not None]
    distinct: dict[bytes, Suggestion] = {}
    for each in listed:
        distinct.setdefault(each.target.digest(), each)
    return list(distinct.values())
