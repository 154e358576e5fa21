"""Lists: only declared columns reach the database, headers keep the filters."""

import pytest
from django.http import QueryDict

from governance.web.pagination import SortKey
from governance.web.tables import Column, Table

TABLE = Table(
    [
        Column("name", "Name", sort="name", essential=True),
        Column("exposure", "Exposure", sort="exposure_upper", numeric=True, nullable=True),
        Column("owner", "Owner"),
        Column("created", "Created", sort="created_at", shown=False),
    ],
    default_sort="-exposure",
)


@pytest.mark.parametrize("wanted", ["", "nope", "owner", "-password", "exposure_upper", "--name", "name,pk", "\x00"])
def test_an_order_that_is_not_declared_falls_back_to_the_default(wanted: str) -> None:
    query = QueryDict(mutable=True)
    query["sort"] = wanted

    assert TABLE.bind(query).sort_keys == (
        SortKey("exposure_upper", descending=True, nullable=True),
        SortKey("pk", descending=True),
    )


def test_a_declared_order_is_total() -> None:
    assert TABLE.bind(QueryDict("sort=name")).sort_keys == (SortKey("name"), SortKey("pk"))


def test_headers_turn_the_order_round_and_keep_filters_but_not_the_place() -> None:
    headers = {header.name: header for header in TABLE.bind(QueryDict("sort=name&kind=bot&kind=job&cursor=x")).headers}

    assert headers["name"].aria_sort == "ascending"
    assert headers["name"].url == "?sort=-name&kind=bot&kind=job"
    assert headers["exposure"].url == "?sort=-exposure&kind=bot&kind=job"
    assert headers["owner"].url == ""


def test_essential_columns_cannot_be_hidden_and_unknown_ones_do_not_appear() -> None:
    assert TABLE.bind(QueryDict("cols=owner,created,secret")).shown == ["name", "owner", "created"]
    assert TABLE.bind(QueryDict("cols=secret")).shown == ["name", "exposure", "owner"]
