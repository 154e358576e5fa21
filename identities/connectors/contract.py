"""What a connector must and may do.

A connector knows one outside system and the kernel, nothing of ours: values in, values out. The mandatory part is
small (`describe`, `read`); everything that changes the outside world is an optional capability of its own, and the
engine asks which of them a connector has (`capabilities_of`). A new capability is a new protocol, not a new method
on an old one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from governance.kernel.errors import DomainError
from governance.kernel.permissions import Permission

Record = dict[str, Any]


class Capability(StrEnum):
    READ = "read"
    REVOKE = "revoke"
    NARROW = "narrow"
    QUARANTINE = "quarantine"
    RESTORE = "restore"
    DEACTIVATE = "deactivate"
    VERIFY = "verify"


class SourceUnreachable(DomainError):
    """The system did not answer or refused the connector's own credential. Trying again may help."""

    code = "source-unreachable"
    status = 503
    title = "The source could not be reached"


class ReadIncomplete(DomainError):
    """Not everything could be read, so nothing was: a short page must never look like a revocation."""

    code = "read-incomplete"
    status = 502
    title = "The source could not be read completely"


class NotPossible(DomainError):
    """This change cannot be made at the source (owner, superuser, provider-managed …); the message says why."""

    code = "not-possible"
    title = "The source does not allow this change"


class SourceChanged(NotPossible):
    """The system no longer holds what the inventory says; after another reading the change can be planned anew."""

    code = "source-changed"
    title = "The source has changed since it was last read"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a kind of source, as forms, API and documents show it.

    kind: text, integer, flag, choice, list (of texts) or reference (where a secret is: `env:NAME`, `file:/path`).
    also: another name under which the setting may stand.
    """

    name: str
    label: str
    help: str = ""
    kind: str = "text"
    required: bool = False
    default: Any = None
    choices: Sequence[str] = ()
    also: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried when a connection was tested. state: ok, warning or failed."""

    title: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """kind: the connector's name in URLs and tables. coverage: which facts the system can report at all."""

    kind: str
    title: str
    coverage: Mapping[str, bool]
    not_observable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class GrantRef:
    """One grant as the source knows it: the inventory's current row, as values.

    external_id, native_ref and permission are what the connector's own `read` yielded for it.
    """

    identity: str
    external_id: str
    permission: Permission
    path: Sequence[Mapping[str, Any]]
    native_ref: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One native operation. text: exactly what will be executed or sent, fit to be shown to a person.

    call: the same operation for the connector, where its text alone does not say it. A connector that executes a
    call first compares the text that it would print for it, so that what ran is what was shown.
    """

    text: str
    note: str = ""
    call: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done at the source, decided before anybody agrees to it. Serialisable; stored with the order.

    action: one of revoke, narrow, quarantine, deactivate, restore.
    pre_image: the native state the plan was made for, and `pre_hash` its sha256 (hex). `post_hash` is the state the
    plan leads to, so that a second execution recognises its own work. `inverse` are the steps that undo it.
    stages: for a plan that is no single transaction, the hash of the native state after each of its first steps; the
    last is `post_hash`. An execution that was cut off goes on from the stage it finds. Steps beyond are follow-ups
    that may be repeated (ending sessions).
    removes: (action, resource) samples that must no longer be possible afterwards; `keeps` must stay possible.
    side_effects: plain sentences about anybody else who is touched. Empty means: nobody.
    """

    action: str
    identity: str
    grant_external_id: str
    steps: Sequence[Step]
    inverse: Sequence[Step]
    pre_image: Mapping[str, Any]
    pre_hash: str
    post_hash: str
    removes: Sequence[tuple[str, str]] = ()
    keeps: Sequence[tuple[str, str]] = ()
    side_effects: Sequence[str] = ()
    irreversible: bool = False
    summary: str = ""
    stages: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        values = dict(data)
        for name in ("steps", "inverse"):
            values[name] = tuple(Step(**step) for step in values[name])
        for name in ("removes", "keeps"):
            values[name] = tuple((action, resource) for action, resource in values[name])
        return cls(**values)


def image_hash(image: Any) -> str:
    """The sha256 (hex) of a native state, the same for equal JSON values in whatever order their keys stand."""
    written = json.dumps(image, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


class ExecutionState(StrEnum):
    APPLIED = "applied"
    ALREADY_APPLIED = "already_applied"
    DRIFTED = "drifted"
    BLOCKED = "blocked"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened when a plan ran. `reason` is a sentence whenever the state is not applied."""

    state: ExecutionState
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


class VerificationState(StrEnum):
    GONE = "gone"
    STILL_EFFECTIVE = "still_effective"
    SESSIONS_REMAIN = "sessions_remain"
    STILL_PRESENT = "still_present"


@dataclass(frozen=True, slots=True)
class Verification:
    """A later look at the source: is what was removed really out of reach, by any path?

    still_effective: (action, resource, via) with `via` in plain words. sessions: number of live sessions that
    outlive the change. observed_at: when the source was read.
    """

    state: VerificationState
    observed_at: datetime
    still_effective: Sequence[tuple[str, str, str]] = ()
    sessions: int = 0
    lost: Sequence[tuple[str, str]] = ()
    reason: str = ""


class Connector(Protocol):
    """Made from a source's settings; secrets arrive resolved and are never kept elsewhere."""

    def describe(self) -> Description: ...

    def read(self) -> Iterator[Record]:
        """Yield inventory records (docs/api.md, "Record types"), ending with an `end` record.

        Raises SourceUnreachable or ReadIncomplete; whatever was yielded before then must be thrown away.
        """
        ...


@runtime_checkable
class Checker(Protocol):
    def check(self) -> Iterable[Check]:
        """Sign in and try what the connector needs, changing nothing. Problems are checks that failed, not errors."""
        ...


@runtime_checkable
class Revoker(Protocol):
    def plan_revoke(self, grant: GrantRef) -> Plan: ...


@runtime_checkable
class Narrower(Protocol):
    def plan_narrow(self, grant: GrantRef, target: Permission) -> Plan: ...


@runtime_checkable
class Quarantiner(Protocol):
    def plan_quarantine(self, identity: str) -> Plan: ...


@runtime_checkable
class Deactivator(Protocol):
    def plan_deactivate(self, identity: str, credential: str) -> Plan: ...


@runtime_checkable
class Restorer(Protocol):
    def plan_restore(self, done: Plan) -> Plan: ...


@runtime_checkable
class Executor(Protocol):
    def execute(self, plan: Plan) -> Execution:
        """Apply the plan once. Compares the pre-image right before writing; a second call changes nothing."""
        ...


@runtime_checkable
class Verifier(Protocol):
    def verify(self, plan: Plan, *, since: datetime | None = None) -> Verification:
        """Look anew. since: when the plan was carried out; what began before then may still use what was taken."""
        ...


_PROTOCOL_OF: dict[Capability, type] = {
    Capability.REVOKE: Revoker,
    Capability.NARROW: Narrower,
    Capability.QUARANTINE: Quarantiner,
    Capability.DEACTIVATE: Deactivator,
    Capability.RESTORE: Restorer,
    Capability.VERIFY: Verifier,
}


def capabilities_of(connector: object) -> frozenset[Capability]:
    """Everything this connector can do, read off its methods."""
    found = {capability for capability, protocol in _PROTOCOL_OF.items() if isinstance(connector, protocol)}
    return frozenset(found | {Capability.READ})
