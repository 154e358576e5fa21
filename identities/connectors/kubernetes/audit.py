"""Audit logs of the API server: one event a line, as `--audit-log-path` writes them, or lists of events.

Only what was decided counts: a request that RBAC refused is an attempt, one that it allowed is a use, whatever came of
it afterwards. What the log does not say is never called unused, and the log says less than it seems: the audit policy
chose what is in it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

from governance.kernel.dialects.kubernetes import resource as resource_of
from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Holds, Notes
from identities.connectors.kubernetes.estate import ANONYMOUS, groups_of
from identities.connectors.kubernetes.objects import Subject
from identities.connectors.kubernetes.people import is_machine_name
from identities.connectors.kubernetes.records import identity_id

LOG = "kubernetes-audit"
LONGEST_LINE = 16 * 1024 * 1024
LONGEST_DOCUMENT = 256 * 1024 * 1024
LONGEST_RESOURCE = 1000  # bytes
LONGEST_VERB = 90
MOST_KINDS = 5_000
MOST_USES = 2_000_000
_GROUP = "audit.k8s.io/"
_COMPLETE, _STARTED = "ResponseComplete", "ResponseStarted"
Use = tuple[str, str, str]


class AuditLog:
    """The format `kubernetes-audit`."""

    name = "kubernetes-audit"
    title = "Kubernetes audit log (one event a line)"
    kind = "kubernetes"
    holds = Holds.USAGE

    def recognises(self, head: bytes) -> bool:
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and _GROUP.encode() in head

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        """Usage and windows. Raises FileRefused for anything that is no audit log, before the first record."""
        seen = _Seen(notes)
        for number, event in _events(file):
            seen.add(event, number)
        if not seen.events:
            raise FileRefused("The file is empty: it holds no audit event.")
        count = 0
        for record in seen.records():
            count += 1
            yield record
        yield {"type": "end", "records": count}


def _events(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(line, event) of each event."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise FileRefused(f"Line {number} is longer than {LONGEST_LINE // 1024**2} MB.")
        if not line.strip(b"\xef\xbb\xbf \t\r\n"):
            continue
        try:
            found = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            if number == 1 and line.strip(b"\xef\xbb\xbf \t\r\n") in (b"{", b"["):
                found = _whole(line, file)
            else:
                raise FileRefused(f"Line {number} is no JSON. Was the file cut off?") from error
        yield from ((number, each) for each in _listed(found, number))


def _whole(line: bytes, file: BinaryIO) -> Any:
    """A file that is one JSON value over many lines."""
    data = line + file.read(LONGEST_DOCUMENT + 1)
    if len(data) > LONGEST_DOCUMENT:
        raise FileRefused(f"The file is larger than {LONGEST_DOCUMENT // 1024**2} MB and has not one event a line.")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FileRefused("The file is no JSON. Was it cut off?") from error


def _listed(found: Any, line: int) -> list[Any]:
    """The events of one JSON value: itself, or those that it lists."""
    events = found if isinstance(found, list) else [found]
    if isinstance(found, Mapping) and found.get("kind") == "EventList" and isinstance(found.get("items"), list):
        _require_version(found, line)
        return list(found["items"])
    for event in events:
        _require_version(event, line)
    return events


def _require_version(event: Any, line: int) -> None:
    version = event.get("apiVersion") if isinstance(event, Mapping) else None
    if not isinstance(version, str) or not version.startswith(_GROUP):
        raise FileRefused(f"Line {line} is no Kubernetes audit event.")


@dataclass(slots=True)
class _Times:
    first: datetime
    last: datetime
    count: int = 0

    def add(self, moment: datetime) -> None:
        self.first, self.last = min(self.first, moment), max(self.last, moment)
        self.count += 1


@dataclass
class _Seen:
    """What the events have said so far."""

    notes: Notes
    events: int = 0
    span: _Times | None = None
    uses: dict[Use, _Times] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    started: set[str] = field(default_factory=set)

    def add(self, event: Any, line: int) -> None:
        """Take one event in. Raises FileRefused where it has not the form of one."""
        self.events += 1
        moment = _moment(event)
        if moment is None:
            raise FileRefused(f"Line {line} is an audit event without a time.")
        if self.span is None:
            self.span = _Times(moment, moment)
        self.span.add(moment)
        stage = event.get("stage")
        if stage not in (_COMPLETE, _STARTED):
            self.notes.count("events of other stages passed over")
            return
        # A watch that still goes on has begun, and has not ended: both events are one use.
        known = str(event.get("auditID", ""))
        if stage == _STARTED:
            self.started.add(known)
        elif known in self.started:
            self.started.discard(known)
            self.notes.count("events of other stages passed over")
            return
        self._add_request(event, moment)

    def _add_request(self, event: Mapping[str, Any], moment: datetime) -> None:
        verb, where = _text(event, "verb"), _resource(event)
        caller, acted_as = _text(event, "user", "username"), _text(event, "impersonatedUser", "username")
        if not verb or not where or not caller:
            self.notes.count("events without a caller, a verb or a resource passed over")
            return
        if len(where.encode()) > LONGEST_RESOURCE or len(verb) > LONGEST_VERB:
            self.notes.count("events with an over-long name passed over")
            return
        self.kinds[verb].add(_any_of_kind(where))
        if _is_denied(event):
            self.notes.count("attempts that were refused")
            return
        self._use(acted_as or caller, verb, where, moment)
        for target in _impersonated(event):
            self._use(caller, "impersonate", target, moment)

    def _use(self, who: str, verb: str, where: str, moment: datetime) -> None:
        if not is_machine_name(who):
            self.notes.count("uses by people left out")
            return
        use = (who, verb, where)
        if use not in self.uses and len(self.uses) >= MOST_USES:
            raise FileRefused(f"The log holds more than {MOST_USES:,} different uses. Import it in parts.")
        self.uses.setdefault(use, _Times(moment, moment)).add(moment)

    def records(self) -> Iterator[Record]:
        """Use per identity, verb and resource; then what could be seen of those who were seen at all."""
        self.notes.count("audit events", self.events)
        for (who, verb, where), times in self.uses.items():
            yield {
                "type": "usage",
                "identity": identity_id(who),
                "action": verb,
                "resource": where,
                "first_seen_at": _written(times.first),
                "last_seen_at": _written(times.last),
                "count": times.count,
            }
        yield from self._windows()

    def _windows(self) -> Iterator[Record]:
        """One per account and verb. Kubernetes' own users get none: audit policies often leave their calls out."""
        span = self.span
        assert span is not None  # noqa: S101 - there is at least one event
        accounts = dict.fromkeys(who for who, _, _ in self.uses if Subject("User", who).account)
        others = {who for who, _, _ in self.uses} - set(accounts)
        if others:
            self.notes.say(
                f"For {len(others)} user(s) beside service accounts use is shown, and nothing is called unused."
            )
        for who in accounts:
            for verb, kinds in sorted(self.kinds.items()):
                yield {
                    "type": "usage_window",
                    "identity": identity_id(who),
                    "log": f"{LOG}: {verb}",
                    "from": _written(span.first),
                    "until": _written(span.last),
                    "observable": {"actions": [verb], "resources": sorted(kinds)[:MOST_KINDS]},
                }


def _moment(event: Any) -> datetime | None:
    """When the request was received."""
    if not isinstance(event, Mapping):
        return None
    for name in ("requestReceivedTimestamp", "timestamp", "stageTimestamp"):
        try:
            moment = datetime.fromisoformat(str(event.get(name, "")))
            return moment.astimezone(UTC) if moment.tzinfo else None
        except (ValueError, OverflowError):
            continue
    return None


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _text(event: Mapping[str, Any], *names: str) -> str:
    value: Any = event
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _is_denied(event: Mapping[str, Any]) -> bool:
    """Whether the request was turned away before it counted. Admission may refuse what RBAC allowed; that is a use."""
    decision = _text(event, "annotations", "authorization.k8s.io/decision")
    if decision:
        return decision != "allow"
    status = event.get("responseStatus")
    return isinstance(status, Mapping) and status.get("code") in (401, 403)


def _resource(event: Mapping[str, Any]) -> str:
    """The resource of the request in the words of grants; empty where the event does not say."""
    place = event.get("objectRef")
    if not isinstance(place, Mapping):
        path = _text(event, "requestURI").partition("?")[0]
        return f"url:{path}" if path.startswith("/") and path.isprintable() else ""
    names = [_text(place, name) for name in ("namespace", "apiGroup", "resource", "subresource", "name")]
    if not names[2]:
        return ""
    if _text(event, "verb") in ("create", "deletecollection") and not names[3]:
        names[4] = ""  # the name is in the body or was made up; RBAC decided without it
    if names[1] == "" and "/" in _text(place, "apiVersion"):
        names[1] = _text(place, "apiVersion").partition("/")[0]
    return resource_of(*names)


def _any_of_kind(where: str) -> str:
    if where.startswith("url:"):
        return where
    _, group, kind, subresource, _ = where.removeprefix("api:").split("/")
    return f"api:*/{group}/{kind}/{subresource}/*"


def _impersonated(event: Mapping[str, Any]) -> Iterable[str]:
    """What the caller needed to act as somebody else: the account or user, and each group it asked for."""
    user = _text(event, "impersonatedUser", "username")
    if not user:
        return
    account = Subject("User", user).account
    yield (
        resource_of(account[0], "", "serviceaccounts", "", account[1])
        if account
        else resource_of("", "", "users", "", user)
    )
    given = event["impersonatedUser"].get("groups")
    own = {*groups_of(user), *groups_of(ANONYMOUS)}
    for group in given if isinstance(given, list) else ():
        # Those that the API server adds by itself need no right.
        if isinstance(group, str) and group and group not in own:
            yield resource_of("", "", "groups", "", group)
