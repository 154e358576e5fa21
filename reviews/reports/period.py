"""The span that a report of the programme is about, and the equally long one before it. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from governance.kernel.errors import DomainError

DEFAULT_DAYS = 91
LONGEST_DAYS = 3 * 366
# Up to so many days the trend is shown by the week, beyond it by the month.
BY_WEEK_UP_TO = 120
CHOICES = ((30, "30 days"), (91, "a quarter"), (182, "half a year"), (365, "a year"))


class NoSuchPeriod(DomainError):
    """The dates of a period cannot be read, are the wrong way round, or lie too far apart."""

    code = "no-such-period"
    status = 422


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days from `first` to `last`, both included, on the clock of `zone`."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def starts_at(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def ends_at(self) -> datetime:
        """The first moment that no longer belongs to it."""
        return datetime.combine(self.last + timedelta(days=1), time(), self.zone)

    @property
    def before(self) -> "Period":
        """The equally long one that ends the day before."""
        last = self.first - timedelta(days=1)
        return Period(last - timedelta(days=self.days - 1), last, self.zone)

    @property
    def unit(self) -> str:
        """What one point of a trend stands for: a `week` or a `month`."""
        return "week" if self.days <= BY_WEEK_UP_TO else "month"

    def points(self) -> list[date]:
        """The last day of each week (counted back from the end) or month; the period's own last day ends it."""
        if self.unit == "week":
            count = (self.days - 1) // 7 + 1
            return [self.last - timedelta(days=7 * back) for back in reversed(range(count))]
        ends, at = [], self.first
        while at <= self.last:
            following = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
            ends.append(min(following - timedelta(days=1), self.last))
            at = following
        return ends


def period_of(*, first: str, last: str, days: str, today: date, zone: ZoneInfo) -> Period:
    """The period from what somebody typed (ISO dates, or a number of days until today). Raises NoSuchPeriod."""
    if first or last:
        begin, end = _date(first), _date(last) if last else today
        if begin > end:
            raise NoSuchPeriod("The period ends before it begins.")
    else:
        end = today
        begin = today - timedelta(days=_days(days) - 1)
    if (end - begin).days >= LONGEST_DAYS:
        raise NoSuchPeriod("A period is three years at most.")
    return Period(begin, end, zone)


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise NoSuchPeriod(f"“{text[:40]}” is not a date such as 2026-03-31.") from None
    if not 2000 <= found.year < 2200:
        raise NoSuchPeriod("The dates of a period lie between 2000 and 2199.")
    return found


def _days(text: str) -> int:
    if not text:
        return DEFAULT_DAYS
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= LONGEST_DAYS):
        raise NoSuchPeriod("Choose between one day and three years.")
    return int(text)
