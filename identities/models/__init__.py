"""The inventory: one file per concept."""

from identities.models.boundary import Authorization, AuthorizationModel, TrustBoundary
from identities.models.decision import DecisionMark, DecisionNote, DecisionPolicy, DecisionTally, NoteScope
from identities.models.domain import DecisionDomain
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
from identities.models.gateway import (
    AgentToken,
    CutKind,
    CutOff,
    GatewayCall,
    GatewayServer,
    GatewaySession,
    GatewayTool,
)
from identities.models.grant import Grant, GrantVersion, KnownPermission, Revocability, Withholding
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
from identities.models.resource import Resource
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
from identities.models.usage import GrantUse, Usage, UsageWindow

__all__ = [
    "AcceptanceEnd",
    "AgentToken",
    "AnalysedPermission",
    "Authorization",
    "AuthorizationModel",
    "Change",
    "ChangeAction",
    "Credential",
    "CredentialKind",
    "Custody",
    "CutKind",
    "CutOff",
    "DecisionDomain",
    "DecisionMark",
    "DecisionNote",
    "DecisionPolicy",
    "DecisionTally",
    "Environment",
    "Finding",
    "FindingAcceptance",
    "FindingEvent",
    "FindingObject",
    "FindingSeverity",
    "FindingState",
    "FindingStep",
    "FixedHow",
    "GatewayCall",
    "GatewayServer",
    "GatewaySession",
    "GatewayTool",
    "Grant",
    "GrantUse",
    "GrantVersion",
    "Identity",
    "IdentityKind",
    "IdentityPosture",
    "IdentityStatus",
    "IdentityVersion",
    "KnownPermission",
    "NoteScope",
    "PostureBox",
    "PostureCursor",
    "PostureMark",
    "PostureMeasure",
    "PosturePolicy",
    "PostureVersion",
    "RequestKey",
    "Resource",
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
    "Withholding",
]
