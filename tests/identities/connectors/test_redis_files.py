"""`users.acl`: the same records as the server that wrote it, and clear words for what is none."""

import io
import json
from typing import Any

import pytest

from identities.connectors.files import FileRefused, Notes
from identities.connectors.redis_acl.files import UsersFile
from tests.recognising import format_of

HASH = "#" + "a" * 64
LINE = f"user app on sanitize-payload {HASH} ~orders:* resetchannels -@all +get (%R~ro:* resetchannels -@all +mget)\n"


def records_of(body: bytes) -> tuple[list[dict[str, Any]], Notes]:
    notes = Notes()
    return list(UsersFile().records(io.BytesIO(body), notes)), notes


def test_the_file_says_what_its_server_says(lists):
    lists.allow("%R~ro:*", "~rw:*", "&news", "+@read", "-sort", "+config|get", "(~x +@write -@dangerous)")
    lists.root.execute_command("ACL", "SAVE")

    records, _ = records_of(lists.server.file.read_bytes())

    for kind in ("identity", "credential", "grant"):
        own = [each for each in records if each["type"] == kind and lists.app in (each["id"], each.get("identity"))]
        (read,) = lists.records(kind)
        (filed,) = own
        for name in ("id", "status", "permission"):
            assert filed.get(name) == read.get(name), (kind, name)


def test_every_line_counts_and_no_hash_leaves_the_file():
    body = (LINE + f"user open on nopass ~* &* +@all\n\n# a comment\nuser old off >secret-4711 {HASH}\n").encode()

    records, notes = records_of(body)

    kinds = [record["type"] for record in records]
    assert (kinds.count("identity"), kinds.count("credential"), kinds.count("grant")) == (3, 2, 2)
    assert notes.counts == {"password hashes dropped": 2, "passwords dropped": 1}
    written = json.dumps(records)
    assert HASH[1:] not in written and "secret-4711" not in written
    by_name = {record["id"]: record for record in records if record["type"] == "identity"}
    assert by_name["open"]["attributes"]["open_to_anybody"] is True
    assert by_name["old"]["status"] == "disabled"
    assert records[-1] == {"type": "end", "records": len(records) - 1}


def test_the_answer_to_acl_list_is_read_too():
    shown = f'1) "{LINE.strip()}"\n2) "user other off -@all"\n'

    assert [record["id"] for record in records_of(shown.encode())[0] if record["type"] == "identity"] == [
        "app",
        "other",
    ]


@pytest.mark.parametrize("body", [LINE, f'1) "{LINE.strip()}"\n', f"# kept by hand\n\n{LINE}"])
def test_it_is_recognised_by_how_it_begins(body):
    assert isinstance(format_of(body.encode()), UsersFile)


@pytest.mark.parametrize("body", ['{"users": []}', "username,role\nuser,x\n", "", "a user app on"])
def test_something_else_is_not(body):
    assert not isinstance(format_of(body.encode()), UsersFile)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"user app on\nnonsense\n", "Line 2"),
        (b"user app on\nuser app off\n", "Line 2.*twice"),
        (b"user app on maybe\n", "Line 1"),
        (b"user app on (~x +get\n", "Line 1.*not closed"),
        (b"user app on (~x on)\n", "Line 1.*selector"),
        (b"user app on ~* +nosuchcommand\n", "app.*nosuchcommand"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(body, words):
    with pytest.raises(FileRefused, match=words):
        records_of(body)
