"""Configuration files are edited in place: what a change is not about stays, letter by letter."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identities.connectors.mcp.documents import ABSENT, Malformed, load, raw_at, value_at, with_value

COMMENTED = """{
  // who may do what
  "servers": {
    "one": {"command": "a"}, /* kept */
    "two": {
      "command": "b", // trailing
    },
  },
  "inputs": [],
}
"""
TOML = """model = "o"  # the model

[mcp_servers.git]
command = "mcp-server-git"
enabled_tools = [
  "git_log",  # reading
  "git_commit",
]

[mcp_servers.git.env]
TOKEN = "t-1"

[mcp_servers."odd name"]
command = "x"
"""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text(max_size=4), json_values, min_size=1, max_size=5)


@settings(deadline=None)
@given(documents, st.sampled_from([None, 2, 4, "\t"]))
def test_json_is_read_as_the_standard_library_reads_it(document, indent):
    assert load(json.dumps(document, indent=indent, ensure_ascii=False)) == document


@settings(deadline=None)
@given(documents, st.sampled_from([None, 2, 4, "\t"]), st.data())
def test_what_is_taken_out_and_put_back_leaves_the_text_as_it_was(document, indent, data):
    text = json.dumps({"theme": 1, "servers": document}, indent=indent, ensure_ascii=False)
    path = ["servers", data.draw(st.sampled_from(list(document)))]
    raw, index = raw_at(text, path)

    without = with_value(text, path, ABSENT)
    again = with_value(without, path, document[path[-1]], raw=raw, index=index)

    assert load(without)["servers"] == {name: value for name, value in document.items() if name != path[-1]}
    assert again == text


def test_comments_order_and_unknown_keys_stay():
    edited = with_value(COMMENTED, ["servers", "two"], ABSENT, comments=True)

    assert load(edited, comments=True) == {"servers": {"one": {"command": "a"}}, "inputs": []}
    assert "// who may do what" in edited and '"one": {"command": "a"},' in edited


def test_a_new_key_takes_the_indentation_of_its_neighbours():
    text = '{\n    "mcpServers": {\n        "a": {\n            "command": "x"\n        }\n    }\n}\n'

    edited = with_value(text, ["mcpServers", "a", "includeTools"], ["t"])

    assert edited == text.replace(
        '"command": "x"\n', '"command": "x",\n            "includeTools": [\n                "t"\n            ]\n'
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "ends too early"),
        ('{"a": 1', "ends too early"),
        ('{"a": 1}}', "goes on"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": 1,}', "comma too many"),
        ('{// no\n"a": 1}', "lacks a key"),
        ("[1]", "object"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": "\x01"}', "no JSON"),
        ('{"a":' + "[" * 5000, "too deep"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text, what):
    with pytest.raises(Malformed, match=what):
        load(text)


def test_a_table_of_toml_goes_with_its_sub_tables_and_comes_back():
    raw, index = raw_at(TOML, ["mcp_servers", "git"], toml=True)

    without = with_value(TOML, ["mcp_servers", "git"], ABSENT, toml=True)
    again = with_value(
        without, ["mcp_servers", "git"], load(TOML, toml=True)["mcp_servers"]["git"], raw=raw, index=index, toml=True
    )

    assert load(without, toml=True) == {"model": "o", "mcp_servers": {"odd name": {"command": "x"}}}
    assert "t-1" not in without
    assert again == TOML


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["mcp_servers", "git", "enabled_tools"], ["git_log"]),
        (["mcp_servers", "git", "enabled_tools"], ABSENT),
        (["mcp_servers", "git", "enabled"], False),
        (["mcp_servers", "odd name", "enabled"], False),
    ],
)
def test_a_key_of_a_toml_table_is_set_or_taken_out_and_nothing_else_changes(path, value):
    edited = with_value(TOML, path, value, toml=True)

    wanted = load(TOML, toml=True)
    table = value_at(wanted, path[:-1])
    table.pop(path[-1], None)
    if value is not ABSENT:
        table[path[-1]] = value
    assert load(edited, toml=True) == wanted
    assert 'model = "o"  # the model' in edited


def test_toml_in_a_form_that_cannot_be_edited_is_refused_and_not_guessed():
    inline = 'mcp_servers = { git = { command = "x" } }\n'

    with pytest.raises(Malformed, match="can't be changed safely"):
        with_value(inline, ["mcp_servers", "git", "enabled"], False, toml=True)
