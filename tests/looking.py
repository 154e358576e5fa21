"""Look at a page in every look that people use: two widths, light and dark, in one visit."""

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})
# Between and below them nothing but the width is looked at: small laptops, tablets, and a desk at 400 % (WCAG 1.4.10).
FURTHER_WIDTHS = (1280, 1024, 768, 320)
SCHEMES = ("light", "dark")
# Set SHOTS to a folder to look at what the browser saw.
SHOTS = os.environ.get("SHOTS", "")
# Colours that are on their way from one mode to the other would be measured as they pass.
_ARRIVED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    for (const each of document.getAnimations()) { try { each.finish(); } catch { /* it has no end */ } }
    done();
})))"""
# Everything that axe's rules read of a page, but for its colours: the document, and of each element its box and
# whether it is to be seen.
_SHAPE = """() => document.documentElement.outerHTML + [...document.querySelectorAll('*')].map((each) => {
    const box = each.getBoundingClientRect(), style = getComputedStyle(each);
    return [box.x, box.y, box.width, box.height, style.display, style.visibility, style.opacity].join();
}).join('\\n')"""
# How wide the window and what is in it are, and what reaches beyond the edge without a box around it that scrolls.
_WIDTHS = """() => {
    const contained = (each) => each && each !== document.documentElement
        && (getComputedStyle(each).overflowX !== 'visible' || contained(each.parentElement));
    const beyond = [...document.querySelectorAll('body *')].filter((each) => each.checkVisibility()
        && each.getBoundingClientRect().right > innerWidth + 1 && !contained(each.parentElement));
    return [innerWidth, document.documentElement.scrollWidth, beyond.slice(0, 3).map((each) => each.outerHTML.slice(0, 160))];
}"""
# What htmx has asked for and not yet shown, and the place of a panel that has not come yet.
_UNDER_WAY = ".htmx-request, .htmx-swapping, .htmx-settling, .panel-slot > .loading"
_ALL = '{resultTypes: ["violations"]}'
# The rules about colours that are among all of them.
_OF_COLOURS = """{resultTypes: ["violations"], runOnly: {type: "rule", values: axe.getRules(["cat.color"])
    .filter((rule) => !rule.tags.includes("wcag2aaa")).map((rule) => rule.ruleId)}}"""


def faults_in_every_look(page: Any, name: str = "", sizes: tuple[Any, ...] = SIZES) -> list[str]:
    """What axe finds, and where the page scrolls sideways, with the look that shows it; the page is loaded once.

    Where only colours differ between light and dark, in the second of them only the rules about colours are asked.
    `name` is what its pictures are called, where they are wanted.
    """
    settled(page)
    found = []
    for size in sizes:
        page.set_viewport_size(size)
        shape = None
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate(_ARRIVED)
            before, shape = shape, page.evaluate(_SHAPE)
            rules = _OF_COLOURS if shape == before else _ALL
            found += [f"{size['width']} {scheme} {each}" for each in violations(page, rules)]
            if SHOTS and name:
                page.screenshot(path=str(Path(SHOTS) / f"{name}-{size['width']}-{scheme}.png"), full_page=True)
        found += _too_wide(page)
    for width in FURTHER_WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found += _too_wide(page)
    return found


def settled(page: Any) -> None:
    """Wait until the page shows everything that it fetches by itself, however long its parts travel."""
    page.wait_for_load_state("networkidle")
    expect(page.locator(_UNDER_WAY)).to_have_count(0)


def _too_wide(page: Any) -> list[str]:
    width, shown, culprits = page.evaluate(_WIDTHS)
    return [f"{width} scrolls sideways to {shown}: {culprits}"] if shown > width else []


def violations(page: Any, rules: str = _ALL) -> list[str]:
    """What axe finds in the page as it is shown."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate(f"axe.run({rules}).then((results) => results.violations)")
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
