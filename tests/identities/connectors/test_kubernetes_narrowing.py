"""From a permission to rules of a role, and back: what is given is what was wanted, inside of what was held."""

import hypothesis
import pytest
from hypothesis import strategies as st

from governance.kernel.dialects.kubernetes import resource
from governance.kernel.permissions import Permission, Proof, includes
from identities.connectors.contract import NotPossible
from identities.connectors.kubernetes.estate import permission_of
from identities.connectors.kubernetes.narrowing import (
    _refuse_unsayable,
    _require_expressed,
    own_name_for,
    rules_by_scope,
)
from identities.connectors.kubernetes.objects import Rule, Subject

words = st.sampled_from(["pods", "pods/log", "secrets", "configmaps", "*", "*/scale"])
names = st.lists(st.sampled_from(["a", "b", "c*"]), max_size=2)
verbs = st.lists(st.sampled_from(["get", "list", "watch", "create", "delete", "*"]), min_size=1, max_size=3)
rules = st.builds(
    lambda verbs, groups, kinds, names: Rule(tuple(verbs), tuple(groups), tuple(kinds), tuple(names)),
    verbs,
    st.lists(st.sampled_from(["", "apps", "*"]), min_size=1, max_size=2),
    st.lists(words, min_size=1, max_size=3),
    names,
)
url_rules = st.builds(
    lambda verbs, urls: Rule(tuple(verbs), urls=tuple(urls)),
    verbs,
    st.lists(st.sampled_from(["/metrics", "/debug/*", "*"]), min_size=1, max_size=2),
)


def permission(*statements: tuple[list[str], list[str]]) -> Permission:
    document = [{"actions": actions, "resources": resources} for actions, resources in statements]
    return Permission.from_json({"dialect": "kubernetes", "statements": document})


def given(target: Permission) -> Permission:
    parts = [permission_of(each, scope or None) for scope, each in rules_by_scope(target).items()]
    return Permission("kubernetes", tuple(statement for part in parts for statement in part.statements))


@hypothesis.given(
    st.lists(rules, min_size=1, max_size=3), st.lists(url_rules, max_size=1), st.sampled_from(["p", None])
)
def test_what_a_role_gives_can_be_given_by_a_role_again(listed, urls, namespace):
    held = permission_of([*listed, *(urls if namespace is None else [])], namespace)

    again = given(held)

    assert isinstance(includes(held, again), Proof)
    assert isinstance(includes(again, held), Proof)
    assert set(rules_by_scope(held)) == {namespace or ""}


@hypothesis.given(st.lists(rules, min_size=1, max_size=3))
def test_a_request_on_objects_lies_inside_of_what_is_held_for_all(listed):
    """Right-sizing writes requests; a list or a creation names no object, and a rule then speaks of all."""
    held = permission_of([Rule(each.verbs, each.api_groups, each.resources) for each in listed], "p")
    if not isinstance(includes(held, permission((["list"], [resource("p", "", "pods")]))), Proof):
        return

    target = permission((["list", "watch"], [resource("p", "", "pods")]))

    assert rules_by_scope(target) == {"p": (Rule(("list", "watch"), ("",), ("pods",)),)}


def test_names_and_kinds_with_the_same_verbs_stand_in_one_rule():
    target = permission(
        (["get"], ["api:p//configmaps//a", "api:p//configmaps//b", "api:p//secrets//a", "api:p//secrets//b"])
    )

    assert rules_by_scope(target) == {"p": (Rule(("get",), ("",), ("configmaps", "secrets"), ("a", "b")),)}


def test_all_names_cover_single_ones():
    target = permission((["get"], ["api:p//pods//a", "api:p//pods//*"]))

    assert rules_by_scope(target)["p"][0].resource_names == ()


def test_a_cluster_wide_right_may_be_narrowed_to_single_namespaces():
    target = permission((["get"], ["api:p//pods//*", "api:q//pods//*", "url:/metrics"]))

    assert set(rules_by_scope(target)) == {"", "p", "q"}


@pytest.mark.parametrize(
    ("actions", "pattern", "says"),
    [
        (["get"], "api:p//pods/*/*", "every subresource of pods"),
        (["get"], "api:p//*//*", "every kind without its subresources"),
        (["get"], "api:p//pods//", "get needs the name"),
        (["*"], "api:p//pods//", "needs the name"),
    ],
)
def test_what_no_rule_can_say_is_refused_by_name(actions, pattern, says):
    with pytest.raises(NotPossible, match=says):
        rules_by_scope(permission((actions, [pattern])))


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ({"actions": ["get"], "resources": ["*"], "effect": "deny"}, "no denial"),
        ({"actions": ["get"], "resources": ["*"], "until": "2030-01-01T00:00:00Z"}, "end"),
        ({"actions": {"include": ["*"], "exclude": ["delete"]}, "resources": ["*"]}, "all but"),
        ({"actions": ["get"], "resources": ["*"], "conditions": [{"operator": "X", "key": "k", "values": ["v"]}]}, "conditions"),
    ],
)  # fmt: skip
def test_a_target_that_rbac_cannot_hold_is_refused(statement, says):
    with pytest.raises(NotPossible, match=says):
        _refuse_unsayable(Permission.from_json({"dialect": "kubernetes", "statements": [statement]}))


HELD = permission((["get", "list"], ["api:*//pods//*"]))


@pytest.mark.parametrize(
    ("target", "result", "says"),
    [
        (HELD, HELD, "leaves everything as it is"),
        (permission((["get"], ["api:p//pods//*"])), permission(), "revoke it instead"),
        (permission((["get"], ["api:p//pods//*"])), permission((["delete"], ["api:p//pods//*"])), "more than is held"),
        (permission((["get"], ["api:p//pods//*"])), permission((["get"], ["api:q//pods//*"])), "cannot express"),
    ],
)
def test_a_role_that_gives_more_less_or_the_same_is_not_made(target, result, says):
    with pytest.raises(NotPossible, match=says):
        _require_expressed(HELD, target, result)


def test_the_cluster_level_request_takes_the_namespaces_along_but_never_more_than_was_held():
    everywhere = permission((["list"], [resource("", "", "pods")]))

    _require_expressed(HELD, everywhere, given(everywhere))
    with pytest.raises(NotPossible, match="more than is held"):
        _require_expressed(permission((["list"], [resource("", "", "pods")])), everywhere, given(everywhere))


def test_the_same_narrowing_has_the_same_name_and_another_another():
    subject, written = Subject("ServiceAccount", "Reports & Co", "p"), [{"verbs": ["get"]}]

    name = own_name_for("g", subject, "p", written)

    assert name == own_name_for("g", subject, "p", written)
    assert name.startswith("remit-reports-co-")
    assert name not in {own_name_for("h", subject, "p", written), own_name_for("g", subject, "q", written)}
