"""Downloads of the inventory leave a record: who took out which part."""

from datetime import datetime

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from identities.selectors.filters import InventoryFilter


def record_export(*, what: str, form: str, filters: InventoryFilter, actor: Actor, now: datetime) -> None:
    """Write down that the actor downloads this part of a list. Call it before the first row leaves.

    what: `identities` or `grants`; form: `csv` or `ndjson`.
    """
    with transaction.atomic(durable=True):
        log.record(
            verb=Verb.INVENTORY_EXPORTED,
            actor=actor,
            subject=log.Subject("inventory", what, what),
            now=now,
            # A search text may name a person, so the trail says only which fields narrowed the list.
            new={"filtered_by": sorted(name for name in filters.__slots__ if getattr(filters, name)), "format": form},
        )
