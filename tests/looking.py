"""Look at a page in every look that people use: two widths, light and dark, in one visit."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe

SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})
SCHEMES = ("light", "dark")
# Colours that are on their way from one mode to the other would be measured as they pass.
_ARRIVED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    for (const each of document.getAnimations()) { try { each.finish(); } catch { /* it has no end */ } }
    done();
})))"""


def faults_in_every_look(page: Any) -> list[str]:
    """What axe finds, and where the page scrolls sideways, with the look that shows it; the page is loaded once."""
    found = []
    for size in SIZES:
        page.set_viewport_size(size)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate(_ARRIVED)
            found += [f"{size['width']} {scheme} {each}" for each in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{size['width']} scrolls sideways")
    return found


def violations(page: Any) -> list[str]:
    """What axe finds in the page as it is shown."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
