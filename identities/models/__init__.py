"""The inventory: one file per concept."""

from identities.models.finding import (
    AcceptanceEnd,
    Finding,
    FindingAcceptance,
    FindingEvent,
    FindingObject,
    FindingSeverity,
    FindingState,
    FindingStep,
    FixedHow,
)
from identities.models.boundary import Authorization, AuthorizationModel, TrustBoundary
from identities.models.grant import Grant, GrantVersion, KnownPermission, Revocability
from identities.models.identity import (
    Credential,
    CredentialKind,
    Custody,
    Identity,
    IdentityKind,
    IdentityStatus,
    IdentityVersion,
    TrustRelation,
)
from identities.models.posture import IdentityPosture, PostureBox, PosturePolicy, PostureVersion
from identities.models.posture_work import AnalysedPermission, PostureCursor, PostureMark, PostureMeasure
from identities.models.request_key import RequestKey
from identities.models.saved_view import SavedView, SavedViewPage
from identities.models.source import Environment, Source
from identities.models.sync import (
    Change,
    ChangeAction,
    SyncMode,
    SyncOrigin,
    SyncRowError,
    SyncRun,
    SyncState,
)
from identities.models.usage import Usage, UsageWindow

__all__ = [
    "AcceptanceEnd",
    "AnalysedPermission",
    "Authorization",
    "AuthorizationModel",
    "Change",
    "ChangeAction",
    "Credential",
    "CredentialKind",
    "Custody",
    "Environment",
    "Finding",
    "FindingAcceptance",
    "FindingEvent",
    "FindingObject",
    "FindingSeverity",
    "FindingState",
    "FindingStep",
    "FixedHow",
    "Grant",
    "GrantVersion",
    "Identity",
    "IdentityKind",
    "IdentityPosture",
    "IdentityStatus",
    "IdentityVersion",
    "KnownPermission",
    "PostureBox",
    "PostureCursor",
    "PostureMark",
    "PostureMeasure",
    "PosturePolicy",
    "PostureVersion",
    "RequestKey",
    "Revocability",
    "SavedView",
    "SavedViewPage",
    "Source",
    "SyncMode",
    "SyncOrigin",
    "SyncRowError",
    "SyncRun",
    "SyncState",
    "TrustBoundary",
    "TrustRelation",
    "Usage",
    "UsageWindow",
]
