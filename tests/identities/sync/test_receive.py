"""What a reading does to the inventory."""

from datetime import timedelta
from typing import Any

import pytest

from governance.audit.actions import Verb
from governance.audit.models import AuditEvent
from governance.people.models import User
from identities.diff import changed_members
from identities.models import (
    Change,
    Credential,
    Grant,
    GrantVersion,
    Identity,
    SyncMode,
    SyncState,
    TrustRelation,
    Usage,
    UsageWindow,
)
from identities.sync.locks import SyncInProgress, source_lock
from identities.sync.receive import OutOfOrder, SyncRefused

ALL_OF_S3 = {"dialect": "aws", "statements": [{"actions": ["s3:*"], "resources": ["*"]}]}
pytestmark = pytest.mark.django_db


def test_a_first_snapshot_fills_the_inventory(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    sent = [
        records.identity("etl", name="Ledger ETL", purpose="Loads\nthe ledger", attributes={"team": "data"}),
        records.credential("AKIAIOSFODNN7EXAMPLE", "etl", created_at="2025-01-01T00:00:00+02:00"),
        records.grant("etl/orders", "etl", path=[{"kind": "role", "id": "writers"}], native_ref={"arn": "x"}),
        records.trust("etl/oidc", "etl"),
        records.usage("etl"),
        records.window(),
        {"type": "resource", "id": "record:1"},
    ]

    run = send(source, sent)

    assert (run.state, run.problem, run.records) == (SyncState.APPLIED, None, 7)
    assert run.counts == {
        kind: {"added": 1, "changed": 0, "retired": 0, "unchanged": 0}
        for kind in ("identity", "credential", "grant", "trust", "resource", "usage", "usage_window")
    }
    etl = Identity.objects.get()
    assert (etl.name, etl.environment, etl.attributes) == ("Ledger ETL", "production", {"team": "data"})
    assert Credential.objects.get().created_at.isoformat() == "2024-12-31T22:00:00+00:00"
    version = GrantVersion.objects.get()
    assert version.plain and not version.is_privileged and version.segment == "queues"
    assert version.seen_from == run.observed_at and version.seen_until is None and len(bytes(version.digest)) == 32
    assert TrustRelation.objects.get().identity == etl
    assert Usage.objects.get().count == 3
    assert UsageWindow.objects.get().identity is None
    source.refresh_from_db()
    assert source.last_success_at == source.last_complete_at == run.observed_at


def test_the_same_snapshot_again_writes_nothing_but_the_run(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    sent = [records.identity("etl"), records.credential("key", "etl"), records.grant("g", "etl"), records.usage("etl")]
    send(source, sent)
    before = list(Identity.objects.values()), list(Grant.objects.values()), list(Usage.objects.values())

    run = send(source, sent)

    assert {kind: each["unchanged"] for kind, each in run.counts.items()} == {
        "identity": 1, "credential": 1, "grant": 1, "trust": 0, "resource": 0, "usage": 1, "usage_window": 0,
    }  # fmt: skip
    assert not run.changes.exists()
    assert before == (list(Identity.objects.values()), list(Grant.objects.values()), list(Usage.objects.values()))


def test_another_order_of_statements_and_members_is_no_change(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    statements = [*ALL_OF_S3["statements"], {"actions": ["sqs:*"], "resources": ["*"]}]
    send(
        source,
        [records.identity("etl"), records.grant("g", "etl", permission={"dialect": "aws", "statements": statements})],
    )

    turned = {"statements": statements[::-1], "dialect": "aws"}
    run = send(
        source, [records.identity("etl"), {"permission": turned, **records.grant("g", "etl", permission=turned)}]
    )

    assert run.counts["grant"]["unchanged"] == 1
    assert GrantVersion.objects.count() == 1


def test_a_changed_permission_closes_the_version_and_opens_the_next(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl")])

    run = send(source, [records.identity("etl"), records.grant("g", "etl", permission=ALL_OF_S3)])

    first, second = GrantVersion.objects.order_by("number")
    assert first.seen_until == second.seen_from == run.observed_at
    assert (second.number, second.is_privileged, second.seen_until) == (2, True, None)
    change = run.changes.get()
    assert (change.object_kind, change.action, set(change.new)) == ("grant", "changed", {"permission"})
    assert change.new["permission"] == ALL_OF_S3


def test_a_changed_label_changes_the_grant_but_opens_no_version(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl")])

    run = send(source, [records.identity("etl"), records.grant("g", "etl", label="Orders queue")])

    assert run.counts["grant"]["changed"] == 1
    assert GrantVersion.objects.count() == 1
    assert run.changes.get().old == {"label": "g"}


def test_changed_validity_opens_a_version(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl")])

    send(source, [records.identity("etl"), records.grant("g", "etl", valid_until="2027-01-01T00:00:00Z")])

    assert list(GrantVersion.objects.order_by("number").values_list("valid_until__year", flat=True)) == [None, 2027]


def test_only_a_complete_snapshot_retires_what_it_lacks(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.identity("bot"), records.grant("g", "bot")])

    partial = send(source, [records.identity("etl")], is_complete=False, end=False)
    assert partial.counts["identity"]["retired"] == 0 and not Identity.objects.exclude(retired_at=None).exists()

    complete = send(source, [records.identity("etl")])
    assert complete.counts["identity"]["retired"] == complete.counts["grant"]["retired"] == 1
    bot = Identity.objects.get(external_id="bot")
    assert bot.retired_at == complete.observed_at
    assert GrantVersion.objects.get().seen_until == complete.observed_at


def test_a_source_never_retires_what_belongs_to_another(make_source: Any, send: Any, records: Any) -> None:
    send(make_source("one"), [records.identity("etl"), records.grant("g", "etl")])

    send(make_source("two"), [records.identity("bot")])

    assert not Identity.objects.exclude(retired_at=None).exists()


def test_what_reappears_is_current_again_with_a_new_version(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    both = [records.identity("etl"), records.grant("g", "etl")]
    send(source, both)
    send(source, both[:1])

    run = send(source, both)

    grant = Grant.objects.get()
    assert grant.retired_at is None
    assert [(each.number, each.seen_until is None) for each in grant.versions.order_by("number")] == [
        (1, False),
        (2, True),
    ]
    change = run.changes.get()
    assert change.action == "added" and "retired_at" in change.old


def test_a_delta_touches_only_what_it_names(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(
        source,
        [records.identity("etl"), records.identity("bot"), records.grant("g1", "etl"), records.grant("g2", "etl")],
    )

    run = send(
        source,
        [records.identity("new"), records.grant("g3", "new"), records.retire("grant", "g1")],
        mode=SyncMode.DELTA,
        end=False,
    )

    assert run.state == SyncState.APPLIED
    assert run.counts["identity"] == {"added": 1, "changed": 0, "retired": 0, "unchanged": 0}
    assert run.counts["grant"] == {"added": 1, "changed": 0, "retired": 1, "unchanged": 0}
    assert set(Grant.objects.filter(retired_at=None).values_list("external_id", flat=True)) == {"g2", "g3"}


def test_retiring_an_identity_takes_along_what_hangs_on_it(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    hanging = [records.credential("k", "bot"), records.grant("g", "bot"), records.trust("t", "bot")]
    send(source, [records.identity("etl"), records.identity("bot"), *hanging, records.grant("other", "etl")])

    run = send(source, [records.retire("identity", "bot")], mode=SyncMode.DELTA, end=False)

    assert {kind: each["retired"] for kind, each in run.counts.items() if each["retired"]} == {
        "identity": 1, "credential": 1, "grant": 1, "trust": 1,
    }  # fmt: skip
    assert Grant.objects.get(retired_at=None).external_id == "other"


def test_retiring_twice_changes_once(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl")])
    send(source, [records.retire("grant", "g")], mode=SyncMode.DELTA, end=False)

    again = send(source, [records.retire("grant", "g")], mode=SyncMode.DELTA, end=False)

    assert again.state == SyncState.APPLIED
    assert again.counts["grant"]["retired"] == 0


def test_the_owner_named_by_the_source_is_resolved_once(make_source: Any, send: Any, records: Any) -> None:
    ada = User.objects.create_user("ada@example.org", name="Ada")
    User.objects.create_user("bob@example.org", name="Bob")
    source = make_source()

    send(source, [records.identity("etl", owner="Ada@Example.org", sponsor="bob@example.org")])
    etl = Identity.objects.get()
    assert (etl.owner, etl.source_owner) == (ada, "ada@example.org")
    assert etl.sponsor.email == etl.source_sponsor == "bob@example.org"

    send(source, [records.identity("etl", owner="bob@example.org")])
    etl.refresh_from_db()
    assert (etl.owner, etl.source_owner) == (ada, "bob@example.org")


def test_an_owner_who_arrives_later_is_found_unless_a_person_edited(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    sent = [records.identity("etl", owner="ada@example.org"), records.identity("bot", owner="ada@example.org")]
    send(source, sent)
    Identity.objects.filter(external_id="bot").update(version=2)  # somebody decided that it has no owner
    ada = User.objects.create_user("ada@example.org", name="Ada")

    send(source, sent)

    assert dict(Identity.objects.values_list("external_id", "owner")) == {"etl": ada.pk, "bot": None}


def test_no_reading_overwrites_what_people_said(make_source: Any, send: Any, records: Any) -> None:
    ada = User.objects.create_user("ada@example.org", name="Ada")
    source = make_source()
    send(source, [records.identity("etl", purpose="as the source says")])
    Identity.objects.update(owner=ada, purpose_edited="as people say", environment_edited="staging", version=5)

    send(
        source,
        [records.identity("etl", purpose="changed at the source", environment="development", owner="x@example.org")],
    )

    etl = Identity.objects.get()
    assert (etl.purpose, etl.environment) == ("changed at the source", "development")
    assert (etl.owner, etl.purpose_edited, etl.environment_edited, etl.version) == (ada, "as people say", "staging", 5)


def test_last_use_moves_forward_without_counting_as_a_change(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    used = "2026-11-2{}T00:00:00Z"
    sent = lambda day: [  # noqa: E731
        records.identity("etl", last_used_at=used.format(day)),
        records.credential("k", "etl", last_used_at=used.format(day)),
    ]
    send(source, sent(1))

    run = send(source, sent(2))
    assert run.counts["identity"]["unchanged"] == run.counts["credential"]["unchanged"] == 1
    assert Identity.objects.get().last_used_at.day == Credential.objects.get().last_used_at.day == 22

    send(source, sent(0))
    assert Identity.objects.get().last_used_at.day == 22


def test_usage_grows_and_never_shrinks(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    first = {"first_seen_at": "2026-10-01T00:00:00Z", "last_seen_at": "2026-11-10T00:00:00Z", "count": 10}
    send(source, [records.identity("etl"), records.usage("etl", **first)])

    later = {"first_seen_at": "2026-11-01T00:00:00Z", "last_seen_at": "2026-11-20T00:00:00Z", "count": 12}
    send(source, [records.identity("etl"), records.usage("etl", **later)])
    usage = Usage.objects.get()
    assert (usage.first_seen_at.month, usage.last_seen_at.day, usage.count) == (10, 20, 12)

    send(source, [records.usage("etl", **(later | {"count": 5}))], mode=SyncMode.DELTA, end=False)
    usage.refresh_from_db()
    assert usage.count == 17


def test_a_count_that_stands_still_is_no_new_use(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    january, march = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"

    def last_day(day: int, count: int, start: str | None) -> int:
        counted = {"last_seen_at": f"2026-11-{day:02}T00:00:00Z", "count": count, "counted_from": start}
        send(source, [records.identity("etl"), records.usage("etl", **counted)])
        return int(Usage.objects.get().last_seen_at.day)

    assert last_day(1, 687, january) == 1
    assert last_day(2, 687, january) == 1
    assert last_day(3, 688, january) == 3, "it was called once more"
    assert last_day(4, 688, march) == 4, "the counter began anew and has come as far again"
    assert last_day(5, 688, march) == 4
    assert last_day(6, 2, march) == 6, "a counter that fell was set back"
    assert last_day(7, 2, None) == 7, "who does not say since when does not count"
    assert last_day(8, 2, january) == 8
    on_top = {"last_seen_at": "2026-11-09T00:00:00Z", "count": 0, "counted_from": january}
    send(source, [records.usage("etl", **on_top)], mode=SyncMode.DELTA, end=False)
    assert last_day(10, 2, january) == 10, "a total with something on top is no counter any more"


def test_windows_of_one_log_join_where_they_touch(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    march = {"from": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}
    april = {"from": "2026-04-01T00:00:00Z", "until": "2026-05-01T00:00:00Z"}
    july = {"from": "2026-07-01T00:00:00Z", "until": "2026-08-01T00:00:00Z"}
    span = lambda: UsageWindow.objects.values_list("observed_from__month", "observed_until__month").get()  # noqa: E731

    send(source, [records.identity("etl"), records.window(**march)])
    send(source, [records.identity("etl"), records.window(**april)])
    assert span() == (3, 5)

    send(source, [records.identity("etl"), records.window(**july)])
    assert span() == (7, 8), "a gap in between was not observed"


def test_a_run_leaves_exactly_one_audit_record_with_its_counts(make_source: Any, send: Any, records: Any) -> None:
    run = send(make_source(), [records.identity("etl"), records.grant("g", "etl")])

    event = AuditEvent.objects.get()
    assert event.verb == Verb.SYNC_APPLIED
    assert str(run.pk) in event.payload and '"added":1' in event.payload


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    make_source: Any, send: Any, records: Any, checksums: Any
) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl"), records.usage("etl")])
    before = checksums()

    run = send(source, [records.identity("bot"), records.usage("bot")], dry_run=True)

    assert (run.state, run.problem) == (SyncState.DRY_RUN, None)
    assert run.counts["identity"] == {"added": 1, "changed": 0, "retired": 1, "unchanged": 0}
    assert run.counts["usage"]["added"] == 1
    assert checksums() == before


def test_a_dry_run_of_bad_records_names_them_and_leaves_no_trace_in_the_trail(
    make_source: Any, send: Any, checksums: Any
) -> None:
    source = make_source()
    before = checksums()

    run = send(source, [b"{}"], dry_run=True, is_complete=False)

    assert run.state == SyncState.DRY_RUN and run.problem["code"] == "sync-rejected"
    assert run.row_errors.count() == 1
    assert checksums() == before


def test_a_change_keeps_what_differs_as_the_pure_comparison_says(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    key = {"created_at": "2025-01-01T00:00:00.5Z", "storage": "vault", "attributes": {"a": [1, {"b": None}]}}
    send(source, [records.identity("etl"), records.credential("k", "etl", **key)])
    added = Change.objects.get(object_kind="credential").new

    run = send(
        source,
        [records.identity("etl"), records.credential("k", "etl", **(key | {"storage": "", "status": "disabled"}))],
    )

    change = run.changes.get()
    assert (change.old, change.new) == changed_members(added, added | {"storage": "", "status": "disabled"})


def test_a_retired_object_keeps_what_it_was(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.grant("g", "etl", valid_until="2027-01-01T00:00:00Z")])
    added = Change.objects.get(object_kind="grant").new

    run = send(source, [records.identity("etl")])

    assert run.changes.get().old == added


def test_a_moved_grant_goes_to_its_new_identity(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl"), records.identity("bot"), records.grant("g", "etl")])

    run = send(source, [records.identity("etl"), records.identity("bot"), records.grant("g", "bot")])

    assert Grant.objects.get().identity.external_id == "bot"
    assert (run.changes.get().old, run.changes.get().new) == ({"identity": "etl"}, {"identity": "bot"})


def test_a_delta_cannot_be_complete(make_source: Any, send: Any, records: Any) -> None:
    with pytest.raises(SyncRefused):
        send(make_source(), [records.identity("etl")], mode=SyncMode.DELTA, is_complete=True)


def test_a_source_that_remit_reads_takes_no_pushed_data(make_source: Any, send: Any, records: Any) -> None:
    with pytest.raises(SyncRefused):
        send(make_source(kind="postgresql"), [records.identity("etl")])


def test_an_older_reading_does_not_turn_time_back(make_source: Any, send: Any, records: Any, now: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl")])

    with pytest.raises(OutOfOrder):
        send(source, [records.identity("etl")], observed_at=now - timedelta(days=1))


@pytest.mark.django_db
def test_the_lock_can_be_taken_again_after_any_ending(make_source: Any, send: Any, records: Any) -> None:
    source = make_source()
    send(source, [records.identity("etl")])
    send(source, [b"nonsense"])

    try:
        with source_lock(source.pk):
            pass
    except SyncInProgress:
        pytest.fail("a run left its lock behind")
