"""Lists declared as columns: which can be sorted, which are shown, what the header links to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.http import QueryDict

from governance.web.pagination import SortKey


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `sort` is the queryset path to order by; empty means the column cannot be sorted.

    `nullable` sort columns keep their empty values at the end in both directions. `is_crossed`: the index behind the
    order goes down in this column while it goes up in the key. `then` are further columns of the order before the key;
    a minus marks those that go down while this column goes up. `essential` columns cannot be hidden; `shown` is the
    choice before a person made one.
    """

    name: str
    label: str
    sort: str = ""
    css: str = ""
    numeric: bool = False
    nullable: bool = False
    is_crossed: bool = False
    then: tuple[str, ...] = ()
    essential: bool = False
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Header:
    """A header cell ready to print. `url` is empty where nothing can be sorted."""

    name: str
    label: str
    css: str
    url: str = ""
    aria_sort: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True)
class BoundTable:
    """A table as one request wants it."""

    headers: list[Header]
    shown: list[str]
    choices: list[tuple[Column, bool]]
    sort_keys: tuple[SortKey, ...]
    sort: str

    @property
    def shows(self) -> dict[str, bool]:
        """For templates: asking by name per cell is many times cheaper than comparing with every column's name."""
        return dict.fromkeys(self.shown, True)


class Table:
    """Columns plus a default order, e.g. `Table([...], default_sort="-exposure")`.

    The order always ends with the primary key, so it is total and a cursor can rely on it.
    """

    def __init__(self, columns: Iterable[Column], *, default_sort: str, unique: str = "pk") -> None:
        self.columns = list(columns)
        self.default_sort = default_sort
        self.unique = unique
        self._sortable = {column.name: column for column in self.columns if column.sort}

    def bind(self, query: QueryDict) -> BoundTable:
        """Read `sort` and `cols` from the query string. Unknown names are ignored, never passed to the database."""
        sort = query.get("sort", "")
        if sort.removeprefix("-") not in self._sortable:
            sort = self.default_sort
        shown = self._shown(query.getlist("cols"))
        return BoundTable(
            headers=[self._header(column, sort, query) for column in self.columns if column.name in shown],
            shown=shown,
            choices=[(column, column.name in shown) for column in self.columns if not column.essential],
            sort_keys=self._keys(sort),
            sort=sort,
        )

    def _shown(self, asked: Sequence[str]) -> list[str]:
        names = {name for part in asked for name in part.split(",")}
        known = names & {column.name for column in self.columns}
        return [
            column.name
            for column in self.columns
            if column.essential or (column.name in known if known else column.shown)
        ]

    def _keys(self, sort: str) -> tuple[SortKey, ...]:
        column = self._sortable[sort.removeprefix("-")]
        descending = sort.startswith("-")
        keys = [SortKey(column.sort, descending=descending, nullable=column.nullable)]
        for further in column.then:
            keys.append(SortKey(further.removeprefix("-"), descending=descending != further.startswith("-")))
        if column.sort != self.unique:
            # Both directions together turn round, so that one index serves both ways.
            keys.append(SortKey(self.unique, descending=descending != column.is_crossed))
        return tuple(keys)

    def _header(self, column: Column, sort: str, query: QueryDict) -> Header:
        css = " ".join(part for part in (column.css, "num" if column.numeric else "") if part)
        if not column.sort:
            return Header(column.name, column.label, css)
        current = sort.removeprefix("-") == column.name
        descending = sort.startswith("-")
        params = query.copy()
        # Numbers are usually wanted largest first; a second click turns the order round.
        first = f"-{column.name}" if column.numeric else column.name
        opposite = column.name if descending else f"-{column.name}"
        params["sort"] = opposite if current else first
        params.pop("cursor", None)
        return Header(
            column.name,
            column.label,
            css,
            url="?" + params.urlencode(),
            aria_sort=("descending" if descending else "ascending") if current else "",
            icon=("arrow-down" if descending else "arrow-up") if current else "",
        )
