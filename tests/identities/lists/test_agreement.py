"""One filter text means the same everywhere: on the pages, over the API, in a saved view and as a campaign's scope."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.kernel.actors import system_actor
from identities.models import Grant, Identity
from identities.selectors.access import list_grants
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import list_identities, list_population_grants

pytestmark = pytest.mark.django_db
SYSTEM = system_actor("test")


def kinds_of(g: Grant) -> set[str]:
    return {step["kind"] for step in g.path} or {"direct"}


def reached_by(g: Grant) -> set[str]:
    return {g.segment, *g.further_segments}


def environment_of(i: Identity) -> str:
    return i.environment_edited or i.environment


def tags_of(i: Identity) -> set[str]:
    return {*i.tags, *i.source_tags}


def score_of(i: Identity) -> Any:
    """None where it was never assessed."""
    return getattr(i, "posture", None)


def is_exposed(i: Identity, low: float, below: float) -> bool:
    found = score_of(i)
    return found is not None and found.exposure_high is not None and low <= float(found.exposure_high) < below


def is_unmeasured(i: Identity) -> bool:
    return score_of(i) is None or score_of(i).exposure_high is None


# (filter, which identities, which grants); {owner} and {team} are filled in. `p` is the population.
CASES: list[tuple[str, Callable[..., bool], Callable[..., bool]]] = [
    ("", lambda i, p: True, lambda g, p: True),
    ("q=LEDGER", lambda i, p: "ledger" in i.name, lambda g, p: True),
    ("q=größe", lambda i, p: "Größe" in i.name, lambda g, p: True),
    ("q=ROLE/1", lambda i, p: "role/1" in i.external_id, lambda g, p: True),
    ("q=le%25r", lambda i, p: False, lambda g, p: True),
    ("access=read table", lambda i, p: True, lambda g, p: g.label.startswith("READ")),
    ("access=GRANT-01", lambda i, p: True, lambda g, p: "grant-01" in g.external_id),
    ("source=clouds", lambda i, p: i.source.slug == "clouds", lambda g, p: True),
    ("source=-clouds,nowhere", None, None),
    ("source=clouds,nowhere", lambda i, p: i.source.slug == "clouds", lambda g, p: True),
    ("kind=bot,ai_agent", lambda i, p: i.kind in {"bot", "ai_agent"}, lambda g, p: True),
    ("kind=-bot", lambda i, p: i.kind != "bot", lambda g, p: True),
    ("environment=development", lambda i, p: environment_of(i) == "development", lambda g, p: True),
    ("environment=-production,-unknown", lambda i, p: environment_of(i) in {"staging", "development"}, lambda g, p: True),
    ("status=disabled", lambda i, p: i.status == "disabled", lambda g, p: True),
    ("owner=none", lambda i, p: i.owner is None, lambda g, p: True),
    ("owner=-none", lambda i, p: i.owner is not None, lambda g, p: True),
    ("owner={owner}", lambda i, p: i.owner == p.owner, lambda g, p: True),
    ("owner=-{owner}", lambda i, p: i.owner != p.owner, lambda g, p: True),
    ("owner=nobody@example.org", lambda i, p: False, lambda g, p: True),
    ("team={team}", lambda i, p: i.team == p.team, lambda g, p: True),
    ("team=none", lambda i, p: i.team is None, lambda g, p: True),
    ("team=-{team}", lambda i, p: i.team != p.team, lambda g, p: True),
    ("tag=pci", lambda i, p: "pci" in tags_of(i), lambda g, p: True),
    ("tag=eu,absent", lambda i, p: "eu" in tags_of(i), lambda g, p: True),
    ("tag=-pci", lambda i, p: "pci" not in tags_of(i), lambda g, p: True),
    ("privileged=yes", lambda i, p: True, lambda g, p: g.is_privileged),
    ("privileged=no", lambda i, p: True, lambda g, p: not g.is_privileged),
    ("segment=queues,admin", lambda i, p: True, lambda g, p: reached_by(g) & {"queues", "admin"}),
    ("segment=storage", lambda i, p: True, lambda g, p: "storage" in g.further_segments),
    ("segment=secrets", lambda i, p: True, lambda g, p: False),
    ("segment=-databases", lambda i, p: True, lambda g, p: "databases" not in reached_by(g)),
    ("segment=-queues", lambda i, p: True, lambda g, p: "queues" not in reached_by(g)),
    ("path=role", lambda i, p: True, lambda g, p: "role" in kinds_of(g)),
    ("path=direct", lambda i, p: True, lambda g, p: "direct" in kinds_of(g)),
    ("path=public", lambda i, p: True, lambda g, p: "public" in kinds_of(g)),
    ("path=-role,-direct", lambda i, p: True, lambda g, p: not kinds_of(g) & {"role", "direct"}),
    ("standing=yes", lambda i, p: True, lambda g, p: g.pk not in p.ends),
    ("standing=no", lambda i, p: True, lambda g, p: g.pk in p.ends),
    ("box=unproven_broad", lambda i, p: score_of(i) and score_of(i).box == "unproven_broad", lambda g, p: True),
    ("box=unmeasured", lambda i, p: is_unmeasured(i), lambda g, p: True),
    ("box=-unmeasured", lambda i, p: not is_unmeasured(i), lambda g, p: True),
    ("assurance=A3,A4", lambda i, p: score_of(i) and score_of(i).assurance_lower >= 3, lambda g, p: True),
    ("assurance=-A0", lambda i, p: not score_of(i) or score_of(i).assurance_lower > 0, lambda g, p: True),
    ("exposure=50-74", lambda i, p: is_exposed(i, 50, 75), lambda g, p: True),
    ("exposure=0-24,75-100", lambda i, p: is_exposed(i, 0, 25) or is_exposed(i, 75, 101), lambda g, p: True),
    ("exposure=unmeasured", lambda i, p: is_unmeasured(i), lambda g, p: True),
    ("exposure=-unmeasured", lambda i, p: not is_unmeasured(i), lambda g, p: True),
    ("excess=yes", lambda i, p: score_of(i) and score_of(i).has_excess is True, lambda g, p: True),
    ("excess=unknown", lambda i, p: not score_of(i) or score_of(i).has_excess is None, lambda g, p: True),
    ("excess=-yes", lambda i, p: not score_of(i) or score_of(i).has_excess is not True, lambda g, p: True),
    ("retired=no", lambda i, p: True, lambda g, p: True),
    (
        "kind=bot,workload&privileged=yes&segment=databases&standing=yes",
        lambda i, p: i.kind in {"bot", "workload"},
        lambda g, p: g.is_privileged and "databases" in reached_by(g) and g.pk not in p.ends,
    ),
    (
        "owner=none&access=table&path=role&environment=-production&tag=-pci",
        lambda i, p: i.owner is None and environment_of(i) != "production" and "pci" not in tags_of(i),
        lambda g, p: "role" in kinds_of(g),
    ),
]  # fmt: skip
# Grants by `number % 4`, as the fixture gives them their use: those unused, and those of which nobody knows.
UNUSED = {90: {2}, 300: set()}
UNKNOWN = {90: {0, 3}, 300: {0, 2}}
NEGATIVE = re.compile(r"privileged=no|standing=no|(segment|path)=-")


def said(text: str, population: Any) -> str:
    return text.format(owner=population.owner.email, team=population.team.pk)


@pytest.mark.parametrize(("text", "which", "what"), CASES, ids=[case[0] or "everything" for case in CASES])
def test_every_list_and_a_campaign_agree_with_what_the_words_say(
    text: str, which: Any, what: Any, population: Any, reader: Client, program: Any
) -> None:
    text, now = said(text, population), timezone.now()
    if which is None:
        assert reader.get(f"/access/?{text}").status_code == 400
        assert program(f"/api/v1/grants/?{text}").status_code == 400
        return
    facts = SimpleNamespace(owner=population.owner, team=population.team, ends=population.ends, now=now)
    present = {i: held for i, held in population.identities.items() if i.retired_at is None and which(i, facts)}
    grants = {g.external_id for held in present.values() for g in held if what(g, facts)}
    of_campaign = {
        g.external_id
        for held in present.values()
        for g in held
        if what(g, facts) and ("public" not in kinds_of(g) or "path=public" in text)
    }
    holders = {i.name for i, held in present.items() if "&" not in text or any(what(g, facts) for g in held)}
    if re.search(r"(privileged|standing|segment|path|access)=", text) and not NEGATIVE.search(text):
        holders = {i.name for i, held in present.items() if any(what(g, facts) for g in held)}
    elif NEGATIVE.search(text):
        # "No" of an identity: it holds nothing of what the grants' list leaves out.
        holders = {i.name for i, held in present.items() if all(what(g, facts) for g in held)}

    assert api_of(program, "grants", text, "external_id") == grants
    assert on_page(reader, "/access/", text) == {g.label for g in population.grants if g.external_id in grants}
    assert api_of(program, "identities", text, "name") == holders
    assert on_page(reader, "/identities/", text) == holders
    filters = InventoryFilter.parse(text)
    population_of = list_population_grants(filters=filters, actor=None, now=now)
    assert {version.grant.external_id for version in population_of} == of_campaign
    saved = InventoryFilter.parse(filters.to_text())
    assert saved == filters
    assert {g.external_id for g in list_grants(actor=SYSTEM, filters=saved, now=now)} == grants


def test_new_days_asks_of_whatever_is_listed(population: Any) -> None:
    filters, now = InventoryFilter.parse("new_days=7"), timezone.now()
    new = {g.external_id for g in population.grants if (now - g.first_seen_at).days < 7 and g.retired_at is None}

    assert {g.external_id for g in list_grants(actor=SYSTEM, filters=filters, now=now)} == new
    assert {version.grant.external_id for version in list_population_grants(filters=filters, actor=None, now=now)} == {
        g for g in new if "public" not in kinds_of(Grant.objects.get(external_id=g))
    }
    assert {i.name for i in list_identities(actor=SYSTEM, filters=filters, now=now)} == {
        i.name for i in population.identities if (now - i.first_seen_at).days < 7
    }


QUIET_IDENTITIES: list[tuple[str, Callable[[int | None], bool]]] = [
    ("unused_days=90", lambda days: days is None or days >= 90),
    ("unused_days=300", lambda days: days is not None and days >= 300),
    ("unknown_use_days=90", lambda days: False),
    ("unknown_use_days=300", lambda days: days is None),
]


@pytest.mark.parametrize(("text", "is_meant"), QUIET_IDENTITIES, ids=[case[0] for case in QUIET_IDENTITIES])
def test_use_is_asked_of_the_grant_in_lists_of_grants_and_of_the_identity_in_those_of_identities(
    text: str, is_meant: Callable[[int | None], bool], population: Any, reader: Client, program: Any
) -> None:
    filters, now = InventoryFilter.parse(text), timezone.now()
    days = int(text.partition("=")[2])
    wanted = UNUSED if text.startswith("unused") else UNKNOWN
    grants = {g.external_id for g in population.grants if g.retired_at is None and g.shared_with % 4 in wanted[days]}
    since = {i: (now - i.last_seen_at).days if i.last_seen_at else None for i in population.identities}
    names = {i.name for i in population.identities if i.retired_at is None and is_meant(since[i])}

    assert api_of(program, "grants", text, "external_id") == grants
    assert on_page(reader, "/access/", text) == {g.label for g in population.grants if g.external_id in grants}
    assert {version.grant.external_id for version in list_population_grants(filters=filters, actor=None, now=now)} == {
        g for g in grants if "public" not in kinds_of(Grant.objects.get(external_id=g))
    }
    assert api_of(program, "identities", text, "name") == names
    assert on_page(reader, "/identities/", text) == names


def test_the_list_says_how_much_it_leaves_out_as_unknown_and_leads_there(population: Any, reader: Client) -> None:
    page = reader.get("/access/?unused_days=90&segment=databases").content.decode()

    address = re.search(r'Left out: <a href="([^"]+)">(\d+) grants</a>', page)
    assert address is not None
    assert unescape(address[1]) == "?segment=databases&unknown_use_days=90"
    assert len(on_page(reader, "/access/", unescape(address[1])[1:])) > 0
    assert "Left out" not in reader.get("/access/?segment=databases").content.decode()


def test_new_since_begins_with_its_day_and_asks_of_whatever_is_listed(population: Any) -> None:
    now = timezone.now()
    for grant in population.grants:
        day = grant.first_seen_at.date()
        midnight = datetime.combine(day, time(), UTC)
        filters = InventoryFilter.parse(f"new_since={day}")
        new = {g.external_id for g in population.grants if g.first_seen_at >= midnight and g.retired_at is None}
        assert {g.external_id for g in list_grants(actor=SYSTEM, filters=filters, now=now)} == new
        assert {i.name for i in list_identities(actor=SYSTEM, filters=filters, now=now)} == {
            i.name for i in population.identities if i.first_seen_at >= midnight and i.retired_at is None
        }


def test_what_is_gone_is_listed_only_when_asked_for(population: Any) -> None:
    filters, now = InventoryFilter.parse("retired=yes&access=table"), timezone.now()

    assert {g.external_id for g in list_grants(actor=SYSTEM, filters=filters, now=now)} == {
        g.external_id for g in population.grants if g.retired_at
    }
    assert [i.name for i in list_identities(actor=SYSTEM, filters=filters, now=now)] == [
        i.name for i in population.identities if i.retired_at
    ]
    assert not list_population_grants(filters=filters, actor=None, now=now)


def api_of(program: Any, what: str, text: str, member: str) -> set[str]:
    response = program(f"/api/v1/{what}/?limit=1000&{text}")
    assert response.status_code == 200, response.content
    return {row[member] for row in response.json()["results"]}


def on_page(reader: Client, path: str, text: str) -> set[str]:
    """The names of the rows on all pages."""
    seen: set[str] = set()
    url = f"{path}?{text}"
    while url:
        response = reader.get(url)
        assert response.status_code == 200, response.content
        seen |= {getattr(row, "label", "") or row.name for row in response.context["page"].rows}
        following = re.search(r'rel="next" href="([^"]+)"', response.content.decode())
        url = path + unescape(following.group(1)) if following else ""
    return seen
