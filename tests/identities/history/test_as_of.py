"""The inventory and the access in it at a moment: intervals at their borders, and what nobody can know."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from governance.kernel.actors import Role, system_actor
from governance.kernel.permissions import Permission
from identities.models import Grant, Source
from identities.selectors import as_of
from identities.selectors.filters import InvalidFilter
from identities.selectors.past_filter import InvalidMoment, PastFilter, read_moment
from identities.services.identity_versions import write_versions_of
from identities.sync.issuing import SLUG, end_grant, issue_grant

READ = {"actions": ["SELECT"], "resources": ["table:l/public/t"]}
WRITE = {"actions": ["SELECT", "DELETE"], "resources": ["table:l/public/t"]}
EVERYBODY = system_actor("test")
TICK = timedelta(microseconds=1)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def names_at(at, **filters):
    found = as_of.list_identities_as_of(actor=EVERYBODY, filters=PastFilter(**filters), at=at)
    return sorted(version.name for version in found)


def held_at(holder, at):
    return sorted(version.grant.external_id for version in as_of.access_as_of(holder, at))


def listed_at(at, **more):
    page = as_of.list_access_as_of(actor=EVERYBODY, filters=more.pop("filters", PastFilter()), at=at, **more)
    return [(row.identity.name, row.label) for row in page.rows]


def test_a_version_holds_from_the_very_moment_it_was_seen_until_just_before_the_next(
    source, read_at, day, identity, grant, find
):
    read_at(source, day(1), [identity("etl"), grant("g", "etl", "postgresql", READ)])
    read_at(source, day(3), [identity("etl", environment="staging"), grant("g", "etl", "postgresql", WRITE)])
    etl = find("etl")

    def said(at):
        (version,) = as_of.access_as_of(etl, at)
        return version.permission["statements"][0]["actions"], as_of.identity_as_of(etl, at).environment

    assert names_at(day(1) - TICK) == []
    assert held_at(etl, day(1) - TICK) == []
    assert said(day(1)) == (["SELECT"], "production")
    assert said(day(3) - TICK) == (["SELECT"], "production")
    assert said(day(3)) == (["SELECT", "DELETE"], "staging")


def test_access_of_the_past_is_narrowed_by_everything_that_it_reached_then(
    source, read_at, day, identity, grant, find, admin
):
    several = {"actions": ["s3:GetObject", "sqs:SendMessage"], "resources": ["*"]}
    storage = {"actions": ["s3:GetObject"], "resources": ["*"]}
    read_at(source, day(1), [identity("etl"), grant("g", "etl", "aws", several, label="g")])
    read_at(source, day(3), [identity("etl"), grant("g", "etl", "aws", storage, label="g")])

    def found(at, segment):
        return listed_at(at, filters=PastFilter.parse({"segment": segment}))

    assert found(day(3) - TICK, "queues") == found(day(3) - TICK, "storage") == [("etl", "g")]
    assert found(day(3), "queues") == found(day(3) - TICK, "databases") == []
    assert found(day(3), "queues,storage") == [("etl", "g")]
    with pytest.raises(InvalidFilter):
        PastFilter.parse({"segment": "moon"})
    at = (day(3) - TICK).isoformat().replace("+00:00", "Z")
    assert "Storage, also Queues" in admin.get(f"/history/?view=access&segment=queues&at={at}").content.decode()
    assert "Storage, also Queues" in admin.get(f"/identities/{find('etl').pk}/as-of/?at={at}").content.decode()


def test_what_went_and_came_back_is_missing_in_between(source, read_at, day, identity, grant, find):
    with_it = [identity("etl"), identity("other"), grant("g", "etl", "postgresql", READ)]
    read_at(source, day(1), with_it)
    read_at(source, day(2), [identity("other")])
    read_at(source, day(3), with_it)
    etl = find("etl")

    assert [names_at(day(n)) for n in (1, 2, 3)] == [["etl", "other"], ["other"], ["etl", "other"]]
    assert [held_at(etl, day(n)) for n in (1, 2, 3)] == [["g"], [], ["g"]]
    assert held_at(etl, day(2) - TICK) == ["g"]
    assert [len(listed_at(day(n))) for n in (1, 2, 3)] == [1, 0, 1]


def test_a_grant_that_was_hung_on_another_identity_belongs_to_its_holder_of_that_time(
    source, read_at, day, identity, grant, find
):
    both = [identity("alpha"), identity("beta")]
    read_at(source, day(1), [*both, grant("g", "alpha", "postgresql", READ, label="Reads")])
    read_at(source, day(3), [*both, grant("g", "beta", "postgresql", READ, label="Reads")])
    alpha, beta = find("alpha"), find("beta")

    assert held_at(alpha, day(2)) == ["g"]
    assert held_at(beta, day(2)) == []
    assert listed_at(day(2)) == [("alpha", "Reads")]
    assert listed_at(day(2), identity=alpha) == [("alpha", "Reads")]
    assert listed_at(day(2), identity=beta) == []
    assert held_at(alpha, day(3)) == []
    assert held_at(beta, day(3)) == ["g"]
    assert listed_at(day(3)) == [("beta", "Reads")]


def test_a_grant_that_went_and_came_back_to_another_identity_keeps_its_first_holder_in_the_past(
    source, read_at, day, identity, grant, find
):
    both = [identity("alpha"), identity("beta")]
    read_at(source, day(1), [*both, grant("g", "alpha", "postgresql", READ, label="Reads")])
    read_at(source, day(2), both)
    read_at(source, day(3), [*both, grant("g", "beta", "postgresql", READ, label="Reads")])

    assert listed_at(day(1)) == [("alpha", "Reads")]
    assert listed_at(day(2)) == []
    assert listed_at(day(3)) == [("beta", "Reads")]
    assert held_at(find("beta"), day(1)) == []


def test_label_and_path_are_those_of_the_moment(source, read_at, day, identity, grant, find):
    def through(role):
        return [{"kind": "role", "id": role, "label": role}]

    for number, (label, role) in enumerate((("First", "readers"), ("Second", "readers"), ("Third", "writers")), 1):
        read_at(
            source,
            day(number),
            [
                identity("etl"),
                grant("g", "etl", "tools", {"actions": ["a"], "resources": ["b"]}, label=label, path=through(role)),
            ],
        )
    etl = find("etl")

    def called(at):
        (row,) = as_of.as_they_were(list(as_of.access_as_of(etl, at)), as_of.identity_as_of(etl, at), at)
        return row.label, row.path[0]["id"]

    assert [called(day(n)) for n in (1, 2, 3)] == [("First", "readers"), ("Second", "readers"), ("Third", "writers")]
    assert called(day(3) - TICK) == ("Second", "readers")


def test_access_outside_the_validity_that_the_source_gave_is_said_to_be_not_in_force(
    source, read_at, day, identity, grant
):
    read_at(
        source,
        day(1),
        [
            identity("etl"),
            grant(
                "g", "etl", "postgresql", READ, valid_from="2026-03-02T00:00:00Z", valid_until="2026-03-03T00:00:00Z"
            ),
        ],
    )

    def in_force(at):
        (row,) = as_of.list_access_as_of(actor=EVERYBODY, filters=PastFilter(), at=at).rows
        return row.is_in_force

    assert [in_force(day(n)) for n in (1, 2, 3)] == [False, True, False]


def test_what_people_said_is_as_old_as_when_they_said_it(source, read_at, day, identity, find, make_user):
    ada, ben = make_user(name="Ada"), make_user(name="Ben")
    read_at(source, day(1), [identity("etl")])
    etl = find("etl")
    for number, person in ((2, ada), (4, ben)):
        etl.owner = person
        etl.save()
        write_versions_of([etl.pk], at=day(number))

    assert names_at(day(1), owner="none") == ["etl"]
    assert names_at(day(3), owner=ada.email) == ["etl"]
    assert names_at(day(4), owner=ada.email) == []
    assert names_at(day(4), owner=ben.email.upper()) == ["etl"]


def test_filters_mean_what_was_true_then(source, read_at, day, identity):
    Source.objects.create(slug="quiet", name="Quiet", kind="push")
    read_at(source, day(1), [identity("etl", tags=["pci"]), identity("web", status="disabled", environment="staging")])
    read_at(source, day(3), [identity("etl"), identity("web")])

    assert names_at(day(1), tag="pci") == ["etl"]
    assert names_at(day(3), tag="pci") == []
    assert names_at(day(1), status="disabled") == ["web"]
    assert names_at(day(1), environment="staging,development") == ["web"]
    assert names_at(day(1), q="ET") == ["etl"]
    assert names_at(day(1), kind="bot") == []
    assert names_at(day(1), source="quiet") == []
    assert names_at(day(1), team="Payments") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_paging_through_all_access_shows_each_grant_once_in_both_directions(
    source, read_at, day, identity, grant, limit
):
    records = [identity(name) for name in "abc"]
    records += [grant(f"{h}{n}", h, "postgresql", READ, label=f"{h}{n}") for h in "abc" for n in range(3)]
    read_at(source, day(1), records)
    moved = [*records[:-1], records[-1] | {"identity": "a"}]
    read_at(source, day(5), moved)
    whole = as_of.list_access_as_of(actor=EVERYBODY, filters=PastFilter(), at=day(2), limit=100).rows
    place = lambda row: (row.identity.name, row.identity.identity_id, row.version.grant_id)  # noqa: E731

    forward, after = [], None
    while True:
        page = as_of.list_access_as_of(actor=EVERYBODY, filters=PastFilter(), at=day(2), after=after, limit=limit)
        forward += page.rows
        if not page.has_more:
            break
        after = place(page.rows[-1])
    back = as_of.list_access_as_of(
        actor=EVERYBODY, filters=PastFilter(), at=day(2), after=place(whole[-1]), backwards=True, limit=100
    )

    assert len(whole) == 9
    assert [row.label for row in whole if row.identity.name == "c"] != []
    assert sorted(row.label for row in whole if row.identity.name == "c") == ["c0", "c1", "c2"]
    assert [place(row) for row in forward] == [place(row) for row in whole]
    assert [place(row) for row in back.rows] == [place(row) for row in whole[:-1]]


def test_what_cannot_be_known_is_said_source_by_source(source, read_at, day, identity):
    for slug in ("never", "parts"):
        Source.objects.create(slug=slug, name=slug.title(), kind="push")
    parts = Source.objects.get(slug="parts")
    read_at(source, day(3), [identity("etl")])
    read_at(source, day(5), [identity("etl")])
    read_at(parts, day(1), [identity("x")], is_complete=False)

    def memory(slug, at):
        (found,) = as_of.list_memories(actor=EVERYBODY, at=at, slug=slug)
        return found.known_since, found.read_at, found.is_known

    assert memory("ledger", day(3) - TICK) == (day(3), None, False)
    assert memory("ledger", day(3)) == (day(3), day(3), True)
    assert memory("ledger", day(9)) == (day(3), day(5), True)
    assert memory("never", day(9)) == (None, None, False)
    assert memory("parts", day(9)) == (None, day(1), False)


def test_owners_see_the_past_of_their_own_only(source, read_at, day, identity, grant, find, make_user, actor_of):
    read_at(source, day(1), [identity("etl"), identity("web"), grant("g", "web", "postgresql", READ)])
    owner = make_user(Role.OWNER)
    etl = find("etl")
    etl.owner = owner
    etl.save()
    actor = actor_of(owner)

    found = as_of.list_identities_as_of(actor=actor, filters=PastFilter(), at=day(2))

    assert [version.name for version in found] == ["etl"]
    assert as_of.list_access_as_of(actor=actor, filters=PastFilter(), at=day(2)).rows == []
    assert [memory.slug for memory in as_of.list_memories(actor=actor, at=day(2))] == ["ledger"]
    assert as_of.list_memories(actor=actor_of(make_user(Role.OWNER)), at=day(2)) == []


def test_the_number_of_queries_does_not_grow_with_the_rows(
    source, read_at, day, identity, grant, django_assert_max_num_queries
):
    read_at(source, day(1), [identity("a"), *(grant(f"g{n}", "a", "postgresql", READ) for n in range(30))])

    with django_assert_max_num_queries(5):
        page = as_of.list_access_as_of(actor=EVERYBODY, filters=PastFilter(), at=day(2))
        assert [row.version.grant.source.name for row in page.rows] == ["Ledger"] * 30


def test_a_date_alone_means_its_end_and_a_time_needs_a_zone():
    assert read_moment("2026-03-03", now=NOW) == datetime(2026, 3, 4, tzinfo=UTC) - TICK
    assert read_moment("2026-03-03T12:00:00Z", now=NOW) == datetime(2026, 3, 3, 12, tzinfo=UTC)
    assert read_moment("2026-03-03T12:00:00+02:00", now=NOW) == datetime(2026, 3, 3, 10, tzinfo=UTC)
    assert read_moment("2026-03-03T12:00:00 02:00", now=NOW) == datetime(2026, 3, 3, 10, tzinfo=UTC)
    with pytest.raises(InvalidMoment, match="2 June 2026 lies ahead"):
        read_moment("2026-06-02", now=NOW)
    assert read_moment("", now=NOW) == read_moment("2026-06-01", now=NOW) == NOW
    west = NOW.astimezone(timezone(timedelta(hours=-13)))
    assert west.date().isoformat() == "2026-05-31"
    assert read_moment("2026-06-01", now=west) == NOW


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-02-30", "2026-13-01", "2026-03-03T12:00:00", "2026-06-02", "2026-06-01T12:00:01Z"),
        *(
            "1969-12-31",
            "0000-00-00",
            "9999-12-31",
            "9999-12-31T23:59:59-12:00",
            "0001-01-01T00:00:00+14:00",
            "２０２６-03-03",
            "x" * 5000,
        ),
    ],
)
def test_a_date_that_cannot_be_meant_is_refused(text):
    with pytest.raises(InvalidMoment):
        read_moment(text, now=NOW)


def test_what_was_given_on_request_is_found_by_its_own_source_while_it_held(
    source, read_at, day, identity, grant, find
):
    read_at(
        source, day(1), [identity("etl"), identity("idle"), grant("etl/own", "etl", "postgresql", READ, label="own")]
    )
    given = issue_grant(
        identity=find("etl"), permission=Permission.from_json({"dialect": "postgresql", "statements": [WRITE]}),
        until=day(9), label="for a while", reference=uuid.uuid4(), issued_by=None, actor=EVERYBODY, now=day(3),
    )  # fmt: skip
    end_grant(grant=Grant.objects.select_for_update().get(pk=given.pk), actor=EVERYBODY, now=day(5))

    def seen(at):
        return listed_at(at, filters=PastFilter(source=SLUG)), names_at(at, source=SLUG)

    assert seen(day(2)) == ([], [])
    assert seen(day(4)) == ([("etl", "for a while")], ["etl"])
    assert seen(day(6)) == ([], [])
    assert listed_at(day(4), filters=PastFilter(source=SLUG, privileged="no", segment="secrets")) == []
    assert {label for _, label in listed_at(day(4), filters=PastFilter(source=source.slug))} == {"for a while", "own"}
    memory = as_of.list_memories(actor=EVERYBODY, at=day(4), slug=SLUG)[0]
    assert (memory.known_since, memory.is_known) == (day(3), True)
