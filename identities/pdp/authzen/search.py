"""Searches: which subjects may, on which resources, which actions.

A search decides nothing of its own: it goes through candidates and asks the decision point about each, so that it can
never list what an evaluation would deny. Candidates are what the inventory can name: identities of the domain,
registered resources and those that a grant of the subject names, actions that grants name. What only a wildcard
reaches has no name to be listed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from governance.kernel.dialects.authzen import resource_parts
from identities.pdp.authzen.entities import entity, read_context
from identities.pdp.authzen.evaluation import Unavailable
from identities.pdp.authzen.paging import Page, read_page
from identities.pdp.deciding import decide_many
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Request
from identities.selectors.candidates import actions_named, named_resources, subjects_after
from identities.selectors.domains import Domain
from identities.selectors.resources import resources_after, stored_resources

BATCH = 200
NAMELESS = "x"
# Where a place in the order of resources lies: among those that are registered, or behind them.
REGISTERED, NAMED = "r", "n"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible result: the request that decides about it, how it is listed, and its place in the order."""

    request: Request
    listed: Document
    place: str


def search_subjects(body: Mapping[str, Any], *, domain: Domain, now: datetime) -> Document:
    """The subjects of a type that may do this action on this resource. Raises `Malformed`, `Unavailable`."""
    subject = entity(body, "subject", ("type",))
    asked = _request(body, domain, subject={**subject, "id": NAMELESS})

    def candidates(after: str) -> Iterator[Candidate]:
        place = UUID(after) if after else None
        while found := subjects_after(domain, asked.subject_type, place, BATCH):
            for place, name in found:
                listed = {"type": asked.subject_type, "id": name}
                yield Candidate(replace(asked, subject_id=name), listed, str(place))

    return _results(candidates, read_page(body, kind="subject", domain=domain.slug), now)


def search_resources(body: Mapping[str, Any], *, domain: Domain, now: datetime) -> Document:
    """The resources of a type on which this subject may do this action. Raises `Malformed`, `Unavailable`."""
    resource = entity(body, "resource", ("type",))
    asked = _request(body, domain, resource={**resource, "id": NAMELESS})

    def candidates(after: str) -> Iterator[Candidate]:
        kind, place = after[:1], after[1:]
        if kind != NAMED:
            while texts := resources_after(domain.source_ids, asked.resource_type, place, BATCH):
                for place in texts:
                    yield _on(asked, resource_parts(place)[1], REGISTERED + place)
            place = ""
        if not domain.is_registered_type(asked.resource_type):
            for identifier in _named_only(domain, asked):
                if identifier > place:
                    yield _on(asked, identifier, NAMED + identifier)

    return _results(candidates, read_page(body, kind="resource", domain=domain.slug), now)


def search_actions(body: Mapping[str, Any], *, domain: Domain, now: datetime) -> Document:
    """The actions that this subject may do on this resource. Raises `Malformed`, `Unavailable`."""
    asked = _request(body, domain, action={"name": NAMELESS, "properties": {}})

    def candidates(after: str) -> Iterator[Candidate]:
        for name in actions_named(domain, asked.subject_id):
            if name > after:
                yield Candidate(replace(asked, action=name), {"name": name}, name)

    return _results(candidates, read_page(body, kind="action", domain=domain.slug), now)


def _request(body: Mapping[str, Any], domain: Domain, **given: Document) -> Request:
    """The request with the part that is searched for given; the others must be whole."""
    names = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
    part = {name: given[name] if name in given else entity(body, name, needed) for name, needed in names.items()}
    return Request(
        subject_type=part["subject"]["type"],
        subject_id=part["subject"]["id"],
        subject_properties=part["subject"]["properties"],
        action=part["action"]["name"],
        action_properties=part["action"]["properties"],
        resource_type=part["resource"]["type"],
        resource_id=part["resource"]["id"],
        resource_properties=part["resource"]["properties"],
        context=read_context(body),
        domain=domain.slug,
    )


def _named_only(domain: Domain, asked: Request) -> list[str]:
    """Ids of resources that the subject's grants name, without those that are registered and were gone through."""
    kind = asked.resource_type
    names = [(kind, identifier) for identifier in named_resources(domain, asked.subject_id, kind)]
    registered = stored_resources(domain.source_ids, names) if names else {}
    return [name[1] for name in names if name not in registered]


def _on(asked: Request, identifier: str, place: str) -> Candidate:
    listed = {"type": asked.resource_type, "id": identifier}
    return Candidate(replace(asked, resource_id=identifier), listed, place)


def _results(candidates: Callable[[str], Iterator[Candidate]], page: Page, now: datetime) -> Document:
    """One page of those that are permitted. A name is listed once, however many rows bear it."""
    found: dict[str, Candidate] = {}
    more = False
    for candidate in _permitted(candidates(page.after), now):
        if len(found) == page.limit:
            more = True
            break
        found.setdefault(str(candidate.listed), candidate)
    results = [candidate.listed for candidate in found.values()]
    if not page.is_asked and not more:
        return {"results": results}
    last = [*found.values()][-1].place if more else ""
    return {"page": {"next_token": page.next_token(last) if more else "", "count": len(results)}, "results": results}


def _permitted(candidates: Iterator[Candidate], now: datetime) -> Iterator[Candidate]:
    while some := list(islice(candidates, BATCH)):
        decisions = decide_many([candidate.request for candidate in some], now=now, is_search=True)
        for candidate, decision in zip(some, decisions, strict=True):
            if decision.reason == Reason.UNAVAILABLE:
                raise Unavailable(SENTENCES[Reason.UNAVAILABLE])
            if decision.permit:
                yield candidate
