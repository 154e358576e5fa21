"""A real Chromium, driven by Playwright, that notices what a person with open developer tools would notice."""

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
OWN_HOSTS = {"127.0.0.1", "localhost"}
EXPECTED_REFUSALS = ("status of 403", "status of 404", "status of 409", "status of 422", "status of 429")


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
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def browser_problems() -> Iterator[list[str]]:
    """What went wrong unseen: console errors, uncaught exceptions, requests to other hosts.

    A test that uses a page fails at its end when this list is not empty. A test that provokes a problem on purpose
    looks at the list and clears it. Refusals (403, 404, 409, 422, 429) are answers, not problems.
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
        page.set_default_timeout(15_000)
        _watch(page, browser_problems)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """One page, 1280 by 900, light."""
    return new_page()


def _watch(page: Any, problems: list[str]) -> None:
    def on_console(message: Any) -> None:
        if message.type == "error" and not any(refusal in message.text for refusal in EXPECTED_REFUSALS):
            problems.append(f"console: {message.text}")

    def on_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in OWN_HOSTS:
            problems.append(f"external request: {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
