"""Pages of a search: a token that says where to go on, bound to the question it belongs to.

The token is signed and holds a hash of everything that was asked, so that it opens no other question.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.core import signing

from identities.pdp.authzen.wire import Malformed

MOST_RESULTS = 1_000
_SALT = "identities.pdp.authzen.paging"


@dataclass(frozen=True, slots=True)
class Page:
    """What of a search is asked for. after: where the last page ended, empty at the start. is_asked: by the caller."""

    limit: int
    after: str
    is_asked: bool
    question: str

    def next_token(self, after: str) -> str:
        """The token of the page behind this place."""
        return signing.dumps({"q": self.question, "a": after, "l": self.limit}, salt=_SALT, compress=False)


def read_page(body: Mapping[str, Any], *, kind: str, domain: str) -> Page:
    """The page that a search asks for. Raises `Malformed`: also for a token that belongs to another question."""
    page = body.get("page")
    if page is None:
        page = {}
    if not isinstance(page, dict):
        raise Malformed("page must be an object.")
    limit = _limit(page.get("limit"))
    question = _question(body, page, kind, domain)
    token = page.get("token")
    if token is None or token == "":
        return Page(limit or MOST_RESULTS, "", is_asked=limit is not None, question=question)
    held = _opened(token)
    if held.get("q") != question or (limit is not None and limit != held.get("l")):
        raise Malformed(
            "page.token belongs to another request; repeat that request with nothing but the token changed."
        )
    return Page(held["l"], held["a"], is_asked=True, question=question)


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Malformed("page.limit must be a whole number from 1.")
    return min(value, MOST_RESULTS)


def _opened(token: Any) -> dict[str, Any]:
    if not isinstance(token, str) or len(token) > 1_000:
        raise Malformed("page.token must be a text that an earlier answer held.")
    try:
        return dict(signing.loads(token, salt=_SALT))
    except (signing.BadSignature, ValueError, TypeError):
        raise Malformed("page.token is none that was issued here.") from None


def _question(body: Mapping[str, Any], page: Mapping[str, Any], kind: str, domain: str) -> str:
    """A hash of the request without what may differ between its pages."""
    asked = {name: body.get(name) for name in ("subject", "action", "resource", "context")}
    written = json.dumps([kind, domain, asked, page.get("properties")], sort_keys=True, separators=(",", ":"))
    return blake2b(written.encode(), digest_size=16).hexdigest()
