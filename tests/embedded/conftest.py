"""One running product for the tests that only look at it or make one of its programs fail, and a place for a server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from governance.embedded.postgres import substitute_home


@pytest.fixture(scope="module")
def tree(start_tree: Any) -> Iterator[Any]:
    product = start_tree()
    try:
        product.wait_until_ready(seconds=300)  # with its migrations, as `remit_tree`
        yield product
    finally:
        product.stop()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account may pass through, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="remit-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(substitute_home(folder / "postgres"), ignore_errors=True)
    shutil.rmtree(folder)
