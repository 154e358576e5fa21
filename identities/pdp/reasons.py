"""Why a request was decided as it was: codes for machines, one sentence each for people."""

from enum import StrEnum


class Reason(StrEnum):
    """Codes of a decision. Only GRANTED permits; codes are never renamed, because logs keep them."""

    GRANTED = "granted"
    UNKNOWN_IDENTITY = "unknown_identity"
    AMBIGUOUS_IDENTITY = "ambiguous_identity"
    UNKNOWN_DOMAIN = "unknown_domain"
    UNKNOWN_RESOURCE = "unknown_resource"
    RETIRED = "retired"
    DISABLED = "disabled"
    EXPIRED = "expired"
    STALE = "stale"
    NO_GRANT = "no_grant"
    DENIED_BY_GRANT = "denied_by_grant"
    CONDITION_NOT_MET = "condition_not_met"
    MISSING_INPUT = "missing_input"
    NOT_APPROVED = "not_approved"
    APPROVAL_LAPSED = "approval_lapsed"
    TOOL_DRIFTED = "tool_drifted"
    TOOL_NOT_PINNED = "tool_not_pinned"
    KILLED = "killed"
    UNKNOWN_DELEGATOR = "unknown_delegator"
    DELEGATOR_LACKS = "delegator_lacks"
    NOT_FOR_DELEGATOR = "not_for_delegator"
    UNKNOWN_AGENT = "unknown_agent"
    AGENT_LACKS = "agent_lacks"
    UNTRUSTED = "untrusted"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    CREDENTIAL_DISABLED = "credential_disabled"
    CREDENTIAL_EXPIRED = "credential_expired"
    LOW_ASSURANCE = "low_assurance"
    WITHHELD = "withheld"
    NARROWED = "narrowed"
    MALFORMED = "malformed"
    TOO_COMPLEX = "too_complex"
    UNAVAILABLE = "unavailable"


SENTENCES: dict[Reason, str] = {
    Reason.GRANTED: "A current grant permits this.",
    Reason.UNKNOWN_IDENTITY: "No identity of this name is known.",
    Reason.AMBIGUOUS_IDENTITY: "Several sources know an identity of this name; ask by its id.",
    Reason.UNKNOWN_DOMAIN: "No decision domain of this name exists.",
    Reason.UNKNOWN_RESOURCE: "Resources of this type must be registered, and this one is not.",
    Reason.RETIRED: "The source no longer holds this identity.",
    Reason.DISABLED: "The identity is disabled.",
    Reason.EXPIRED: "The grant is not valid at this time.",
    Reason.STALE: "What is known of the source is older than the policy accepts.",
    Reason.NO_GRANT: "No current grant permits this.",
    Reason.DENIED_BY_GRANT: "A current grant denies this.",
    Reason.CONDITION_NOT_MET: "A grant would permit this, but not under these conditions.",
    Reason.MISSING_INPUT: "Something that a condition asks for is not known.",
    Reason.NOT_APPROVED: "The grant has not been approved by a review, which the policy asks for.",
    Reason.APPROVAL_LAPSED: "The approval of the grant has ended, or the grant has changed since.",
    Reason.TOOL_DRIFTED: "The definition of the tool has changed since it was approved.",
    Reason.TOOL_NOT_PINNED: "The definition of the tool has never been approved.",
    Reason.KILLED: "The identity, the server or the tool has been cut off.",
    Reason.UNKNOWN_DELEGATOR: "The one on whose behalf this is asked is not known.",
    Reason.DELEGATOR_LACKS: "The one on whose behalf this is asked may not do it either.",
    Reason.NOT_FOR_DELEGATOR: "This agent does not act for the one that is named.",
    Reason.UNKNOWN_AGENT: "The agent that acts here is not known.",
    Reason.AGENT_LACKS: "The agent that acts here may not do it itself.",
    Reason.UNTRUSTED: "The system that authenticated the caller is not trusted for this identity.",
    Reason.UNKNOWN_CREDENTIAL: "The credential that was presented is not known for this identity.",
    Reason.CREDENTIAL_DISABLED: "The credential that was presented is disabled.",
    Reason.CREDENTIAL_EXPIRED: "The credential that was presented has expired.",
    Reason.LOW_ASSURANCE: "The identity does not prove itself well enough for this.",
    Reason.WITHHELD: "A review has taken this grant away.",
    Reason.NARROWED: "A review has narrowed the grant to less than this.",
    Reason.MALFORMED: "A name in the question is empty, too long, or no text.",
    Reason.TOO_COMPLEX: "This could not be decided within bounds.",
    Reason.UNAVAILABLE: "The inventory could not be asked.",
}
