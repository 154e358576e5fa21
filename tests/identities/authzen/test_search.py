"""Searches list exactly what evaluations permit, page by page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.identities.authzen.conftest import post, question
from tests.identities.authzen.test_evaluation import condition, grant, identity

USERS = question("user:x", "read", "record:record-1") | {"subject": {"type": "user"}}
RECORDS = question("user:alice", "read", "record:x") | {"resource": {"type": "record"}}
ACTIONS = {"subject": {"type": "user", "id": "alice"}, "resource": {"type": "record", "id": "record-1"}}


def ids(answer: dict[str, Any]) -> list[str]:
    return sorted(found.get("id") or found["name"] for found in answer["results"])


class TestTheScenarioOfThePage:
    @pytest.fixture(autouse=True)
    def scenario(self, load: Any) -> None:
        load("certification")

    def test_subjects(self, ask: Any) -> None:
        found = ask("search/subject", USERS)
        assert list(found) == ["results"]
        assert sorted(found["results"], key=str) == [{"type": "user", "id": name} for name in ("alice", "bob")]
        archived = {"type": "record", "id": "record-2", "properties": {"status": "archived"}}
        assert ids(ask("search/subject", USERS | {"action": {"name": "write"}, "resource": archived})) == ["bob"]

    def test_resources(self, ask: Any) -> None:
        assert ids(ask("search/resource", RECORDS)) == ["record-1", "record-2"]
        bob = {"type": "user", "id": "bob", "properties": {"role": "admin"}}
        assert ids(ask("search/resource", RECORDS | {"action": {"name": "write"}, "subject": bob})) == ["record-2"]

    def test_actions(self, ask: Any) -> None:
        assert ask("search/action", ACTIONS) == {"results": [{"name": "read"}, {"name": "write"}]}
        assert ask("search/action", ACTIONS | {"action": {"name": 7}}) == {
            "results": [{"name": "read"}, {"name": "write"}]
        }

    def test_the_id_of_what_is_searched_is_ignored(self, ask: Any) -> None:
        assert ask("search/subject", USERS | {"subject": {"type": "user", "id": "alice"}}) == ask(
            "search/subject", USERS
        )
        assert ask("search/resource", RECORDS | {"resource": {"type": "record", "id": 7}}) == ask(
            "search/resource", RECORDS
        )

    def test_what_nobody_knows_finds_nothing(self, ask: Any) -> None:
        cases: list[tuple[str, dict[str, Any]]] = [
            ("search/subject", USERS | {"resource": {"type": "record", "id": "none"}}),
            ("search/subject", USERS | {"subject": {"type": "spaceship"}}),
            ("search/resource", RECORDS | {"subject": {"type": "user", "id": "nobody"}}),
            ("search/resource", RECORDS | {"resource": {"type": "spaceship"}}),
            ("search/action", ACTIONS | {"subject": {"type": "user", "id": "nobody"}}),
            ("search/action", ACTIONS | {"subject": {"type": "spaceship", "id": "alice"}}),
        ]
        for place, body in cases:
            assert ask(place, body) == {"results": []}, (place, body)

    def test_what_is_not_whole_is_refused(self, pep: Any) -> None:
        cases: list[tuple[str, dict[str, Any]]] = [
            ("search/subject", {**USERS, "action": None}),
            ("search/subject", {**USERS, "subject": {"id": "alice"}}),
            ("search/subject", {**USERS, "resource": {"type": "record"}}),
            ("search/resource", {**RECORDS, "subject": {"type": "user"}}),
            ("search/resource", {**RECORDS, "resource": None}),
            ("search/action", {**ACTIONS, "resource": {"type": "record"}}),
            ("search/action", {**ACTIONS, "subject": {"type": "user"}}),
            ("search/subject", {**USERS, "page": []}),
            ("search/subject", {**USERS, "page": {"limit": 0}}),
            ("search/subject", {**USERS, "page": {"limit": "1"}}),
            ("search/subject", {**USERS, "page": {"limit": True}}),
            ("search/subject", {**USERS, "page": {"token": "made up"}}),
            ("search/subject", {**USERS, "page": {"token": 7}}),
        ]
        for place, body in cases:
            refused = post(pep, f"/d/certification/access/v1/{place}", body)

            assert (refused.status_code, type(refused.json())) == (400, str), (place, body)

    def test_a_token_belongs_to_its_question(self, ask: Any, pep: Any) -> None:
        first = ask("search/subject", USERS | {"page": {"limit": 1}})
        token = first["page"]["next_token"]

        assert list(first) == ["page", "results"] and first["page"]["count"] == 1
        for changed in (
            {"page": {"token": token, "limit": 2}},
            {"page": {"token": token + "x"}},
            {"page": {"token": token, "properties": {"sort": "name"}}},
            {"page": {"token": token}, "action": {"name": "write"}},
            {"page": {"token": token}, "context": {"time": "now"}},
        ):
            assert post(pep, "/d/certification/access/v1/search/subject", USERS | changed).status_code == 400
        other = post(pep, "/access/v1/search/subject", USERS | {"page": {"token": token}})
        assert other.status_code == 400

    @pytest.mark.parametrize("more", [{}, {"limit": 1}])
    def test_pages_lead_on_to_the_end(self, ask: Any, more: dict[str, Any]) -> None:
        first = ask("search/subject", USERS | {"page": {"limit": 1}})
        second = ask("search/subject", USERS | {"page": {"token": first["page"]["next_token"], **more}})

        assert sorted(ids(first) + ids(second)) == ["alice", "bob"]
        assert second["page"]["next_token"] == ""


def every_page(ask: Any, place: str, body: dict[str, Any], limit: int, domain: str) -> Iterator[str]:
    token = None
    while token != "":
        page = {"limit": limit} if token is None else {"token": token}
        answer = ask(place, body | {"page": page}, domain=domain)
        assert len(answer["results"]) <= limit
        yield from (found.get("id") or found["name"] for found in answer["results"])
        token = answer["page"]["next_token"]


@pytest.fixture
def directory(load: Any) -> dict[str, Any]:
    """People and documents of three units: owners, colleagues, managers."""
    units = ("sales", "legal", "lab")
    people = {f"p{n}": {"unit": units[n % 3], "role": "manager" if n % 4 == 0 else "staff"} for n in range(9)}
    documents = {f"d{n}": {"unit": units[n % 3], "owner": f"p{n % 9}"} for n in range(12)}
    near = condition("StringEquals", "resource.unit", "${subject.unit}")
    own = condition("StringEquals", "resource.owner", "${subject.id}")
    records: list[dict[str, Any]] = []
    for name, facts in people.items():
        records += [identity(name, **facts), grant(f"{name}/own", name, own, actions=["view", "edit", "delete"])]
        records.append(grant(f"{name}/near", name, near, actions=["view"]))
        if facts["role"] == "manager":
            records += [
                grant(f"{name}/all", name, actions=["view"]),
                grant(f"{name}/edit", name, near, actions=["edit"]),
            ]
    records += [{"type": "resource", "id": f"record:{name}", "properties": facts} for name, facts in documents.items()]
    load("directory", records, subject_types={"user": []}, registered_types=["record"])
    return {"people": people, "documents": documents}


def expected(directory: dict[str, Any], who: str, action: str, what: str) -> bool:
    person, document = directory["people"][who], directory["documents"][what]
    is_owner, is_near = document["owner"] == who, document["unit"] == person["unit"]
    is_manager = person["role"] == "manager"
    return {
        "view": is_owner or is_near or is_manager,
        "edit": is_owner or (is_manager and is_near),
        "delete": is_owner,
    }[action]


@pytest.mark.parametrize("action", ["view", "edit", "delete"])
def test_searches_agree_with_the_policy_and_with_evaluations(ask: Any, directory: dict[str, Any], action: str) -> None:
    for what in ("d0", "d5", "d10"):
        wanted = [who for who in directory["people"] if expected(directory, who, action, what)]
        body = question("user:x", action, f"record:{what}") | {"subject": {"type": "user"}}
        assert ids(ask("search/subject", body, domain="directory")) == wanted
        assert sorted(every_page(ask, "search/subject", body, 2, "directory")) == wanted
    for who in ("p0", "p1", "p4"):
        wanted = sorted(what for what in directory["documents"] if expected(directory, who, action, what))
        body = question(f"user:{who}", action, "record:x") | {"resource": {"type": "record"}}
        assert ids(ask("search/resource", body, domain="directory")) == wanted
        assert sorted(every_page(ask, "search/resource", body, 3, "directory")) == wanted
        evaluations = [{"resource": {"type": "record", "id": what}} for what in directory["documents"]]
        asked = {"subject": {"type": "user", "id": who}, "action": {"name": action}, "evaluations": evaluations}
        answers = ask("evaluations", asked, domain="directory")["evaluations"]
        permitted = [what for what, answer in zip(directory["documents"], answers, strict=True) if answer["decision"]]
        assert sorted(permitted) == wanted


def test_actions_of_a_directory(ask: Any, directory: dict[str, Any]) -> None:
    for who, what in (("p0", "d0"), ("p1", "d4"), ("p4", "d1"), ("p2", "d0"), ("p4", "d2")):
        body = {"subject": {"type": "user", "id": who}, "resource": {"type": "record", "id": what}}
        wanted = [action for action in ("delete", "edit", "view") if expected(directory, who, action, what)]
        assert ids(ask("search/action", body, domain="directory")) == wanted
        assert list(every_page(ask, "search/action", body, 1, "directory")) == wanted


def test_what_grants_name_is_found_without_being_registered(load: Any, ask: Any) -> None:
    load(
        "tools",
        [
            identity("bot"),
            grant("named", "bot", actions=["GET"], resources=["route:/users", "route:/orders/%2A", "file:/etc"]),
            grant("open", "bot", actions=["*"], resources=["route:/health"]),
        ],
        subject_types={"identity": []},
    )
    bot = {"type": "identity", "id": "bot"}

    routes = ask(
        "search/resource", {"subject": bot, "action": {"name": "GET"}, "resource": {"type": "route"}}, domain="tools"
    )
    actions = ask("search/action", {"subject": bot, "resource": {"type": "route", "id": "/health"}}, domain="tools")

    assert ids(routes) == ["/health", "/orders/*", "/users"]
    assert actions == {"results": [{"name": "GET"}]}
