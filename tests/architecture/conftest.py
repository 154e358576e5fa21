"""One small world for all questions about the edges: everybody there is, what is theirs, and what is somebody else's.

It is built once per module inside a transaction that is rolled back at the end; each request gets a savepoint of its own.
"""

import gzip
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from governance.audit.models import AuditEvent, LegalHold
from governance.kernel.actors import Role
from governance.kernel.permissions import Permission
from governance.people.access import MAIL_LINK, PASSWORD, SCOPES, SESSION_AUTH_METHOD
from governance.people.mail_links import make_link
from governance.people.models import ApiToken, PeopleFile, Team, User
from identities.models import (
    Change,
    CutOff,
    DecisionDomain,
    Finding,
    FindingAcceptance,
    GatewayServer,
    Grant,
    GrantVersion,
    Identity,
    PosturePolicy,
    SavedView,
    Source,
    SyncMode,
    SyncOrigin,
    SyncRun,
    SyncState,
    TrustBoundary,
)
from identities.services.identity_versions import write_versions_in
from identities.sync.feed import take_feed_number
from identities.sync.known import known_row, write_known_permissions
from reviews.decisions import decide
from reviews.models import (
    AccessRequest,
    Answer,
    Brake,
    Campaign,
    ChangeWindow,
    Decision,
    Delegation,
    EvidencePack,
    Freeze,
    Order,
    Remark,
    RestoreHold,
    ReviewItem,
    ReviewSchedule,
    ReviewWatch,
    WebhookDelivery,
    WebhookEndpoint,
)
from reviews.notices.keys import fingerprint_of, new_salt, secret_of
from reviews.packs.places import file_of
from reviews.reports.campaign import keep_due_figures
from tests.identities.scores import make_score
from tests.reviews import conftest as make

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
# A decision domain that is nobody's, of a source that nothing else is about.
DOMAIN = "payments"
ON_EXCEPTIONS = {f"identities:finding_{act}" for act in ("approve", "refuse", "withdraw")} | {
    "findings_withdraw_exception"
}
PEOPLE_CSV = b"email,name\nnew@example.org,New Person\n"


@dataclass
class Belongings:
    """What belongs to one person: one object of every kind that an address can name."""

    user: User
    source: Source
    identity: Identity
    grant: Grant
    run: SyncRun
    campaign: Campaign
    schedule: ReviewSchedule
    item: ReviewItem
    answered: ReviewItem
    decision: Decision
    order: Order
    team: Team
    token: ApiToken
    file: PeopleFile
    view: SavedView
    delivery: WebhookDelivery
    watch: ReviewWatch
    remark: Remark
    window: ChangeWindow
    freeze: Freeze
    pack: EvidencePack
    finding: Finding
    excused: Finding  # for which somebody asked for an exception
    wish: AccessRequest
    delegation: Delegation | None = None

    def parameters(self, name: str) -> dict[str, Any]:
        """Values for every parameter that a path of the product has, for the endpoint `name`."""
        item = self.answered if name in {"reviews:item_recall", "api_item_decisions"} else self.item
        finding = self.excused if name in ON_EXCEPTIONS else self.finding
        return {
            "identity_id": self.identity.pk,
            "grant_id": self.grant.pk,
            "slug": self.source.slug,
            "domain": DOMAIN,
            "run_id": self.run.pk,
            "campaign_id": self.campaign.pk,
            "schedule_id": self.schedule.pk,
            "item_id": item.pk,
            "order_id": self.order.pk,
            "name": "User",
            "delegation_id": self.delegation.pk if self.delegation else None,
            "user_id": self.user.pk,
            "person_id": self.user.pk,
            "team_id": self.team.pk,
            "token_id": self.token.pk,
            "file_id": self.file.pk,
            "view_id": self.view.pk,
            "endpoint_id": self.delivery.endpoint_id,
            "delivery_id": self.delivery.pk,
            "watch_id": self.watch.pk,
            "remark_id": self.remark.pk,
            "window_id": self.window.pk,
            "freeze_id": self.freeze.pk,
            "pack_id": self.pack.pk,
            "finding_id": finding.pk,
            "request_id": self.wish.pk,
            "kind": "identity",
            "subject_id": str(self.identity.pk),
            "framework_id": "csf_2_0",
            "rule_id": "NHI1-A",
            "number": 1,
            "boundary_id": self.source.boundaries.get().pk,
        }


@dataclass
class World:
    """`belongings["owner"]` is the owner's; `stranger` is everybody's somebody else."""

    belongings: dict[str, Belongings]
    stranger: Belongings
    event_id: Any
    brake_id: Any
    hold_id: Any
    silent: Campaign  # closed, with a question that nobody answered
    link: str
    readable: Source  # one that Remit reads by itself
    held: SyncRun  # waits for a person
    running: SyncRun
    kept: SyncRun  # a dry run that can be taken in
    paused: ReviewSchedule
    waiting: Campaign  # for its sources
    sessions: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    cut_off_id: Any = None  # a server behind the gateway that the stranger cut off

    def client(self, who: str) -> Client:
        """A fresh browser with this person's session (signing out in one leaves the others alone)."""
        client = Client(raise_request_exception=False)
        if who in self.sessions:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[who]
        return client

    def things(self, who: str, relation: str) -> Belongings:
        """The caller's own things or the stranger's. Who owns nothing gets the owner's."""
        return self.belongings.get(who, self.belongings["owner"]) if relation == "own" else self.stranger

    def parameters(self, endpoint: Any, who: str, relation: str) -> dict[str, Any]:
        """What to fill into the path: the caller's own objects, or a stranger's."""
        values = self.things(who, relation).parameters(endpoint.name) | {
            "event_id": self.event_id,
            "brake_id": self.brake_id,
            "hold_id": self.hold_id,
            "server_name": "behind",
            "cut_off_id": self.cut_off_id,
            "key": "a-b",
            "uidb36": "a",
        }
        # One name, two things: a key in a mail's address, and nothing else.
        values["token"] = self.link.strip("/").split("/")[-1]
        return {name: values[name] for name in endpoint.parameters}


def _session(user: User, method: str) -> str:
    client = Client()
    client.force_login(user, backend=BACKEND)
    session = client.session
    session[SESSION_AUTH_METHOD] = method
    session.save()
    return str(session.session_key)


def _token(user: User, scopes: list[str]) -> tuple[ApiToken, str]:
    """A token as the product makes them, also with scopes that its creator could not give."""
    plain = f"remit_{secrets.token_urlsafe(32)}"
    now = timezone.now()
    token = ApiToken.objects.create(
        name="client",
        prefix=plain[:10],
        secret_hash=hashlib.sha256(plain.encode()).hexdigest(),
        scopes=scopes,
        created_by=user,
        created_at=now,
        expires_at=now + timedelta(days=30),
    )
    return token, plain


def _run(source: Source) -> SyncRun:
    now = timezone.now()
    run = SyncRun.objects.create(
        source=source,
        mode=SyncMode.SNAPSHOT,
        origin=SyncOrigin.API,
        state=SyncState.APPLIED,
        actor_id="system:test",
        started_at=now,
        observed_at=now,
        finished_at=now,
        records=1,
        counts={"identity": {"added": 1, "changed": 0, "retired": 0, "unchanged": 0}},
        is_partial=True,
        refused=1,
        refused_payload=gzip.compress(
            b'{"line":2,"pointer":"","code":"not-json","reason":"is no JSON","record":"{"}\n'
        ),
    )
    identity = source.identities.get()
    Change.objects.create(
        run=run,
        object_kind="identity",
        object_id=identity.pk,
        external_id=identity.external_id,
        action="added",
        new={"name": identity.name},
    )
    take_feed_number(run)
    return run


def _unfinished_runs() -> tuple[SyncRun, SyncRun, SyncRun]:
    """One that is held, because all that its source has would go, one under way, and a dry one that was kept."""
    source, now = make.make_source(kind="push"), timezone.now()
    make.make_grant(make.make_identity(source))
    lines = b'{"type":"identity","id":"new","kind":"bot"}\n{"type":"end","records":1}\n'
    plain: dict[str, Any] = {"source": source, "mode": "snapshot", "origin": "api", "actor_id": "system:test"}
    plain |= {"started_at": now, "observed_at": now}
    held = SyncRun.objects.create(
        **plain,
        is_complete=True,
        state=SyncState.HELD,
        held_payload=gzip.compress(lines),
        problem={"code": "too-many-retired", "title": "Waits", "status": 202, "detail": "All of it would go."},
    )
    said = {"phase": "reading", "records": 1, "bytes": 1, "of_bytes": 2, "at": now.isoformat()}
    other = plain | {"source": make.make_source(kind="push")}
    kept = SyncRun.objects.create(**other, state=SyncState.DRY_RUN, finished_at=now, held_payload=gzip.compress(lines))
    return held, SyncRun.objects.create(**plain, progress=said), kept


def _belongings(user: User, other: User, *, asked: User) -> Belongings:
    """asked: whose identity the review is about, and who therefore gets its questions."""
    source = make.make_source(owner=user)
    RestoreHold.objects.create(source=source, state_of=timezone.now(), restored_at=timezone.now())
    identity = make.make_identity(source, owner=asked)
    _boundary(source, other)
    grants = [make.make_grant(identity) for _ in range(2)]
    make.make_credential(identity)
    make.make_window(source)
    make.make_use(identity, "SELECT", "table:ledger/public/payments")
    run = _run(source)
    schedule = make.make_schedule(created_by=user, fallback_reviewer=other, scope=f"source={source.slug}")
    campaign = make.make_campaign(
        manager=user,
        fallback_reviewer=other,
        scope=f"source={source.slug}",
        deadline_at=timezone.now() + timedelta(days=14),
    )
    item, answered = (make.get_item(campaign, grant) for grant in grants)
    decision = decide(
        item=answered,
        version=answered.version,
        answer=Answer.REVOKE,
        actor=make.actor(asked),
        now=timezone.now(),
        reason="Nobody uses it.",
    )
    answered.refresh_from_db()
    if asked != user:
        identity = make.make_identity(source, owner=user)
    make_score(identity)
    team = Team.objects.create(name=f"Team of {user.pk}")
    team.members.add(user)
    token, _ = _token(user, ["inventory:read"])
    token.withheld_scopes = ["orders:read"]
    token.save()
    file = PeopleFile.objects.create(
        name="people.csv", content=PEOPLE_CSV, uploaded_by=user, uploaded_at=timezone.now()
    )
    order = Order.objects.get(decision=decision)
    view = SavedView.objects.create(page="identities", name="Mine", filter="privileged=yes", owner=user)
    absence = Delegation.objects.create(
        person=user,
        delegate=other,
        starts_at=timezone.now() + timedelta(days=30),
        ends_at=timezone.now() + timedelta(days=40),
        created_at=timezone.now(),
    )
    remark = Remark.objects.create(
        item=item, author=other, asked=user, text="Who uses it?", item_version=1, made_at=timezone.now()
    )
    return Belongings(
        user,
        source,
        identity,
        grants[0],
        run,
        campaign,
        schedule,
        item,
        answered,
        decision,
        order,
        team,
        token,
        file,
        view,
        _delivery(user),
        make.make_watch(created_by=user, fallback_reviewer=other, scope=f"source={source.slug}"),
        remark,
        ChangeWindow.objects.create(source=source, **_window(), created_by=user),
        Freeze.objects.create(source=source, **_freeze(), created_by=user),
        _pack(campaign),
        _finding(identity, "NHI5-A"),
        _excused(_finding(identity, "NHI5-B")),
        _wish(identity, user),
        absence,
    )


def _wish(identity: Identity, by: User) -> AccessRequest:
    """A request for access that waits for an answer."""
    now = timezone.now()
    return AccessRequest.objects.create(
        identity=identity, permission=make.NARROWER, is_privileged=False, reason="Month end.", asked_by=by, asked_at=now,
        until=now + timedelta(days=2), answer_by=now + timedelta(days=1), state="pending",
    )  # fmt: skip


def _excused(finding: Finding) -> Finding:
    now = timezone.now()
    FindingAcceptance.objects.create(
        finding=finding,
        severity=finding.severity,
        reason="The vendor ships the fix in March.",
        compensating_control="Only one host may reach it.",
        requested_by=make.make_person(Role.OWNER),
        requested_at=now,
        until=now + timedelta(days=30),
    )
    return finding


def _finding(identity: Identity, rule: str) -> Finding:
    policy, _ = PosturePolicy.objects.get_or_create(number=1, defaults={"document": {}})
    now = timezone.now()
    return Finding.objects.create(
        rule=rule, object_kind="identity", object_id=identity.pk, source=identity.source, identity=identity,
        severity=3, digest=b"", policy=policy, found_at=now, opened_at=now, changed_at=now,
    )  # fmt: skip


def _boundary(source: Source, owner: User) -> TrustBoundary:
    """A record of whose word the source takes, for which somebody else answers."""
    now = timezone.now()
    due = (now + timedelta(days=90)).date()
    return TrustBoundary.objects.create(
        source=source, issuer="https://issuer.example.org", subjects=["*"], purpose="Builds", owner=owner,
        review_due=due, reviewed_at=now, created_at=now,
    )  # fmt: skip


def _pack(campaign: Campaign) -> EvidencePack:
    """A pack that is ready, and a file in its place; and a signature on the review's result."""
    now, owner = timezone.now(), campaign.manager
    pinned: dict[str, Any] = {"origin": "test", "size": 1, "root": bytes(32), "note": "note", "pinned_at": now}
    pack = EvidencePack.objects.create(
        campaign=campaign, requested_by={}, requested_at=now, state="ready", ready_at=now, file_size=4,
        sha256="0" * 64, **pinned,
    )  # fmt: skip
    place = file_of(pack)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"pack")
    campaign.acknowledgements.create(
        signed_by=owner, signed_name=str(owner), statement="Seen.", state_digest="0" * 64, numbers={}, signed_at=now
    )
    return pack


def _delivery(user: User) -> WebhookDelivery:
    """A webhook with one event that was delivered."""
    now, salt = timezone.now(), new_salt()
    endpoint = WebhookEndpoint(name=f"Hook of {user.pk}", url="https://hooks.example.org/a-key", created_by=user)
    endpoint.salt, endpoint.secret_made_at, endpoint.position = salt, now, 10**12
    endpoint.fingerprint = fingerprint_of(secret_of(endpoint.pk, salt))
    endpoint.save()
    delivery: WebhookDelivery = endpoint.deliveries.create(
        event_id=uuid.uuid4(), verb="order.verified", subject_kind="order", subject_id="x", sequence=1, body="{}",
        state="delivered", attempts=1, next_attempt_at=now, created_at=now, finished_at=now,
        tries=[{"at": now.isoformat(), "status": 204, "milliseconds": 3, "problem": ""}],
    )  # fmt: skip
    return delivery


def _cut_off(by: User) -> Any:
    """A tool of a server behind the gateway that nobody may call; the server itself may still be cut off."""
    now = timezone.now()
    server = GatewayServer.objects.create(name="behind", url="https://mcp.example.org/", created_at=now)
    plain: dict[str, Any] = {"reason": "It sends too much.", "cut_at": now, "cut_by": by, "cut_by_label": "person"}
    return CutOff.objects.create(kind="tool", server=server, tool="send", **plain).pk


def _remember() -> None:
    """What readings would have written about the past."""
    Source.objects.update(last_complete_at=timezone.now())
    write_versions_in("SELECT id FROM identities_identity", {}, at=timezone.now() - timedelta(days=100))
    held = {bytes(version.digest): version.permission for version in GrantVersion.objects.all()}
    write_known_permissions(known_row(digest, Permission.from_json(document)) for digest, document in held.items())


def _silent_campaign(manager: User, owner: User) -> Campaign:
    source = make.make_source()
    make.make_grant(make.make_identity(source, owner=owner))
    now = timezone.now()
    campaign = make.make_campaign(manager=manager, scope=f"source={source.slug}", deadline_at=now + timedelta(days=14))
    campaign.items.update(state="expired")
    Campaign.objects.filter(pk=campaign.pk).update(state="closed", closed_at=now)
    keep_due_figures(now=now)  # what reports say of it
    return campaign


def build_world() -> World:
    """Everybody, and everything of theirs."""
    stranger = make.make_person(*Role)
    second = make.make_person(*Role)
    people = {role.value.replace("_", " "): make.make_person(role) for role in Role}
    people["mail link"] = make.make_person(Role.ADMINISTRATOR, Role.OWNER)
    for user in people.values():
        user.set_password(secrets.token_urlsafe())
        user.save()
    belongings = {
        # A manager's reviews ask others; everybody else here is asked.
        name: _belongings(user, second, asked=second if name == "campaign manager" else user)
        for name, user in people.items()
    }
    theirs = _belongings(stranger, second, asked=stranger)
    apart = DecisionDomain.objects.create(slug=DOMAIN, name="Payments", subject_types={"user": []})
    apart.sources.add(make.make_source(kind="push"))
    _remember()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # seals what was recorded
    world = World(
        belongings,
        theirs,
        AuditEvent.objects.values_list("pk", flat=True).first(),
        Brake.objects.create(scope="all", budget=1, tripped_at=timezone.now()).pk,
        # On somebody who is nobody here, so that it refuses nothing.
        LegalHold.objects.create(
            kind="person", subject_id=str(uuid.uuid4()), reason="Case 1", placed_by="x", placed_at=timezone.now()
        ).pk,
        _silent_campaign(stranger, second),
        make_link(people["owner"], now=timezone.now()),
        make.make_source(kind="postgresql"),
        *_unfinished_runs(),
        make.make_schedule(created_by=stranger, is_enabled=False),
        make.make_campaign(
            is_open=False, frozen={"held": {"since": make.NOW.isoformat(), "why": "Waits.", "sources": []}}
        ),
    )
    world.cut_off_id = _cut_off(stranger)
    for name, user in people.items():
        world.sessions[name] = _session(user, MAIL_LINK if name == "mail link" else PASSWORD)
    for scope in ["", *sorted(SCOPES)]:
        _, plain = _token(stranger, [scope] if scope else [])
        world.headers[scope or "no scope"] = {"Authorization": f"Bearer {plain}"}
    _, plain = _token(stranger, sorted(SCOPES))
    world.headers["every scope"] = {"Authorization": f"Bearer {plain}"}
    return world


@contextmanager
def _test_transaction() -> Iterator[None]:
    """A transaction that use cases take for the absence of one, as in Django's own TestCase; always rolled back."""
    atomic = transaction.atomic()
    atomic._from_testcase = True  # type: ignore[attr-defined]
    with atomic:
        try:
            yield
        finally:
            transaction.set_rollback(True)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The world of this module, gone when the module ends."""
    with django_db_blocker.unblock(), _test_transaction():
        call_command("createcachetable", verbosity=0)
        yield build_world()


@pytest.fixture
def undone() -> Callable[[], AbstractContextManager[None]]:
    """`with undone(): …`: whatever happens inside is taken back."""
    return _test_transaction


@pytest.fixture
def bodies() -> Callable[..., dict[str, Any]]:
    """`bodies("reviews:item_answer", things)`: a form that would be accepted from somebody who may."""

    def body(name: str, things: Belongings) -> dict[str, Any]:
        return _BODIES.get(name, lambda _: {})(things)

    return body


def _exception() -> dict[str, Any]:
    return {
        "reason": "The vendor ships the fix in March.",
        "compensating_control": "Only one host may reach it.",
        "until": f"{timezone.now() + timedelta(days=30):%Y-%m-%dT00:00:00Z}",
    }


def _window() -> dict[str, Any]:
    times = {"starts_at": "2027-01-03T02:00Z", "time_zone": "UTC", "duration_minutes": 60}
    return {"name": "Sundays", "rrule": "FREQ=WEEKLY;BYDAY=SU"} | times


def _freeze() -> dict[str, Any]:
    return {"reason": "Year end", "starts_at": "2099-12-20T00:00Z", "ends_at": "2100-01-02T00:00Z"}


def _csv_file(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("file.csv", content, content_type="text/csv")


_SOURCE = {
    "name": "New",
    "environment": "production",
    "freshness_limit_seconds": 86_400,
    "max_retire_percent": 20,
    "is_enabled": "on",
}


def _schedule(my: Belongings) -> dict[str, Any]:
    return {
        "name": my.schedule.name,
        "item_kinds": ["grant"],
        "preset": "FREQ=MONTHLY",
        "starts_at": "2027-01-01T09:00",
        "time_zone": "UTC",
        "duration_days": 14,
        "reviewer_rules": ["owner"],
        "fallback_reviewer": str(my.schedule.fallback_reviewer_id),
        "deadline_policy": "keep_and_escalate",
        "interval_reason": "Monthly is short enough.",
    }


def _watch(my: Belongings) -> dict[str, Any]:
    return {
        "scope": my.watch.scope,
        "reviewer_rules": ["owner"],
        "fallback_reviewer": str(my.watch.fallback_reviewer_id),
        "deadline_policy": "keep_and_escalate",
        "days_to_answer": 7,
        "settle_minutes": 10,
        "most_questions": 500,
        "quiet_days": 90,
    }


_BODIES: dict[str, Callable[[Belongings], dict[str, Any]]] = {
    "people:user_create": lambda my: {"name": "New", "email": "new@example.org"},
    "people:user_detail": lambda my: {
        "name": "New name",
        "email": my.user.email,
        "version": my.user.version,
        "may_sign_in": "on",
    },
    "people:user_roles": lambda my: {"roles": ["owner"], "version": my.user.version},
    "people:user_leave": lambda my: {"left_on": "2026-01-01"},
    "people:team_create": lambda my: {"name": "New team"},
    "people:team_detail": lambda my: {"name": "Renamed", "version": my.team.version},
    "people:token_list": lambda my: {"name": "New", "days": "30", "scopes": ["inventory:read"]},
    "people:import": lambda my: {"file": _csv_file(PEOPLE_CSV)},
    "identities:identity_edit": lambda my: {"version": my.identity.version, "purpose": "Pays", "owner": my.user.email},
    "identities:identity_owners_import": lambda my: {
        "file": _csv_file(
            f"source,identity,owner\n{my.source.slug},{my.identity.external_id},{my.user.email}\n".encode()
        )
    },
    "identities:identity_bulk": lambda my: {
        "id": str(my.identity.pk),
        "do": "add_tags",
        "add_tags": "seen",
        "step": "preview",
    },
    "identities:identity_take_source": lambda my: {"name": "purpose", "version": my.identity.version},
    "identities:finding_assign": lambda my: {"version": 1, "assignee": ""},
    "identities:finding_request": lambda my: (
        _exception() | {"version": 1, "until": f"{timezone.now() + timedelta(days=30):%Y-%m-%d}"}
    ),
    "identities:finding_approve": lambda my: {"version": 1},
    "identities:finding_refuse": lambda my: {"version": 1, "reason": "It has to be fixed this week."},
    "identities:finding_withdraw": lambda my: {"version": 1},
    "identities:finding_bulk": lambda my: {"id": [str(my.finding.pk)], "do": "assign", "step": "preview"},
    "identities:saved_view_list": lambda my: {"page": "identities", "name": "New", "filter": "privileged=yes"},
    "identities:saved_view_edit": lambda my: {"name": "Renamed"},
    "identities:source_create": lambda my: _SOURCE | {"slug": "new"},
    "identities:source_edit": lambda my: _SOURCE | {"version": my.source.version},
    "identities:source_check_edit": lambda my: _SOURCE | {"version": my.source.version},
    "identities:source_import": lambda my: {"file": _csv_file(b"identity,kind\nnew,bot\n"), "format": "auto"},
    "api_connection_check": lambda my: {"kind": "push"},
    "identities:sync_run_reject": lambda my: {"reason": "Broken."},
    "identities:gateway_server_create": lambda my: {"name": "new", "url": "https://mcp.example.org/"},
    "identities:gateway_server_switch": lambda my: {"is_enabled": "no", "version": 1},
    "identities:cut_off_create": lambda my: {"kind": "agent", "identity": str(my.identity.pk), "reason": "Stop."},
    "identities:cut_off_restore": lambda my: {"reason": "Mended."},
    "api_gateway_server_list": lambda my: {"name": "new", "url": "https://mcp.example.org/"},
    "api_gateway_cut_off_list": lambda my: {"server": "behind", "reason": "Stop."},
    "reviews:narrow_preview": lambda my: {"advanced": "yes", "target_json": json.dumps(make.NARROWER)},
    "reviews:narrow_ask": lambda my: {"advanced": "yes", "target_json": json.dumps(make.NARROWER)},
    "api_item_verdict": lambda my: {"target": make.NARROWER},
    "api_grant_verdict": lambda my: {"target": make.NARROWER},
    "api_grant_questions": lambda my: {"target": make.NARROWER, "why": "Never written to."},
    "reviews:items_bulk": lambda my: {"answer": "approve", "item": f"{my.item.pk}:{my.item.version}", "step": "apply"},
    "reviews:item_answer": lambda my: {"answer": "approve", "version": my.item.version, "reason": "Needed."},
    "reviews:item_draft": lambda my: {"answer": "approve", "version": my.item.version, "reason": "Needed."},
    "reviews:remark_ask": lambda my: {"ask-asked": str(my.user.pk), "ask-text": "Who uses it?"},
    "reviews:remark_reply": lambda my: {"text": "I do."},
    "reviews:item_preview": lambda my: {"answer": "approve", "version": my.item.version, "reason": "Needed."},
    "reviews:item_recall": lambda my: {"decision": str(my.decision.pk)},
    "reviews:item_reassign": lambda my: {
        "to": my.campaign.fallback_reviewer.email,
        "why": "They know.",
        "version": my.item.version,
    },
    "reviews:absence": lambda my: {
        "delegate": my.campaign.fallback_reviewer.email,
        "starts_at": "2027-06-01",
        "ends_at": "2027-06-03",
    },
    "reviews:ownership_item": lambda my: {"answer": "dont_know", "version": 1},
    "reviews:owners_accept": lambda my: {"person": str(my.user.pk), "version": my.identity.version},
    "reviews:campaign_move": lambda my: {
        "person": str(my.item.assignee_id),
        "to": my.campaign.fallback_reviewer.email,
        "reason": "They know.",
    },
    "api_items_reassign": lambda my: {
        "items": [{"item": str(my.item.pk)}],
        "to": my.campaign.fallback_reviewer.email,
        "reason": "They know.",
    },
    "reviews:absence_end": lambda my: {"reason": "Back early."},
    "api_delegations": lambda my: {
        "person": my.user.email,
        "delegate": my.campaign.fallback_reviewer.email,
        "starts_at": "2027-06-01T00:00:00Z",
        "ends_at": "2027-06-03T00:00:00Z",
        "reason": "Away.",
    },
    "api_delegation_end": lambda my: {"reason": "Back early."},
    "reviews:schedule_create": lambda my: _schedule(my) | {"name": "New"},
    "reviews:schedule_edit": lambda my: _schedule(my) | {"version": my.schedule.version},
    "reviews:schedule_preview": _schedule,
    "reviews:watch_create": lambda my: _watch(my) | {"trigger": "reappeared"},
    "reviews:watch_edit": lambda my: _watch(my) | {"version": my.watch.version},
    "reviews:watch_switch": lambda my: {"to": "off", "version": my.watch.version},
    "api_watches": lambda my: {"trigger": "reappeared", "fallback_reviewer": my.watch.fallback_reviewer.email},
    "api_watch": lambda my: {"days_to_answer": 5},
    "reviews:campaign_acknowledge": lambda my: {"statement": "I have seen it."},
    "reviews:campaign_cancel": lambda my: {"reason": "Not needed."},
    "reviews:brake_budget": lambda my: {"source": my.source.slug, "per_hour": 5, "reason": "It is fragile."},
    "reviews:brake_release": lambda my: {"release-reason": "It is right."},
    "reviews:brake_call_off": lambda my: {"call_off-reason": "It is wrong."},
    "reviews:restored_release": lambda my: {f"release-{my.source.slug}-reason": "It is right."},
    "reviews:restored_call_off": lambda my: {f"call_off-{my.source.slug}-reason": "It is over."},
    "reviews:order_call_off": lambda my: {"reason": "Still needed."},
    "reviews:order_restore": lambda my: {"reason": "Needed again.", "days": 30},
    "reviews:order_settle": lambda my: {"reason": "It cannot be verified."},
    "reviews:order_release": lambda my: {"reason": "Agreed."},
    "reviews:order_refuse": lambda my: {"reason": "Not now."},
    "reviews:order_release_urgently": lambda my: {"reason": "It cannot wait."},
    "reviews:order_protest": lambda my: {"reason": "The nightly job fails."},
    "reviews:window_create": lambda my: _window() | {"preset": "custom", "source": my.source.slug},
    "console:hold_place": lambda my: {"kind": "person", "subject": str(my.user.pk), "reason": "Case 9"},
    "console:erase": lambda my: {"person": str(my.user.pk), "reason": "Request 12"},
    "api_holds": lambda my: {"kind": "person", "subject": str(my.user.pk), "reason": "Case 9"},
    "api_hold_lift": lambda my: {"reason": "Closed"},
    "api_erasures": lambda my: {"person": str(my.user.pk), "reason": "Request 12"},
    "reviews:freeze_create": lambda my: _freeze() | {"source": my.source.slug, "time_zone": "UTC"},
    "api_change_windows": lambda my: _window() | {"preset": "custom", "source": my.source.slug},
    "api_freezes": lambda my: _freeze() | {"source": my.source.slug},
    "reviews:order_task_done": lambda my: {"note": "Removed by hand."},
    "reviews:webhook_create": lambda my: {"name": "New", "url": "https://hooks.example.org/", "purpose": "events"},
    "reviews:webhook_edit": lambda my: {
        "name": "Renamed",
        "url": "https://hooks.example.org/",
        "purpose": "events",
        "version": 1,
    },
    "reviews:webhook_rotate": lambda my: {"overlap_hours": "24"},
    "reviews:webhook_switch": lambda my: {"to": "off"},
    "reviews:order_tickets": lambda my: {"reference": "OPS-1"},
    "api_webhooks": lambda my: {"name": "New", "url": "https://hooks.example.org/"},
    "api_webhook": lambda my: {"name": "Renamed"},
    "api_order_ticket": lambda my: {"reference": "OPS-1"},
    "api_identity_bulk_edit": lambda my: {"ids": [str(my.identity.pk)], "set": {"add_tags": ["seen"]}, "dry_run": True},
    "api_finding_assign": lambda my: {"assignee": None},
    "api_finding_exception": lambda my: _exception(),
    "api_finding_bulk": lambda my: {"ids": [str(my.finding.pk)], "assign": {"assignee": None}, "dry_run": True},
    "api_saved_view_list": lambda my: {"page": "identities", "name": "New"},
    "api_saved_view_detail": lambda my: {"name": "Renamed"},
    "api_items_decide": lambda my: {"items": [{"id": str(my.item.pk)}], "answer": "approve"},
    "api_item_decisions": lambda my: {"answer": "approve", "reason": "Needed."},
}
