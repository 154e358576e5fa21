"""Numbers on how people answered, computed by hand beside the code."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from reviews.policies.quality import Signal, at_least_permille, quantile
from reviews.quality.facts import Given
from reviews.quality.measuring import by_person, measure, signals_of

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def said(seconds, answer="approve", *, person=1, item=None, **more):
    """An answer so many seconds after nine."""
    at = START + timedelta(seconds=seconds)
    shown = more.pop("shown", None)
    number = item if item is not None else int(seconds * 1000) + 7
    facts = {"at": at, "sent_at": at, "shown_at": None if shown is None else START + timedelta(seconds=shown)}
    return Given(item=UUID(int=number), person=UUID(int=person), answer=answer, **(facts | more))


def figures(*answers, known=True):
    return measure(answers, is_opening_known=known)


def test_of_nothing_nothing_is_said():
    found = figures()
    assert found["answers"] == found["people"] == 0
    assert found["time_per_decision"]["median_ms"] is None
    assert found["fastest_stretch"] is None
    assert found["approved"] == {"count": 0, "of": 0}
    assert found["bulk"] == {"answers": 0, "batches": 0, "median_size": None, "largest": None}


def test_a_time_runs_from_the_showing_or_from_the_answer_before_whichever_is_shorter():
    times = figures(said(40, shown=10), said(70), said(100, shown=95), said(160, shown=0))["time_per_decision"]
    # 30 from showing; 30 since the one before; 5 from showing; 60 since the one before although shown at nine.
    assert (times["median_ms"], times["p90_ms"]) == (30_000, 60_000)
    assert (times["assessed"], times["from_showing"], times["from_answer_before"]) == (4, 2, 2)


def test_after_a_pause_only_the_showing_tells_the_time():
    times = figures(said(0), said(3600), said(7200, shown=7190))["time_per_decision"]
    assert times["not_assessable"]["first_of_a_stretch"] == 2
    assert (times["assessed"], times["median_ms"]) == (1, 10_000)


def test_a_question_left_open_over_lunch_counts_as_one_pause_at_most():
    times = figures(said(5000, shown=0))["time_per_decision"]
    assert (times["median_ms"], times["capped"]) == (600_000, 1)


def test_bulk_answers_have_a_size_and_no_time():
    found = figures(
        said(10, item=1, is_bulk=True),
        said(10, item=2, is_bulk=True),
        said(10, item=3, is_bulk=True),
        said(90, is_bulk=True),
    )
    assert found["bulk"] == {"answers": 4, "batches": 2, "median_size": 1, "largest": 3}
    assert found["time_per_decision"]["not_assessable"]["in_bulk"] == 4
    assert (found["single"], found["time_per_decision"]["assessed"]) == (0, 0)


def test_answers_sent_together_are_timed_by_their_drafts_or_not_at_all():
    together = START + timedelta(hours=1)
    drafted = [said(60 * n, sent_at=together, is_drafted=True) for n in (1, 2, 3)]
    undated = [said(3600, item=n) for n in (1, 2)]
    by_draft, without = figures(*drafted)["time_per_decision"], figures(*undated)["time_per_decision"]
    assert (by_draft["median_ms"], by_draft["assessed"]) == (60_000, 2)
    assert (without["assessed"], without["not_assessable"]["sent_together"]) == (0, 2)


def test_the_fastest_stretch_is_of_ten_in_a_row_by_one_person():
    quick = [said(100 + 2 * n) for n in range(10)]
    found = figures(said(0), *quick)
    assert found["fastest_stretch"] == {"answers": 10, "ms": 18_000}
    halves = [*(said(n, person=1) for n in range(5)), *(said(n, person=2) for n in range(5))]
    assert figures(*halves)["fastest_stretch"] is None


def test_what_was_taken_back_passed_on_or_is_about_owners_is_no_approval():
    found = figures(
        said(1), said(2, "revoke"), said(3, is_taken_back=True), said(4, "not_mine"), said(5, "mine", is_ownership=True)
    )
    assert found["approved"] == {"count": 1, "of": 2}
    assert found["answers"] == 5


def test_answers_are_told_apart_by_what_the_logs_said():
    found = figures(
        said(1, use="used", recommendation="approve"),
        said(2, use="used", recommendation="scope_down"),
        said(3, "scope_down", use="used", recommendation="scope_down", is_as_targeted=True),
        said(4, use="unused", recommendation="revoke", is_privileged=True),
        said(5, use="not_observable"),
    )["evidence"]
    assert found["used"] == {
        "answers": 3, "advised": 3, "against": 1, "approved": 2, "approved_privileged": 0, "to_reduce": 2, "approved_against": 1
    }  # fmt: skip
    assert (found["unused"]["against"], found["unused"]["approved_privileged"]) == (1, 1)
    assert (found["not_observable"]["answers"], found["not_observable"]["advised"]) == (1, 0)


def test_an_answer_taken_back_is_followed_to_what_was_said_then():
    found = figures(
        said(1, item=1, is_taken_back=True), said(2, "revoke", item=1),
        said(3, item=2, is_taken_back=True), said(4, item=2),
        said(5, item=3, is_taken_back=True),
    )["taken_back"]  # fmt: skip
    assert found == {"count": 3, "changed": 1, "same_again": 1, "not_again": 1}


def test_one_sentence_pasted_sixty_times_shows_and_one_for_a_batch_does_not():
    pasted = [said(n * 60, text="a", length=20) for n in range(60)]
    batch = [said(9000, item=n, is_bulk=True, text="a", length=20) for n in range(60)]
    assert figures(*pasted)["reasons"] == {
        "written": 60, "median_length": 20, "different": 1, "repeated": 59, "most_of_one": 60
    }  # fmt: skip
    assert figures(*batch)["reasons"]["written"] == 1


def test_the_same_words_of_two_people_are_no_repetition():
    assert figures(said(1, text="a"), said(2, person=2, text="a"))["reasons"]["repeated"] == 0


def test_who_opened_nothing_is_counted_where_it_was_noted_and_unknown_where_not():
    answers = [said(1), said(2), said(3, person=2, shown=1), said(4, person=3, is_bulk=True)]
    assert figures(*answers)["opened"] == {"of": 3, "opened": 1, "people": 2, "people_without": 1}
    assert figures(*answers, known=False)["opened"] is None


def against(number, **more):
    return [
        said(60 * n, use="unused", recommendation="revoke", is_privileged=True, shown=60 * n - 30, **more)
        for n in range(1, number + 1)
    ]


def test_approving_everything_against_the_evidence_is_worth_a_look_with_its_numbers():
    found = signals_of(figures(*against(12)))
    assert found == {
        Signal.APPROVED_ALL: {
            "approved": 12,
            "advised_to_reduce": 12,
            "unused_privileged": 12,
            "at_least_permille": 757,
        }
    }


@pytest.mark.parametrize(
    "answers",
    [
        against(9),
        [*against(12), said(1000, "revoke")],
        [said(60 * n, recommendation="approve", use="used", shown=60 * n - 30) for n in range(1, 60)],
    ],
    ids=["too few to tell", "not everything", "the evidence said so too"],
)
def test_what_is_no_reason_for_a_look(answers):
    assert signals_of(figures(*answers)) == {}


def test_pace_reasons_and_opening_have_signals_of_their_own():
    fast = [said(2 * n, shown=2 * n - 1) for n in range(1, 11)]
    same = [said(60 * n, text="a", shown=60 * n - 1) for n in range(1, 11)]
    blind = [said(60 * n) for n in range(1, 11)]
    assert signals_of(figures(*fast)) == {Signal.FAST: {"answers": 10, "ms": 18_000}}
    assert signals_of(figures(*same)) == {Signal.SAME_REASON: {"same": 10, "written": 10}}
    assert signals_of(figures(*blind)) == {Signal.NOTHING_OPENED: {"answers": 10}}
    assert signals_of(figures(*blind, known=False)) == {}


def test_what_a_share_carries_is_wilsons_lower_end():
    assert [at_least_permille(n, n) for n in (0, 1, 10, 100)] == [0, 206, 722, 963]
    assert at_least_permille(5, 10) == 236


def test_quantiles_are_values_that_were_measured():
    assert quantile([], 50) is None
    assert (quantile([7], 50), quantile([1, 2], 50), quantile([3, 1, 2], 50)) == (7, 1, 2)
    assert quantile(list(range(1, 101)), 90) == 90


answers_of = st.builds(
    said,
    st.integers(0, 5000),
    st.sampled_from(["approve", "revoke", "not_mine"]),
    person=st.integers(1, 3),
    item=st.integers(1, 6),
    is_bulk=st.booleans(),
    is_taken_back=st.booleans(),
    use=st.sampled_from(["used", "unused", "not_observable"]),
    recommendation=st.sampled_from(["", "approve", "revoke"]),
    shown=st.none() | st.integers(-5000, 0),
    text=st.sampled_from(["", "a", "b"]),
)


@cases(st.lists(answers_of, max_size=30))
def test_every_count_adds_up(answers):
    answers.sort(key=lambda each: (each.person.int, each.at))
    found = figures(*answers)
    times, evidence = found["time_per_decision"], found["evidence"].values()
    assert times["assessed"] + sum(times["not_assessable"].values()) == found["answers"] == len(answers)
    assert times["from_showing"] + times["from_answer_before"] == times["assessed"]
    assert found["single"] + found["bulk"]["answers"] == found["answers"]
    assert sum(each["answers"] for each in evidence) == found["approved"]["of"]
    assert sum(each["approved"] for each in evidence) == found["approved"]["count"]
    assert found["taken_back"]["count"] == sum(each.is_taken_back for each in answers)
    assert found["reasons"]["different"] + found["reasons"]["repeated"] == found["reasons"]["written"]
    assert sum(measure(part, is_opening_known=True)["answers"] for part in by_person(answers).values()) == len(answers)
