"""One running product for the tests that only look at it or make one of its programs fail."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, start_tree: Any) -> Iterator[Any]:
    product = start_tree(tmp_path_factory)
    try:
        product.wait_until_ready()
        yield product
    finally:
        product.stop()
