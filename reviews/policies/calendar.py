"""When reviews fall due: recurrence rules (RFC 5545) on the wall clock of a time zone. Pure functions.

A rule says "every quarter at nine", and nine means nine on the clock of the zone, in summer and in winter. A time that
the clock skips in spring happens an hour later, one that it shows twice in autumn happens the first time.

Rules come from people, and some never match or match without end, so every search ends at a horizon.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from governance.kernel.errors import DomainError

HORIZON_YEARS = 10
# Rules are checked on this many of their first dates.
CHECKED_DATES = 60
MOST_MISSED = 10_000
_PART = re.compile(r"[A-Z]+=[A-Z0-9,+\-]+")
_UNTIL_UTC = re.compile(r"UNTIL=(\d{8}T\d{6})Z")


class InvalidRule(DomainError):
    """The recurrence rule or the time zone cannot be used; the message says why. `field` names which."""

    code = "invalid-rule"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, fields={field: message})
        self.field = field


def zone_of(name: str) -> ZoneInfo:
    """The time zone, e.g. "Europe/Berlin". Raises InvalidRule."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidRule("time_zone", f"“{name[:64]}” is not a time zone such as Europe/Berlin.") from None


def check_rule(rule: str, *, starts_at: datetime, time_zone: str, shortest: timedelta) -> None:
    """Raise InvalidRule unless the rule can be read, matches some day, and leaves `shortest` between its dates."""
    try:
        dates = list(islice(_dates(rule, starts_at=starts_at, time_zone=time_zone), CHECKED_DATES))
    except (TypeError, ValueError, OverflowError, IndexError):
        # The library meets some impossible combinations only while it searches.
        raise InvalidRule("rrule", "The parts of this rule contradict each other.") from None
    if not dates:
        raise InvalidRule("rrule", f"This rule has no date within {HORIZON_YEARS} years after its start.")
    if any(later - earlier < shortest for earlier, later in pairwise(dates)):
        minutes = int(shortest.total_seconds() // 60)
        raise InvalidRule(
            "rrule", f"Its dates lie closer together than {minutes} minutes; nobody could review so often."
        )


def dates_after(rule: str, *, starts_at: datetime, time_zone: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` dates later than `after`, in UTC; fewer when the rule ends."""
    dates = _dates(rule, starts_at=starts_at, time_zone=time_zone, beyond=after)
    return list(islice((date for date in dates if date > after), count))


def dates_between(rule: str, *, starts_at: datetime, time_zone: str, first: datetime, last: datetime) -> list[datetime]:
    """Every date from `first` to `last`, both included, in UTC; at most MOST_MISSED."""
    found = []
    for date in _dates(rule, starts_at=starts_at, time_zone=time_zone, beyond=last):
        if date > last:
            break
        if date >= first:
            found.append(date)
    return found[-MOST_MISSED:]


def _dates(rule: str, *, starts_at: datetime, time_zone: str, beyond: datetime | None = None) -> Iterator[datetime]:
    zone = zone_of(time_zone)
    start = starts_at.astimezone(zone).replace(tzinfo=None)
    horizon = max(start, (beyond or starts_at).astimezone(zone).replace(tzinfo=None))
    parsed = _parse(rule, start, zone)
    end = horizon + timedelta(days=366 * HORIZON_YEARS)
    # The library keeps what it read under private names only.
    until, count = vars(parsed)["_until"], vars(parsed)["_count"]
    if until is not None:
        end = min(end, until)
    # A COUNT that never fills up would search until the year 9999, so it is counted here instead.
    bounded = parsed.replace(count=None, until=end)
    previous: datetime | None = None
    for wall in islice(bounded, count):
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment != previous:
            yield moment
        previous = moment


def _parse(rule: str, start: datetime, zone: ZoneInfo) -> rrule:
    text = rule.strip().upper().removeprefix("RRULE:")
    parts = text.split(";")
    if not all(_PART.fullmatch(part) for part in parts):
        raise InvalidRule("rrule", "A rule looks like FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1.")
    names = [part.split("=")[0] for part in parts]
    values = dict(part.split("=", 1) for part in parts)
    if len(names) != len(set(names)) or "DTSTART" in names or "FREQ" not in names:
        raise InvalidRule("rrule", "A rule names its FREQ and every part once; the start is given separately.")
    if values["FREQ"] in {"SECONDLY", "MINUTELY"}:
        raise InvalidRule("rrule", "Reviews recur hourly at most; use HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY.")
    # The library loops for ever on an interval of nothing.
    for name in ("INTERVAL", "COUNT"):
        if not re.fullmatch(r"0*[1-9][0-9]{0,5}", values.get(name, "1")):
            raise InvalidRule("rrule", f"{name} is a whole number from 1 to 999999.")
    try:
        parsed = rrulestr(_local_until(text, zone), dtstart=start)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as problem:
        raise InvalidRule("rrule", f"This rule cannot be read: {problem}.") from None
    if not isinstance(parsed, rrule):
        raise InvalidRule("rrule", "Give a single rule, without further dates or exceptions.")
    return parsed


def _local_until(text: str, zone: ZoneInfo) -> str:
    """UNTIL in UTC becomes wall-clock time, as everything else in the rule is."""

    def rewrite(found: re.Match[str]) -> str:
        moment = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return f"UNTIL={moment.astimezone(zone):%Y%m%dT%H%M%S}"

    return _UNTIL_UTC.sub(rewrite, text)
