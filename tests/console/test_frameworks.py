"""Frameworks: what the files name exists, figures are real, and what was not measured is never a figure."""

import csv
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from governance.audit.actions import Verb
from governance.console.frameworks.evidence import records_url
from governance.console.frameworks.measures import MEASURES
from governance.console.frameworks.places import PLACES
from governance.frameworks.loading import Control, load_frameworks
from governance.kernel.actors import Role
from identities.posture.rules import catalogue
from identities.selectors.filters import InventoryFilter
from tests.identities.scores import make_score, measure_now
from tests.reviews import conftest as make

# Session, person and roles, the pieces of the programme's report, and the rest: whatever the size of the framework.
MOST_QUERIES = 44
CONTROLS = [(framework.id, control) for framework in load_frameworks() for control in framework.controls]
NAMES = [f"{name}-{control.id}" for name, control in CONTROLS]


@pytest.mark.parametrize("control", [control for _, control in CONTROLS], ids=NAMES)
def test_what_a_control_names_exists(control: Control) -> None:
    assert set(control.rules) <= set(catalogue.BY_ID)
    assert set(control.verbs) <= {verb.value for verb in Verb}
    assert set(control.places) <= set(PLACES)
    assert set(control.measures) <= set(MEASURES)


def test_every_place_is_a_page_and_its_filter_can_be_understood() -> None:
    for key, place in PLACES.items():
        parts = urlsplit(place.url)
        assert resolve(parts.path).view_name == place.url_name, key
        if place.url_name.endswith(("identity_list", "access_list", "finding_list")):
            InventoryFilter.parse(parts.query)


def test_nothing_that_is_offered_as_evidence_goes_unused() -> None:
    named = {key for _, control in CONTROLS for key in control.places}
    measured = {key for _, control in CONTROLS for key in control.measures}

    assert set(PLACES) == named
    assert set(MEASURES) == measured


def test_every_rule_stands_beside_some_control() -> None:
    named = {rule for _, control in CONTROLS for rule in control.rules}

    assert set(catalogue.BY_ID) == named


def test_an_edition_says_nothing_twice() -> None:
    said = {framework.id: framework.edition_beside_title for framework in load_frameworks()}

    assert said["csf_2_0"] == "February 2024"
    assert said["iso_27001_2022"] == ""
    assert said["soc2_tsc_2017"] == "points of focus of 2022"


@pytest.mark.django_db
def test_the_page_opens_with_authentication_and_leads_to_living_pages(signed_in: Callable[..., Client]) -> None:
    page = signed_in(make.make_person(Role.AUDITOR)).get("/frameworks/").content.decode()

    assert page.index("PR.AA-01") < page.index("PR.AA-05") < page.index("GV.PO-01")
    assert "Intersects with 1.1: PR.AC-1, PR.AC-3, PR.AC-4" in page
    assert 'href="/identities/?owner=none"' in page
    assert "Cannot show:" in page


@pytest.mark.django_db
def test_what_was_not_measured_is_said_and_is_no_figure(signed_in: Callable[..., Client]) -> None:
    page = signed_in(make.make_person(Role.AUDITOR)).get("/frameworks/iso_27001_2022/").content.decode()

    assert "not measured" in page
    assert "0 of 0" not in page


@pytest.mark.django_db
def test_figures_have_their_whole_and_what_is_missing_from_them(signed_in: Callable[..., Client]) -> None:
    source = make.make_source(totals={"identities": 4})
    for exposure in (91.6, 26.5, None, None):
        make_score(make.make_identity(source), 1, exposure, has_excess=exposure == 91.6 if exposure else None)
    measure_now()
    client = signed_in(make.make_person(Role.AUDITOR))

    page = client.get("/frameworks/csf_2_0/").content.decode()
    sheet: Any = client.get("/frameworks/csf_2_0/csv/")
    rows = list(csv.DictReader(io.StringIO(b"".join(sheet).decode())))

    assert "(2 of 4)" in page and "2 unmeasured" in page
    (row,) = [
        row for row in rows if row["control"] == "PR.AA-05" and row["measure"].startswith("Powerful rights unused")
    ]
    assert (row["part"], row["whole"], row["missing"]) == ("1", "2", "2 not measured")


@pytest.mark.django_db
def test_an_unknown_framework_is_not_found(signed_in: Callable[..., Client]) -> None:
    assert signed_in(make.make_person(Role.AUDITOR)).get("/frameworks/nothing/").status_code == 404


@pytest.mark.django_db
def test_owners_are_told_that_their_role_does_not_open_it(signed_in: Callable[..., Client]) -> None:
    assert signed_in(make.make_person(Role.OWNER)).get("/frameworks/").status_code == 403


@pytest.mark.django_db
def test_the_page_costs_the_same_however_many_controls_there_are(
    signed_in: Callable[..., Client], django_assert_max_num_queries: Any
) -> None:
    client = signed_in(make.make_person(Role.ADMINISTRATOR))

    with django_assert_max_num_queries(MOST_QUERIES):
        client.get("/frameworks/sp_800_53_r5/")


def test_addresses_of_records_ask_the_trail_for_their_verb() -> None:
    assert parse_qs(urlsplit(records_url("item.decided")).query) == {"verb": ["item.decided"]}
