"""Whoever was refused by role or token leaves a record, wherever in the product the refusal came from."""

from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from governance.kernel.actors import Actor
from governance.people.refusals import record_refusal

log = structlog.get_logger(__name__)


def note_refusal(request: HttpRequest, response: HttpResponseBase) -> None:
    """Record a 403 of somebody known. Of the address only its name and the ids in it are kept, never what was typed.

    A refusal stands whether or not it could be written down, so a database that fails here is only logged.
    """
    actor: Actor | None = getattr(request, "actor", None)
    match = request.resolver_match
    if actor is None or match is None:
        return
    said = getattr(response, "data", None)
    code = getattr(request, "refusal_code", "") or (said.get("code", "") if isinstance(said, dict) else "")
    try:
        record_refusal(
            actor=actor,
            place=match.view_name or match.route,
            method=request.method or "",
            code=str(code) or "forbidden",
            objects={name: value for name, value in match.kwargs.items() if isinstance(value, UUID)},
            now=timezone.now(),
        )
    except DatabaseError:
        log.exception("refusal.not_recorded", path=request.path)
