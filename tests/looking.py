"""Look at a page in every look that people use: two widths, light and dark, in one visit."""

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})
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
_ALL = '{resultTypes: ["violations"]}'
# The rules about colours that are among all of them.
_OF_COLOURS = """{resultTypes: ["violations"], runOnly: {type: "rule", values: axe.getRules(["cat.color"])
    .filter((rule) => !rule.tags.includes("wcag2aaa")).map((rule) => rule.ruleId)}}"""


def faults_in_every_look(page: Any, name: str = "", sizes: tuple[Any, ...] = SIZES) -> list[str]:
    """What axe finds, and where the page scrolls sideways, with the look that shows it; the page is loaded once.

    Where only colours differ between light and dark, in the second of them only the rules about colours are asked.
    `name` is what its pictures are called, where they are wanted.
    """
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
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{size['width']} scrolls sideways")
    return found


def violations(page: Any, rules: str = _ALL) -> list[str]:
    """What axe finds in the page as it is shown."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate(f"axe.run({rules}).then((results) => results.violations)")
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
