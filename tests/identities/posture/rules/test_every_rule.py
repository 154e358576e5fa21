"""Every rule on a failing, a passing and a not assessable identity, and on one that it does not apply to."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest

from identities.posture.facts import IdentityFacts, Missing
from identities.posture.policy import first_policy
from identities.posture.results import ObjectKind, Result
from identities.posture.rules import ALL, BY_ID, CATEGORIES, OF_SOURCES, Judged, folded
from identities.posture.rules.reasons import NOT_APPLICABLE, NOT_ASSESSABLE
from identities.posture.rules.rule import FIXES
from tests.identities.posture.rules.cases import CASES, Case

POLICY = first_policy()
RULES = [*ALL, *OF_SOURCES]
SENTENCES = {Result.NOT_ASSESSABLE: NOT_ASSESSABLE, Result.NOT_APPLICABLE: NOT_APPLICABLE}


def assess(case: Case) -> Any:
    return BY_ID[case.rule].assess(case.given, POLICY)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_has_the_result_that_it_should_have(case: Case) -> None:
    outcomes = assess(case)
    (result,) = folded(outcomes).values()

    assert result.result is case.result, [outcome.reasons for outcome in outcomes]
    if case.reason:
        assert case.reason in result.reasons
    for outcome in outcomes:
        assert outcome.rule == case.rule
        assert (outcome.severity is not None) == (outcome.result is Result.FAIL) == bool(outcome.arithmetic)
        known = SENTENCES.get(outcome.result)
        assert bool(outcome.reasons) == (known is not None)
        assert set(outcome.reasons) <= set(known or ())
        assert all(not isinstance(value, Missing) for value in outcome.evidence.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_lacks_its_cases(rule: Any) -> None:
    seen = {case.result for case in CASES if case.rule == rule.id}
    must = (
        {Result.PASS, Result.NOT_ASSESSABLE} if rule.base is None else {Result.FAIL, Result.PASS, Result.NOT_ASSESSABLE}
    )
    if rule.id == "NHI1-B":  # that nobody is named is itself the fact: there is no way not to know it
        must -= {Result.NOT_ASSESSABLE}

    assert must <= seen


def test_there_are_no_cases_of_rules_that_do_not_exist() -> None:
    assert {case.rule for case in CASES} == set(BY_ID)
    assert len(BY_ID) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_of_itself_what_people_need(rule: Any) -> None:
    assert rule.title and rule.blind_spots and rule.cautions
    assert rule.fix in FIXES
    assert set(rule.thresholds) <= set(POLICY.thresholds)
    assert rule.owasp in CATEGORIES or rule.id.startswith(("POP-", "TB-"))
    assert not rule.owasp or rule.id.startswith(rule.owasp.partition(":")[0] + "-")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.base is None], ids=lambda rule: rule.id)
def test_an_indicator_never_fails(rule: Any) -> None:
    assert Result.FAIL not in {case.result for case in CASES if case.rule == rule.id}


# --- what is missing never passes ----------------------------------------------------------------------------------
PASSING = [case for case in CASES if case.result is Result.PASS and isinstance(case.given, Judged)]
COLLECTIONS = {"people": "people", "credentials": "credentials", "trusts": "trusts", "grants": "grants",
               "hops": "hops", "tools": "tools"}  # fmt: skip


def missable(kind: type) -> list[str]:
    """Fields of these facts that may be Missing."""
    hints = get_type_hints(kind)
    return [field.name for field in fields(kind) if Missing in get_args(hints[field.name])]


def without(facts: IdentityFacts) -> dict[str, IdentityFacts]:
    """The facts with one input taken away, by the path of the input."""
    found = {name: replace(facts, **{name: Missing("gone")}) for name in missable(IdentityFacts)}
    for name in facts.attributes:
        found[f"attributes.{name}"] = replace(
            facts, attributes={key: value for key, value in facts.attributes.items() if key != name}
        )
    for name in missable(type(facts.use)):
        found[f"use.{name}"] = replace(facts, use=replace(facts.use, **{name: Missing("gone")}))
    found["use.watched_from"] = replace(facts, use=replace(facts.use, watched_from=None, watched_until=None))
    for several in COLLECTIONS:
        members = getattr(facts, several)
        if members and is_dataclass(members[0]):
            found |= _without_members(facts, several, members)
    return found


def _without_members(facts: IdentityFacts, several: str, members: tuple[Any, ...]) -> dict[str, IdentityFacts]:
    found = {
        f"{several}.{name}": replace(
            facts, **{several: tuple(replace(each, **{name: Missing("gone")}) for each in members)}
        )
        for name in missable(type(members[0]))
    }
    if several == "grants":
        found["grants.is_parsed"] = replace(facts, grants=tuple(replace(each, is_parsed=False) for each in members))
    if several == "hops":
        found["hops.environment"] = replace(facts, hops=tuple(replace(each, environment="unknown") for each in members))
    if several == "trusts":
        unknown = {"conditions": {}, "are_conditions_known": False}
        found["trusts.are_conditions_known"] = replace(
            facts, trusts=tuple(replace(each, **unknown) for each in members)
        )
    for name in {key for each in members for key in getattr(each, "attributes", {})}:
        cut = tuple(
            replace(each, attributes={key: value for key, value in each.attributes.items() if key != name})
            for each in members
        )
        found[f"{several}.attributes.{name}"] = replace(facts, **{several: cut})
    return found


def results_without(case: Case) -> dict[str, Result]:
    """What the rule says when one input is gone, by the path of the input."""
    judged = case.given
    assert isinstance(judged, Judged)
    return {
        path: folded(BY_ID[case.rule].assess(replace(judged, facts=facts), POLICY))[case.rule].result
        for path, facts in without(judged.facts).items()
    }


@pytest.mark.parametrize("case", PASSING, ids=str)
def test_what_a_rule_does_not_name_as_input_changes_nothing(case: Case) -> None:
    declared = set(BY_ID[case.rule].inputs)
    stands = {Result.PASS, Result.NOT_APPLICABLE}  # without the word for it, it is no service account of a cluster
    changed = {path for path, result in results_without(case).items() if result not in stands}

    assert changed <= declared, "an input that decides is not named"


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule.inputs], ids=lambda rule: rule.id)
def test_each_named_input_makes_some_case_not_assessable_when_it_is_gone(rule: Any) -> None:
    fell: set[str] = set()
    for case in CASES:
        if case.rule == rule.id and case.result is not Result.NOT_ASSESSABLE:
            for path, result in results_without(case).items():
                if case.result is Result.PASS and path not in EXCUSES:
                    assert result is not Result.FAIL, (case, path)
                if result is Result.NOT_ASSESSABLE:
                    fell.add(path)

    assert set(rule.inputs) - SCORES - STATED - EXCUSES <= fell


SCORES = {"assurance", "exposure"}
# Inputs that cannot be missing: how a grant was reviewed is Remit's own record, and a subject is judged as it stands.
STATED = {"grants.reviewed_at", "trusts.subject", "trusts.audience"}
# Their absence is a fact: nobody made an exception.
EXCUSES = {"attributes.interactive_allowed_until"}


@pytest.mark.parametrize("case", PASSING, ids=str)
def test_nothing_passes_without_all_of_its_inputs(case: Case) -> None:
    judged, rule = case.given, BY_ID[case.rule]
    assert isinstance(judged, Judged)
    facts = judged.facts
    for path in rule.inputs:
        facts = without(facts).get(path, facts)
    left = folded(rule.assess(Judged(facts), POLICY))[rule.id].result

    assert left is not Result.PASS or not rule.inputs or str(case) in SETTLED_OTHERWISE


# Passes that a fact settles which cannot be missing, and which makes the inputs of other cases needless: the subject
# and audience of a trust as they stand, and lists of credentials and grants that the source vouches to be whole.
SETTLED_OTHERWISE = {
    "NHI3-C: issuer, subject and audience", "NHI6-A: one branch of one repository", "TB-2: one subject",
    "NHI4-B: no secret", "NHI7-D: one key", "NHI7-D: one key and one password", "NHI5-A: holds nothing",
    "NHI6-D: a default account without rights",
}  # fmt: skip


@pytest.mark.parametrize("case", PASSING, ids=str)
def test_a_stale_source_vouches_for_nothing(case: Case) -> None:
    judged, rule = case.given, BY_ID[case.rule]
    assert isinstance(judged, Judged)
    stale = replace(judged, facts=replace(judged.facts, source=replace(judged.facts.source, is_fresh=False)))
    result = folded(rule.assess(stale, POLICY))[rule.id]

    if rule.needs_fresh:
        assert (result.result, "stale" in result.reasons) == (Result.NOT_ASSESSABLE, True)


@pytest.mark.parametrize("case", PASSING, ids=str)
def test_a_source_that_reports_nothing_vouches_for_nothing_that_it_must_cover(case: Case) -> None:
    judged, rule = case.given, BY_ID[case.rule]
    assert isinstance(judged, Judged)
    blind = replace(judged, facts=replace(judged.facts, source=replace(judged.facts.source, covers={})))

    if rule.coverage:
        assert folded(rule.assess(blind, POLICY))[rule.id].result is Result.NOT_ASSESSABLE


def test_objects_are_of_the_kind_that_the_rule_names_or_the_identity_itself() -> None:
    for case in CASES:
        allowed = {BY_ID[case.rule].object_kind, ObjectKind.IDENTITY}
        assert {outcome.object_kind for outcome in assess(case)} <= allowed
