"""Files that AWS's own tools write: authorization details, the credential report, CloudTrail events."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO

from identities.connectors.aws import cloudtrail, credential_report
from identities.connectors.aws.account import LISTS, Account, MalformedDetails
from identities.connectors.aws.inventory import Facts, in_order, records
from identities.connectors.aws.jsonstream import head_of, objects, unpacked
from identities.connectors.contract import Record
from identities.connectors.files import FileFormat, FileRefused, Holds, Notes

KIND = "aws"
_CSV_START = b"user,arn,user_creation_time,"
_TRAIL = re.compile(rb'^\s*\[?\s*\{\s*"Records"\s*:\s*\[')


class AuthorizationDetails:
    """`aws iam get-account-authorization-details`: one answer or its pages, with or without the credential report.

    A credential report in its JSON form (`aws iam get-credential-report`) may stand behind it in the same file:
    `cat details.json report.json > account.json`. Without it the file names no credential at all.
    """

    name = "aws-authorization-details"
    title = "AWS IAM authorization details"
    kind = KIND
    holds = Holds.INVENTORY

    def recognises(self, head: bytes) -> bool:
        start = head_of(head)
        names = (*(name.encode() for name in LISTS[:3]), b"PolicyVersionList")
        return start.lstrip()[:1] in (b"{", b"[") and any(b'"%s"' % name in start for name in names)

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        account, reports = _collect(objects(file), notes)
        facts = Facts()
        rows = [row for report in reports for row in _report_rows(report)]
        for row in rows:
            credential_report.add_facts(row, facts, with_keys=True)
        try:
            found: Iterable[Record] = records(account, facts)
            yield from _counted(chain(found, _beyond(rows, account, facts)), notes, facts)
        except MalformedDetails as problem:
            raise FileRefused(f"The authorization details cannot be understood: {problem}.") from problem


class CredentialReport:
    """`aws iam get-credential-report`, as CSV or in its JSON form: users with passwords and keys, and no access."""

    name = "aws-credential-report"
    title = "AWS IAM credential report"
    kind = KIND
    holds = Holds.PART

    def recognises(self, head: bytes) -> bool:
        start = head_of(head).removeprefix(b"\xef\xbb\xbf").lstrip()
        return start.startswith(_CSV_START) or (
            start[:1] == b"{" and b'"Content"' in start and b'"ReportFormat"' in start and b"DetailList" not in start
        )

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        stream = unpacked(file)
        start = stream.read(1)
        while start.isspace():
            start = stream.read(1)
        rest = io.BytesIO(start + stream.read()) if start == b"{" else None
        rows = (
            chain.from_iterable(_report_rows(report) for report in objects(rest))
            if rest is not None
            else _csv_rows(start, stream)
        )
        facts = Facts()
        yield from _counted(_alone(rows, notes, facts), notes, facts)
        if not notes.counts["identities"]:
            raise FileRefused("The credential report names nobody.")


class CloudTrail:
    """CloudTrail events: files of a trail (gzip or not), lists, lines, or the answer of `lookup-events`."""

    name = "aws-cloudtrail"
    title = "AWS CloudTrail events"
    kind = KIND
    holds = Holds.USAGE

    def recognises(self, head: bytes) -> bool:
        start = head_of(head)
        is_event = b'"eventSource"' in start and b'"eventName"' in start
        return start.lstrip()[:1] in (b"{", b"[") and bool(
            is_event or b'"CloudTrailEvent"' in start or _TRAIL.match(start)
        )

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        yield from _counted(cloudtrail.read(objects(file), notes), notes, Facts())


FORMATS: tuple[FileFormat, ...] = (AuthorizationDetails(), CredentialReport(), CloudTrail())

_PLURAL = {
    "identity": "identities", "credential": "credentials", "grant": "grants", "trust": "trust relations",
    "usage": "kinds of use", "usage_window": "windows of observation",
}  # fmt: skip


def _counted(found: Iterable[Record], notes: Notes, facts: Facts) -> Iterator[Record]:
    """The records, their numbers noted, with the `end` record behind them."""
    count = 0
    for record in found:
        count += 1
        notes.count(_PLURAL[record["type"]])
        yield record
    for what, number in facts.counts.items():
        notes.count(what, number)
    yield {"type": "end", "records": count}


def _collect(things: Iterable[Mapping[str, Any]], notes: Notes) -> tuple[Account, list[Mapping[str, Any]]]:
    account, reports, pages = Account(), [], 0
    last: Mapping[str, Any] = {}
    for thing in things:
        if "Content" in thing and "ReportFormat" in thing:
            reports.append(thing)
            continue
        if not any(name in thing for name in LISTS):
            raise FileRefused(f"The file holds an object without any of {', '.join(LISTS)}.")
        try:
            account.add_page(thing)
        except MalformedDetails as problem:
            raise FileRefused(f"The authorization details cannot be understood: {problem}.") from problem
        pages, last = pages + 1, thing
    if not pages:
        raise FileRefused("The file holds no authorization details.")
    if last.get("IsTruncated") is True or last.get("NextToken"):
        raise FileRefused("The last page says that more follow: ask for all of them (without --max-items).")
    if not account.users and not account.roles:
        notes.say("The file names no user and no role.")
    missing = [name for name in LISTS if name not in last]
    if pages == 1 and missing:
        notes.say(f"The file has no {', '.join(missing)}: whatever belongs there is not known.")
    if account.repeated:
        notes.count("repeated entries, of which the last one counts", account.repeated)
    _note_unheld(account, notes)
    return account, reports


def _note_unheld(account: Account, notes: Notes) -> None:
    """What is there but held by no user or role gives nobody anything, and is no grant."""
    held = {holding.policy.name for what, entities in (("User", account.users), ("Role", account.roles))
            for entity in entities.values() for holding in account.holdings(entity, what)}  # fmt: skip
    boundaries = {
        boundary.name
        for entity in (*account.users.values(), *account.roles.values())
        if (boundary := account.boundary_of(entity)) is not None
    }
    idle = [arn for arn in account.policies if arn not in held | boundaries]
    if idle:
        notes.count("managed policies that no user or role holds", len(idle))
    named = {name for user in account.users.values() for name in user.get("GroupList") or []}
    empty = [group for group in account.groups.values() if group.get("GroupName") not in named]
    if empty:
        notes.count("groups without members", len(empty))


def _report_rows(report: Mapping[str, Any]) -> Iterator[credential_report.Row]:
    try:
        yield from credential_report.rows_of(credential_report.content_of(report).splitlines(keepends=True))
    except credential_report.MalformedReport as problem:
        raise FileRefused(f"The credential report cannot be read. {problem}") from problem


def _csv_rows(start: bytes, stream: BinaryIO) -> Iterator[credential_report.Row]:
    # The first letter was looked at; no line is split by putting it back.
    first = start + stream.readline()
    try:
        lines = (line.decode("utf-8-sig") for line in chain([first], stream))
        yield from credential_report.rows_of(lines)
    except UnicodeDecodeError:
        raise FileRefused("The file is no text in UTF-8.") from None
    except credential_report.MalformedReport as problem:
        raise FileRefused(f"The credential report cannot be read. {problem}") from problem
    except (OSError, EOFError):
        raise FileRefused("The file is packed with gzip, and is cut off or damaged.") from None


def _alone(rows: Iterable[credential_report.Row], notes: Notes, facts: Facts) -> Iterator[Record]:
    """Identities and credentials of a report without authorization details."""
    seen: set[str] = set()
    for row in rows:
        if row["arn"] in seen:
            notes.count("repeated entries, of which the first one counts")
            continue
        seen.add(row["arn"])
        known = Facts(counts=facts.counts)
        credential_report.add_facts(row, known, with_keys=True)
        yield from _of_row(row, known)


def _beyond(rows: Iterable[credential_report.Row], account: Account, facts: Facts) -> Iterator[Record]:
    """What a report names and the authorization details do not: the root account, for one."""
    for row in rows:
        if row["arn"] not in account.users:
            yield from _of_row(row, facts)


def _of_row(row: credential_report.Row, facts: Facts) -> Iterator[Record]:
    yield credential_report.identity_of(row, facts)
    for credential in facts.credentials[row["arn"]]:
        yield {"type": "credential", "identity": row["arn"], **in_order(credential, facts.counts)}
    if credential_report.is_root(row):
        yield credential_report.root_grant(row)
