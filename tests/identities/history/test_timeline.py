"""What happened to one identity: in order, old and new in words, by index however much hangs on it."""

import pytest
from django.db import connection

from governance.kernel.actors import Role, system_actor
from identities.selectors import timeline
from identities.selectors.timeline import list_changes_of, list_happenings
from identities.services.identities import edit_identity
from identities.services.identity_versions import write_versions_of
from identities.views.history_lines import timeline_lines

TOOL = {"actions": ["call"], "resources": ["server:a"]}


def lines_of(identity, **more):
    return timeline_lines(list_happenings(identity, **more).events, identity)


def told(identity):
    return [(line.title, [(fact.label, fact.old, fact.new) for fact in line.facts]) for line in lines_of(identity)]


def test_readings_and_people_stand_in_one_order_with_old_and_new(
    source, read_at, day, identity, grant, find, make_user
):
    ada = make_user(name="Ada Ochieng")
    read_at(source, day(1), [identity("etl"), identity("web"), grant("g", "etl", "tools", TOOL, label="Old name")])
    etl = find("etl")
    etl.owner = ada
    etl.save()
    write_versions_of([etl.pk], at=day(2))
    read_at(
        source,
        day(3),
        [identity("etl", environment="staging"), identity("web"), grant("g", "web", "tools", TOOL, label="New name")],
    )

    assert told(etl) == [
        ("Grant changed: New name", [("Held by", "etl", "web"), ("Name", "Old name", "New name")]),
        ("Identity changed: etl", [("Environment", "production", "staging")]),
        ("Owner set", [("Owner", "nobody", "Ada Ochieng")]),
        ("Grant added: New name", []),
        ("Identity added: etl", []),
    ]
    assert [line.at for line in lines_of(etl)] == [day(3), day(3), day(2), day(1), day(1)]


def test_an_edit_through_the_use_case_stands_in_the_history(source, read_at, day, identity, find, make_user, actor_of):
    read_at(source, day(1), [identity("etl")])
    etl = find("etl")
    changes = {"purpose": "Copies payments"}
    edit_identity(identity=etl, version=1, changes=changes, actor=actor_of(make_user(Role.ADMINISTRATOR)), now=day(2))

    assert told(etl)[0] == ("Purpose set", [("Purpose", "nothing", "Copies payments")])


def test_what_went_and_came_back_is_told_so(source, read_at, day, identity, find):
    for number, there in enumerate((True, False, True), 1):
        read_at(source, day(number), [identity("other"), *([identity("etl")] if there else [])])

    assert [title for title, _ in told(find("etl"))] == [
        "Identity seen again: etl",
        "Identity retired: etl",
        "Identity added: etl",
    ]


def test_many_like_changes_of_one_reading_are_one_event_that_leads_to_it(source, read_at, day, identity, grant, find):
    run = read_at(source, day(1), [identity("etl"), *(grant(f"g{n}", "etl", "tools", TOOL) for n in range(9))])

    lines = lines_of(find("etl"))

    assert [line.title for line in lines] == ["9 grants added", "Identity added: etl"]
    assert str(run.pk) in lines[0].url


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_paging_tells_everything_once(source, read_at, day, identity, find, make_user, limit, monkeypatch):
    monkeypatch.setattr(timeline, "VERSIONS", 2)
    people = [make_user(name=f"Person {n}") for n in range(4)]
    for number in range(4):
        read_at(source, day(2 * number + 1), [identity("etl", purpose=f"Purpose {number}")])
        etl = find("etl")
        etl.owner = people[number]
        etl.save()
        write_versions_of([etl.pk], at=day(2 * number + 2))
    whole = lines_of(find("etl"))

    found, place = [], None
    for _ in range(20):
        part = list_happenings(find("etl"), after=place, limit=limit)
        found += timeline_lines(part.events, find("etl"))
        place = part.following
        if place is None:
            break

    assert len(whole) == 8
    assert found == whole
    assert [line.at for line in whole] == sorted((line.at for line in whole), reverse=True)


def test_the_changes_are_found_by_index(source, read_at, day, identity, grant, find):
    read_at(source, day(1), [identity("etl"), *(grant(f"g{n}", "etl", "tools", TOOL) for n in range(50))])
    others = "INSERT INTO identities_change (run_id, object_kind, object_id, external_id, action) SELECT run_id, 'grant', gen_random_uuid(), '', 'added' FROM identities_change, generate_series(1, 400)"
    seen = []
    with connection.cursor() as cursor:
        cursor.execute(others)
        cursor.execute("ANALYZE identities_change; ANALYZE identities_grant")

    def explain(execute, sql, params, many, context):
        if sql.lstrip().startswith("WITH object"):
            context["cursor"].execute("EXPLAIN " + sql, params)
            seen.append("\n".join(row[0] for row in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        list_changes_of(find("etl"))

    assert "identities_change_of_object" in seen[0]
    assert "Seq Scan on identities_change" not in seen[0]


def test_a_timeline_costs_few_queries(source, read_at, day, identity, grant, find, django_assert_max_num_queries):
    read_at(source, day(1), [identity("etl"), *(grant(f"g{n}", "etl", "tools", TOOL) for n in range(2))])
    etl = find("etl")
    assert system_actor("test")

    with django_assert_max_num_queries(6):
        lines_of(etl)
