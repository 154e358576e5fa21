"""One edit of many identities: what the preview says is what the edit does, or nothing happens."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from governance.people.models import Team, User
from identities.models import Identity, IdentityVersion
from identities.selectors.filters import InventoryFilter
from identities.selectors.selection import Selection, SelectionChanged
from identities.services import bulk_edit
from identities.services.bulk_edit import (
    GONE,
    RETIRED,
    TOO_MANY_TAGS,
    IdentitiesBusy,
    TooManyIdentities,
    bulk_edit_identities,
    preview_bulk_edit,
)
from identities.services.identities import OWN_BACKUP, InvalidEdit, NotAnOwner, edit_identity
from tests.identities.services.conftest import fill

EVERYTHING = Selection(filters=InventoryFilter())


def named(identities: list[Identity]) -> Selection:
    return Selection(ids=tuple(identity.pk for identity in identities))


def preview(changes: dict[str, Any], actor: Actor, selection: Selection = EVERYTHING) -> Any:
    return preview_bulk_edit(selection=selection, changes=changes, actor=actor, now=timezone.now())


def apply(changes: dict[str, Any], actor: Actor, selection: Selection = EVERYTHING, digest: str | None = None) -> Any:
    return bulk_edit_identities(
        selection=selection, changes=changes, digest=digest, actor=actor, now=timezone.now(), reason="Reorganised"
    )


def test_a_preview_writes_nothing_and_the_edit_does_what_it_said(
    identities: Any, make_user: Any, admin_actor: Actor
) -> None:
    ada = make_user(Role.OWNER)
    first, *_ = made = identities(3)
    Identity.objects.filter(pk=first.pk).update(owner=ada)

    seen = preview({"owner": ada}, admin_actor)

    assert (seen.selected, len(seen.changes), seen.unchanged, seen.reasons) == (3, 2, 1, [])
    assert Identity.objects.filter(owner=ada).count() == 1
    assert AuditEvent.objects.filter(verb="identity.owner_assigned").count() == 0

    apply({"owner": ada}, admin_actor, digest=seen.digest)

    assert Identity.objects.filter(owner=ada, version=2).count() == 2
    assert Identity.objects.get(pk=first.pk).version == 1, "an identity that is so already counts as changed"
    records = AuditEvent.objects.filter(verb="identity.owner_assigned")
    assert {record.subject_id for record in records} == {str(each.pk) for each in made[1:]}


@pytest.mark.parametrize("kind", ["owner", "backup_owner", "team"])
def test_people_and_teams_are_set_and_taken_away(
    kind: str, identities: Any, make_user: Any, admin_actor: Actor
) -> None:
    value = Team.objects.create(name="Payments") if kind == "team" else make_user(Role.OWNER)
    made = identities(2)

    apply({kind: value}, admin_actor, named(made[:1]))
    assert list(Identity.objects.filter(**{kind: value})) == made[:1]

    apply({kind: None}, admin_actor)
    assert not Identity.objects.filter(**{kind: value}).exists()


def test_tags_are_merged_sorted_and_leave_those_of_the_source_alone(identities: Any, admin_actor: Actor) -> None:
    (made,) = identities(1, tags=["b", "ü"], source_tags=["src"])

    apply({"add_tags": [" Zeta ", "a", "b"], "remove_tags": ["ü", "not there"]}, admin_actor)

    made.refresh_from_db()
    # By code point: capitals stand before small letters, whatever the collation of the database.
    assert (made.tags, made.source_tags) == (["Zeta", "a", "b"], ["src"])


def test_what_is_so_already_leaves_no_trace(identities: Any, admin_actor: Actor) -> None:
    identities(2, tags=["a"])

    edit = apply({"add_tags": ["a"], "remove_tags": ["z"]}, admin_actor)

    assert (edit.unchanged, edit.changes) == (2, [])
    assert not AuditEvent.objects.filter(subject_kind="identity").exists()
    assert set(Identity.objects.values_list("version", flat=True)) == {1}


def test_each_that_cannot_change_says_why_and_the_others_change(
    identities: Any, make_user: Any, admin_actor: Actor
) -> None:
    ada = make_user(Role.OWNER)
    fine, retired, own = identities(3)
    Identity.objects.filter(pk=retired.pk).update(retired_at=timezone.now())
    Identity.objects.filter(pk=own.pk).update(owner=ada)
    selection = Selection(ids=(fine.pk, retired.pk, own.pk, uuid4()))

    edit = apply({"backup_owner": ada}, admin_actor, selection)

    assert sorted(edit.reasons) == sorted([(RETIRED, 1), (OWN_BACKUP, 1), (GONE, 1)])
    assert (edit.selected, edit.unchanged) == (4, 0)
    assert list(Identity.objects.filter(backup_owner=ada)) == [fine]


def test_no_identity_gets_more_tags_than_one_may_have(identities: Any, admin_actor: Actor) -> None:
    (made,) = identities(1, tags=[f"t{number:02}" for number in range(50)])

    edit = apply({"add_tags": ["one more"]}, admin_actor)

    made.refresh_from_db()
    assert edit.reasons == [(TOO_MANY_TAGS, 1)] and len(made.tags) == 50


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"purpose": "x"},
        {"add_tags": []},
        {"add_tags": ["a,b"]},
        {"add_tags": ["-a"]},
        {"add_tags": ["a\x00"]},
        {"add_tags": ["x" * 61]},
        {"add_tags": [f"t{number}" for number in range(51)]},
        {"add_tags": ["a"], "remove_tags": ["a"]},
        {"team": "payments"},
    ],
    ids=str,
)
def test_an_edit_that_cannot_be_meant_is_refused(changes: dict[str, Any], identities: Any, admin_actor: Actor) -> None:
    identities(1)

    for call in (preview, apply):
        with pytest.raises(InvalidEdit):
            call(changes, admin_actor)


def test_nobody_who_has_left_is_named(identities: Any, make_user: Any, admin_actor: Actor) -> None:
    identities(1)
    gone = make_user(Role.OWNER, left_at=timezone.now(), is_active=False)

    with pytest.raises(NotAnOwner):
        apply({"owner": gone}, admin_actor)


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.OWNER, Role.AUDITOR])
def test_others_may_not_edit_many_even_where_they_own_them(
    role: Role, identities: Any, make_user: Any, actor_of: Any
) -> None:
    person = make_user(role)
    identities(1, owner=person)

    for call in (preview, apply):
        with pytest.raises(Forbidden):
            call({"owner": None}, actor_of(person))


def test_a_link_from_a_mail_edits_nothing(identities: Any, make_user: Any, actor_of: Any) -> None:
    with pytest.raises(Forbidden):
        apply({"owner": None}, actor_of(make_user(Role.ADMINISTRATOR, Role.OWNER), "mail_link"))


def test_a_program_needs_to_read_what_it_edits(identities: Any) -> None:
    writes = Actor(ActorKind.API_CLIENT, str(uuid4()), "token", scopes=frozenset({"inventory:write"}))

    with pytest.raises(Forbidden):
        preview({"owner": None}, writes)


def test_every_record_stays_readable_and_what_people_typed_can_be_erased(identities: Any, admin_actor: Actor) -> None:
    identities(2)

    apply({"add_tags": ["belongs to ada"]}, admin_actor)

    records = AuditEvent.objects.filter(verb="identity.changed")
    assert len(records) == 2
    assert all("belongs" not in record.payload and '"tags":"(changed)"' in record.payload for record in records)
    assert all("belongs to ada" in detail.text and "Reorganised" in detail.text for detail in AuditDetail.objects.all())


def test_what_they_were_before_is_kept_for_questions_about_a_date(
    identities: Any, make_user: Any, admin_actor: Actor
) -> None:
    ada = make_user(Role.OWNER)
    (made,) = identities(1)
    before = timezone.now()

    apply({"owner": ada, "add_tags": ["pci"]}, admin_actor)

    versions = IdentityVersion.objects.filter(identity=made)
    then = versions.get(seen_from__lte=before, seen_until__gt=before)
    now = versions.get(seen_until=None)
    assert (then.owner, then.tags) == (None, [])
    assert (now.owner, now.tags) == (ada, ["pci"])
    assert now.seen_from == then.seen_until


def test_one_edit_of_one_identity_is_kept_as_well(identities: Any, make_user: Any, admin_actor: Actor) -> None:
    (made,) = identities(1, source_tags=["src"])

    edit_identity(identity=made, version=1, changes={"tags": ["b", "a"]}, actor=admin_actor, now=timezone.now())

    assert IdentityVersion.objects.get(identity=made, seen_until=None).tags == ["a", "b", "src"]


def test_a_filter_reads_as_in_the_list(identities: Any, admin_actor: Actor) -> None:
    mine, theirs = identities(1), identities(1)

    apply({"add_tags": ["x"]}, admin_actor, Selection(filters=InventoryFilter.parse(f"source={mine[0].source.slug}")))

    assert list(Identity.objects.filter(tags=["x"])) == mine and theirs


# --- somebody else at the same time ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["edited", "retired", "added"])
def test_an_edit_after_something_changed_is_refused_whole(what: str, identities: Any, admin_actor: Actor) -> None:
    first, *_ = identities(3)
    seen = preview({"add_tags": ["a"]}, admin_actor)
    if what == "edited":
        edit_identity(identity=first, version=1, changes={"purpose": "new"}, actor=admin_actor, now=timezone.now())
    elif what == "retired":
        Identity.objects.filter(pk=first.pk).update(retired_at=timezone.now())
    else:
        identities(1)

    with pytest.raises(SelectionChanged):
        apply({"add_tags": ["a"]}, admin_actor, digest=seen.digest)

    assert not Identity.objects.filter(tags=["a"]).exists()


def test_a_reading_that_only_changes_what_the_source_says_stands_in_nobodys_way(
    identities: Any, admin_actor: Actor
) -> None:
    identities(2)
    seen = preview({"add_tags": ["a"]}, admin_actor)
    Identity.objects.update(purpose="Something else", source_tags=["new"])

    apply({"add_tags": ["a"]}, admin_actor, digest=seen.digest)

    assert Identity.objects.filter(tags=["a"], source_tags=["new"]).count() == 2


def _manager() -> Actor:
    person = User.objects.create_user(f"{uuid4().hex}@example.org", None, name="M")
    return Actor(ActorKind.PERSON, str(person.pk), "person", roles=frozenset({Role.CAMPAIGN_MANAGER}))


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Call each in a thread of its own, at once; the results, or what was raised."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[place] = call()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_of_two_edits_at_once_one_is_told_to_look_again(committed_db: Any) -> None:
    fill(200)
    one, other = _manager(), _manager()
    digest = preview({"add_tags": ["a"]}, one).digest

    results = _together(
        lambda: apply({"add_tags": ["a"]}, one, digest=digest), lambda: apply({"add_tags": ["b"]}, other, digest=digest)
    )

    assert sorted(type(result).__name__ for result in results) == ["BulkEdit", "SelectionChanged"]
    tags = {tuple(tags) for tags in Identity.objects.values_list("tags", flat=True)}
    assert len(tags) == 1 and tags <= {("a",), ("b",)}
    assert AuditEvent.objects.filter(verb="identity.changed").count() == 200


def test_whoever_meets_a_reading_waits_without_holding_anything(committed_db: Any, monkeypatch: Any) -> None:
    made = fill(20)
    actor, began, done = _manager(), threading.Event(), []

    def reading() -> None:
        with transaction.atomic():
            # From the last to the first: an edit that waited while holding rows would end in a deadlock.
            for identity in reversed(made):
                Identity.objects.filter(pk=identity.pk).update(purpose="read")
                began.set()
                time.sleep(0.02)
        done.append(True)

    def edit() -> Any:
        began.wait(10)
        return apply({"add_tags": ["a"]}, actor)

    results = _together(reading, edit)

    assert done and len(results[1].changes) == 20
    assert Identity.objects.filter(purpose="read", tags=["a"]).count() == 20


def test_an_edit_gives_up_in_words_when_the_rows_stay_locked(committed_db: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk_edit, "LOCK_TRIES", 2)
    monkeypatch.setattr(bulk_edit, "LOCK_PAUSE_SECONDS", 0.01)
    fill(2)
    actor, held, over = _manager(), threading.Event(), threading.Event()

    def reading() -> None:
        with transaction.atomic():
            Identity.objects.update(purpose="read")
            held.set()
            over.wait(10)

    def edit() -> Any:
        held.wait(10)
        try:
            return apply({"add_tags": ["a"]}, actor)
        finally:
            over.set()

    assert isinstance(_together(reading, edit)[1], IdentitiesBusy)


# --- size -----------------------------------------------------------------------------------------------------------


def test_many_cost_as_many_statements_as_two(identities: Any, admin_actor: Actor) -> None:
    def statements(count: int) -> int:
        selection = named(identities(count))
        with CaptureQueriesContext(connection) as queries:
            apply({"add_tags": ["a"]}, admin_actor, selection)
        return len(queries)

    assert statements(2) == statements(300)


def test_more_than_one_edit_takes_is_refused_before_anything_is_locked(
    identities: Any, admin_actor: Actor, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bulk_edit, "MOST_IDENTITIES", 2)
    identities(3)

    for call in (preview, apply):
        with pytest.raises(TooManyIdentities):
            call({"add_tags": ["a"]}, admin_actor)


def test_an_edit_of_the_past_never_ends_before_it_began(identities: Any, admin_actor: Actor) -> None:
    """A clock that runs behind that of the reading must not break the order of versions."""
    (made,) = identities(1)
    early = timezone.now() - timedelta(days=60)

    bulk_edit_identities(
        selection=named([made]), changes={"add_tags": ["a"]}, digest=None, actor=admin_actor, now=early
    )

    assert IdentityVersion.objects.filter(identity=made, seen_until=None).get().tags == ["a"]
