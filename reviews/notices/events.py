"""What is sent: CloudEvents 1.0 in JSON, structured mode. Types are the verbs of the audit trail.

The record travels without the free text and the personal data that stand beside the trail. One thing is added for
ticket systems: the instructions of a task, without which nobody could do it.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings

from governance.audit.actions import Verb
from governance.audit.canonical import rfc3339
from governance.audit.feed import FeedEvent
from reviews.models import Order
from reviews.notices.concerning import Concern

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
TEST_TYPE = "remit.test"
TASK_TYPE = Verb.ORDER_TASK_OPENED.value
# What the trail's record brings along. `request`, how somebody signed in and the commitment are of use only inside.
_FACTS = ("outcome", "old", "new", "context")
LONGEST_INSTRUCTIONS = 20_000


def event_types() -> dict[str, str]:
    """Every type that can be asked for, with a sentence for people."""
    return {verb.value: verb.description for verb in Verb}


def known_prefixes() -> set[str]:
    """What may be asked for: a verb, or a noun for all of its verbs."""
    return {verb.value for verb in Verb} | {verb.value.partition(".")[0] for verb in Verb}


def is_wanted(verb: str, prefixes: Iterable[str]) -> bool:
    """Whether the verb is one of those, or of one of those nouns. No prefix at all wants everything."""
    wanted = list(prefixes)
    return not wanted or any(f"{verb}.".startswith(f"{prefix}.") for prefix in wanted)


def body_of(event: FeedEvent, concern: Concern, order: Order | None = None) -> str:
    """The event as it is sent. `order` adds what a person needs to do a task."""
    said = event.payload
    data: dict[str, Any] = {
        "actor": {name: said["actor"][name] for name in ("kind", "id", "label")},
        "subject": said["subject"],
        **{name: said[name] for name in _FACTS},
        "source": concern.source or None,
        "campaign": concern.campaign or None,
    }
    if order is not None:
        data["task"] = _task(order)
    return _written(
        {
            "id": str(event.event_id),
            "type": event.verb,
            "subject": f"{event.subject_kind}/{event.subject_id}",
            "time": said["at"],
            # As the CloudEvents extension "sequence" wants it: in order when compared as texts.
            "sequence": f"{event.seq:019d}",
            "data": data,
        }
    )


def test_body(event_id: uuid.UUID, endpoint_id: uuid.UUID, now: datetime) -> str:
    """An event that says nothing but that it arrived."""
    facts = {"id": str(event_id), "type": TEST_TYPE, "subject": f"webhook/{endpoint_id}", "time": rfc3339(now)}
    return _written(facts | {"data": {"message": "Remit can reach this address."}})


def _written(facts: Mapping[str, Any]) -> str:
    envelope = {"specversion": "1.0", "source": settings.PUBLIC_URL, "datacontenttype": "application/json"}
    return orjson.dumps(envelope | dict(facts)).decode()


def _task(order: Order) -> dict[str, Any]:
    thing = order.grant or order.credential
    return {
        "order": str(order.pk),
        "url": f"{settings.PUBLIC_URL}/orders/{order.pk}/",
        "action": str(order.action),
        "title": f"{order.get_action_display()}: {order.identity.name} in {order.source.name}",
        "identity": order.identity.name,
        "access": (getattr(thing, "label", "") or thing.external_id) if thing else "",
        "instructions": order.instructions[:LONGEST_INSTRUCTIONS],
        "answer_to": f"{settings.PUBLIC_URL}/api/v1/orders/{order.pk}/ticket/",
    }
