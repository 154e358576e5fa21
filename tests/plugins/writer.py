"""A role as production's programs have it: it works with everything, owns nothing, and rewrites no history."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection

from governance.audit.rights import grants_sql


@pytest.fixture
def as_writer(db: None) -> Callable[[], AbstractContextManager[None]]:
    """`with as_writer():` runs what follows with the rights of such a role. It goes away with the test's transaction."""
    role = "remit_test_writer"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} NOSUPERUSER")
        cursor.execute(grants_sql(role))

    @contextmanager
    def act() -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {role}")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")

    return act
