"""The answer to "who could" as a file, with the readings that it rests on."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.http import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.actors import Actor
from governance.kernel.documents import format_moment
from governance.kernel.permissions import Answer
from governance.kernel.questions import Question, read_question
from governance.web.access import page
from governance.web.csv import download, stream_csv
from identities.selectors import as_of
from identities.selectors.past_filter import read_moment
from identities.selectors.who_could import Could, Reason, judge, who_could
from identities.services.exports import record_download
from identities.views.requests import PageRequest

ROWS_PER_READ = 200
COLUMNS = (
    *("as_of", "action", "resource", "dialect", "answer", "identity", "identity_id", "kind", "status"),
    *("source", "source_read_at", "source_run", "source_known", "owner_id", "grant", "version", "sentence", "hangs_on"),
)


class _Asked(NamedTuple):
    question: Question
    at: datetime
    memories: dict[str, as_of.Memory]
    found: Iterator[Could]


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def who_could_csv(request: PageRequest) -> HttpResponseBase:
    """One row per identity and grant that decided, streamed."""
    asked = _ask(request, "csv")
    rows = (tuple(facts.values()) for could in asked.found for facts in _rows(asked, could))
    return stream_csv(f"who-could-{asked.at:%Y-%m-%d}.csv", COLUMNS, rows)


@require_safe
@page()  # type: ignore[arg-type] # a stream is a response too
def who_could_json(request: PageRequest) -> HttpResponseBase:
    """One document: the question, the moment, what is known of each source with its reading, and the answers."""
    asked = _ask(request, "json")
    return download(f"who-could-{asked.at:%Y-%m-%d}.json", _document(asked), content_type="application/json")


def _ask(request: PageRequest, form: str) -> _Asked:
    """Raises InvalidQuestion and InvalidMoment before anything is recorded or sent."""
    now = timezone.now()
    given = {name: str(value) for name, value in request.GET.items()}
    question = read_question(given.get("action", ""), given.get("resource", ""), given.get("dialect", ""))
    at = read_moment(given.get("at", ""), now=now)
    actor = request.actor
    record_download(what="who_could", form=form, filtered_by=["action", "resource"], actor=actor, now=now)
    memories = {memory.slug: memory for memory in as_of.list_memories(actor=actor, at=at)}
    return _Asked(question, at, memories, _everybody(actor, question, at))


def _everybody(actor: Actor, question: Question, at: datetime) -> Iterator[Could]:
    judged = judge(question, at)
    place: tuple[str, UUID] | None = None
    while True:
        found = who_could(actor=actor, judgement=judged, at=at, answer=None, after=place, limit=ROWS_PER_READ)
        yield from found.rows
        if found.last is None:
            return
        place = found.last


def _document(asked: _Asked) -> Iterator[str]:
    head = {
        "question": _question(asked.question),
        "at": format_moment(asked.at),
        "sources": [_memory(memory) for memory in asked.memories.values()],
    }
    yield orjson.dumps(head).decode()[:-1] + ',"results":['
    for number, could in enumerate(asked.found):
        yield ("," if number else "") + "\n" + orjson.dumps(_entry(could, list(_rows(asked, could)))).decode()
    yield "]}\n"


def _entry(could: Could, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = ("answer", "identity", "identity_id", "kind", "status", "source", "owner_id")
    reasons = [{name: row[name] for name in ("grant", "version", "sentence", "hangs_on")} for row in rows]
    return {name: rows[0][name] for name in own} | {"reasons": reasons, "more_reasons": could.more}


def _rows(asked: _Asked, could: Could) -> Iterator[dict[str, Any]]:
    identity, memory = could.identity, asked.memories.get(could.identity.source.slug)
    shared = {
        "as_of": format_moment(asked.at),
        **_question(asked.question),
        "answer": "yes" if could.answer is Answer.YES else "depends",
        "identity": identity.name,
        "identity_id": str(identity.identity_id),
        "kind": identity.kind,
        "status": identity.status,
        "source": identity.source.slug,
        "source_read_at": format_moment(memory.read_at) if memory and memory.read_at else "",
        "source_run": str(memory.run_id) if memory and memory.run_id else "",
        "source_known": "yes" if memory and memory.is_known else "no",
        "owner_id": str(identity.owner_id) if identity.owner_id else "",
    }
    for reason in could.reasons:
        yield shared | _reason(reason)


def _reason(reason: Reason) -> dict[str, Any]:
    hangs = [f"only if {text}" for text in reason.allowed_if] + [f"refused if {text}" for text in reason.denied_if]
    return {
        "grant": str(reason.version.grant_id),
        "version": reason.version.number,
        "sentence": "; ".join(map(str, reason.version.plain)) or reason.label,
        "hangs_on": "; ".join(hangs),
    }


def _question(question: Question) -> dict[str, str]:
    return {"action": question.action, "resource": question.resource, "dialect": question.dialect}


def _memory(memory: as_of.Memory) -> dict[str, Any]:
    return {
        "source": memory.slug,
        "known_since": format_moment(memory.known_since) if memory.known_since else None,
        "read_at": format_moment(memory.read_at) if memory.read_at else None,
        "run": str(memory.run_id) if memory.run_id else None,
        "is_known": memory.is_known,
    }
