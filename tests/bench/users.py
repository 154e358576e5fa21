"""The people and programs of the mixed load, each a thread that remembers what it was told.

What a client was told (a run applied, a decision taken) must be true after the worst; what it was not told may be
either, but never half. So each keeps its acknowledged facts, and the one request that was under way at the end.
"""

import gzip
import http.client
import json
import random
import re
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.bench.client import Answer, Client, csrf_of, sign_in
from tests.bench.estate import estate_lines

Records = dict[tuple[str, str], dict[str, Any]]
ERRORS_SHOWN = 20
BROKEN = (OSError, http.client.HTTPException)
_ITEM = re.compile(r'href="(/reviews/items/[0-9a-f-]{36}/)"')
_VERSION = re.compile(r'name="version" value="(\d+)"')


@dataclass
class Log:
    """What all threads report to, in one place. `is_down`: the product was killed, failures are expected."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    is_down: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, kind: str, ms: float) -> None:
        with self.lock:
            self.times[kind].append(ms)
            self.counts[kind] += 1

    def note(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def error(self, text: str) -> None:
        with self.lock:
            if not self.is_down:
                self.errors.append(f"{time.strftime('%H:%M:%S')} {text[:500]}")
                if len(self.errors) <= ERRORS_SHOWN:
                    print(f"           error: {self.errors[-1]}", flush=True)

    def take_times(self) -> dict[str, list[float]]:
        """Milliseconds by kind since the last call."""
        with self.lock:
            taken, self.times = self.times, defaultdict(list)
        return taken


class User(threading.Thread):
    """Does one thing after the other until told to stop. Sub-classes say what one thing is."""

    pause = 1.0

    def __init__(self, name: str, port: int, log: Log, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.port, self.log, self.stopping = port, log, stop
        self.chance = random.Random(name)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.act()
            except BROKEN as error:
                self.log.error(f"{self.name}: the connection broke: {type(error).__name__} {error}")
                self.stopping.wait(1)
            except Exception as error:
                self.log.error(f"{self.name}: {type(error).__name__}: {error}")
                self.stopping.wait(1)
            self.stopping.wait(self.pause * self.chance.uniform(0.5, 1.5))

    def act(self) -> None:
        raise NotImplementedError

    def checked(self, kind: str, answer: Answer, *expected: int) -> Answer:
        """Note the time; anything unexpected is an error."""
        self.log.took(kind, answer.ms)
        if answer.status not in (expected or (200,)):
            self.log.error(f"{self.name}: {kind} answered {answer.status}: {answer.text[:300]}")
        return answer


@dataclass(frozen=True, slots=True)
class Sending:
    """One push, repeatable: the same key and bytes."""

    key: str
    query: str
    body: bytes
    is_packed: bool
    result: Records


class Pusher(User):
    """A sync client of one source: full snapshots, snapshots with 1 % changed, deltas; now and then packed."""

    pause = 3.0

    def __init__(self, source: str, grants: int, token: str, *rest: Any) -> None:
        super().__init__(f"pusher of {source}", *rest)
        self.source, self.token = source, token
        self.client = Client(self.port, token=token, timeout=300)
        lines = map(json.loads, estate_lines(grants=grants, prefix=f"{source}-", seed=len(source)))
        first = {(line["type"], line["id"]): line for line in lines}
        self.known: Records = {}
        self.acknowledged: list[str] = []
        self.pending: Sending | None = self._snapshot(first)
        self.number = 0

    def act(self) -> None:
        if self.pending is None:
            self.number += 1
            self.pending = self._next()
        self.send()

    def send(self) -> bool:
        """Send what is pending until the answer is definite; a broken connection leaves it pending."""
        sending = self.pending
        assert sending is not None
        headers = {"Idempotency-Key": sending.key} | ({"Content-Encoding": "gzip"} if sending.is_packed else {})
        path = f"/api/v1/sources/{self.source}/syncs/?{sending.query}"
        answer = self.client.post(path, sending.body, "application/x-ndjson", **headers)
        if answer.status in (409, 429, 503):
            self.log.note(f"push told to wait ({answer.status})")
            self.stopping.wait(float(answer.headers.get("Retry-After", 2)))
            return False
        self.checked("push", answer, 201)
        if answer.status == 201:
            self.known = sending.result
            self.acknowledged.append(sending.key)
        self.pending = None
        return answer.status == 201

    def _next(self) -> Sending:
        turn = self.number % 4
        if turn == 0:
            return self._snapshot(dict(self.known))
        changed, removed = self._changes()
        if turn in (1, 3):
            return self._snapshot({**self.known, **changed}, removed)
        return self._delta(changed, removed)

    def _changes(self) -> tuple[Records, list[tuple[str, str]]]:
        """About 1 % of the grants: four fifths get another label, a tenth goes, a tenth is new."""
        keys = [key for key in self.known if key[0] == "grant"]
        chosen = self.chance.sample(keys, max(10, len(keys) // 100))
        changed = {key: self.known[key] | {"label": f"Changed {self.number} {key[1][-8:]}"} for key in chosen}
        removed = chosen[: len(chosen) // 10]
        for key in removed:
            new = changed.pop(key)
            name = f"{new['identity']}/new-{self.number}-{uuid.UUID(int=self.chance.getrandbits(128))}"
            changed["grant", name] = new | {"id": name}
        return changed, removed

    def _snapshot(self, records: Records, removed: list[tuple[str, str]] | None = None) -> Sending:
        for key in removed or ():
            records.pop(key, None)
        lines = [*records.values(), {"type": "end", "records": len(records)}]
        return self._sending("mode=snapshot&complete=true", lines, records)

    def _delta(self, changed: Records, removed: list[tuple[str, str]]) -> Sending:
        lines = [*changed.values(), *({"type": "retire", "of": kind, "id": id} for kind, id in removed)]
        result = {key: value for key, value in {**self.known, **changed}.items() if key not in set(removed)}
        return self._sending("mode=delta", [*lines, {"type": "end", "records": len(lines)}], result)

    def _sending(self, query: str, lines: list[dict[str, Any]], result: Records) -> Sending:
        body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        is_packed = self.chance.random() < 0.5
        packed = gzip.compress(body, 6) if is_packed else body
        return Sending(str(uuid.uuid4()), query, packed, is_packed, result)


class Reviewer(User):
    """Looks at the inbox, opens a question, answers it; browses the inventory in between."""

    pause = 1.0
    pages = ("/", "/identities/", "/access/", "/sources/", "/identities/?q=ledger", "/orders/")

    def __init__(self, email: str, password: str, *rest: Any) -> None:
        super().__init__(email, *rest)
        self.email, self.password = email, password
        self.client = Client(self.port, timeout=60)
        self.acknowledged: list[tuple[str, str]] = []
        self.pending: tuple[str, str] | None = None
        self.missing: set[str] = set()

    def act(self) -> None:
        if not self.client.cookies.get("session"):
            sign_in(self.client, self.email, self.password)
        page = self.chance.choice([page for page in self.pages if page not in self.missing])
        answer = self.client.get(page)
        if answer.status == 404:
            self.missing.add(page)
        else:
            self.checked(f"page {page.partition('?')[0]}", answer)
        self._answer_one()

    def _answer_one(self) -> None:
        inbox = self.checked("page inbox", self.client.get("/inbox/"))
        addresses = sorted(set(_ITEM.findall(inbox.text)))
        if not addresses:
            self.log.note("inbox empty")
            return
        address = self.chance.choice(addresses)
        page = self.checked("page question", self.client.get(address))
        version = _VERSION.search(page.text)
        if not version:
            self.log.note("question without a form")
            return
        word = self.chance.choice(("approve", "approve", "approve", "revoke"))
        fields = {
            "answer": word,
            "version": version[1],
            "reason": "Looked at under load.",
            "csrfmiddlewaretoken": csrf_of(page),
        }
        self.pending = (address.split("/")[3], word)
        answer = self.client.post_form(f"{address}answer/", fields)
        if answer.status == 302:
            self.acknowledged.append(self.pending)
            self.log.took("decide", answer.ms)
        else:
            # The access changed under the reviewer's eyes, or they own it: refused as it should be.
            self.checked("decide refused", answer, 409, 412, 422, 403)
        self.pending = None


class Exporter(User):
    """Downloads whole lists."""

    pause = 15.0
    files = ("/identities.csv", "/access.csv", "/access.ndjson")

    def __init__(self, email: str, password: str, *rest: Any) -> None:
        super().__init__("exporter", *rest)
        self.email, self.password = email, password
        self.client = Client(self.port, timeout=300)
        self.missing: set[str] = set()

    def act(self) -> None:
        if not self.client.cookies.get("session"):
            sign_in(self.client, self.email, self.password)
        for file in self.files:
            if file in self.missing:
                continue
            began = time.perf_counter()
            status, lines = self.client.stream(file)
            if status == 404:
                self.missing.add(file)
                continue
            self.log.took(f"export {file}", (time.perf_counter() - began) * 1000)
            if status != 200 or lines < 2:
                self.log.error(f"{file} answered {status} with {lines} lines")


class Reader(User):
    """An API client that leafs through lists and follows the feed of changes without losing its place."""

    pause = 0.7

    def __init__(self, token: str, *rest: Any) -> None:
        super().__init__("API reader", *rest)
        self.client = Client(self.port, token=token, timeout=60)
        self.list = self.beginning = "/api/v1/identities/?limit=200"
        self.feed = "/api/v1/changes/?limit=500"
        self.seen: list[int] = []

    def act(self) -> None:
        document = self._page("API list", self.list)
        self.list = _path(document.get("next")) or self.beginning
        self.follow(1)

    def follow(self, pages: int) -> None:
        """Read the feed on, at most so many pages; an answer's `next` is kept for ever."""
        for _ in range(pages):
            document = self._page("API feed", self.feed)
            self.seen += [each["id"] for each in document.get("results", ())]
            self.feed = _path(document.get("next")) or self.feed
            if not document.get("has_more"):
                return

    def _page(self, kind: str, path: str) -> dict[str, Any]:
        answer = self.checked(kind, self.client.get(path))
        return dict(json.loads(answer.body)) if answer.status == 200 else {}


def _path(url: str | None) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


Making = Callable[[], list[User]]
