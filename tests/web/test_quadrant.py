"""The picture of both axes: where things stand, what is written in them, and what nobody could measure."""

import re
from typing import Any

import pytest

from governance.web.quadrant import BOXES, Dot, Field, Quadrant, quadrant, short_number

EMPTY = Quadrant(label="0 identities")


def _wide(html: str) -> str:
    return html[: html.index("quadrant-narrow")]


def test_it_is_drawn_for_a_desk_and_for_a_phone_with_the_same_content() -> None:
    html = quadrant(Quadrant(label="x", fields=[Field(assurance=1, exposure=90, count=7, label="seven")]))

    assert html.count("<svg") == 2 and html.count(">7</text>") == 2
    assert "quadrant-wide" in html and "quadrant-narrow" in html


def test_every_box_has_its_name_and_leads_to_its_list() -> None:
    html = quadrant(Quadrant(label="x", urls={name: f"/list/?box={name}" for name, _ in BOXES} | {"unmeasured": "/u"}))

    for name, words in BOXES:
        assert words in html and f'href="/list/?box={name}"' in html
    assert 'href="/u"' in html


def test_a_field_says_its_number_in_figures_and_its_place_in_words() -> None:
    html = quadrant(
        Quadrant(label="x", fields=[Field(assurance=3, exposure=60, count=12_345, label="12 345 at A3", url="/go")])
    )

    assert ">12k</text>" in html
    assert 'aria-label="12 345 at A3"' in html and 'href="/go"' in html


def test_more_exposure_stands_higher_and_more_assurance_further_right() -> None:
    def place(assurance: int, exposure: int) -> tuple[float, float]:
        html = _wide(
            quadrant(Quadrant(label="x", fields=[Field(assurance=assurance, exposure=exposure, count=1, label="")]))
        )
        ((x, y),) = re.findall(r'quadrant-field" data-shade="\d" x="([\d.]+)" y="([\d.]+)"', html)
        return float(x), float(y)

    assert place(1, 90)[1] < place(1, 0)[1]
    assert place(0, 50)[0] < place(4, 50)[0]


def test_what_is_not_measured_stands_in_the_lane_and_is_not_only_another_colour() -> None:
    html = _wide(
        quadrant(
            Quadrant(
                label="x",
                fields=[
                    Field(assurance=4, exposure=10, count=1, label=""),
                    Field(assurance=None, exposure=90, count=3, label=""),
                ],
            )
        )
    )

    assert "is-unmeasured" in html and "at worst" in html and "url(#lane-" in html
    measured, unmeasured = (float(x) for x in re.findall(r'quadrant-field[^"]*" data-shade="\d" x="([\d.]+)"', html))
    assert unmeasured > measured


def test_the_boxes_are_divided_where_the_policy_says() -> None:
    def cross(**drawn: Any) -> str:
        return str(re.findall(r'quadrant-cross" d="([^"]+)"', quadrant(Quadrant(label="x", **drawn)))[0])

    assert cross() != cross(strong_from=2) != cross(broad_from=40)


def test_dots_of_one_place_do_not_cover_each_other() -> None:
    dots = [Dot(assurance=1, exposure=50, label=f"n{number}") for number in range(5)]
    html = _wide(quadrant(Quadrant(label="x", dots=dots)))

    places = re.findall(r'quadrant-dot" cx="([\d.]+)" cy="([\d.]+)"', html)
    assert len(set(places)) == len(places) == 5


def test_labels_are_escaped_and_nothing_is_styled_inline() -> None:
    bad = "<script>"
    html = quadrant(
        Quadrant(
            label=bad,
            dots=[Dot(assurance=0, exposure=1, label=bad, url='"><script>')],
            fields=[Field(assurance=0, exposure=0, count=1, label=bad)],
        )
    )

    assert bad not in html and "style=" not in html


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (9_949, "9.9k"), (9_951, "10k"), (99_999, "100k"), (340_000, "340k")],
)
def test_numbers_are_short_enough_for_a_field(value: int, words: str) -> None:
    assert short_number(value) == words


def test_an_empty_picture_is_still_a_picture() -> None:
    assert quadrant(EMPTY).count("<svg") == 2
