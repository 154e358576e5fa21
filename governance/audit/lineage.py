"""Epochs of the trail: which name its checkpoints carry now, and in which folder they stand.

A log must never sign two histories under one name. After a restore the database holds less than what was signed, so
its trail goes on under a new name, an *epoch* (governance/audit/epochs.py begins one). Which epoch is the present one
is said by the newest `epoch.begun` record, and by the folder: a database that was restored to a state before that
record no longer knows, the folder does.

The first epoch is named by `AUDIT_ORIGIN` and has the folder of the settings; later ones count the number at the
name's end up (`…/audit/1`, `…/audit/2`) and have folders `epoch-2`, `epoch-3` in it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from governance.audit import outside
from governance.audit.actions import Verb
from governance.audit.models import AuditEvent

NUMBERED = re.compile(r"(?P<base>.+)/(?P<number>[1-9][0-9]{0,8})")
FOLDER = re.compile(r"epoch-(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One stretch of the trail's life under one name. `folder` holds its checkpoints."""

    number: int
    origin: str
    folder: Path


def first_epoch() -> Epoch:
    """The epoch that the settings name."""
    found = NUMBERED.fullmatch(settings.AUDIT_ORIGIN)
    return Epoch(int(found["number"]) if found else 1, settings.AUDIT_ORIGIN, settings.AUDIT_CHECKPOINT_DIR)


def later_epoch(number: int) -> Epoch:
    """The epoch with this number; equal to `first_epoch` when it is that one's."""
    first = first_epoch()
    if number == first.number:
        return first
    found = NUMBERED.fullmatch(first.origin)
    base = found["base"] if found else first.origin
    return Epoch(number, f"{base}/{number}", settings.AUDIT_CHECKPOINT_DIR / f"epoch-{number}")


def begun_records() -> list[dict[str, Any]]:
    """The payloads of all `epoch.begun` records of the database, oldest first."""
    found = AuditEvent.objects.filter(verb=Verb.EPOCH_BEGUN).order_by("occurred_at", "id")
    payloads = [json.loads(payload) for payload in found.values_list("payload", flat=True)]
    return sorted(payloads, key=lambda payload: int(payload["new"]["epoch"]))


def current_epoch() -> Epoch:
    """The epoch that the database is in."""
    records = begun_records()
    if not records:
        return first_epoch()
    said = records[-1]["new"]
    return Epoch(int(said["epoch"]), said["origin"], later_epoch(int(said["epoch"])).folder)


def epochs_outside() -> list[Epoch]:
    """Every epoch of which the folder holds checkpoints, oldest first."""
    root: Path = settings.AUDIT_CHECKPOINT_DIR
    first = first_epoch()
    numbers = {first.number} if outside.list_files(root) else set()
    if root.is_dir():
        named = [FOLDER.fullmatch(path.name) for path in root.iterdir()]
        numbers |= {int(name["number"]) for name in named if name}
    found = [later_epoch(number) for number in sorted(numbers)]
    return [epoch for epoch in found if outside.list_files(epoch.folder)]
