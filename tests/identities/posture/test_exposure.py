"""What exposure promises whatever is known: unknown never flatters, and one more grant never lowers anything."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from identities.posture.assurance import Assurance
from identities.posture.exposure import Exposure, assess_exposure, box_of
from identities.posture.facts import GrantFacts, Hop, IdentityFacts, Missing
from identities.posture.legacy import application_grant, as_said
from identities.posture.policy import first_document, first_policy, parse_policy
from identities.selectors.authorization import Declared
from tests.identities.posture import worked
from tests.identities.posture.rules.making import NOW, identifier

POLICY = first_policy()
GONE = Missing("not_covered")
CLASSES = ("read", "write", "external_send", "destructive", "secret_read", "admin")


@st.composite
def grants(draw: st.DrawFn) -> GrantFacts:
    """Any grant of which everything is known."""
    primitives = draw(st.sampled_from([(), ("aws.pass_role",)]))
    return worked.grant(
        *draw(st.sets(st.sampled_from(CLASSES), min_size=1)),
        breadth=draw(st.sampled_from(["one", "set", "service", "account", "organisation"])),
        primitives=primitives,
        direct_primitives=draw(st.sampled_from([(), primitives])),
        is_admin_equivalent=draw(st.booleans()),
        condition_sorts=draw(st.frozensets(st.sampled_from(["time", "network", "attribute", "per_request"]))),
        ends_at=draw(st.sampled_from([None, NOW + timedelta(minutes=30), NOW + timedelta(days=30)])),
        resource_environments=draw(
            st.frozensets(st.sampled_from(["production", "staging", "development"]), min_size=1)
        ),
        touches_restricted_data=draw(st.booleans()),
    )


@st.composite
def identities(draw: st.DrawFn) -> IdentityFacts:
    held = tuple(draw(st.lists(grants(), min_size=1, max_size=3)))
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    place = draw(st.sampled_from(["production", "staging", "development"]))
    return worked.identity(grants=held, unused=share, environment=place)


# What can be forgotten about a grant. A grant that nobody can read may be any.
FORGETTABLE = ("breadth", "condition_sorts", "ends_at", "resource_environments", "touches_restricted_data")


def forget(facts: IdentityFacts, what: str, number: int) -> IdentityFacts:
    if what == "environment":
        return replace(facts, environment=GONE)
    if what == "unused":
        return replace(facts, use=replace(facts.use, unused_share=GONE))
    number %= len(facts.grants)
    if what == "grant":
        return worked.without(facts, number, is_parsed=False)
    return worked.without(facts, number, **{what: GONE})


@given(
    identities(),
    st.lists(
        st.tuples(st.sampled_from([*FORGETTABLE, "environment", "unused", "grant"]), st.integers(0, 2)),
        min_size=1,
        max_size=6,
    ),
)
@settings(max_examples=60, deadline=None)
def test_knowing_less_never_lowers_the_worst_case_and_never_narrows_the_range(
    facts: IdentityFacts, forgotten: list[tuple[str, int]]
) -> None:
    before = assess_exposure(facts, POLICY)
    for what, number in forgotten:
        facts = forget(facts, what, number)
        after = assess_exposure(facts, POLICY)
        assert after.worst_case >= before.worst_case
        assert after.high - after.low >= before.high - before.low - 1e-9
        assert after.unknown_weight >= before.unknown_weight - 1e-9
        before = after


@given(identities(), grants())
@settings(max_examples=40, deadline=None)
def test_one_more_grant_never_lowers_exposure(facts: IdentityFacts, more: GrantFacts) -> None:
    before = assess_exposure(facts, POLICY)
    after = assess_exposure(replace(facts, grants=(*facts.grants, more)), POLICY)

    assert after.low >= before.low and after.high >= before.high
    assert all(
        new.low >= old.low and new.high >= old.high for old, new in zip(before.factors, after.factors, strict=True)
    )


def test_nothing_in_effect_is_no_exposure() -> None:
    ended = worked.without(worked.CI_DEPLOY, 0, ends_at=NOW)

    for facts in (replace(worked.CI_DEPLOY, grants=()), replace(worked.CI_DEPLOY, is_enabled=False), ended):
        scored = assess_exposure(facts, POLICY)
        assert (scored.low, scored.high, scored.is_assessable, scored.band) == (0.0, 0.0, True, "contained")


def test_what_one_could_become_counts_one_hop_further() -> None:
    admin = worked.CI_DEPLOY.grants
    hop = Hop(identity_id=identifier(9), name="admin", via="may assume it", is_conditional=False)
    plain = replace(worked.LEDGER_READER, grants=(worked.grant("read"),), authz_model=GONE)
    further = replace(plain, hops=(hop,), grants_by_hop={hop.identity_id: admin})

    assert assess_exposure(plain, POLICY).high < 50
    scored = assess_exposure(further, POLICY)
    assert scored.low >= 80
    assert {each.name: each for each in scored.factors}["escalation"].input.startswith("aws.attach_policy")


def test_a_direct_way_to_more_lifts_a_harmless_sum_to_the_floor() -> None:
    facts = worked.identity(
        grants=(worked.grant("read", direct_primitives=("k8s.impersonate",), primitives=("k8s.impersonate",)),),
        unused=0.0,
    )

    scored = assess_exposure(facts, POLICY)

    assert (scored.low, scored.high, scored.floors) == (75, 75, ("direct_escalation",))
    assert sum(factor.high for factor in scored.factors) < 75


def test_too_much_unknown_is_unmeasured_with_its_worst_case() -> None:
    facts = worked.without(worked.LEGACY_ERP, 0, is_parsed=False)

    scored = assess_exposure(facts, POLICY)

    assert not scored.is_assessable
    assert scored.worst_case >= 80
    assert box_of(Assurance(4, 4), scored, POLICY) == "unmeasured"


def test_exactly_as_much_unknown_as_the_policy_allows_is_still_said() -> None:
    facts = worked.without(worked.LEGACY_ERP, 0, breadth=GONE)

    scored = assess_exposure(facts, POLICY)

    assert scored.unknown_weight == 30
    assert scored.is_assessable


def test_other_weights_give_another_score() -> None:
    document = first_document()
    document["weights"] |= {"privilege": 40, "breadth": 10}

    assert assess_exposure(worked.EKS_NODE, parse_policy(document, number=2)).high == 61.5


def test_an_application_that_lets_everybody_do_everything_counts_as_all_that_it_can_do() -> None:
    def signed_in(**says: object) -> IdentityFacts:
        declared = as_said(Declared("login_implies_all", (), "", "", "reading", None, 0), says)
        grant = application_grant(declared, identity_id=uuid4(), first_seen_at=worked.LEGACY_ERP.now)
        assert grant is not None
        return replace(worked.LEGACY_ERP, grants=(*worked.LEGACY_ERP.grants, grant))

    facts, told = signed_in(), signed_in(application_classes=["admin"])

    def privilege(scored: Exposure) -> tuple[float, float]:
        return next((each.low, each.high) for each in scored.factors if each.name == "privilege")

    assert privilege(assess_exposure(facts, POLICY)) == (21, 30)
    assert privilege(assess_exposure(told, POLICY)) == (30, 30)
