"""Saved views: kept under a name, shared or not, and honest when they no longer open."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from governance.audit.models import AuditDetail, AuditEvent
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden, NotFound
from identities.models import SavedView
from identities.selectors.filters import InvalidFilter
from identities.selectors.saved_views import access_saved_view, list_saved_views, opened
from identities.services import saved_views
from identities.services.saved_views import InvalidView, ViewChanged, ViewNameTaken, change_view, delete_view, save_view


@pytest.fixture
def ada(make_user: Any) -> Any:
    return make_user(Role.OWNER, name="Ada")


@pytest.fixture
def save(ada: Any, actor_of: Any) -> Any:
    """`save(name="Mine", filter_text="")`, by Ada unless `owner` says otherwise."""

    def go(**given: Any) -> SavedView:
        owner = given.pop("owner", ada)
        wish = {"page": "identities", "name": "Mine", "filter_text": "privileged=yes", "owner": owner}
        return save_view(**(wish | {"actor": actor_of(owner), "now": timezone.now()} | given))

    return go


def test_a_view_keeps_the_canonical_filter_the_order_and_the_columns(save: Any) -> None:
    view = save(filter_text="privileged=yes&kind=workload,bot&cursor=x", sort="-grants", columns="owner,grants")

    assert view.filter == "kind=bot%2Cworkload&privileged=yes"
    assert opened(view).query == "kind=bot%2Cworkload&privileged=yes&sort=-grants&cols=owner%2Cgrants"


def test_others_find_shared_views_and_no_others(save: Any, make_user: Any, ada: Any) -> None:
    own, shared = save(name="Own"), save(name="Shared", is_shared=True)
    other = make_user(Role.REVIEWER)

    assert list(list_saved_views(person_id=other.pk)) == [shared]
    assert list(list_saved_views(person_id=ada.pk)) == [own, shared]
    with pytest.raises(NotFound):
        access_saved_view(person_id=other.pk, view_id=own.pk)


def test_names_are_unique_per_person_and_page(save: Any, make_user: Any) -> None:
    save(name="Mine")
    save(name="Mine", page="access")
    save(name="Mine", owner=make_user(Role.OWNER))

    with pytest.raises(ViewNameTaken):
        save(name="  Mine ")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": " "}, InvalidView),
        ({"name": "x" * 81}, InvalidView),
        ({"name": "a\x00"}, InvalidView),
        ({"page": "people"}, InvalidView),
        ({"sort": "name; drop"}, InvalidView),
        ({"columns": "a b"}, InvalidView),
        ({"filter_text": "colour=red"}, InvalidFilter),
        ({"filter_text": "q=\x00abc"}, InvalidFilter),
    ],
    ids=str,
)
def test_what_cannot_be_a_view_is_refused(given: dict[str, Any], problem: type[Exception], save: Any) -> None:
    with pytest.raises(problem):
        save(**given)

    assert not SavedView.objects.exists()


def test_nobody_saves_for_somebody_else_and_nobody_by_a_mail_link(
    save: Any, make_user: Any, ada: Any, actor_of: Any
) -> None:
    for actor in (actor_of(make_user(Role.ADMINISTRATOR)), actor_of(ada, "mail_link")):
        with pytest.raises(Forbidden):
            save(actor=actor)


def test_a_program_that_only_reads_saves_nothing(save: Any) -> None:
    reads = Actor(ActorKind.API_CLIENT, str(uuid4()), "token", scopes=frozenset({"inventory:read"}))

    with pytest.raises(Forbidden):
        save(actor=reads)


def test_one_person_keeps_so_many_views_and_no_more(save: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    save(name="One")

    with pytest.raises(InvalidView):
        save(name="Two")


def test_only_its_owner_changes_a_view_even_when_it_is_shared(
    save: Any, ada: Any, make_user: Any, actor_of: Any
) -> None:
    view, admin = save(is_shared=True), make_user(Role.ADMINISTRATOR)

    with pytest.raises(Forbidden):
        change_view(view=view, changes={"name": "x"}, actor=actor_of(admin), owner=admin, now=timezone.now())

    changed = change_view(
        view=view, changes={"name": "Renamed", "is_shared": False}, actor=actor_of(ada), owner=ada, now=timezone.now()
    )
    assert (changed.name, changed.is_shared) == ("Renamed", False)


def test_a_version_that_is_no_longer_there_is_not_changed(save: Any, ada: Any, actor_of: Any) -> None:
    view = save()
    known = {"view": view, "actor": actor_of(ada), "owner": ada, "now": timezone.now(), "version": view.version}
    change_view(changes={"name": "First"}, **known)

    with pytest.raises(ViewChanged):
        change_view(changes={"name": "Second"}, **known)

    assert SavedView.objects.get().name == "First"


def test_administrators_remove_what_others_share(save: Any, make_user: Any, actor_of: Any) -> None:
    view = save(is_shared=True)
    reviewer, admin = make_user(Role.REVIEWER), make_user(Role.ADMINISTRATOR)

    with pytest.raises(Forbidden):
        delete_view(view=view, actor=actor_of(reviewer), owner=reviewer, now=timezone.now())
    delete_view(view=view, actor=actor_of(admin), owner=admin, now=timezone.now())

    assert not SavedView.objects.exists()


def test_each_step_leaves_one_record_without_what_people_typed(save: Any, ada: Any, actor_of: Any) -> None:
    view = save(name="About Jonas", filter_text="owner=jonas@example.org")
    change_view(view=view, changes={"name": "Jonas again"}, actor=actor_of(ada), owner=ada, now=timezone.now())
    change_view(view=view, changes={"name": "Jonas again"}, actor=actor_of(ada), owner=ada, now=timezone.now())
    delete_view(view=view, actor=actor_of(ada), owner=ada, now=timezone.now())

    records = AuditEvent.objects.filter(subject_kind="view")
    assert sorted(record.verb for record in records) == ["view.changed", "view.deleted", "view.saved"]
    assert not any("onas" in record.payload for record in records)
    assert (
        AuditDetail.objects.filter(event_id__in=[record.pk for record in records], text__contains="onas").count() == 3
    )


def test_a_filter_that_means_nothing_any_more_says_why(save: Any) -> None:
    view = save()
    SavedView.objects.filter(pk=view.pk).update(filter="colour=red")
    view.refresh_from_db()

    found = opened(view)

    assert (found.query, "colour" in found.problem) == ("", True)
