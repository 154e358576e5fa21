"""Filtered lists answer within a bounded time, in order where that is possible."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import BooleanField, Func, QuerySet, Value

from governance.people.models import User
from governance.web import filtered
from governance.web.filtered import OutOfPatience, bounded_count, expected_rows, paginate_filtered, patience
from governance.web.pagination import BadCursor, SortKey

pytestmark = pytest.mark.django_db
BY_NAME = (SortKey("name"), SortKey("pk"))


class Slow(Func):
    """True, after a while for every row."""

    template = "(pg_sleep(0.02) IS NOT NULL AND %(expressions)s)"
    output_field = BooleanField()


@pytest.fixture
def people(make_user: Callable[..., User]) -> list[User]:
    return sorted((make_user(name=f"Name {n % 5}") for n in range(12)), key=lambda user: (user.name, user.pk))


def slow() -> QuerySet[User]:
    return User.objects.filter(Slow(Value(True)))


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


def test_a_small_list_comes_in_order(people: list[User]) -> None:
    found = paginate_filtered(User.objects.all(), BY_NAME, size=5)

    assert found.page.rows == people[:5]
    assert not found.is_unsorted
    assert (
        paginate_filtered(User.objects.all(), BY_NAME, cursor=found.page.next_cursor, size=5).page.rows == people[5:10]
    )


@pytest.mark.parametrize(("few", "some"), [(-1, -1), (-1, 1_000), (1_000, 1_000)])
def test_whatever_is_expected_the_same_rows_are_found(
    few: int, some: int, people: list[User], monkeypatch: Any
) -> None:
    monkeypatch.setattr(filtered, "FEW", few)
    monkeypatch.setattr(filtered, "SOME", some)

    assert paginate_filtered(User.objects.all(), BY_NAME, size=5).page.rows == people[:5]
    assert paginate_filtered(User.objects.all(), BY_NAME, cursor="last", size=5).page.rows == people[-5:]


def test_a_list_that_takes_too_long_to_sort_is_given_unsorted_and_to_its_end(
    people: list[User], monkeypatch: Any
) -> None:
    monkeypatch.setattr(filtered, "COLLECT_MS", 50)
    monkeypatch.setattr(filtered, "WALK_MS", 5_000)
    first = paginate_filtered(slow(), BY_NAME, size=4)
    second = paginate_filtered(slow(), BY_NAME, cursor=first.page.next_cursor, size=4)
    third = paginate_filtered(slow(), BY_NAME, cursor=second.page.next_cursor, size=4)

    assert first.is_unsorted and second.is_unsorted
    assert [*first.page.rows, *second.page.rows, *third.page.rows] == sorted(people, key=lambda user: user.pk)
    assert paginate_filtered(slow(), BY_NAME, cursor=second.page.previous_cursor, size=4).page.rows == first.page.rows


def test_a_list_that_no_plan_finds_in_time_is_still_found(people: list[User], monkeypatch: Any) -> None:
    monkeypatch.setattr(filtered, "COLLECT_MS", 10)
    monkeypatch.setattr(filtered, "WALK_MS", 10)

    found = paginate_filtered(slow(), BY_NAME, size=5)

    assert (found.page.rows, found.is_unsorted) == (people[:5], False)


def test_a_damaged_place_is_refused(people: list[User]) -> None:
    with pytest.raises(BadCursor):
        paginate_filtered(User.objects.all(), BY_NAME, cursor="nonsense")


def test_impatience_ends_the_statement_and_nothing_else(people: list[User]) -> None:
    before = setting("statement_timeout")
    User.objects.filter(pk=people[0].pk).update(name="kept")

    with pytest.raises(OutOfPatience), patience(20):
        list(slow())

    assert User.objects.get(pk=people[0].pk).name == "kept"
    with patience(5_000):
        assert setting("statement_timeout") == "5s"
    assert (setting("statement_timeout"), setting("jit")) == (before, setting("jit"))


def test_counting_stops_early(people: list[User], monkeypatch: Any) -> None:
    assert bounded_count(User.objects.all(), 5) == 6
    assert bounded_count(User.objects.all(), 500) == User.objects.count()
    monkeypatch.setattr(filtered, "COLLECT_MS", 10)
    assert bounded_count(slow(), 500) is None


def test_what_is_known_to_be_empty_is_expected_to_be(people: list[User]) -> None:
    assert expected_rows(User.objects.filter(pk__in=[])) == 0
    assert paginate_filtered(User.objects.filter(pk__in=[]), BY_NAME).page.rows == []
