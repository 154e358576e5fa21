"""Posture on pages: the picture, who moved, one score with its history, the rules, and lists filtered by it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.kernel import escalation, privileges
from governance.kernel.actors import Role
from identities.models import Identity, IdentityPosture, PosturePolicy, Source
from identities.posture.policy import first_document, first_policy
from identities.selectors.posture_picture import end_of_last_quarter
from identities.selectors.posture_scores import difference_of
from identities.views.picture import exposure_words
from identities.views.score_lines import difference_words, if_words, score_lines
from tests.identities.scores import THEN, make_score, make_stand, measure_now, score
from tests.reviews import conftest as make

pytestmark = pytest.mark.django_db
# Session, person and roles; the rest is one query per question, never one per row.
MOST_QUERIES = 34
MOST_QUERIES_OF_CHANGES = 15


@pytest.fixture
def reader(browse: Callable[..., Client]) -> Client:
    return browse(make.make_person(Role.AUDITOR))


@pytest.fixture
def four() -> list[Identity]:
    """One identity in each corner, a fifth unmeasured and a sixth never assessed."""
    source = make.make_source(name="Ledger")
    made = [make.make_identity(source, name=f"nhi-{number}") for number in range(6)]
    places = [(1, 91.6), (3, 64.5), (2, 20), (4, 26.5), (2, None)]
    for identity, (assurance, exposure) in zip(made, places, strict=False):
        make_score(identity, assurance, exposure, has_excess=exposure == 91.6 if exposure else None)
    measure_now()
    return made


def boxes_of(response: Any) -> dict[str, int]:
    return {line.box: line.count for line in response.context["boxes"]}


def test_every_box_is_counted_and_leads_to_its_list(reader: Client, four: list[Identity]) -> None:
    response = reader.get("/posture/")

    assert boxes_of(response) == {
        "unproven_broad": 1,
        "proven_broad": 1,
        "unproven_contained": 1,
        "proven_contained": 1,
        "unmeasured": 2,
    }
    for line in response.context["boxes"]:
        listed = reader.get(line.url).context["page"].rows
        assert len(listed) == line.count, line.box


def test_the_table_behind_the_picture_holds_the_same_numbers_and_lists(reader: Client, four: list[Identity]) -> None:
    rows = reader.get("/posture/").context["quadrant_table"]

    counted = [(count, url) for row in rows for count, url in row.cells if count]
    assert sum(count for count, _ in counted) == 5
    for count, url in counted:
        if "unmeasured" not in url:
            assert len(reader.get(url).context["page"].rows) == count


def test_what_is_not_measured_is_said_beside_each_figure(reader: Client, four: list[Identity]) -> None:
    excess, assurance, exposure = reader.get("/posture/").context["coverage"]

    assert excess.note.startswith("1 of 4 measured.")
    assert excess.missing.startswith("2 not measured")
    assert exposure.note.startswith("4 of 6,")
    assert assurance.missing == "1 not assessed yet"


def test_why_something_is_unmeasured_is_named(reader: Client, four: list[Identity]) -> None:
    assert ("how far grants reach") in [words for _, words in reader.get("/posture/").context["reasons"]]


def test_movement_is_against_the_end_of_the_last_quarter_and_unknown_before_the_first_measure(
    reader: Client, four: list[Identity]
) -> None:
    assert {line.move for line in reader.get("/posture/").context["boxes"]} == {None}

    measure_now(day=end_of_last_quarter(timezone.now()).date() - timedelta(days=20))
    make_score(four[5], 4, 5)
    measure_now()

    moves = {line.box: line.move for line in reader.get("/posture/").context["boxes"]}
    assert moves["proven_contained"] == 1 and moves["unproven_broad"] == 0


def test_an_owner_sees_their_own_part_alone(browse: Callable[..., Client], four: list[Identity]) -> None:
    owner = make.make_person(Role.OWNER)
    Identity.objects.filter(pk=four[0].pk).update(owner=owner)

    response = browse(owner).get("/posture/")

    assert boxes_of(response) == dict.fromkeys(boxes_of(response), 0) | {"unproven_broad": 1}
    assert "nhi-1" not in response.content.decode()


def test_before_the_first_assessment_the_page_says_so(reader: Client) -> None:
    make.make_identity()

    page = reader.get("/posture/").content.decode()

    assert "Nothing is assessed yet" in page and '<svg class="quadrant' not in page


def test_a_large_estate_is_drawn_as_fields_and_counted_once_a_minute(
    reader: Client, four: list[Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identities.views.picture.MOST_DOTS", 2)
    monkeypatch.setattr("identities.selectors.posture_picture.MANY", 2)

    first = reader.get("/posture/")
    make_score(four[5], 0, 99)
    second = reader.get("/posture/")

    assert 'class="quadrant-field' in first.content.decode() and "quadrant-dot" not in first.content.decode()
    assert second.context["unassessed"] == first.context["unassessed"] == 1


def test_the_pages_cost_the_same_for_any_number(
    reader: Client, four: list[Identity], django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        identity = make.make_identity(name=f"more-{number}")
        make_score(identity)
        make_stand(identity, 1, 90, since=THEN - timedelta(days=400), until=THEN)
        make_stand(identity, 1, 20, since=THEN)
    with django_assert_max_num_queries(MOST_QUERIES):
        reader.get("/posture/")
    with django_assert_max_num_queries(MOST_QUERIES_OF_CHANGES):
        reader.get("/posture/changes/?from=2026-01-01&to=2026-03-05")


def test_who_moved_is_listed_with_both_places_and_why(reader: Client, four: list[Identity]) -> None:
    moved, stayed, new = four[:3]
    make_stand(moved, 1, 91.6, since=THEN - timedelta(days=90), until=THEN)
    make_stand(moved, 1, 20, since=THEN)
    make_stand(stayed, 3, 64.5, since=THEN - timedelta(days=90), until=THEN)
    make_stand(stayed, 3, 70, since=THEN)
    make_stand(new, 2, 20, since=THEN)

    response = reader.get("/posture/changes/?from=2026-02-01&to=2026-03-05")

    rows = {row.name: row for row in response.context["page"].rows}
    assert set(rows) == {moved.name, new.name}
    assert rows[moved.name].before == "Unproven and broad (A1, exposure 92)"
    assert rows[moved.name].after == "Contained but unproven (A1, exposure 20)"
    assert rows[moved.name].words[0].startswith("Highest privilege: ")
    assert rows[new.name].before == "Not assessed before"
    assert {(flow["before"], flow["count"]) for flow in response.context["flows"]} == {
        ("Unproven and broad", 1),
        ("Not assessed before", 1),
    }


def test_two_dates_the_wrong_way_round_list_nothing_and_say_why(reader: Client) -> None:
    response = reader.get("/posture/changes/?from=2026-03-05&to=2026-02-01")

    assert response.status_code == 400
    assert "Turn them round" in response.content.decode()
    assert reader.get("/posture/changes/?from=nonsense").status_code == 400


def test_the_page_of_a_score_compares_two_dates_factor_by_factor(reader: Client, four: list[Identity]) -> None:
    identity = four[0]
    make_stand(identity, 1, 40, since=THEN - timedelta(days=90), until=THEN)
    make_stand(identity, 1, 91.6, since=THEN, capped_by=["storage unknown"])

    page = reader.get(f"/identities/{identity.pk}/posture/?from=2026-02-01&to=2026-03-05").content.decode()

    assert "Holds assurance down now: storage unknown" in page
    assert "▲ 15.5" in page  # 30 points of privilege: 12 became 27.5
    assert "First assessment" in page


def test_a_score_of_somebody_else_is_not_found(browse: Callable[..., Client], four: list[Identity]) -> None:
    assert browse(make.make_person(Role.OWNER)).get(f"/identities/{four[0].pk}/posture/").status_code == 404


def test_the_identity_page_answers_with_both_scores(reader: Client, four: list[Identity]) -> None:
    make_score(
        make.make_identity(name="to-raise"),
        1,
        60,
        upper=3,
        capped_by=["storage unknown", "not changed for 412 days"],
        to_raise=["keep it in a sanctioned store, and report where"],
    )
    identity = Identity.objects.get(name="to-raise")

    page = reader.get(f"/identities/{identity.pk}/").content.decode()

    assert "A1" in page and "up to A3 if storage is confirmed" in page
    assert "Not changed for 412 days" in page and "Keep it in a sanctioned store" in page
    assert "Unproven and broad" in page and "How it comes about" in page


def test_reasons_say_dates_in_words_wherever_they_stand(reader: Client, four: list[Identity]) -> None:
    stale = "not renewed since 2026-11-07; the policy allows 90 days"
    IdentityPosture.objects.filter(identity=four[0]).update(
        capped_by=[stale],
        factors=[{"name": "duration", "weight": 10, "low": 5, "high": 5, "input": "until 2026-12-01", "why": ""}],
    )
    make_stand(four[0], 1, 60, since=THEN - timedelta(days=9), until=THEN)
    make_stand(four[0], 1, 91, since=THEN, capped_by=[stale])

    for address in (f"/identities/{four[0].pk}/", f"/identities/{four[0].pk}/posture/"):
        page = reader.get(address).content.decode()
        assert "ot renewed since 7 November 2026; the policy" in page and "ntil 1 December 2026" in page
        assert "2026-11-07" not in page and "2026-12-01" not in page


def test_an_identity_that_was_never_assessed_has_no_score_and_no_zero(reader: Client, four: list[Identity]) -> None:
    page = reader.get(f"/identities/{four[5].pk}/").content.decode()

    assert "Assurance is not assessed yet" in page and "Exposure is not assessed yet" in page


def test_an_unmeasured_exposure_is_never_shown_as_a_number_alone(reader: Client, four: list[Identity]) -> None:
    page = reader.get(f"/identities/{four[4].pk}/").content.decode()

    assert "Exposure not measured" in page and "at worst 80 of 100" in page


def test_whoever_sees_a_part_is_not_told_that_nothing_was_assessed_before(
    browse: Callable[..., Client], four: list[Identity]
) -> None:
    owner = make.make_person(Role.OWNER)
    Identity.objects.filter(pk=four[0].pk).update(owner=owner)
    measure_now(day=end_of_last_quarter(timezone.now()).date())

    page = browse(owner).get("/posture/").content.decode()

    assert "Nothing was assessed yet on" not in page and "Which of yours moved, and why" in page


def test_a_past_date_shows_the_score_of_that_date(reader: Client, four: list[Identity]) -> None:
    lines = score_lines(make_stand(four[0], 2, 33, since=THEN), first_policy())

    assert (lines.assurance, lines.exposure, lines.band) == ("A2", "33", "limited")


def test_a_range_over_two_bands_names_both(four: list[Identity]) -> None:
    lines = score_lines(score(four[5], 0, 63, exposure_low=45), first_policy())

    assert (lines.exposure, lines.band, lines.band_tone) == ("45 to 63", "limited to broad", "warn")


def test_lists_show_both_scores_and_downloads_hold_them(reader: Client, four: list[Identity]) -> None:
    rows = {row.name: row.score for row in reader.get("/identities/").context["page"].rows}

    assert (rows["nhi-0"].assurance, rows["nhi-0"].exposure) == ("A1", 91.6)
    assert rows["nhi-4"].exposure is None and rows["nhi-4"].assurance == "A2"
    assert rows["nhi-5"].assurance == ""
    lines = b"".join(reader.get("/identities.csv?box=proven_broad")).decode().splitlines()  # type: ignore[arg-type]
    assert lines[0].endswith("box,assurance_lower,assurance_upper,exposure_low,exposure_high,has_excess")
    assert lines[1].endswith("proven_broad,3,3,64.5,64.5,False")


def test_every_rule_has_its_page_with_blind_spots_and_thresholds(reader: Client) -> None:
    page = reader.get(reverse("identities:posture_rule", args=["NHI7-C"])).content.decode()

    assert "What it cannot see" in page and "Thresholds in force" in page
    assert reader.get(reverse("identities:posture_rule", args=["NHI99-Z"])).status_code == 404


def test_catalogues_are_shown_with_version_and_source(reader: Client) -> None:
    page = reader.get("/posture/catalogues/").content.decode()

    assert privileges.CATALOGUE_VERSION in page and escalation.CATALOGUE_VERSION in page
    assert "RBAC good practices" in page and "Ways to more privilege" in page


@pytest.mark.parametrize(
    ("capped_by", "words"),
    [
        ([], ""),
        (["a long-lived secret or key"], ""),
        (["storage unknown"], "if storage is confirmed"),
        (["api key: storage unknown", "rotated long ago"], "if storage is confirmed"),
        (["unknown whether it leaked"], "once it is confirmed: whether it leaked"),
        (["storage unknown", "audience unknown"], "once it is confirmed: storage; audience"),
        (["a unknown", "b unknown", "c unknown", "d unknown"], "once it is confirmed: a; b; c and more"),
    ],
)
def test_what_has_to_be_confirmed_is_said(capped_by: list[str], words: str) -> None:
    assert if_words(capped_by) == words


@pytest.mark.parametrize(
    ("low", "high", "words"), [(None, None, "not measured"), (26.5, 26.5, "26"), (53, 63, "53 to 63"), (0, 0, "0")]
)
def test_exposure_in_words(low: float | None, high: float | None, words: str) -> None:
    assert exposure_words(low, high) == words


def test_another_policy_is_a_reason_of_its_own(four: list[Identity]) -> None:
    PosturePolicy.objects.create(number=2, document=first_document())
    before = make_stand(four[0], 1, 60, since=THEN - timedelta(days=9), until=THEN)
    after = make_stand(four[0], 1, 60, since=THEN, policy_id=2, policy=PosturePolicy.objects.get(number=2))

    assert difference_words(difference_of(before, after)) == ["Judged by another version of the policy"]


def test_the_source_of_a_spread_line_leads_to_its_list(reader: Client, four: list[Identity]) -> None:
    (line,) = reader.get("/posture/").context["sources"]

    assert (line.name, line.total) == ("Ledger", 5)
    assert line.url.endswith(f"?source={Source.objects.get(name='Ledger').slug}")
