"""The CSV format: what spreadsheets do to a file, and what is said where one is wrong."""

from collections.abc import Callable
from io import BufferedReader, BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.kernel.permissions import Permission
from identities.connectors.csv_rows import COLUMNS, CsvRows
from identities.connectors.files import FileRefused, Notes
from identities.connectors.registry import recognise

HEADER = "identity,kind,name,owner,dialect,actions,resources,valid_until,last_used\n"
ROWS = (
    "etl,service_account,ETL nightly,ada@example.org,aws,sqs:ReceiveMessage|sqs:DeleteMessage,arn:aws:sqs:*:*:orders,,2026-11-01\n"
    "etl,,,,aws,s3:GetObject,arn:aws:s3:::reports/* arn:aws:s3:::old/*,2027-01-31,2026-11-20\n"
    "idle,bot,,,,,,,\n"
)


def read(text: str | bytes) -> tuple[list[Any], Notes]:
    notes = Notes()
    data = text if isinstance(text, bytes) else text.encode()
    return list(CsvRows().records(BufferedReader(BytesIO(data)), notes)), notes  # type: ignore[arg-type]


def meaning(records: list[Any]) -> list[Any]:
    return sorted(records, key=str)


def test_a_row_is_a_grant_and_says_something_about_its_identity() -> None:
    records, _ = read(HEADER + ROWS)

    grants = [each for each in records if each["type"] == "grant"]
    identities = {each["id"]: each for each in records if each["type"] == "identity"}
    assert [each["permission"]["statements"] for each in grants] == [
        [{"actions": ["sqs:ReceiveMessage", "sqs:DeleteMessage"], "resources": ["arn:aws:sqs:*:*:orders"]}],
        [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::reports/*", "arn:aws:s3:::old/*"]}],
    ]
    assert grants[1]["valid_until"] == "2027-01-31T00:00:00Z"
    assert identities["etl"] == {
        "type": "identity", "id": "etl", "kind": "service_account", "name": "ETL nightly", "owner": "ada@example.org",
        "last_used_at": "2026-11-20T00:00:00Z",
    }  # fmt: skip
    assert identities["idle"] == {"type": "identity", "id": "idle", "kind": "bot"}
    assert records[-1] == {"type": "end", "records": 4}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: text.replace("|", "\n").replace("sqs:Receive", '"sqs:Receive').replace("DeleteMessage", 'DeleteMessage"').encode(),
        lambda text: text.replace("valid_until", "Valid Until").replace("identity", " Identity ").encode(),
        lambda text: (text + "\n\n,,,,,,,,\n").encode(),
        lambda text: (text + "#end,3,,,,,,,\n").encode(),
        lambda text: text.rstrip("\n").encode(),
    ],
    ids=["mark", "crlf", "semicolons", "utf-16", "quoted newline", "headings", "blank lines", "end line", "no last newline"],
)  # fmt: skip
def test_what_a_spreadsheet_does_to_a_file_changes_nothing(spoil: Callable[[str], bytes]) -> None:
    assert meaning(read(spoil(HEADER + ROWS))[0]) == meaning(read(HEADER + ROWS)[0])


def test_a_row_that_stands_there_twice_is_taken_once_and_said() -> None:
    records, notes = read(HEADER + ROWS + ROWS)

    assert meaning(records) == meaning(read(HEADER + ROWS)[0])
    assert notes.counts == {"repeated rows": 2}


def test_rows_with_one_grant_below_each_other_are_its_statements() -> None:
    records, _ = read(
        "identity,kind,grant,dialect,actions,resources,effect\n"
        "etl,bot,g1,aws,s3:*,*,\netl,bot,g1,aws,s3:DeleteBucket,*,deny\netl,bot,g2,aws,sqs:*,*,\n"
    )

    assert [each["id"] for each in records if each["type"] == "grant"] == ["g1", "g2"]
    assert [each.get("effect") for each in records[0]["permission"]["statements"]] == [None, "deny"]


def test_patterns_of_rabbitmq_keep_their_bars_and_spaces() -> None:
    records, _ = read('identity,kind,dialect,actions,resources\netl,queue_user,rabbitmq,read,"^(a|b c)$\n^d$"\n')

    assert records[0]["permission"]["statements"][0]["resources"] == ["^(a|b c)$", "^d$"]


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        ("", None, None, "empty"),
        (HEADER, 2, None, "no rows"),
        ("identity,name\nx,y\n", 1, "kind", "missing in the header"),
        ("identity,kind,actoins\nx,bot,y\n", 1, "number 3", "“actoins” is no column"),
        ("identity,kind,kind\nx,bot,y\n", 1, "kind", "twice"),
        ("identity,kind\nx\n", 2, None, "1 cells"),
        ("identity,kind\nx,bot,more\n", 2, None, "3 cells"),
        ("identity,kind\n,bot\n", 2, "identity", "empty"),
        ('identity,kind\n"x,bot\n', 2, None, "never closed"),
        ("identity,kind,name\nx,bot,A\nx,bot,B\n", 3, "name", "than line 2"),
        ("identity,kind,last_used\nx,bot,31.12.2026\n", 2, "last_used", "no date"),
        ("identity,kind,last_used\nx,bot,2026-02-30\n", 2, "last_used", "no date"),
        ("identity,kind,dialect,actions,resources\nx,bot,aws,s3:*,\n", 2, "resources", "names a grant"),
        ("identity,kind,grant,dialect,actions,resources\nx,bot,g,aws,a,b\nx,bot,h,aws,a,b\nx,bot,g,aws,a,c\n", 4, "grant", "differently in line 2"),
        ("identity,kind\nx,bot\n#end,2\n", 3, None, "1 rows stand above"),
        ("identity,kind\nx,bot\n#end,1\ny,bot\n", 4, None, "after the line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_line_and_column(text: str, line: int | None, column: str | None, told: str) -> None:
    with pytest.raises(FileRefused, match=told) as refused:
        read(text)

    assert (refused.value.details.get("line"), refused.value.details.get("column")) == (line, column)


def test_a_quoted_cell_over_several_lines_does_not_shift_the_count() -> None:
    with pytest.raises(FileRefused) as refused:
        read('identity,kind,purpose,last_used\nx,bot,"one\ntwo\nthree",2026-01-01\ny,bot,,yesterday\n')

    assert refused.value.details["line"] == 5


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(FileRefused, match="UTF-8"):
        read("identity,kind,name\nx,bot,Müller\n".encode("latin-1"))


@pytest.mark.parametrize(
    ("head", "is_known"),
    [
        (b"identity,kind\n", True),
        (b"\xef\xbb\xbfIdentity;Kind;Owner\r\nx;bot;\r\n", True),
        ("identity\tkind\n".encode("utf-16"), True),
        (b"name,email\n", False),
        (b'{"identity": 1, "kind": 2}', False),
        (b"\x00\xff\xfe\x01", False),
        (b"", False),
    ],
)
def test_a_file_is_recognised_by_its_header(head: bytes, is_known: bool) -> None:
    assert bool(recognise(head)) is is_known


@given(
    st.lists(st.lists(st.text(alphabet="ab\"',;|\t \n\r#\x00é=", max_size=6), max_size=5), max_size=6),
    st.sampled_from(",;\t"),
)
def test_whatever_stands_in_the_cells_the_answer_is_records_or_a_refusal(rows: list[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in [["identity", "kind", "dialect", "actions", "resources"], *rows])
    try:
        records, _ = read(text)
    except FileRefused:
        return
    assert records[-1] == {"type": "end", "records": len(records) - 1}


def test_every_column_has_its_place_in_the_page(page_of_api: str) -> None:
    assert all(f"`{column}`" in page_of_api for column in COLUMNS)


@pytest.fixture
def page_of_api() -> str:
    from pathlib import Path

    return (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text().partition("As CSV")[2]


def test_a_permission_read_from_a_row_is_one_that_the_kernel_reads() -> None:
    records, _ = read(HEADER + ROWS)

    assert all(Permission.from_json(each["permission"]) for each in records if each["type"] == "grant")
