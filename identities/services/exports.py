"""Downloads of the inventory leave a record: who took out which part."""

from collections.abc import Sequence
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
    # A search text may name a person, so the trail says only which fields narrowed the list.
    filtered_by = sorted(name for name in filters.__slots__ if getattr(filters, name))
    record_download(what=what, form=form, filtered_by=filtered_by, actor=actor, now=now)


def record_download(*, what: str, form: str, filtered_by: Sequence[str], actor: Actor, now: datetime) -> None:
    """The same for something that is no filtered list."""
    with transaction.atomic(durable=True):
        log.record(
            verb=Verb.INVENTORY_EXPORTED,
            actor=actor,
            subject=log.Subject("inventory", what, what),
            now=now,
            new={"filtered_by": list(filtered_by), "format": form},
        )
