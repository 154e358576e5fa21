"""Facts come in a fixed number of queries, and what nobody reported is missing, never empty."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities.models import Identity, Source, SyncOrigin, SyncRun
from identities.posture.facts import IdentityFacts, Missing
from identities.posture.gathering import gather
from identities.posture.permissions_known import forget
from identities.posture.policy import policy_in_force
from tests.identities.posture.conftest import LATER
from tests.identities.sync.conftest import Records


def facts_of(name: str) -> IdentityFacts:
    (found,) = gather([Identity.objects.get(external_id=name).pk], now=LATER)
    return found


def test_the_number_of_queries_does_not_grow_with_the_estate(source: Source, send: Callable[..., Any]) -> None:
    policy_in_force()

    def queries(size: int) -> int:
        names = [f"i{number}" for number in range(size)]
        estate = [Records.window(), *(Records.identity(name) for name in names)]
        estate += [Records.grant(f"g{number}", name) for number, name in enumerate(names)]
        estate += [Records.credential(f"c{number}", name, fingerprint=f"k:{name}") for number, name in enumerate(names)]
        estate += [Records.trust(f"t{number}", name) for number, name in enumerate(names)]
        estate += [Records.usage(name) for name in names]
        send(source, estate)
        forget()
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert len(list(gather(Identity.objects.values_list("pk", flat=True), now=LATER))) == size
        return len(asked)

    queries(1)  # what permissions say is kept from here on
    assert queries(2) == queries(30)


def test_what_a_sender_left_out_is_missing(source: Source, send: Callable[..., Any]) -> None:
    send(source, [Records.identity("a"), Records.credential("k", "a"), Records.grant("g", "a")])

    found = facts_of("a")
    (key,) = found.credentials

    left_out = (key.created_at, key.expires_at, key.last_rotated_at, key.last_used_at, key.storage, key.audience)
    assert all(isinstance(each, Missing) for each in left_out)
    assert isinstance(found.use.last_used_at, Missing)
    assert isinstance(found.use.unused_share, Missing) or found.use.unused_share == 0


def test_that_a_connector_reports_nothing_means_that_there_is_nothing(
    make_source: Callable[..., Source], db: None, send: Callable[..., Any]
) -> None:
    covers = {"credentials": True, "credential_last_rotated": True, "credential_last_used": True}
    source = make_source("cloud", kind="aws", coverage=covers)
    send(source, [Records.identity("a"), Records.credential("k", "a", never_expires=True)], origin=SyncOrigin.CONNECTOR)

    (key,) = facts_of("a").credentials

    assert (key.last_rotated_at, key.last_used_at, key.expires_at) == (None, None, None)
    assert isinstance(key.created_at, Missing) and key.created_at.reason == "not_covered"


def test_the_same_in_a_file_means_nothing(
    make_source: Callable[..., Source], db: None, send: Callable[..., Any]
) -> None:
    source = make_source("cloud", kind="aws", coverage={"credentials": True, "credential_last_rotated": True})
    send(source, [Records.identity("a"), Records.credential("k", "a")], origin=SyncOrigin.CONNECTOR)
    SyncRun.objects.update(origin=SyncOrigin.FILE)

    found = facts_of("a")

    assert isinstance(found.credentials[0].last_rotated_at, Missing)
    assert not found.source.can_report("credential_last_rotated")


def test_use_of_a_stale_source_is_missing(source: Source, send: Callable[..., Any]) -> None:
    send(source, [Records.identity("a"), Records.grant("g", "a"), Records.usage("a"), Records.window()])
    (fresh,) = gather(Identity.objects.values_list("pk", flat=True), now=LATER)
    (stale,) = gather(Identity.objects.values_list("pk", flat=True), now=LATER + timedelta(days=2))

    assert fresh.source.is_fresh and not isinstance(fresh.use.last_used_at, Missing)
    assert stale.use.last_used_at == Missing("stale") == stale.use.unused_share


def test_a_secret_that_several_hold_is_counted(source: Source, send: Callable[..., Any]) -> None:
    send(
        source,
        [
            *(Records.identity("a"), Records.identity("b")),
            *(Records.credential("k1", "a", fingerprint="k:1"), Records.credential("k2", "b", fingerprint="k:1")),
        ],
    )

    assert facts_of("a").credentials[0].same_elsewhere == 1


def test_who_made_the_identity_for_itself_is_known_by_name(
    make_source: Callable[..., Source], db: None, send: Callable[..., Any]
) -> None:
    source = make_source("cluster", kind="kubernetes")
    send(
        source,
        [
            Records.identity("system:serviceaccount:kube-system:coredns", custody="platform_managed"),
            Records.identity("system:serviceaccount:shop:web", custody="platform_managed"),
        ],
        origin=SyncOrigin.CONNECTOR,
    )

    assert facts_of("system:serviceaccount:kube-system:coredns").is_platform_managed
    assert not facts_of("system:serviceaccount:shop:web").is_platform_managed
