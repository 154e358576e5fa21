"""Evaluation, one and many: the three semantics of a batch, and answers that say no more than was asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from governance.kernel.documents import format_moment
from governance.kernel.errors import DomainError, NotFound
from identities.pdp.authzen.entities import read_request
from identities.pdp.authzen.wire import Malformed
from identities.pdp.deciding import decide, decide_many
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Decision, Request

MOST_EVALUATIONS = 1_000
EXECUTE_ALL = "execute_all"
# Semantics to the decision at which the batch ends.
_STOPS = {EXECUTE_ALL: None, "deny_on_first_deny": False, "permit_on_first_permit": True}
_PARTS = ("subject", "action", "resource", "context")

Document = dict[str, Any]
Item = Request | Malformed


class Unavailable(DomainError):
    """The inventory could not be asked, so nothing is permitted. The caller may ask again."""

    code = "decision-unavailable"
    status = 503
    title = "Nothing can be decided at the moment"


def evaluate(body: Mapping[str, Any], *, domain: str, now: datetime) -> Document:
    """The answer to one evaluation. Raises `Malformed`, `Unavailable`, `NotFound`."""
    request = read_request(body, domain=domain)
    return answer(_answerable(decide(request, now=now)), request, now)


def evaluate_many(body: Mapping[str, Any], *, domain: str, now: datetime) -> Document:
    """The answers to a batch; to a body without evaluations, that of one. Raises as `evaluate`."""
    stop = _STOPS[_semantic(body)]
    items = body.get("evaluations")
    if items is None or items == []:
        return evaluate(body, domain=domain, now=now)
    if not isinstance(items, list):
        raise Malformed("evaluations must be a list.")
    if len(items) > MOST_EVALUATIONS:
        raise Malformed(f"There are more than {MOST_EVALUATIONS:,} evaluations.")
    read = [_item(body, item, domain) for item in items]
    answers = _all(read, now) if stop is None else _until(read, stop, now)
    return {"evaluations": answers}


def _semantic(body: Mapping[str, Any]) -> str:
    options = body.get("options")
    if options is None:
        return EXECUTE_ALL
    if not isinstance(options, dict):
        raise Malformed("options must be an object.")
    semantic = options.get("evaluations_semantic")
    if semantic is None:
        return EXECUTE_ALL
    if not isinstance(semantic, str) or semantic not in _STOPS:
        raise Malformed(f"options.evaluations_semantic must be one of {', '.join(_STOPS)}.")
    return semantic


def _item(defaults: Mapping[str, Any], item: Any, domain: str) -> Item:
    """One evaluation of a batch: each part is the item's, whole, or else the default. Only what results is checked."""
    if not isinstance(item, dict):
        return Malformed("An evaluation must be an object.")
    try:
        return read_request({part: item.get(part, defaults.get(part)) for part in _PARTS}, domain=domain)
    except Malformed as error:
        return error


def _all(items: Sequence[Item], now: datetime) -> list[Document]:
    decisions = iter(decide_many([item for item in items if isinstance(item, Request)], now=now))
    return [
        answer(_answerable(next(decisions)), item, now) if isinstance(item, Request) else _refused(item)
        for item in items
    ]


def _until(items: Sequence[Item], stop: bool, now: datetime) -> list[Document]:
    """One by one, so that what is not answered is not decided either; an error counts as a denial."""
    answers: list[Document] = []
    for item in items:
        found = answer(_answerable(decide(item, now=now)), item, now) if isinstance(item, Request) else _refused(item)
        answers.append(found)
        if found["decision"] is stop:
            break
    return answers


def _refused(error: Malformed) -> Document:
    return {"decision": False, "context": {"error": {"status": error.status, "message": error.message}}}


def _answerable(decision: Decision) -> Decision:
    """The decision, unless nothing could be asked, or of nobody. Raises `Unavailable`, `NotFound`."""
    if decision.reason == Reason.UNAVAILABLE:
        raise Unavailable(SENTENCES[Reason.UNAVAILABLE])
    if decision.reason == Reason.UNKNOWN_DOMAIN:
        raise NotFound(SENTENCES[Reason.UNKNOWN_DOMAIN])
    return decision


def answer(decision: Decision, request: Request, now: datetime) -> Document:
    """A decision as the standard writes it; reasons and grants only where the caller asked for them."""
    if not request.wants_explanation:
        return {"decision": decision.permit}
    return {"decision": decision.permit, "context": _explained(decision, now)}


def _explained(decision: Decision, now: datetime) -> Document:
    review = decision.review
    told = {
        "evaluation_id": str(decision.evaluation_id),
        "evaluated_at": format_moment(now),
        "reason": decision.reason,
        "reason_text": SENTENCES[Reason(decision.reason)],
        "policy_version": decision.policy_number,
        "snapshot_at": format_moment(decision.snapshot_at) if decision.snapshot_at else None,
        "matched_grants": [{"grant": str(grant.grant_id), **grant.told()} for grant in decision.grants],
        "review": {
            "grant": str(review.grant_id),
            "reviewed_at": format_moment(review.reviewed_at),
            "approved_until": format_moment(review.approved_until) if review.approved_until else None,
            "saw_this_version": review.saw_this_version,
        }
        if review
        else None,
        "not_assessed": list(decision.not_assessed),
    }
    return {name: value for name, value in told.items() if value is not None}
