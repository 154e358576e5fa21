"""The credential report: a row per user and for the root account: passwords, keys, certificates, but no key ids."""

import base64
import binascii
import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from identities.connectors.aws.inventory import Facts, moment, text_of
from identities.connectors.contract import Record

REQUIRED = ("user", "arn", "user_creation_time", "password_enabled", "access_key_1_active", "access_key_2_active")
ROOT = "<root_account>"
NO_TIME = ("N/A", "no_information", "not_supported", "")
_TIMES = ("_time", "_changed", "_rotation", "_rotated", "_used", "_used_date")
Row = Mapping[str, str]


class MalformedReport(ValueError):
    """The text is no credential report, or ends in the middle; the message says where."""


def rows_of(lines: Iterable[str]) -> Iterator[Row]:
    """The rows behind the line of column names. Raises MalformedReport."""
    reader = csv.reader(lines)
    head = next(reader, [])
    if any(name not in head for name in REQUIRED):
        raise MalformedReport("The first line does not name the columns of a credential report.")
    for line in reader:
        if not line:
            continue
        if len(line) != len(head):
            place, wanted = reader.line_num, len(head)
            raise MalformedReport(f"Line {place} has {len(line)} columns instead of {wanted}: is the file cut off?")
        row = dict(zip(head, line, strict=True))
        _check(row, reader.line_num)
        yield row


def _check(row: Row, line: int) -> None:
    if not row["arn"].startswith("arn:"):
        raise MalformedReport(f"Line {line} has no ARN.")
    for name, value in row.items():
        if name.endswith("_active") and value not in ("true", "false"):
            raise MalformedReport(f"Line {line}: {name} is neither true nor false.")
        if name.endswith(_TIMES) and value not in NO_TIME and moment(value) is None:
            raise MalformedReport(f"Line {line}: {name} is no time: is the file cut off?")


def content_of(answer: Any) -> str:
    """The report in what the API, its command line or a tool around it wrote. Raises MalformedReport."""
    content = answer.get("Content") if isinstance(answer, Mapping) else None
    if isinstance(content, bytes):
        return content.decode()
    if not isinstance(content, str):
        raise MalformedReport("It has no Content.")
    if content.startswith("user,"):
        return content
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise MalformedReport("Its Content is neither a report nor base64 of one.") from error


def _is_true(text: str) -> bool:
    return text.lower() == "true"


def is_root(row: Row) -> bool:
    return row["user"] == ROOT


def add_facts(row: Row, facts: Facts, *, with_keys: bool) -> None:
    """What a row says about its user. with_keys: also keys, by their place, where their ids are not known otherwise."""
    arn = row["arn"]
    known = facts.credentials.setdefault(arn, [])
    has_password = is_root(row) or _is_true(row["password_enabled"])
    mfa = {"true": True, "false": False}.get(row.get("mfa_active", ""))
    facts.attributes.setdefault(arn, {})["console_password"] = has_password
    if has_password:
        changed, used = moment(row.get("password_last_changed")), moment(row.get("password_last_used"))
        known[:] = [each for each in known if each["kind"] != "password"]
        known.append(
            {
                "id": f"{arn}|password",
                "kind": "password",
                "status": "active",
                "created_at": row["user_creation_time"] if is_root(row) else None,
                "last_rotated_at": text_of(changed),
                "last_used_at": text_of(used),
                "expires_at": text_of(moment(row.get("password_next_rotation"))),
                "attributes": {"mfa": mfa} if mfa is not None else {},
            }
        )
        facts.note_use(arn, used)
    if with_keys:
        known += [*_numbered(row, "access_key", "access_key", facts), *_numbered(row, "cert", "x509", facts)]


def _numbered(row: Row, column: str, kind: str, facts: Facts) -> Iterator[Record]:
    for number in ("1", "2"):
        active = _is_true(row.get(f"{column}_{number}_active", ""))
        made = moment(row.get(f"{column}_{number}_last_rotated"))
        if not active and made is None:
            continue
        used = moment(row.get(f"{column}_{number}_last_used_date"))
        service = row.get(f"{column}_{number}_last_used_service", "")
        facts.note_use(row["arn"], used)
        yield {
            "id": f"{row['arn']}|{column.replace('_', ' ')} {number}",
            "kind": kind,
            "status": "active" if active else "disabled",
            "created_at": text_of(made),
            "last_used_at": text_of(used),
            "attributes": {"last_used_service": service} if used and service.isidentifier() else {},
        }


def identity_of(row: Row, facts: Facts) -> Record:
    """The identity of a row, where nothing else tells of it."""
    arn = row["arn"]
    created, used = moment(row["user_creation_time"]), facts.last_used_at.get(arn)
    if used and created and used < created:
        facts.counts["last uses that lie before the creation"] += 1
        used = None
    return {
        "type": "identity",
        "id": arn,
        "kind": "service_account",
        "name": "root account" if is_root(row) else row["user"],
        "custody": "self_held",
        "created_at": text_of(created),
        "last_used_at": text_of(used),
        "attributes": facts.attributes.get(arn, {}) | ({"root": True} if is_root(row) else {}),
    }


def root_grant(row: Row) -> Record:
    """The root account may do everything, whatever policies say, and only AWS can end it."""
    return {
        "type": "grant",
        "id": f"{row['arn']}|root",
        "identity": row["arn"],
        "label": "Root of the account",
        "permission": {"dialect": "aws", "statements": [{"actions": ["*"], "resources": ["*"]}]},
        "path": [],
        "revocability": "provider_only",
        "native_ref": {"kind": "root", "provider_only": True},
    }
