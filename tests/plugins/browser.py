"""A real Chromium, driven by Playwright, that notices what a person with open developer tools would notice.

`REMIT_BROWSER_SLOWNESS=8` makes its processor eight times slower, lets each answer of the server travel for a third of a
second, and what htmx asked for as much longer again. Every browser test passes that way too: whichever does not
depends on how fast something is.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SLOWNESS = int(os.environ.get("REMIT_BROWSER_SLOWNESS", "1"))
TRAVEL_MILLISECONDS = 300
TIMEOUT_MILLISECONDS = 15_000 * SLOWNESS
# To htmx an answer that has come is still on its way for a while, and can be given up until then.
_HEAR_LATE = """{
    const heard = Object.getOwnPropertyDescriptor(XMLHttpRequestEventTarget.prototype, "onload");
    const giveUp = XMLHttpRequest.prototype.abort;
    Object.defineProperty(XMLHttpRequest.prototype, "onload", { set(hear) {
        heard.set.call(this, (event) => {
            this.late = setTimeout(() => { this.late = 0; hear.call(this, event); }, %d);
        });
    } });
    XMLHttpRequest.prototype.abort = function () {
        if (!this.late) { giveUp.call(this); return; }
        clearTimeout(this.late);
        this.late = 0;
        this.onabort?.(new ProgressEvent("abort"));
    };
}"""
OWN_HOSTS = {"127.0.0.1", "localhost"}
# A page that is left, or that asks once more, gives up what is still on its way: htmx says so twice, as an error. What
# else it says by the first of these words it says by another one too.
GIVEN_UP = ("htmx:afterRequest", "htmx:sendAbort")
EXPECTED_REFUSALS = tuple(f"status of {status}" for status in (403, 404, 405, 409, 422, 429))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is: `CHROMIUM`, Debian's, or the one `make test` unpacked. Skips without one, fails in CI."""
    candidates = [
        os.environ.get("CHROMIUM"),
        shutil.which("chromium"),
        str(ROOT / ".cache" / "chromium" / "chromium"),
    ]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    message = "no Chromium: apt-get install chromium, or set CHROMIUM to its path"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Any]:
    """One Chromium per xdist worker; pages get a context of their own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=TIMEOUT_MILLISECONDS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def browser_problems() -> Iterator[list[str]]:
    """What went wrong unseen: console errors, uncaught exceptions, requests to other hosts.

    A test that uses a page fails at its end when this list is not empty. A test that provokes a problem on purpose
    looks at the list and clears it. Refusals (403, 404, 405, 409, 422, 429) are answers, not problems.
    """
    problems: list[str] = []
    yield problems
    assert not problems, "the browser complained:\n" + "\n".join(problems)


@pytest.fixture
def new_page(browser: Any, browser_problems: list[str]) -> Iterator[Callable[..., Any]]:
    """`new_page(width=1280, height=900, dark=False, **context_options)`: a page in a fresh context (no cookies)."""
    contexts = []

    def open_page(*, width: int = 1280, height: int = 900, dark: bool = False, **options: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        if SLOWNESS > 1:
            _slow_down(page)
        _watch(page, browser_problems)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """One page, 1280 by 900, light."""
    return new_page()


class Held:
    """What the browser asked of a server that is slow to answer."""

    def __init__(self, page: Any, path: str) -> None:
        self._page, self._path = page, path
        self._routes: list[Any] | None = []

    def __enter__(self) -> "Held":
        self._page.route(self._path, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        routes, self._routes = self._routes, None
        for route in routes or ():
            route.continue_()

    def wait_for(self, number: int) -> None:
        """Until so many requests are on their way."""
        for _ in range(TIMEOUT_MILLISECONDS // 20):
            if len(self._routes or ()) >= number:
                return
            self._page.wait_for_timeout(20)
        pytest.fail(f"the browser did not ask {number} times")

    def _take(self, route: Any) -> None:
        if self._routes is None:
            route.continue_()
        else:
            self._routes.append(route)


@pytest.fixture
def answers_held() -> type[Held]:
    """`with answers_held(page, "**/preview/") as held:`: what is asked there is answered when the block ends."""
    return Held


def _slow_down(page: Any) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWNESS})
    tools.send("Network.enable")
    unlimited = {"downloadThroughput": -1, "uploadThroughput": -1}
    tools.send("Network.emulateNetworkConditions", {"offline": False, "latency": TRAVEL_MILLISECONDS} | unlimited)
    page.add_init_script(_HEAR_LATE % TRAVEL_MILLISECONDS)


def _watch(page: Any, problems: list[str]) -> None:
    def on_console(message: Any) -> None:
        is_expected = any(words in message.text for words in (*EXPECTED_REFUSALS, *GIVEN_UP))
        if message.type == "error" and not is_expected:
            problems.append(f"console: {message.text}")

    def on_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in OWN_HOSTS:
            problems.append(f"external request: {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
