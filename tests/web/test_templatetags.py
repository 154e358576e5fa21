"""Words, numbers, times and shapes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from governance.web.charts import Segment, meter, sparkline, split_bar
from governance.web.statuses import STATUSES, TONE_ICONS
from governance.web.templatetags.remit import (
    badge,
    fenced,
    icon,
    number,
    percent,
    plural,
    relative,
    status_badge,
    time_tag,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def test_every_state_and_tone_has_an_icon_that_exists() -> None:
    for look in STATUSES.values():
        assert "<path" in icon(look.icon), look
        assert look.tone in TONE_ICONS
    for name in TONE_ICONS.values():
        assert "<path" in icon(name)


def test_tones_differ_in_shape_as_well_as_in_colour() -> None:
    assert len({icon(name) for name in TONE_ICONS.values()}) == len(TONE_ICONS)


def test_icons_are_hidden_from_readers_and_bring_no_inline_style() -> None:
    drawing = icon("robot", 18)

    assert 'aria-hidden="true"' in drawing and 'width="18"' in drawing
    assert "style=" not in drawing and "xmlns" not in drawing and "svg:path" not in drawing


def test_icons_do_not_change_when_another_library_names_the_svg_namespace() -> None:
    ElementTree.register_namespace("svg", "http://www.w3.org/2000/svg")

    assert "svg:path" not in icon("robot", 22)


def test_an_unknown_state_is_shown_in_its_own_words_not_hidden() -> None:
    html = status_badge("half_baked")

    assert 'data-tone="unknown"' in html and "Half baked" in html


def test_labels_are_escaped() -> None:
    assert "<script>" not in badge("<script>", "info") + meter(1, 2, '"><script>')


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0"), (999, "999"), (4212, "4\u202f212"), (-1234567, "-1\u202f234\u202f567")]
)
def test_numbers_group_by_thin_spaces(value: int | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 0, "–"), (None, 5, "–"), (0, 5, "0\u202f%"), (1, 33, "3.0\u202f%"), (97, 100, "97\u202f%")],
)
def test_a_share_of_nothing_is_not_a_number(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (427, 428, "99.8\u202f%"),
        (99_999, 100_000, "99.9\u202f%"),
        (428, 428, "100\u202f%"),
        (1, 100_000, "under 0.1\u202f%"),
    ],
)
def test_only_all_is_a_hundred_percent_and_only_nothing_is_none(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_code_between_fences_is_told_from_prose() -> None:
    text = "Do this:\n\n```\nA\n  B\n```\nThen that."

    assert fenced(text) == [(False, "Do this:"), (True, "A\n  B"), (False, "Then that.")]
    assert fenced("") == []


def test_counts_agree_with_their_noun() -> None:
    assert [plural(count, "grant,grants") for count in (0, 1, 4212)] == ["0 grants", "1 grant", "4\u202f212 grants"]


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(seconds=-20), "just now"),
        (timedelta(seconds=1), "just now"),
        (timedelta(seconds=20), "in a moment"),
        (timedelta(minutes=-5), "5 min ago"),
        (timedelta(hours=3), "in 3 h"),
        (timedelta(days=-59), "59 d ago"),
        (timedelta(days=-90), "25 Aug 2026"),
    ],
)
def test_times_are_short_near_and_exact_far(distance: timedelta, text: str) -> None:
    assert relative(NOW + distance, NOW) == text


def test_the_exact_time_is_one_hover_away_and_never_is_said() -> None:
    assert 'title="2026-11-23 12:00:00 UTC"' in time_tag(NOW)
    assert "never" in time_tag(None)


def test_links_keep_other_filters_and_forget_the_place() -> None:
    request = RequestFactory().get("/?kind=bot&kind=job&env=prod&cursor=abc")
    template = Template(
        "{% load remit %}{% querystring_with env='test' %} {% without 'kind' 'bot' %} {% without 'env' %} {% querystring_with cursor='z' %}"
    )

    first, second, third, fourth = template.render(Context({"request": request})).split()

    assert first == "?kind=bot&amp;kind=job&amp;env=test"
    assert second == "?kind=job&amp;env=prod"
    assert third == "?kind=bot&amp;kind=job"
    assert fourth.endswith("cursor=z")


def test_the_unknown_part_of_a_bar_is_hatched_and_spoken() -> None:
    html = split_bar([Segment(3, "used", "success"), Segment(2, "not observable", "unknown")])

    assert 'aria-label="used 3, not observable 2"' in html
    assert html.count("url(#hatch-") == 1


@pytest.mark.parametrize(("value", "width"), [(-5, "0.0%"), (50, "50.0%"), (500, "100.0%")])
def test_a_meter_stays_inside_its_track(value: float, width: str) -> None:
    assert f'class="meter-fill" width="{width}"' in meter(value, 100, "x")


def test_charts_bear_no_data_and_constant_data() -> None:
    assert sparkline([], "none") == ""
    assert "polyline" in sparkline([3, 3, 3], "flat")
    assert "<svg" in split_bar([])


def test_no_template_or_script_brings_inline_style_or_script() -> None:
    """The content security policy would block them; this says so before a browser does."""
    # Mail is no page: mail programs know no policy, and most know no style sheet either.
    pages = [path for path in ROOT.glob("templates/**/*.html") if path.parent.name != "mail"]
    for path in [*pages, *ROOT.glob("governance/web/*.py")]:
        text = path.read_text()
        for forbidden in (' style="', "<style", " onclick=", " onload=", "javascript:", "hx-on"):
            assert forbidden not in text, f"{path.relative_to(ROOT)} uses {forbidden.strip()}"
