"""One running product for the tests that only look at it or make one of its programs fail."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def tree(start_tree: Any) -> Iterator[Any]:
    product = start_tree()
    try:
        product.wait_until_ready(seconds=300)  # with its migrations, as `remit_tree`
        yield product
    finally:
        product.stop()
