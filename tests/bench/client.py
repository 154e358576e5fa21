"""A client with one keep-alive connection that measures from the first byte sent to the last byte read."""

import http.client
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.bench.report import percentile

IDLE_SECONDS = 15.0
_CSRF = re.compile(r'name="csrfmiddlewaretoken"\s+value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """ms: milliseconds until the body was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    ms: float

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Client:
    """Requests over one connection, with cookies. Not for several threads."""

    def __init__(self, port: int, *, token: str = "", scheme: str = "Bearer", timeout: float = 900) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._used_at = 0.0
        self._headers = {"Authorization": f"{scheme} {token}"} if token else {}
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, headers)

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> Answer:
        return self.request("POST", path, body, {"Content-Type": content_type} | headers)

    def post_form(self, path: str, fields: Mapping[str, str] | Sequence[tuple[str, str]], **headers: str) -> Answer:
        """With the CSRF token of the cookie, unless the fields hold the page's own."""
        return self.post(path, urlencode(fields).encode(), "application/x-www-form-urlencoded", **headers)

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Raises OSError or HTTPException when the connection breaks; the next request opens another."""
        sent = self._headers | dict(headers)
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self._refresh()
        began = time.perf_counter()
        try:
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
            content = response.read()
        except BaseException:
            self._connection.close()
            raise
        ms = (time.perf_counter() - began) * 1000
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, response.headers, content, ms)

    def stream(self, path: str, chunk: int = 256 * 1024) -> tuple[int, int]:
        """Read a download without keeping it: status and number of line ends."""
        self._refresh()
        sent = self._headers | {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        try:
            self._connection.request("GET", path, None, sent)
            response = self._connection.getresponse()
            lines = 0
            while data := response.read(chunk):
                lines += data.count(b"\n")
        except BaseException:
            self._connection.close()
            raise
        return response.status, lines

    def close(self) -> None:
        self._connection.close()

    def _refresh(self) -> None:
        """Leave a connection that was silent for long: the server may be closing it right now."""
        now = time.monotonic()
        if now - self._used_at > IDLE_SECONDS:
            self._connection.close()
        self._used_at = now


def sign_in(client: Client, email: str, password: str, *, path: str = "/accounts/login/", field: str = "login") -> None:
    """Through the real form. field: what the form calls the name."""
    page = client.get(path)
    fields = {field: email, "password": password, "csrfmiddlewaretoken": csrf_of(page)}
    answer = client.post_form(path, fields)
    if answer.status != 302:
        raise RuntimeError(f"signing in at {path} answered {answer.status}: {answer.text[:300]}")


def csrf_of(page: Answer) -> str:
    """The token that the page's forms carry."""
    if found := _CSRF.search(page.text):
        return found.group(1)
    raise RuntimeError(f"no form with a CSRF token on this page (status {page.status})")


def latency(client: Client, paths: Sequence[str], *, number: int, seconds: float = 20.0) -> list[float]:
    """Milliseconds of each request, going round the paths; stops early when the time is spent (never below 8).

    Raises RuntimeError for anything but 200: a fast error page is no result.
    """
    times: list[float] = []
    deadline = time.monotonic() + seconds
    for index in range(number):
        answer = client.get(paths[index % len(paths)])
        if answer.status != 200:
            raise RuntimeError(f"{paths[index % len(paths)]} answered {answer.status}: {answer.text[:200]}")
        times.append(answer.ms)
        if time.monotonic() > deadline and len(times) >= 8:
            break
    return times


def rounds_of_latency(
    subjects: Mapping[str, tuple[Client, Sequence[str]]],
    *,
    rounds: int,
    number: int,
    warm_up: int,
    seconds: float = 20.0,
) -> dict[str, list[list[float]]]:
    """Milliseconds by subject and round; the subjects take turns within each round.

    number: requests per subject and round. seconds: how long one subject may take in one round.
    """
    for client, paths in subjects.values():
        latency(client, paths, number=warm_up, seconds=seconds / 2)
    found: dict[str, list[list[float]]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, (client, paths) in subjects.items():
            found[name].append(latency(client, paths, number=number, seconds=seconds))
    return found


def by_share(rounds: Sequence[Sequence[float]], share: float) -> list[float]:
    """One percentile per round."""
    return [percentile(times, share) for times in rounds]


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until it holds; raises TimeoutError naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.1)
