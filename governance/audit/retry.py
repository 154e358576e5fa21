"""Repeat a use case once when the database broke it off for the sake of another one."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from django.db import OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")
# Serialisation failure and deadlock: nothing of the transaction happened, and the same again may well succeed.
BROKEN_OFF = frozenset({"40001", "40P01"})

logger = structlog.get_logger(__name__)


def once_more(use_case: Callable[P, R]) -> Callable[P, R]:
    """The use case, repeated once after a deadlock or a serialisation failure; for those that open a transaction.

    Inside another transaction there is nothing to repeat: that one is broken off as a whole.
    """

    @wraps(use_case)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return use_case(*args, **kwargs)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in BROKEN_OFF or connection.in_atomic_block:
                raise
            logger.warning("audit.repeated", use_case=use_case.__name__)
        return use_case(*args, **kwargs)

    return run
