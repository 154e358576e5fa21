"""What the bench has to do inside a Django process: `python -m tests.bench.inside TASK JSON`.

Each task is a function with keyword arguments; its result is printed as one line of JSON, the last of the output.
"""

import gc
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import django

PASSWORD = "correct horse battery staple"
KEEPER = "keeper@bench.example.org"
REVIEWERS = 4


def furnish(sources: list[str] | None = None) -> dict[str, Any]:
    """People, tokens and push sources. Returns `{"token", "keeper", "reviewers", "password"}`."""
    from datetime import timedelta

    from django.utils import timezone

    from governance.kernel.actors import Role, system_actor
    from governance.people.access import SCOPES
    from governance.people.accounts import create_user
    from governance.people.tokens import create_token
    from identities.services.sources import register_source
    from tests.bench.estate import OWNERS, owner_email

    actor, now = system_actor("bench"), timezone.now()
    everything = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
    keeper = create_user(email=KEEPER, name="Kim Keeper", roles=everything, password=PASSWORD, actor=actor, now=now)
    reviewers = [f"reviewer-{number}@bench.example.org" for number in range(REVIEWERS)]
    for email in reviewers:
        create_user(email=email, name=email[:10], roles=(Role.REVIEWER,), password=PASSWORD, actor=actor, now=now)
    for number in range(OWNERS):
        create_user(
            email=owner_email(number), name=f"Owner {number}", roles=(Role.OWNER,), actor=actor, now=now, password=None
        )
    _, token = create_token(
        name="bench", scopes=SCOPES, expires_at=now + timedelta(days=7), actor=actor, now=now, accountable=keeper
    )
    for slug in sources or ["estate", "second", "third"]:
        register_source(
            slug=slug, name=slug.title(), kind="push", environment="production", settings={}, owner=keeper,
            actor=actor, now=now, max_retire_percent=60,
        )  # fmt: skip
    return {"token": token, "keeper": KEEPER, "reviewers": reviewers, "password": PASSWORD}


def _peak_mb() -> float:
    """The most memory this program ever had. Not ru_maxrss: that begins with what the process it was forked from had."""
    said = Path("/proc/self/status").read_text()
    return int(said.split("VmHWM:")[1].split()[0]) / 1024


def sync(file: str, source: str = "estate", is_complete: bool = True, profile: str = "") -> dict[str, Any]:
    """`receive` of a file, as `manage.py import` does it. profile: a file for cProfile's figures.

    Returns `{"seconds", "peak_mb", "state", "counts", "problem"}`; peak_mb is this process's own.
    """
    from django.utils import timezone

    from governance.kernel.actors import system_actor
    from identities.models import Source, SyncMode, SyncOrigin
    from identities.sync.lines import GZIP_START, Body
    from identities.sync.receive import receive

    found = Source.objects.get(slug=source)
    with Path(file).open("rb") as opened:
        is_gzip = opened.peek(2)[:2] == GZIP_START

        def go() -> Any:
            return receive(
                source=found,
                lines=Body(opened, is_gzip=is_gzip),
                mode=SyncMode.SNAPSHOT,
                is_complete=is_complete,
                origin=SyncOrigin.FILE,
                actor=system_actor("bench"),
                now=timezone.now(),
            )

        began = time.perf_counter()
        run = _profiled(go, profile) if profile else go()
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "peak_mb": _peak_mb(),
        "state": str(run.state),
        "counts": run.counts,
        "problem": run.problem,
        "errors": [str(error) for error in run.row_errors.all()[:3]],
    }


def import_file(file: str, source: str = "estate") -> dict[str, Any]:
    """`manage.py import` of a file whose format is found out by its content; returns what `sync` does."""
    from django.utils import timezone

    from governance.kernel.actors import system_actor
    from identities.models import Source
    from identities.sync.importing import Import
    from identities.sync.importing import import_file as take

    found = Source.objects.get(slug=source)
    wish = Import(is_complete=True)
    began = time.perf_counter()
    with Path(file).open("rb") as opened:
        run = take(source=found, file=opened, wish=wish, actor=system_actor("bench"), now=timezone.now())
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "peak_mb": _peak_mb(), "state": str(run.state)}
    return told | {"counts": run.counts, "problem": run.problem}


def open_campaign(scope: str, reviewer: str = "", profile: str = "") -> dict[str, Any]:
    """Draft and open a campaign over this scope. reviewer: who is asked everything, instead of the owners. Returns `{"seconds", "items", "campaign", "state"}`."""
    from django.utils import timezone

    from reviews.campaigns.opening import open_campaign as open_it

    campaign, actor = _draft(scope, reviewer)

    def go() -> Any:
        return open_it(campaign_id=campaign.pk, actor=actor, now=timezone.now())

    began = time.perf_counter()
    opened = _profiled(go, profile) if profile else go()
    # Where workers run, one of them may have taken the campaign first.
    while opened.state in ("draft", "opening"):
        time.sleep(0.1)
        opened.refresh_from_db()
    seconds = time.perf_counter() - began
    items = opened.items.count()
    return {"seconds": seconds, "items": items, "campaign": str(opened.pk), "state": str(opened.state)}


def _draft(scope: str, reviewer: str = "") -> Any:
    from django.utils import timezone

    from governance.people.access import actor_for_user
    from governance.people.models import User
    from reviews.campaigns.due import run_now
    from reviews.campaigns.schedules import create_schedule
    from reviews.models import DeadlinePolicy, ItemKind, ReviewerRule

    keeper = User.objects.get(email=KEEPER)
    actor, now = actor_for_user(keeper, auth_method="password"), timezone.now()
    schedule = create_schedule(
        name=f"Bench {time.time_ns()}",
        scope=scope,
        item_kinds=(ItemKind.GRANT,),
        rrule="FREQ=YEARLY",
        starts_at=now + _days(300),
        time_zone="UTC",
        duration_days=14,
        # There are no teams here, so the second rule leaves every question to the fallback.
        reviewer_rules=(ReviewerRule.TEAM,) if reviewer else (ReviewerRule.OWNER,),
        fallback_reviewer=User.objects.get(email=reviewer or KEEPER),
        independent_reviewer=User.objects.get(email=reviewer or "reviewer-0@bench.example.org"),
        deadline_policy=DeadlinePolicy.KEEP_AND_ESCALATE,
        interval_reason="Measured, so that the figures in the documents are true.",
        actor=actor,
        now=now,
    )
    return run_now(schedule=schedule, actor=actor, now=now), actor


def _days(number: int) -> Any:
    from datetime import timedelta

    return timedelta(days=number)


def decide(campaign: str, number: int, rounds: int) -> dict[str, Any]:
    """Single decisions with and without their audit record, in turns. Milliseconds per decision, by round.

    Without: `record` and `record_many` do nothing, everything else is the same, including the commit.
    """
    from unittest import mock
    from uuid import uuid4

    from django.utils import timezone

    from governance.audit import log
    from governance.people.access import actor_for_user
    from reviews.decisions import decide as decide_it
    from reviews.models import ReviewItem

    wanted = (rounds * 2 + 1) * number
    items = ReviewItem.objects.filter(campaign=campaign, state="open", is_privileged=False)
    waiting = iter(list(items.select_related("assignee").order_by("pk")[:wanted]))
    actors: dict[Any, Any] = {}

    def one() -> float:
        item = next(waiting)
        if item.assignee_id not in actors:
            actors[item.assignee_id] = actor_for_user(item.assignee, auth_method="password")
        began = time.perf_counter()
        decide_it(
            item=item, version=item.version, answer="approve", actor=actors[item.assignee_id], now=timezone.now(),
            reason="still needed",
        )  # fmt: skip
        return (time.perf_counter() - began) * 1000

    def silent(**facts: Any) -> Any:
        return uuid4()

    def silent_many(records: Any) -> Any:
        return [uuid4() for _ in records]

    def quiet() -> float:
        with mock.patch.object(log, "record", silent), mock.patch.object(log, "record_many", silent_many):
            return one()

    for _ in range(number):
        one()
    audited, plain = [], []
    for _ in range(rounds):
        # Turn by turn, so that a busy moment of the machine meets both.
        pairs = [(one(), quiet()) for _ in range(number)]
        audited.append([with_it for with_it, _ in pairs])
        plain.append([without for _, without in pairs])
    return {"audited": audited, "plain": plain}


def bulk_audit(campaign: str, number: int, rounds: int) -> dict[str, Any]:
    """Rows per second of a bulk insert with one audit record each, and of the same insert alone, in turns.

    The rows are a campaign's questions, written in one transaction as an opening review writes them (`audited`,
    `plain`), and by Django's `bulk_create` (`audited_orm`, `plain_orm`); the transaction is sealed and committed.
    `alone`: the records without the rows.
    """
    from uuid import uuid4

    from django.db import transaction
    from django.utils import timezone

    from governance.audit import log
    from governance.audit.actions import Verb
    from governance.kernel.actors import system_actor
    from reviews.decisions.copying import copy_rows
    from reviews.models import ReviewItem

    actor = system_actor("bench")
    read = list(ReviewItem.objects.filter(campaign=campaign).order_by("pk")[:number])

    def record(item: Any, now: Any) -> Any:
        return log.Record(
            verb=Verb.ITEM_ESCALATED,
            actor=actor,
            subject=log.Subject("review_item", str(item.pk), "item"),
            now=now,
            new={"assignee": str(item.assignee_id), "state": str(item.state)},
            context={"campaign": str(item.campaign_id), "identity": str(item.identity_id), "kind": str(item.kind)},
        )

    def by_orm(items: Any) -> None:
        ReviewItem.objects.bulk_create(items, batch_size=1000)

    def insert(write: Callable[[Any], None] | None, *, is_audited: bool) -> float:
        home = _draft("")[0].pk if write else read[0].campaign_id
        for item in read:
            item.pk, item.campaign_id, item._state.adding = uuid4(), home, True
        now = timezone.now()
        began = time.perf_counter()
        with transaction.atomic():
            if write:
                write(read)
            if is_audited:
                log.record_many(record(item, now) for item in read)
        return len(read) / (time.perf_counter() - began)

    ways: dict[str, Callable[[], float]] = {
        "audited": lambda: insert(copy_rows, is_audited=True),
        "plain": lambda: insert(copy_rows, is_audited=False),
        "audited_orm": lambda: insert(by_orm, is_audited=True),
        "plain_orm": lambda: insert(by_orm, is_audited=False),
        "alone": lambda: insert(None, is_audited=True),
    }
    ways["audited"]()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return {**found, "rows": len(read)}


def fill_stream(seconds: float, rounds: int) -> dict[str, Any]:
    """See `tests.bench.streams.fill`."""
    from tests.bench.streams import fill

    return fill(seconds, rounds)


def as_of(number: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of reading an identity's access as of an earlier moment, and as it is now, in turns.

    `{"missing": why}` where this version has no such selector.
    """
    try:
        from identities.selectors import as_of as history  # type: ignore[attr-defined]
    except ImportError as error:
        return {"missing": str(error)}
    from identities.models import GrantVersion, Identity
    from identities.selectors.inventory import list_current_grants

    identities = list(Identity.objects.filter(retired_at=None).order_by("pk")[:number])
    moments = GrantVersion.objects.order_by("seen_from").values_list("seen_from", flat=True)
    first, last = moments.first(), moments.last()
    between = first + (last - first) / 2 if last != first else last

    def earlier(identity: Any) -> Any:
        return history.access_as_of(identity, between)

    def current(identity: Any) -> Any:
        return list_current_grants(identity)

    def timed(ask: Callable[[Any], Any]) -> list[float]:
        times = []
        for identity in identities:
            began = time.perf_counter()
            list(ask(identity))
            times.append((time.perf_counter() - began) * 1000)
        return times

    timed(earlier), timed(current)
    past, now = [], []
    for _ in range(rounds):
        past.append(timed(earlier))
        now.append(timed(current))
    return {"past": past, "now": now}


def cursor(given: str, depth: float) -> dict[str, Any]:
    """A cursor for the same list and order as `given`, but at this share of the whole list (0 to 1).

    Pages cannot be leafed through eighteen thousand times, so the place is looked up and signed as the list would.
    """
    from django.core import signing
    from django.core.exceptions import FieldError

    from governance.web import pagination
    from identities.models import Grant, GrantVersion, Identity

    signature, _, values = signing.loads(given, salt=pagination._SALT)
    names = signature.split(",")
    for model, live in (
        (Grant, {"retired_at": None}),
        (Identity, {"retired_at": None}),
        (GrantVersion, {"seen_until": None, "grant__retired_at": None}),
    ):
        rows = model.objects.filter(**live)
        if any(isinstance(value, str) and len(value) == 36 and rows.filter(pk=value).exists() for value in values):
            break
    else:
        return {"missing": f"no list of grants or identities has the order {signature!r}"}
    try:
        ordered = rows.order_by(*names).values_list(*(name.lstrip("-") for name in names))
        place = ordered[int(rows.count() * depth)]
    except FieldError as error:
        return {"missing": str(error)}
    plain = [pagination._plain(value) for value in place]
    return {"cursor": signing.dumps([signature, 0, plain], salt=pagination._SALT, compress=True)}


def fill_baselines(product: str) -> dict[str, Any]:
    """Copy the product's current grants into the baselines' tables; an account for admin and API.

    Returns `{"token", "source", "identity", "grants"}`: a source and an identity that new grants may point at.
    """
    import psycopg
    from django.contrib.auth.models import User
    from django.db import connection
    from rest_framework.authtoken.models import Token

    connection.ensure_connection()
    copies = (
        ("baselines_source", "id, slug, name", "SELECT id, slug, name FROM identities_source"),
        (
            "baselines_identity",
            "id, source_id, external_id, name, kind",
            "SELECT id, source_id, external_id, name, kind FROM identities_identity WHERE retired_at IS NULL",
        ),
        (
            "baselines_grant",
            "id, source_id, identity_id, external_id, label, permission, path, revocability, shared_with, native_ref,"
            " is_privileged, first_seen_at, last_changed_at, retired_at",
            "SELECT g.id, g.source_id, g.identity_id, g.external_id, g.label, v.permission, g.path, g.revocability,"
            " g.shared_with, g.native_ref, v.is_privileged, g.first_seen_at, g.last_changed_at, g.retired_at"
            " FROM identities_grant g JOIN identities_grantversion v ON v.grant_id = g.id AND v.seen_until IS NULL"
            " JOIN identities_identity i ON i.id = g.identity_id AND i.retired_at IS NULL WHERE g.retired_at IS NULL",
        ),
    )
    with psycopg.connect(product) as reading, connection.cursor() as writing:
        for table, columns, query in copies:
            with (
                reading.cursor().copy(f"COPY ({query}) TO STDOUT") as source,
                writing.copy(f"COPY {table} ({columns}) FROM STDIN") as target,
            ):
                for data in source:
                    target.write(data)
        writing.execute("SELECT (SELECT id FROM baselines_source LIMIT 1), (SELECT id FROM baselines_identity LIMIT 1)")
        source_id, identity_id = writing.fetchone()
        writing.execute("SELECT count(*) FROM baselines_grant")
        (grants,) = writing.fetchone()
    user = User.objects.filter(username="keeper").first() or User.objects.create_superuser("keeper", "", PASSWORD)
    token, _ = Token.objects.get_or_create(user=user)
    return {"token": token.key, "source": str(source_id), "identity": str(identity_id), "grants": grants}


def profile_page(path: str, number: int = 60) -> dict[str, Any]:
    """Where a page's time goes: the functions with the most own and the most total time, as text; and its queries."""
    import cProfile
    import pstats
    from io import StringIO

    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from governance.people.models import User

    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(User.objects.get(email=KEEPER), backend="allauth.account.auth_backends.AuthenticationBackend")
    for _ in range(5):
        answer = client.get(path)
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    queries = list(captured)  # the next request forgets them
    profile = cProfile.Profile()
    profile.runcall(lambda: [client.get(path) for _ in range(number)])
    text = StringIO()
    stats = pstats.Stats(profile, stream=text)
    stats.sort_stats("tottime").print_stats(25)
    stats.sort_stats("cumtime").print_stats(70)
    spent = sum(float(query["time"]) for query in queries) * 1000
    head = f"{path}: status {answer.status_code}, {len(queries)} queries in {spent:.0f} ms, {len(answer.content):,} bytes\n"
    each = "\n".join(f"{float(query['time']) * 1000:6.1f} ms  {query['sql'][:160]}" for query in queries)
    return {"text": f"{head}{each}\n{text.getvalue()}"}


def _profiled(call: Callable[[], Any], file: str) -> Any:
    import cProfile

    profile = cProfile.Profile()
    result = profile.runcall(call)
    profile.dump_stats(file)
    return result


def bulk_decide(number: int, rounds: int, callers: int = 1) -> dict[str, Any]:
    """Answer so many questions in each round, as many per call as the product takes. Rows per second, by round.

    callers: processes that answer side by side, each its own part, as web workers do for several programs at once. The
    garbage collector is set as in a web worker, which is who answers.
    """
    from collections import Counter

    from django.db import connections

    from governance.web.warmup import freeze
    from reviews.decisions.bulk import MOST_ITEMS
    from reviews.models import ReviewItem

    rates, refused = [], Counter[str]()
    freeze()
    for _ in range(rounds):
        waiting = ReviewItem.objects.filter(state="open", assignee__email=KEEPER, is_privileged=False)
        found = list(waiting.order_by("pk").values_list("pk", "version")[: number // rounds])
        calls = [dict(found[start : start + MOST_ITEMS]) for start in range(0, len(found), MOST_ITEMS)]
        connections.close_all()  # a connection belongs to one process
        told = _side_by_side(_answer_calls, [calls[nth::callers] for nth in range(callers)])
        rates.append(len(found) / (max(each["ended"] for each in told) - min(each["began"] for each in told)))
        for each in told:
            refused.update(each["refused"])
    return {"per_s": rates, "at_once": MOST_ITEMS, "refused": dict(refused)}


def _answer_calls(calls: list[dict[UUID, int]], ready: Callable[[], object]) -> dict[str, Any]:
    """Approve the questions of each call, ids with versions, once everybody is ready."""
    from collections import Counter

    from django.utils import timezone

    from governance.people.access import actor_for_user
    from governance.people.models import User
    from reviews.decisions import decide_many

    actor = actor_for_user(User.objects.get(email=KEEPER), auth_method="password")
    refused = Counter[str]()
    ready()
    began = time.perf_counter()
    for versions in calls:
        results = decide_many(
            item_ids=versions, answer="approve", actor=actor, now=timezone.now(), reason="needed", versions=versions
        )
        refused.update(result.code for result in results if not result.ok)
    return {"began": began, "ended": time.perf_counter(), "refused": dict(refused)}


def _side_by_side(work: Callable[..., dict[str, Any]], parts: list[Any]) -> list[dict[str, Any]]:
    """What `work` returned for each part; one part is worked on in this process, several in one forked for each."""
    if len(parts) == 1:
        return [work(parts[0], lambda: None)]
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(len(parts)), context.Queue()
    processes = [context.Process(target=lambda part=part: answers.put(work(part, barrier.wait))) for part in parts]
    for process in processes:
        process.start()
    told = [answers.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return told


def close_campaign() -> dict[str, Any]:
    """Close the one open review as its deadline would, and let its policy speak for everything undecided."""
    from datetime import timedelta

    from reviews.campaigns.closing import close_due_campaigns
    from reviews.models import Campaign

    campaign = Campaign.objects.get(state="open")
    items = campaign.items.filter(state="open").count()
    began = time.perf_counter()
    close_due_campaigns(now=campaign.deadline_at + timedelta(minutes=1))
    seconds = time.perf_counter() - began
    campaign.refresh_from_db()
    return {"seconds": seconds, "items": items, "state": str(campaign.state)}


def evidence_pack() -> dict[str, Any]:
    """Write the pack of the one closed review as a worker does, from the pin to the file in its place.

    Returns `{"seconds", "peak_mb", "items", "lines", "file_mb"}`; peak_mb is this process's own.
    """
    from django.utils import timezone

    from governance.kernel.actors import system_actor
    from reviews import packs
    from reviews.models import Campaign
    from reviews.packs.places import file_of

    campaign = Campaign.objects.exclude(closed_at=None).get()
    items, before = campaign.items.count(), _peak_mb()
    pack = packs.request_pack(campaign=campaign, actor=system_actor("bench"), now=timezone.now(), is_queued=False)
    began = time.perf_counter()
    built = packs.build_pack(pack_id=pack.pk, now=timezone.now())
    seconds = time.perf_counter() - began
    if built is None:
        pack.refresh_from_db()
        raise RuntimeError(f"the pack is {pack.state}: {pack.problem}")
    import zipfile

    peak = _peak_mb()
    with zipfile.ZipFile(file_of(built)) as archive, archive.open("audit-log.jsonl") as log:
        lines = sum(1 for _ in log)
    return {
        "seconds": seconds,
        "peak_mb": peak,
        "before_mb": before,
        "items": items,
        "lines": lines,
        "file_mb": file_of(built).stat().st_size / 1e6,
    }


def evaluate_posture(profile: str = "") -> dict[str, Any]:
    """Judge whatever there is to judge, everything on a new database."""
    from django.utils import timezone

    from identities.posture.evaluate import evaluate_changes

    now = timezone.now()
    began, cpu = time.perf_counter(), time.process_time()
    done = _profiled(lambda: evaluate_changes(now=now), profile) if profile else evaluate_changes(now=now)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "judged": done.judged, "looked_at": done.looked_at, "peak_mb": _peak_mb()}


def change_identities(percent: int, salt: int = 0, source: str = "estate") -> dict[str, Any]:
    """A delta in which every grant of so many identities says something else; how many grants and identities."""
    from uuid import UUID

    from django.utils import timezone

    from governance.kernel.actors import system_actor
    from identities.models import GrantVersion, Identity, Source, SyncMode, SyncOrigin
    from identities.sync.receive import receive

    of_source = Identity.objects.filter(source__slug=source, grant_count__gt=0).order_by("external_id")
    every = 100 // percent
    chosen: list[UUID] = list(of_source.values_list("pk", flat=True)[salt::every])
    versions = GrantVersion.objects.filter(grant__identity__in=chosen, seen_until=None, grant__retired_at=None)
    rows = list(versions.values_list("grant__external_id", "grant__identity__external_id", "permission"))
    lines = [
        json.dumps({"type": "grant", "id": name, "identity": identity, "label": f"round {salt}", "permission": said})
        for (name, identity, _), (_, _, said) in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    run = receive(
        source=Source.objects.get(slug=source),
        lines=[line.encode() for line in lines],
        mode=SyncMode.DELTA,
        origin=SyncOrigin.API,
        is_complete=False,
        actor=system_actor("bench"),
        now=timezone.now(),
    )
    if run.state != "applied":
        raise RuntimeError(f"the change was not applied: {run.problem}")
    return {"grants": len(lines), "identities": len(chosen)}


def headline(number: int, seed: int = 1) -> dict[str, Any]:
    """One review of an invented estate and the year after it; see tests/bench/headline."""
    from tests.bench.headline.running import measure

    said: list[str] = []
    return {**measure(number=number, seed=seed, say=said.append), "said": said}


def hold_decisions(identities: int) -> dict[str, Any]:
    """Fill the inventory with principals to decide about; see tests/bench/deciding.py."""
    from tests.bench.deciding import hold

    return hold(identities)


def ask_decisions(identities: int, asked: int, rounds: int, beside: bool) -> dict[str, Any]:
    """How many requests are decided, and by the peers; see tests/bench/deciding.py."""
    from tests.bench.deciding import ask

    return ask(identities, asked, rounds, beside)


def main() -> None:
    task, arguments = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    django.setup()
    gc.collect()
    result = globals()[task](**arguments)
    print()
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
