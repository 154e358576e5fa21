"""The request as pages get it: `@page` made sure of a person and of their actor."""

from django.http import HttpRequest

from governance.kernel.actors import Actor
from governance.people.models import User


class PageRequest(HttpRequest):
    """A request behind `@page`. A name for what the decorator promises; never instantiated."""

    actor: Actor
    user: User
