"""The request as these pages get it: `@page` made sure of a person and of their actor."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from governance.people.models import User


class PageRequest(HttpRequest):
    """A request behind `@page`. A name for what the decorator promises; never instantiated."""

    actor: Actor
    user: User


def passes(require: Callable[..., None], *given: Any) -> bool:
    """Whether a check of the domain lets this person on: what a page asks before it shows a button."""
    try:
        require(*given)
    except DomainError:
        return False
    return True
