"""Every page of the product, with real things on it: no name of an element stands twice, no form asks the same twice."""

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.architecture import authorization
from tests.architecture.authorization import RELATIONS, Endpoint
from tests.architecture.conftest import World
from tests.architecture.test_authorization_matrix import ask

PAGES = [endpoint for endpoint in authorization.walk() if not endpoint.is_api]
WHO = ("administrator", "owner")
# Several of one name are one question, or none.
ASKED_ONCE = {"input", "select", "textarea"}
TOGETHER = {"radio", "checkbox", "hidden", "submit", "file"}
# Parts of a page that a screen reader lists by name, where they have one; two of one name cannot be told apart.
LANDMARKS = {"section": "region", "nav": "navigation", "aside": "complementary", "form": "form"}
HEADINGS = {"h1", "h2", "h3", "h4"}


class Names(HTMLParser):
    """Ids of a document, what each of its forms asks for, and what its landmarks are called."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.asked: list[Counter[str]] = []
        self.landmarks: list[tuple[str, str, str]] = []
        self.headings: dict[str, str] = {}
        self._heading = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        self.ids[given.get("id") or ""] += 1
        role = given.get("role") or LANDMARKS.get(tag)
        if role in LANDMARKS.values():
            self.landmarks.append((role, given.get("aria-label") or "", given.get("aria-labelledby") or ""))
        if tag in HEADINGS:
            self._heading = given.get("id") or ""
        if tag == "form":
            self.asked.append(Counter())
        if tag in ASKED_ONCE and given.get("name") and given.get("type") not in TOGETHER and "form" not in given:
            self.asked[-1:] and self.asked[-1].update([given["name"]])

    def handle_data(self, data: str) -> None:
        if self._heading:
            self.headings[self._heading] = self.headings.get(self._heading, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS:
            self._heading = ""

    def twice(self) -> Iterator[str]:
        yield from (f"#{name}" for name, count in self.ids.items() if name and count > 1)
        for form in self.asked:
            yield from (f"asked twice: {name}" for name, count in form.items() if count > 1)
        called = Counter((role, label or self.headings.get(by, "")) for role, label, by in self.landmarks)
        yield from (f"{role}: {name}" for (role, name), count in called.items() if name and count > 1)


@pytest.mark.parametrize("endpoint", PAGES, ids=lambda endpoint: endpoint.name)
def test_no_name_stands_twice_in_a_page(endpoint: Endpoint, world: World, undone: Any) -> None:
    for who in WHO:
        for relation in RELATIONS:
            with undone():
                response = ask(world, endpoint, "get", who, relation, None)
            if response.streaming or not response["Content-Type"].startswith("text/html"):
                return
            names = Names()
            names.feed(response.content.decode())

            assert list(names.twice()) == [], (who, relation)
