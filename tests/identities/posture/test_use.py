"""Unused is only what some log would have shown, for long enough; the rest counts neither way."""

from datetime import timedelta

from governance.kernel.observing import Window
from governance.kernel.permissions import Permission
from identities.posture.facts import Missing
from identities.posture.use import Observed, Seen, observe
from tests.identities.posture.rules.making import NOW


def permission(*pairs: tuple[str, str]) -> Permission:
    statements = [{"actions": [action], "resources": [resource]} for action, resource in pairs]
    return Permission.from_json({"dialect": "aws", "statements": statements})


def log(*actions: str, days: int = 200) -> Window:
    return Window("trail", NOW - timedelta(days=days), NOW, actions or ("*",), ("*",))


WRITES = permission(
    ("sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:orders"),
    ("sqs:DeleteQueue", "arn:aws:sqs:eu-central-1:123456789012:orders"),
)
READS = permission(("s3:GetObject", "arn:aws:s3:::statements/*"))
SENT = Seen("sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:orders")


def see(held: Permission | None, *uses: Seen, logs: tuple[Window, ...] = (log(),)) -> Observed:
    return observe({held.digest() if held else b"": held}, uses, logs)


def test_half_of_what_it_may_do_was_not_done() -> None:
    assert see(WRITES, SENT) == Observed(0.5, has_excess=True)
    assert see(WRITES) == Observed(1.0, has_excess=True)


def test_reading_is_no_excess_whatever_logs_there_are() -> None:
    assert see(READS) == Observed(0.0, has_excess=False) == see(READS, logs=())


def test_without_a_log_or_with_a_short_one_nobody_can_tell() -> None:
    assert see(WRITES, logs=()) == Observed(Missing("no_log"), Missing("no_log"))
    assert see(WRITES, logs=(log(days=3),)) == Observed(Missing("brief"), Missing("brief"))


def test_what_the_log_does_not_show_is_left_out_until_it_is_most_of_it() -> None:
    assert see(WRITES, SENT, logs=(log("sqs:SendMessage"),)) == Observed(0.0, has_excess=False)
    three = permission(*[(f"sqs:{name}", "*") for name in ("SendMessage", "DeleteQueue", "PurgeQueue")])
    assert see(three, SENT, logs=(log("sqs:SendMessage"),)).has_excess == Missing("not_watched")


def test_a_wildcard_is_not_used_as_a_whole_because_one_of_it_was() -> None:
    found = see(permission(("*", "*")), SENT)

    assert found.has_excess is True
    assert isinstance(found.unused_share, float) and 0.8 < found.unused_share < 1


def test_what_nobody_can_read_may_be_excess() -> None:
    assert see(None).has_excess == Missing("not_watched")
