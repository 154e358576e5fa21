"""Where a page stands: the rail marks the place that the way back leads to, and every page stands somewhere."""

import re
from typing import Any

import pytest
from django.urls import reverse

from governance.web.navigation import place_of
from tests.architecture import authorization
from tests.architecture.authorization import Endpoint
from tests.architecture.conftest import World
from tests.architecture.test_authorization_matrix import ask

PAGES = [endpoint for endpoint in authorization.walk() if not endpoint.is_api]
# What is about the product as a whole, and belongs to none of its places.
NOWHERE = {"console:problems", "console:styleguide", "api_docs"}
RAIL = re.compile(r'<header class="rail.*?</header>', re.DOTALL)
MARKED = re.compile(r'<a[^>]*href="([^"]*)"[^>]*aria-current="page"')
WAY_BACK = re.compile(r'<nav class="breadcrumbs.*?href="([^"]*)"', re.DOTALL)


@pytest.mark.parametrize("endpoint", PAGES, ids=lambda endpoint: endpoint.name)
def test_the_rail_marks_the_place_that_a_page_belongs_to(endpoint: Endpoint, world: World, undone: Any) -> None:
    with undone():
        response = ask(world, endpoint, "get", "administrator", "own", None)
    if response.streaming or response.status_code != 200 or endpoint.name in NOWHERE:
        return
    page = response.content.decode()
    rail, way_back = RAIL.search(page), WAY_BACK.search(page)
    if rail is None:
        return  # a piece of a page, or no page

    marked = set(MARKED.findall(rail[0]))
    assert len(marked) == 1
    if way_back and not endpoint.parameters:  # a page about one object may lead back to the object
        place = place_of(way_back[1])
        assert place is not None and marked == {reverse(place.url_name)}
