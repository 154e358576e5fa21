"""The sample of docs/webhooks.md, as it stands there: what receivers copy is what the tests run."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
SAMPLE = re.search(r"```python\n(.*?)```", PAGE, re.S)
NAMES: dict[str, Any] = {}
assert SAMPLE is not None
exec(compile(SAMPLE[1], "docs/webhooks.md", "exec"), NAMES)


def verified(body: bytes, headers: dict[str, str], secret: str) -> Any:
    """The event; ValueError where the sample does not believe it."""
    return NAMES["verify"](body, headers, secret)
