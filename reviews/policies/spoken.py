"""Recurrence rules in plain words. What has no words here is shown as it is written."""

from collections.abc import Iterator

_UNITS = {"HOURLY": "hour", "DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_NAMED = {("MONTHLY", "3"): "Every quarter", ("MONTHLY", "6"): "Every half-year"}
_DAYS = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
_WHICH = {"": "", "1": "the first ", "2": "the second ", "3": "the third ", "4": "the fourth ", "-1": "the last "}


def in_words(rule: str) -> str:
    """ "Every quarter, on the 1st"; empty where the rule says more than there are words for."""
    parts = dict(part.split("=", 1) for part in rule.strip().upper().removeprefix("RRULE:").split(";") if "=" in part)
    frequency, interval = parts.pop("FREQ", ""), parts.pop("INTERVAL", "1").lstrip("0")
    try:
        days = [*_month_days(parts.pop("BYMONTHDAY", "")), *_week_days(parts.pop("BYDAY", ""))]
    except (KeyError, ValueError):
        return ""
    if parts or frequency not in _UNITS:
        return ""
    unit = _UNITS[frequency]
    every = _NAMED.get((frequency, interval)) or (f"Every {unit}" if interval == "1" else f"Every {interval} {unit}s")
    return f"{every}, on {' and '.join(days)}" if days else every


def _month_days(value: str) -> Iterator[str]:
    for each in filter(None, value.split(",")):
        number = int(each)
        yield f"the {_ordinal(number)}" if number > 0 else "the last day" if number == -1 else _refuse(each)


def _week_days(value: str) -> Iterator[str]:
    for each in filter(None, value.split(",")):
        yield _WHICH[each[:-2].removeprefix("+")] + _DAYS[each[-2:]]


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _refuse(text: str) -> str:
    raise ValueError(text)
