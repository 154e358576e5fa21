"""Many rows of a list as somebody picked them: by the list's filter, or one by one."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from governance.kernel.errors import DomainError
from identities.selectors.filters import InventoryFilter


class SelectionChanged(DomainError):
    """Between preview and act something selected changed, or others match by now."""

    code = "selection-changed"
    status = 412
    title = "The selection changed since you saw it"


@dataclass(frozen=True, slots=True)
class Selection:
    """Those that match `filters`, or, without a filter, those named by `ids`."""

    filters: InventoryFilter | None = None
    ids: tuple[UUID, ...] = ()

    @classmethod
    def matching(cls, text: str) -> "Selection":
        """All that match the filter's text. Raises InvalidFilter."""
        return cls(filters=InventoryFilter.parse(text))

    @classmethod
    def named(cls, ids: Iterable[UUID]) -> "Selection":
        """These, each once."""
        return cls(ids=tuple(dict.fromkeys(ids)))
