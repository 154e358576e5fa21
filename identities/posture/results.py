"""What a rule says of one object: four results, never three, and the severity with its arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class Result(StrEnum):
    """A pass needs every input present, fresh and covered; whatever is missing makes it not assessable."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105
    NOT_ASSESSABLE = "not_assessable"
    NOT_APPLICABLE = "not_applicable"


class Severity(StrEnum):
    """In rising order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class ObjectKind(StrEnum):
    """What a finding is about. Grants are evidence of one on their identity: a million grants are not findings."""

    IDENTITY = "identity"
    CREDENTIAL = "credential"
    TRUST = "trust"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one rule on one object.

    rule: "NHI5-A". reasons: codes, why it is not assessable or not applicable; never empty for these two. evidence:
    what was seen, as JSON; lists are cut to twenty, their whole length beside them. severity,
    arithmetic: of a fail only; the arithmetic are sentences in order ("base: high", "+1: privileged in production").
    """

    rule: str
    result: Result
    object_kind: ObjectKind
    object_id: UUID
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None
    arithmetic: tuple[str, ...] = ()
