"""Downloads that open in a spreadsheet without running anything."""

import csv
import io

import pytest

from governance.web.csv import csv_lines, safe_cell, stream_csv


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\x00", "  =", " @"])
def test_text_that_a_spreadsheet_would_run_is_disarmed(start: str) -> None:
    assert safe_cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize("value", ["svc-etl", "a=b", "arn:aws:iam::1:role/x", "", "'quoted"])
def test_ordinary_text_stays_as_it_is(value: str) -> None:
    assert safe_cell(value) == value


def test_numbers_stay_numbers_and_nothing_is_an_empty_cell() -> None:
    assert [safe_cell(value) for value in (-5, 0.25, None)] == [-5, 0.25, ""]


def test_the_header_is_disarmed_too_and_quotes_are_doubled() -> None:
    text = "".join(csv_lines(["=name", "note"], [['say "hi"', "two\nlines"]]))

    assert list(csv.reader(io.StringIO(text, newline=""))) == [["'=name", "note"], ['say "hi"', "two\nlines"]]
    assert text.startswith("'=name,note\r\n")


def test_rows_are_asked_for_only_while_the_file_is_sent() -> None:
    asked = []

    def rows():
        for number in range(3):
            asked.append(number)
            yield (number,)

    response = stream_csv("identities.csv", ["n"], rows())
    assert asked == []

    assert b"".join(response.streaming_content) == b"n\r\n0\r\n1\r\n2\r\n"


def test_a_file_name_cannot_break_out_of_its_header() -> None:
    response = stream_csv('a"; x=\r\nSet-Cookie: b', ["n"], [])

    assert response["Content-Disposition"] == 'attachment; filename="axSet-Cookieb"'
