"""Errors of the domain: a code for machines, a sentence for people, both safe to show."""

from typing import Any


class DomainError(Exception):
    """A use case refused to do what was asked.

    Subclasses stand beside the function that raises them and set `code` (stable, kebab-case, part of the API)
    and `status` (the HTTP status an edge answers with). The message is a full sentence for a person and never
    carries a secret. `details` are JSON-serialisable facts (which rows, which version).
    """

    code = "refused"
    status = 422
    title = "The request was refused"

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class NotFound(DomainError):
    """Absent, or not yours: both look alike so that nobody learns what exists."""

    code = "not-found"
    status = 404
    title = "Not found"


class Forbidden(DomainError):
    """Visible to the actor, but the role does not allow this action."""

    code = "forbidden"
    status = 403
    title = "Your role does not allow this"


class Conflict(DomainError):
    """The object changed since it was read, or is in a state that does not allow the move."""

    code = "conflict"
    status = 409
    title = "Somebody or something was faster"
