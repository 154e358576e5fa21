"""The schedule is the printed one."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from reviews.notices.retrying import PAUSES, is_refusal, next_attempt
from tests.reviews.notices.verifying import PAGE

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_the_printed_schedule_is_the_real_one():
    section = PAGE.split("| attempt | after |")[1].split("\n\n")[0]
    printed = re.findall(r"^\| (?:\d+|10 and more) \| (\d+) (second|minute|hour)s? \|$", section, re.M)
    assert [timedelta(**{f"{unit}s": int(count)}) for count, unit in printed] == list(PAUSES)


@pytest.mark.parametrize("attempts", range(1, 15))
def test_each_pause_is_at_most_a_tenth_longer_and_a_day_is_the_longest(attempts):
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    for _ in range(20):
        wait = next_attempt(event_id=uuid.uuid4(), attempts=attempts, retry_after=None, now=NOW) - NOW
        assert pause <= wait <= pause * 1.1


def test_what_was_asked_for_is_waited_for_but_never_for_ever():
    event = uuid.uuid4()
    asked = [next_attempt(event_id=event, attempts=1, retry_after=wait, now=NOW) - NOW for wait in (3600, 10**9)]
    assert asked[0] == timedelta(hours=1)
    assert asked[1] <= timedelta(hours=27)


@pytest.mark.parametrize(
    ("status", "about_the_event"),
    [(None, False), (200, False), (302, False), (400, True), (404, True), (408, False), (429, False), (503, False)],
    ids=str,
)
def test_what_is_about_the_event_and_what_about_the_receiver(status, about_the_event):
    assert is_refusal(status) is about_the_event
