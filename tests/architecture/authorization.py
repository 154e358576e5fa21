"""The table of who may do what: read it, compare with it, print it as docs/authorization.md.

`authorization.toml` is written by people and reviewed like code; the test beside it asks the product whether it is true.
After changing the table, `python -m tests.architecture.authorization` writes the page anew.
"""

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.urls import URLPattern, URLResolver, get_resolver

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "governance.settings")
    django.setup()

from governance.people.access import SCOPES

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("authorization.toml")
DOCUMENT = ROOT / "docs" / "authorization.md"

ROLES = ("administrator", "campaign manager", "reviewer", "owner", "auditor")
PEOPLE = (*ROLES, "mail link")
SIGNED_OUT = "signed out"
VISITORS = (SIGNED_OUT, *PEOPLE)
RELATIONS = ("own", "other")
METHODS = ("get", "post", "put", "patch", "delete")

# Who is let in: pairs of somebody (a role, "signed out", or a scope) and whose object it is.
Entry = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One named address. `parameters` are the names in its path."""

    name: str
    route: str
    parameters: tuple[str, ...]
    callback: Any

    @property
    def is_api(self) -> bool:
        return self.route.startswith("api/v1/") and self.name != "openapi"


def walk(patterns: Any = None, namespace: str = "", route: str = "") -> Iterator[Endpoint]:
    """Every address of the product. Addresses without a name are those that are closed on purpose."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from walk(pattern.url_patterns, inner, here)
        elif isinstance(pattern, URLPattern) and pattern.name:
            parameters = tuple(pattern.pattern.converters) or tuple(pattern.pattern.regex.groupindex)
            yield Endpoint(namespace + pattern.name, here, parameters, pattern.callback)


def read_table() -> dict[str, dict[str, list[str]]]:
    """`{"identities:identity_list": {"get": ["signed in"]}}`, pages and API together."""
    table = tomllib.loads(TABLE.read_text())
    return {**table["pages"], **table["api"]}


def expand(who: list[str]) -> Entry:
    """The words of the table as pairs. Raises ValueError for a word that means nobody."""
    groups = {"everybody": VISITORS, "signed in": PEOPLE}
    found = set()
    for word in who:
        name, _, relation = word.partition(": ")
        if relation not in ("", *RELATIONS):
            raise ValueError(f"{word!r}: write “name”, “name: own” or “name: other”")
        members = groups.get(name, (name,))
        if name not in VISITORS and name not in groups and name not in SCOPES:
            raise ValueError(f"{word!r} is no role, group or scope")
        found |= {(member, kind) for member in members for kind in ([relation] if relation else RELATIONS)}
    return frozenset(found)


def contract(entry: Entry) -> list[str]:
    """The shortest words for a set of pairs: what to write into the table."""
    whole = {name for name, kind in entry if (name, "own") in entry and (name, "other") in entry}
    partly = {name for name, kind in entry if kind == "own"} - whole
    if whole >= set(VISITORS):
        return ["everybody"]
    words = _named(whole) + [f"{word}: own" for word in _named(partly)]
    # Somebody who gets at the objects of others, but not at their own (nobody reviews themself).
    return words + [f"{name}: other" for name, kind in sorted(entry) if kind == "other" and name not in whole]


def _named(names: set[str]) -> list[str]:
    if names >= set(PEOPLE):
        return ["signed in"]
    order = {name: place for place, name in enumerate(VISITORS)}
    return sorted(names, key=lambda name: (order.get(name, 99), name))


def line(method: str, entry: Entry) -> str:
    """One line of the table."""
    return f"{method} = {json.dumps(contract(entry))}"


def document() -> str:
    """docs/authorization.md."""
    table, endpoints = read_table(), list(walk())
    pages = [endpoint for endpoint in endpoints if not endpoint.is_api]
    public = [endpoint for endpoint in pages if ["everybody"] in table[endpoint.name].values()]
    lines = [INTRODUCTION, "| page | method | " + " | ".join(PEOPLE) + " |", "|---|---|" + ":-:|" * len(PEOPLE)]
    for endpoint in pages:
        if endpoint in public:
            continue
        for method, who in table[endpoint.name].items():
            cells = " | ".join(_cell(expand(who), person) for person in PEOPLE)
            lines.append(f"| `{_address(endpoint)}` | {method.upper()} | {cells} |")
    lines += [
        "",
        PUBLIC,
        *(f"- `{_address(endpoint)}`" for endpoint in public),
        "",
        API,
        "| address | method | scope |",
    ]
    lines.append("|---|---|---|")
    for endpoint in endpoints:
        if endpoint.is_api:
            for method, who in table[endpoint.name].items():
                scopes = ", ".join(f"`{word}`" for word in who) or "none: people only"
                lines.append(f"| `{_address(endpoint)}` | {method.upper()} | {scopes} |")
    return "\n".join(lines) + "\n"


def _cell(entry: Entry, person: str) -> str:
    kinds = {kind for name, kind in entry if name == person}
    return "yes" if kinds == set(RELATIONS) else "own" if kinds == {"own"} else "others’" if kinds else "–"


def _address(endpoint: Endpoint) -> str:
    route = endpoint.route
    for kind in ("uuid", "slug", "str"):
        route = route.replace(f"<{kind}:", "{")
    return "/" + route.replace(">", "}").replace("^", "").replace("$", "").split("(?P")[0]


INTRODUCTION = """# Who may do what

Made from `tests/architecture/authorization.toml`. A test asks every address of the product, as every role, with an object
of one's own and with somebody else's, and fails where this page is not true, where an address is missing here, and where a
line here leads nowhere. So this page is complete.

- **yes**: for every object. **own**: only for one's own: an identity or source that one owns, a question that one is
  asked, a review that one manages, an order on something of one's own, one's own account. **others’**: all but one's own. **–**: refused (403), absent
  (404: absent and not yours look alike), or sent to sign in.
- A role says which pages open. What happens there is decided again by the use case behind it: an administrator who is not
  asked a question cannot answer it, and nobody decides alone on privileged access of their own (see `reviews.md`).
- A person can hold several roles; they add up. *mail link* is an administrator and owner who came by a link from a mail:
  such a session answers questions and never administers.
- Every page but those under *Open to everybody* asks for a session; every form carries a token against forged requests.

## Pages
"""

PUBLIC = """## Open to everybody

They show no data of the inventory: the ways in, health, descriptions.
"""

API = """## REST API

By bearer token alone; the session of a browser is refused. A token has scopes and no roles. Decisions are made by people:
no scope allows a program to answer a question.
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document())
