"""However beats come (late, twice, after a long silence, by a clock that jumps), each date makes one campaign or is named."""

import json
import random
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from governance.audit.models import AuditEvent
from reviews.campaigns.due import open_due_campaigns
from reviews.models import Campaign
from reviews.policies.calendar import dates_between

BERLIN = "Europe/Berlin"
# The clock skips 02:30 on 29 March 2026 and shows it twice on 25 October 2026.
SPRING, AUTUMN = datetime(2026, 3, 26, 1, 30, tzinfo=UTC), datetime(2026, 10, 22, 0, 30, tzinfo=UTC)


@pytest.fixture
def nightly(make):
    """`nightly(first)`: a schedule at 02:30 on the clock of Berlin, every day from then on."""

    def go(first, **fields):
        return make.schedule(starts_at=first, next_due_at=first, time_zone=BERLIN, rrule="FREQ=DAILY", **fields)

    return go


def dates_of(schedule, last):
    facts = {"starts_at": schedule.starts_at, "time_zone": schedule.time_zone}
    return dates_between(schedule.rrule, **facts, first=schedule.starts_at, last=last)


def missed():
    payloads = AuditEvent.objects.filter(verb="campaign.created").values_list("payload", flat=True)
    return sum(json.loads(payload)["context"]["missed_count"] for payload in payloads)


@pytest.mark.django_db
@pytest.mark.parametrize("first", [SPRING, AUTUMN], ids=["a skipped hour", "a doubled hour"])
def test_every_night_has_one_review_also_when_the_clock_is_changed(nightly, first):
    schedule = nightly(first)
    for quarters in range(7 * 24 * 4):
        open_due_campaigns(now=first + timedelta(minutes=15 * quarters))
    found = sorted(Campaign.objects.values_list("scheduled_for", flat=True))
    assert found == dates_of(schedule, first + timedelta(days=7, minutes=-15))
    nights = [date.astimezone(ZoneInfo(BERLIN)).date() for date in found]
    assert nights == [nights[0] + timedelta(days=n) for n in range(len(nights))]
    assert missed() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("first", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("seed", range(4))
def test_no_date_is_lost_or_doubled_by_a_beat_that_stops_and_a_clock_that_jumps(nightly, first, seed):
    schedule, chance, now = nightly(first), random.Random(seed), first - timedelta(hours=3)
    latest = now
    for _ in range(40):
        now += timedelta(hours=chance.choice([0, 0, 1, 5, 24, 60, -1, -30]), minutes=chance.randrange(60))
        latest = max(latest, now)
        open_due_campaigns(now=now)
    found, dates = list(Campaign.objects.values_list("scheduled_for", flat=True)), dates_of(schedule, latest)
    assert len(found) == len(set(found))
    assert set(found) <= set(dates)
    assert len(found) + missed() == len(dates)


def test_beats_at_once_after_an_outage_catch_up_once(committed_db, nightly):
    schedule, start, problems = nightly(SPRING), threading.Barrier(3), []

    def beat():
        try:
            start.wait()
            open_due_campaigns(now=SPRING + timedelta(days=5, hours=1))
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=beat) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert Campaign.objects.get().scheduled_for == dates_of(schedule, SPRING + timedelta(days=5, hours=1))[-1]
    assert missed() == 5
