"""What a page says about a connection that was tried."""

from collections.abc import Sequence
from typing import Any

from identities.connectors.contract import Check

_TONES = {"ok": "success", "warning": "warn", "failed": "danger"}
_ICONS = {"ok": "circle-check", "warning": "alert-triangle", "failed": "circle-x"}
_WORDS = {"ok": "In order", "warning": "Look at this", "failed": "Failed"}


def check_context(checks: Sequence[Check]) -> dict[str, Any]:
    """What `identities/_checks.html` prints: failures first, and one sentence about all."""
    order = list(reversed(_TONES))
    lines = [
        {"check": check, "tone": _TONES[check.state], "icon": _ICONS[check.state], "word": _WORDS[check.state]}
        for check in sorted(checks, key=lambda check: order.index(check.state))
    ]
    return {"checks": lines, "checks_say": _sentence(checks)}


def _sentence(checks: Sequence[Check]) -> str:
    failed = sum(check.state == "failed" for check in checks)
    warned = sum(check.state == "warning" for check in checks)
    if failed:
        return f"{failed} of {len(checks)} failed. Nothing was changed, and nothing is stored."
    if warned:
        things = "one thing needs" if warned == 1 else f"{warned} things need"
        return f"Nothing failed, and {things} a look. Nothing was changed, and nothing is stored."
    return "It works. Nothing was changed, and nothing is stored."
