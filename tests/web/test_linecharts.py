"""Lines over time: gaps stay gaps, lines differ without colour, and the picture says in words what it shows."""

from governance.web.linecharts import Line, line_chart


def drawn(*lines, labels=None, **more):
    places = max(len(line.values) for line in lines)
    return line_chart(lines, labels or [str(n) for n in range(places)], "Open per day, 3 to 1", **more)


def test_a_gap_is_no_zero_and_a_lonely_value_is_a_mark():
    svg = drawn(Line("open", [3, 2, None, 1]))
    assert svg.count("<polyline") == 1
    assert svg.count('class="line-mark"') == 3


def test_lines_differ_in_their_dash_and_bear_their_names():
    svg = drawn(Line("open", [3, 2]), Line("even pace", [3, 0], "dashed"))
    assert 'class="line-dashed"' in svg
    assert ">even pace</text>" in svg
    assert 'aria-label="Open per day, 3 to 1"' in svg


def test_names_at_one_height_do_not_cover_each_other():
    svg = drawn(Line("a", [1, 1]), Line("b", [1, 1], "dashed"))
    heights = {part.split('"')[0] for part in svg.split('class="line-name" x="604.0" y="')[1:]}
    assert len(heights) == 2


def test_the_scale_ends_at_a_round_number_and_few_labels_are_written():
    svg = drawn(Line("open", [870] * 60), unit="%")
    assert ">1\u202f000%</text>" in svg
    assert 'y="222"' in svg
    assert svg.count('y="222"') == 8


def test_nothing_and_a_single_value_can_be_drawn():
    assert "<polyline" not in drawn(Line("open", [None, None]))
    assert 'class="line-mark"' in drawn(Line("open", [0]))


def test_names_are_escaped():
    assert "<b>" not in drawn(Line("<b>", [1, 2]), labels=["<i>", "2"])
