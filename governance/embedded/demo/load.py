"""Fill a fresh installation with the demo, through the same use cases that people and programs call.

Nothing elsewhere knows that it is a demo: the ledger is a source like any other, the estate comes in through the push
engine, the reviews are opened by beat.
"""

import json
import os
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from governance.embedded.demo.estate import System, demo_estate
from governance.embedded.demo.ledger import CONNECTOR, DATABASE, LedgerAccess, create_ledger
from governance.embedded.demo.past import as_it_was, moments_before, note_of, score_as_of
from governance.embedded.demo.people import (
    AUDITOR_EMAIL,
    MEMBERS,
    OWNER_EMAIL,
    OWNER_OF_ROLE,
    REVIEWER_EMAIL,
    Member,
)
from governance.embedded.demo.traffic import run_traffic
from governance.kernel.actors import Actor, Role, system_actor
from governance.people.access import actor_for_user
from governance.people.accounts import create_user, mark_left
from governance.people.models import User
from governance.people.teams import create_team
from identities.models import Identity, Source, SyncMode, SyncOrigin, SyncRun
from identities.services.identities import OwnerRow, import_owners
from identities.services.sources import register_source
from identities.sync.read import read_source
from identities.sync.receive import receive
from reviews.campaigns.schedules import create_schedule
from reviews.models import DeadlinePolicy, ItemKind, ReviewerRule

SETUP = system_actor("demo")
SEED = 2026
TRAFFIC_SECONDS = 4.0
WALKTHROUGH_ROLE = "bi_reporting"

Say = Callable[[str], None]


def load_demo(*, admin_dsn: str, folder: Path, say: Say) -> None:
    """Load everything once. `folder` keeps the passwords (0600) and the text that the start prints.

    admin_dsn: a superuser's connection to the server that shall hold the ledger.
    """
    now = timezone.now()
    say("people and teams")
    password = secrets.token_urlsafe(9)
    people = _people(password, now)
    reviewer = actor_for_user(people[REVIEWER_EMAIL], auth_method="internal")
    say("the database “ledger” with its service roles, and some traffic in it")
    access = _ledger(admin_dsn, folder)
    _traffic(access)
    say("reading the ledger")
    ledger = _ledger_source(access, folder, people, reviewer)
    read_source(source_id=ledger.pk, actor=SETUP, now=timezone.now())
    _owners(reviewer)
    _leavers(people, now)
    say("pushing the estate of about 400 identities")
    _estate(people, reviewer)
    say("scheduling the reviews")
    _schedules(people, reviewer)
    _write(folder / "demo-signin.txt", _sign_in_text(password, access))


def _people(password: str, now: datetime) -> dict[str, User]:
    people = {
        member.email: create_user(
            email=member.email,
            name=member.name,
            roles=member.roles,
            password=password,
            actor=SETUP,
            now=now,
        )
        for member in MEMBERS
    }
    for team in sorted({member.team for member in MEMBERS if member.team}):
        members = [people[member.email].pk for member in MEMBERS if member.team == team and not member.has_left]
        create_team(name=team, member_ids=members, actor=SETUP, now=now)
    return people


def _ledger(admin_dsn: str, folder: Path) -> LedgerAccess:
    kept = folder / "demo-ledger.json"
    known: dict[str, str] = json.loads(kept.read_text())["passwords"] if kept.exists() else {}

    def password_for(role: str) -> str:
        return known.setdefault(role, secrets.token_urlsafe(18))

    access = create_ledger(admin_dsn, password_for=password_for)
    _write(kept, json.dumps({"host": access.host, "port": access.port, "passwords": access.passwords}))
    _write(folder / "ledger-connector.password", access.passwords[CONNECTOR])
    return access


def _traffic(access: LedgerAccess) -> None:
    """A few seconds of it, so that the first reading has something to observe."""
    stop = threading.Event()
    timer = threading.Timer(TRAFFIC_SECONDS, stop.set)
    timer.start()
    run_traffic(access.dsn, stop=stop, seed=SEED)


def _ledger_source(access: LedgerAccess, folder: Path, people: dict[str, User], actor: Actor) -> Source:
    settings: dict[str, Any] = {
        "host": access.host,
        "port": access.port,
        "databases": [DATABASE],
        "user": CONNECTOR,
        "password": f"file:{folder / 'ledger-connector.password'}",
    }
    return register_source(
        slug="ledger",
        name="Ledger database",
        kind="postgresql",
        environment="production",
        settings=settings,
        owner=people["oskar.holm@example.org"],
        read_every_seconds=60,
        freshness_limit_seconds=3600,
        actor=actor,
        now=timezone.now(),
    )


def _owners(actor: Actor) -> None:
    rows = [
        OwnerRow(line=line, source="ledger", identity=role, owner=email)
        for line, (role, email) in enumerate(sorted(OWNER_OF_ROLE.items()), start=2)
    ]
    report = import_owners(rows=rows, actor=actor, now=timezone.now())
    if report.errors:
        raise RuntimeError(f"The demo's owners do not fit its ledger: {report.errors}")


def _leavers(people: dict[str, User], now: datetime) -> None:
    for member in MEMBERS:
        if member.has_left:
            mark_left(user_id=people[member.email].pk, left_at=now, actor=SETUP, now=now)


def _estate(people: dict[str, User], actor: Actor) -> None:
    now = timezone.now()
    estate = demo_estate(now=now, seed=SEED, owners=[member.email for member in MEMBERS if _answers(member)])
    sources = [
        register_source(
            slug=system.slug,
            name=system.name,
            kind="push",
            environment=system.environment,
            settings={},
            owner=people[OWNER_EMAIL],
            actor=actor,
            now=now,
        )
        for system in estate
    ]
    for moment, ahead in moments_before(now):
        for source, system in zip(sources, estate, strict=True):
            run = _push(source, as_it_was(system, at=moment, now=now, ahead=ahead), moment)
            SyncRun.objects.filter(pk=run.pk).update(notes=note_of(system, moment))
        pushed = Identity.objects.filter(source__in=sources, retired_at=None)
        score_as_of(list(pushed.values_list("pk", flat=True)), moment)
    for source, system in zip(sources, estate, strict=True):
        _push(source, system, now)


def _push(source: Source, system: System, observed_at: datetime) -> SyncRun:
    run = receive(
        source=source,
        lines=system.lines,
        mode=SyncMode.SNAPSHOT,
        is_complete=True,
        origin=SyncOrigin.FILE,
        actor=SETUP,
        now=timezone.now(),
        observed_at=observed_at,
    )
    if run.state != "applied":
        raise RuntimeError(f"The demo's estate was not accepted: {run.problem}")
    return run


def _answers(member: Member) -> bool:
    return Role.OWNER in member.roles and not member.has_left


def _schedules(people: dict[str, User], actor: Actor) -> None:
    now = timezone.now()
    reviewer = people[REVIEWER_EMAIL]
    soon = now + timedelta(seconds=2)
    create_schedule(
        name="Ledger: privileged access",
        scope="privileged=yes&source=ledger",
        item_kinds=(ItemKind.GRANT,),
        rrule="FREQ=MONTHLY;INTERVAL=3",
        starts_at=soon,
        time_zone="Europe/Berlin",
        duration_days=14,
        reviewer_rules=(ReviewerRule.OWNER, ReviewerRule.BACKUP),
        fallback_reviewer=reviewer,
        independent_reviewer=reviewer,
        deadline_policy=DeadlinePolicy.REVOKE_UNUSED,
        interval_reason="Card data is one join away from these tables; the risk analysis of March asks for a quarter.",
        actor=actor,
        now=now,
    )
    create_schedule(
        name="AI agents and their tools",
        scope="kind=ai_agent",
        item_kinds=(ItemKind.GRANT,),
        rrule="FREQ=MONTHLY",
        starts_at=soon,
        time_zone="Europe/Berlin",
        duration_days=10,
        reviewer_rules=(ReviewerRule.OWNER, ReviewerRule.TEAM),
        fallback_reviewer=reviewer,
        independent_reviewer=people["ines.albrecht@example.org"],
        interval_reason="Tools change with every release of an agent, so their access is looked at every month.",
        actor=actor,
        now=now,
    )
    create_schedule(
        name="Credentials of production",
        scope="environment=production",
        item_kinds=(ItemKind.CREDENTIAL,),
        rrule="FREQ=MONTHLY;INTERVAL=6;BYMONTHDAY=1",
        starts_at=now + timedelta(days=7),
        time_zone="Europe/Berlin",
        duration_days=21,
        reviewer_rules=(ReviewerRule.OWNER, ReviewerRule.TEAM, ReviewerRule.SOURCE_OWNER),
        fallback_reviewer=reviewer,
        interval_reason="Static secrets are to be rotated at least yearly; half of that leaves time to do it.",
        actor=actor,
        now=now,
    )


def _sign_in_text(password: str, access: LedgerAccess) -> str:
    role = WALKTHROUGH_ROLE
    return "\n".join(
        [
            f"Sign in as {REVIEWER_EMAIL} (reviewer and administrator),",
            f"        or {OWNER_EMAIL} (owner), {AUDITOR_EMAIL} (auditor).",
            f"Password of each: {password}",
            "",
            f"Try this: Inbox → the question about what {role} may do with “refunds” → Scope down.",
            "Then ask the database itself, as that role:",
            f'  psql "host={access.host} port={access.port} dbname={access.database} user={role}"',
            f"  password: {access.passwords[role]}",
        ]
    )


def _write(path: Path, text: str) -> None:
    """Only the owner of the folder may read it, from the first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
