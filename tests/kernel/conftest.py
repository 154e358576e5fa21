"""Short ways to write permissions."""

from collections.abc import Callable

import pytest

from governance.kernel.permissions import Permission


@pytest.fixture(scope="session")
def permission() -> Callable[..., Permission]:
    """`permission("aws", (actions, resources), ...)`; a third entry adds further fields of the statement."""

    def make(dialect: str, *statements: tuple) -> Permission:
        listed = [
            {"actions": _set(each[0]), "resources": _set(each[1]), **(each[2] if len(each) > 2 else {})}
            for each in statements
        ]
        return Permission.from_json({"dialect": dialect, "statements": listed})

    def _set(value: object) -> object:
        return value.split() if isinstance(value, str) else value

    return make
