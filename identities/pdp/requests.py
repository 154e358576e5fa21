"""The question that is decided, and the answer, as values: every edge speaks to the decision point in these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question: may this subject do this action on this resource, in this context?

    The names are those of OpenID AuthZEN 1.0 (subject, action, resource, context). `subject_id` is the id of an
    identity of the inventory, or its external id; `subject_type` says what the caller takes it for and never widens
    anything. `action` and the resource are in the words of the source that holds the grants (docs/decisions.md).
    Properties and context are claims of the caller, decoded JSON: they can only fill in what governed data leaves
    open, never replace it.

    domain: the decision domain, "" for the whole inventory. wants_explanation: whether the answer names grants and
    reviews; costs more, decides the same.
    """

    subject_type: str
    subject_id: str
    action: str
    resource_type: str
    resource_id: str
    subject_properties: Properties = field(default_factory=dict)
    action_properties: Properties = field(default_factory=dict)
    resource_properties: Properties = field(default_factory=dict)
    context: Properties = field(default_factory=dict)
    domain: str = ""
    wants_explanation: bool = False


@dataclass(frozen=True, slots=True)
class MatchedGrant:
    """A grant that speaks of the request, with the statement that does, in plain words.

    effect: "allow" or "deny". stands: why it counts ("granted") or the reason code why it does not.
    """

    grant_id: UUID
    label: str
    effect: str
    stands: str
    words: str
    version: int
    digest: bytes

    def told(self) -> dict[str, Any]:
        """As JSON, but for its id, which callers name in their own words."""
        return {
            "label": self.label,
            "effect": self.effect,
            "stands": self.stands,
            "words": self.words,
            "version": self.version,
            "digest": self.digest.hex(),
        }


@dataclass(frozen=True, slots=True)
class Review:
    """The last review of the grant that decided: when, until when it holds, and whether it saw this very content."""

    grant_id: UUID
    reviewed_at: datetime
    approved_until: datetime | None
    saw_this_version: bool


class Decision(NamedTuple):
    """One answer. `reason` is a code of `reasons.Reason`; everything that is not a clear yes is `permit=False`.

    snapshot_at: when the source last said what this was decided by; None where nothing was read. policy_number: the
    decision policy in force, 0 where none could be read. grants, review: only where the request wanted an explanation.
    not_assessed: what could not be judged, as sorted names of inputs.
    """

    permit: bool
    reason: str
    evaluation_id: UUID
    snapshot_at: datetime | None = None
    policy_number: int = 0
    grants: tuple[MatchedGrant, ...] = ()
    review: Review | None = None
    not_assessed: tuple[str, ...] = ()
