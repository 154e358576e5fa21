"""CloudTrail events as use: who did what, on what, how often. A call that failed is an attempt, not a use."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.kernel.patterns import glob
from identities.connectors.aws.cloudtrail_actions import (
    MANAGEMENT_ACTIONS,
    SEVERAL,
    action_of,
    is_without_resource,
    resources_of,
)
from identities.connectors.aws.inventory import moment, text_of
from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Notes

LOG = "cloudtrail"
LONGEST_RESOURCE = 1_000
Event = Mapping[str, Any]


@dataclass(slots=True)
class Seen:
    first: datetime
    last: datetime
    count: int = 0


class Trail:
    """Adds events up; `records` says what they show."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.seen: dict[tuple[str, str, str], Seen] = {}
        self.unplaced: set[str] = set()
        self.coverage: list[Mapping[str, Any]] = []
        self._ids: set[int] = set()

    def add(self, thing: Event) -> None:
        """An event, an answer of `lookup-events`, or what is declared about the whole. Raises FileRefused."""
        if isinstance(thing.get("coverage"), Mapping):
            self.coverage.append(thing["coverage"])
        listed = thing.get("Records", thing.get("Events"))
        if isinstance(listed, list):
            for each in listed:
                self.add(_opened(each))
        elif "eventSource" in thing and "eventName" in thing:
            self._add_event(thing)
        elif "CloudTrailEvent" in thing:
            self.add(_opened(thing))
        elif "coverage" not in thing:
            raise FileRefused(
                "The file holds an object that is no CloudTrail event: eventSource or eventName is missing."
            )

    def _add_event(self, event: Event) -> None:
        self.notes.count("events")
        when = moment(event.get("eventTime"))
        if when is None:
            raise FileRefused("An event has no eventTime.")
        if self._is_repeated(event):
            self.notes.count("events that stand in the file twice")
            return
        if event.get("errorCode"):
            self.notes.count("calls that failed, which are no use")
            return
        action = action_of(str(event["eventSource"]), str(event["eventName"]))
        if not action:
            self.notes.count("events that need no permission")
            return
        caller = caller_of(event.get("userIdentity"))
        if not caller:
            self.notes.count("events of AWS services or of callers without a name")
            return
        self._count(event, caller, action, when)

    def _count(self, event: Event, caller: str, action: str, when: datetime) -> None:
        place = {
            "partition": caller.split(":")[1],
            "region": str(event.get("awsRegion", "")),
            "account": str(event.get("recipientAccountId") or caller.split(":")[4]),
        }
        resources = [each for each in resources_of(action, event, place) if len(each) <= LONGEST_RESOURCE]
        if not resources:
            if not is_without_resource(action):
                self.notes.count("uses whose resource is not known, counted on *")
                self.unplaced.add(action.lower())
            resources = ["*"]
        elif action in SEVERAL:
            self.notes.count("uses of which only some resources are known, counted on * too")
            self.unplaced.add(action.lower())
            resources.append("*")
        self.notes.count("uses")
        for resource in dict.fromkeys(resources):
            seen = self.seen.setdefault((caller, action, resource), Seen(when, when))
            seen.first, seen.last, seen.count = min(seen.first, when), max(seen.last, when), seen.count + 1

    def _is_repeated(self, event: Event) -> bool:
        if not event.get("eventID"):
            return False
        known = hash(str(event["eventID"]))
        if known in self._ids:
            return True
        self._ids.add(known)
        return False

    def records(self) -> Iterator[Record]:
        """Usage, then windows where the file declares what it covers. Raises FileRefused."""
        for (caller, action, resource), seen in self.seen.items():
            yield {
                "type": "usage",
                "identity": caller,
                "action": action,
                "resource": resource,
                "first_seen_at": text_of(seen.first),
                "last_seen_at": text_of(seen.last),
                "count": seen.count,
            }
        for number, declared in enumerate(self.coverage):
            yield self._window(declared, number)
        if not self.coverage:
            self.notes.say(
                "The file does not say what it covers, so nothing is called unused because of it (docs/connectors.md)."
            )

    def _window(self, declared: Mapping[str, Any], number: int) -> Record:
        begin, end = moment(declared.get("from")), moment(declared.get("until"))
        if begin is None or end is None or end < begin:
            raise FileRefused("The declared coverage needs from and until, in this order.")
        actions = declared.get("actions", list(MANAGEMENT_ACTIONS))
        if not isinstance(actions, list) or not all(isinstance(each, str) and each for each in actions):
            raise FileRefused("The declared coverage's actions must be a list of patterns.")
        # An action of which a use could not be placed may have been used on anything.
        shown = [each for each in actions if not any(glob(each.lower()).matches(name) for name in self.unplaced)]
        if len(shown) < len(actions):
            self.notes.count(
                "declared actions that stay not observable, as some use could not be placed", len(actions) - len(shown)
            )
        return {
            "type": "usage_window",
            "log": LOG if not number else f"{LOG} {number + 1}",
            "from": text_of(begin),
            "until": text_of(end),
            "observable": {"actions": shown or ["cloudtrail:LookupEvents"], "resources": ["*"]},
        }


def caller_of(identity: Any) -> str:
    """The user or role behind a call: a session counts for the role (or user) that issued it."""
    if not isinstance(identity, Mapping):
        return ""
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    arn = str(issuer.get("arn") or identity.get("arn") or "")
    fields = arn.split(":", 5)
    if len(fields) < 6 or fields[0] != "arn":
        return ""
    kind, _, name = fields[5].partition("/")
    if fields[2] == "sts" and kind == "assumed-role":
        return f"arn:{fields[1]}:iam::{fields[4]}:role/{name.partition('/')[0]}"
    is_known = fields[2] == "iam" and (kind in ("user", "role") or fields[5] == "root")
    return arn if is_known else ""


def _opened(thing: Any) -> Event:
    """An event of `lookup-events` holds the real one as text."""
    if isinstance(thing, Mapping) and isinstance(thing.get("CloudTrailEvent"), str):
        try:
            thing = json.loads(thing["CloudTrailEvent"])
        except ValueError:
            raise FileRefused("An event's CloudTrailEvent is no JSON.") from None
    if not isinstance(thing, Mapping):
        raise FileRefused("The list of events holds something that is no object.")
    return thing


def read(things: Iterable[Event], notes: Notes) -> Iterator[Record]:
    """Raises FileRefused."""
    trail = Trail(notes)
    for thing in things:
        trail.add(thing)
    if not notes.counts["events"]:
        raise FileRefused("The file holds no event.")
    yield from trail.records()
