"""A plan in the source's own form: documents as a difference of lines, whatever the connector calls them."""

import json

from identities.connectors.contract import Plan, Step
from reviews.views.native import MOST_LINES, native_change

WIDE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:Put*"], "Resource": "*"}]}
NARROW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*"], "Resource": "*"}]}


def plan(pre_image, *steps):
    return Plan(
        action="narrow",
        identity="app",
        grant_external_id="g",
        steps=steps,
        inverse=(Step("undo it", "all of it"),),
        pre_image=pre_image,
        pre_hash="0",
        post_hash="1",
    )


def changed(found):
    return [(change, text.strip()) for change, text in found.lines if change != "kept"]


def test_statements_stand_one_per_line_with_their_notes():
    change = native_change(plan({}, Step("REVOKE DELETE ON t FROM a"), Step("SELECT 1", "looks")))
    assert change.statements == "REVOKE DELETE ON t FROM a\nSELECT 1  -- looks"
    assert change.inverse == "undo it  -- all of it"
    assert change.documents == []


def test_a_document_is_compared_with_the_one_that_it_replaces():
    before = {"inline": {"p": WIDE}, "tags": {"a": "b"}}
    [found] = native_change(plan(before, Step("put", call={"PolicyDocument": NARROW}))).documents
    # Get stays; that the comma behind it goes is no change.
    assert changed(found) == [("removed", '"s3:Put*"')]
    assert found.title.startswith("PolicyDocument")


def test_documents_that_travel_as_text_are_read():
    [found] = native_change(plan({"x": json.dumps(WIDE)}, Step("put", call={"body": json.dumps(NARROW)}))).documents
    assert ("removed", '"s3:Put*"') in changed(found)


def test_a_new_document_is_all_added():
    [found] = native_change(plan({}, Step("put", call={"rules": {"rules": [{"verbs": ["get"]}]}}))).documents
    assert {change for change, _ in found.lines} == {"added"}


def test_the_order_of_members_is_no_difference():
    shuffled = {"Statement": WIDE["Statement"], "Version": WIDE["Version"]}
    assert native_change(plan({"p": WIDE}, Step("put", call={"p": shuffled}))).documents == []


def test_a_huge_document_is_cut_and_says_so():
    many = {"Version": "1", "Statement": [{"Action": f"s3:Get{number}"} for number in range(2000)]}
    [found] = native_change(plan({}, Step("put", call={"p": many}))).documents
    assert len(found.lines) == MOST_LINES + 1
    assert "more lines" in found.lines[-1][1]


def test_text_that_only_looks_like_a_document_is_left_alone():
    assert native_change(plan({}, Step("x", call={"a": "{not json", "b": "{" * 5000}))).documents == []


def test_what_a_plan_says_of_before_and_after_is_taken_at_its_word():
    facet = {
        "kind": "rolebindings",
        "namespace": "pay",
        "name": "wide",
        "before": {"subjects": ["a", "b"]},
        "note": "x",
    }
    [found] = native_change(plan({"facets": [facet | {"after": {"subjects": ["b"]}}]}, Step("put"))).documents
    assert found.title == "rolebindings pay wide"
    assert changed(found) == [("removed", '"a",')]


def test_a_whole_state_and_what_it_becomes_are_compared_name_by_name():
    state = [[["inline", "user", "etl"], WIDE], [["attached", "user", "etl"], ["p"]]]
    after = [[["inline", "user", "etl"], NARROW], [["attached", "user", "etl"], ["p"]]]
    [found] = native_change(plan({"state": state, "after": after}, Step("put"))).documents
    assert found.title == "inline user etl"
    assert ("removed", '"s3:Put*"') in changed(found)


def test_what_goes_altogether_is_all_removed():
    [found] = native_change(
        plan({"parts": [{"user": "u", "before": {"read": ".*"}, "after": None}]}, Step("x"))
    ).documents
    assert {change for change, _ in found.lines} == {"removed"}


def test_the_note_of_a_step_of_several_lines_stands_above_it():
    assert native_change(plan({}, Step("PUT /x\n{}", "narrow"))).statements == "-- narrow\nPUT /x\n{}"


def test_a_pre_image_of_another_make_is_no_error():
    assert native_change(plan({"state": None, "after": "x"}, Step("x"))).documents == []


def test_rights_are_listed_as_held_and_where_they_are_comes_from_the_outside_in():
    before = {"columns": {}, "privileges": {"SELECT": True, "DELETE": False, "INSERT": False}}
    after = {"columns": {"iban": {"UPDATE": False}}, "privileges": {"SELECT": False, "INSERT": False}}
    facet = {
        "name": "refunds",
        "schema": "public",
        "kind": "acl",
        "object_kind": "table",
        "before": before,
        "after": after,
    }
    [found] = native_change(plan({"facets": [facet]}, Step("REVOKE"))).documents
    assert found.title == "table public refunds"
    assert [text for change, text in changed(found) if change == "removed"] == [
        '"DELETE",',
        '"SELECT WITH GRANT OPTION"',
    ]
    assert '"UPDATE"' in [text for change, text in changed(found) if change == "added"]
    assert not any("false" in text for _, text in found.lines)


def test_what_ends_with_no_right_at_all_is_removed_and_nothing_is_added():
    facet = {"kind": "acl", "before": {"columns": {}, "privileges": {"SELECT": False}}}
    [found] = native_change(
        plan({"facets": [facet | {"after": {"columns": {}, "privileges": {}}}]}, Step("x"))
    ).documents
    assert {change for change, _ in found.lines} == {"removed"}


def test_settings_that_are_off_are_not_taken_for_rights():
    facet = {"kind": "role", "before": {"login": True}, "after": {"login": False}}
    [found] = native_change(plan({"facets": [facet]}, Step("ALTER ROLE"))).documents
    assert changed(found) == [("removed", '"login": true'), ("added", '"login": false')]
