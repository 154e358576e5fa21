"""The closed vocabulary of the trail: what can have happened, each verb with a sentence for people.

A verb is `noun.past_participle`. Verbs are written into evidence that outlives the code, so they are never renamed
and never removed; a new one is added here and described in docs/audit.md (a test compares the two).
"""

from enum import StrEnum


class Verb(StrEnum):
    """One thing that can have happened. `verb.description` says it in plain words."""

    description: str

    def __new__(cls, value: str, description: str) -> "Verb":
        verb = str.__new__(cls, value)
        verb._value_ = value
        verb.description = description
        return verb

    # people and sign-in
    USER_SIGNED_IN = "user.signed_in", "A person signed in."
    USER_SIGN_IN_FAILED = "user.sign_in_failed", "Somebody tried to sign in and was refused."
    USER_SIGNED_OUT = "user.signed_out", "A person signed out."
    USER_CREATED = "user.created", "A person was added."
    USER_CHANGED = "user.changed", "A person's details or password changed."
    USER_LEFT = "user.left", "A person left; their open work moves to others."
    USER_ROLES_CHANGED = "user.roles_changed", "A person gained or lost roles."
    TEAM_CREATED = "team.created", "A team was added."
    TEAM_CHANGED = "team.changed", "A team's name or members changed."
    PEOPLE_IMPORTED = "people.imported", "People and owners were read from a file."
    TOKEN_CREATED = "token.created", "An API token was issued."
    TOKEN_REVOKED = "token.revoked", "An API token was ended before its date."
    TOKEN_NARROWED = "token.narrowed", "Scopes were withheld from an API token."
    TOKEN_RESTORED = "token.restored", "An API token got back scopes that had been withheld from it."
    MFA_ENABLED = "mfa.enabled", "A person turned a second factor on."
    MFA_DISABLED = "mfa.disabled", "A person's second factor was turned off."
    ACCESS_REFUSED = "access.refused", "Somebody asked for what their role or token does not allow."

    # sources and readings
    SOURCE_REGISTERED = "source.registered", "A system was connected as a source."
    SOURCE_CHANGED = "source.changed", "A source's settings changed."
    SOURCE_READ_REQUESTED = "source.read_requested", "Somebody asked for a source to be read now."
    SOURCE_PREVIEW_REQUESTED = (
        "source.preview_requested",
        "Somebody asked what reading a source would change.",
    )
    SOURCE_CHECKED = "source.checked", "Somebody tried the connection to a system with the settings of a source."
    SYNC_APPLIED = "sync.applied", "A reading of a source became part of the inventory."
    SYNC_REJECTED = "sync.rejected", "A reading was refused as a whole; the inventory did not change."
    SYNC_HELD = "sync.held", "A reading would remove more than the limit and waits for a person."
    SYNC_ACCEPTED = "sync.accepted", "A person let a held reading through."
    SYNC_CANCELLED = "sync.cancelled", "A reading that was under way ended because somebody asked for it."
    SYNC_CANCEL_REQUESTED = "sync.cancel_requested", "Somebody asked for a reading that is under way to stop."
    SYNC_FAILED = "sync.failed", "A source could not be read to the end."

    DECISION_POLICY_CHANGED = (
        "decision_policy.changed",
        "How requests are decided beyond what grants say was set anew, as a new version.",
    )
    DOMAIN_CREATED = "domain.created", "A decision domain was written down: sources that answer requests together."
    DOMAIN_CHANGED = "domain.changed", "A decision domain answers by other sources or other rules, or was switched off."

    # identities
    IDENTITY_OWNER_ASSIGNED = "identity.owner_assigned", "An identity got another accountable owner, or none."
    IDENTITY_CHANGED = (
        "identity.changed",
        "A person edited an identity's purpose, environment or other fields.",
    )
    IDENTITY_REGISTERED = (
        "identity.registered",
        "A person took an identity on: who answers for it, and what it is for.",
    )
    IDENTITY_CADENCE_DECLARED = (
        "identity.cadence_declared",
        "A person said how rarely an identity is used without being dormant.",
    )
    AUTHORIZATION_DECLARED = (
        "authorization.declared",
        "Somebody said how the application behind an identity or a source decides.",
    )
    BOUNDARY_REGISTERED = "boundary.registered", "Somebody registered whose word a source may accept."
    BOUNDARY_CHANGED = "boundary.changed", "The record of a trust boundary changed."
    BOUNDARY_REVIEWED = "boundary.reviewed", "Somebody confirmed a trust boundary until its next review."
    BOUNDARY_WITHDRAWN = "boundary.withdrawn", "The record of a trust boundary holds no longer."
    VIEW_SAVED = "view.saved", "Somebody kept a view of a list under a name."
    VIEW_CHANGED = "view.changed", "Somebody renamed, shared or changed a saved view."
    VIEW_DELETED = "view.deleted", "Somebody deleted a saved view."

    # findings
    FINDINGS_CHANGED = "findings.changed", "Rules were applied anew: findings opened, came back, changed or were fixed."
    FINDING_OPENED = "finding.opened", "A critical finding opened or came back."
    FINDING_ASSIGNED = "finding.assigned", "Somebody, or nobody any more, is to see to a finding."
    FINDING_ACCEPTANCE_REQUESTED = "finding.acceptance_requested", "Somebody asked for an exception for a finding."
    FINDING_ACCEPTED = "finding.accepted", "A second person approved an exception for a finding, until a date."
    FINDING_ACCEPTANCE_REFUSED = "finding.acceptance_refused", "An exception for a finding was refused."
    FINDING_ACCEPTANCE_WITHDRAWN = (
        "finding.acceptance_withdrawn",
        "An exception for a finding, or the wish for one, was taken back.",
    )
    FINDING_ACCEPTANCE_EXPIRED = (
        "finding.acceptance_expired",
        "The time of an exception for a finding ran out; the finding is open again.",
    )
    # the gateway of agents
    GATEWAY_SERVER_REGISTERED = "gateway_server.registered", "An MCP server was put behind the gateway."
    GATEWAY_SERVER_CHANGED = (
        "gateway_server.changed",
        "How the gateway reaches an MCP server changed, or whether it does.",
    )
    GATEWAY_TOOLS_SEEN = (
        "gateway_tools.seen",
        "An MCP server told new or changed tools; what is not accepted yet waits for a person.",
    )
    GATEWAY_TOOLS_ACCEPTED = "gateway_tools.accepted", "A person accepted definitions of an MCP server's tools."
    AGENT_TOKEN_LINKED = "agent.token_linked", "An API token speaks for an agent at the gateway from now on."
    ACCESS_CUT_OFF = "access.cut_off", "An agent, an MCP server or a tool was cut off, with effect on the next call."
    ACCESS_GIVEN_BACK = "access.given_back", "A person let an agent, an MCP server or a tool be used again."

    # posture
    POSTURE_POLICY_CHANGED = (
        "posture_policy.changed",
        "The numbers by which posture is judged changed; everything is judged by the new ones.",
    )

    # reviews
    SCHEDULE_CREATED = "schedule.created", "A review schedule was written."
    SCHEDULE_CHANGED = "schedule.changed", "A review schedule changed."
    SCHEDULE_PAUSED = "schedule.paused", "A review schedule was paused."
    SCHEDULE_RESUMED = "schedule.resumed", "A paused review schedule runs again."
    SCHEDULE_INTERVAL_APPROVED = (
        "schedule.interval_approved",
        "Somebody approved the reason that another wrote for a schedule's interval.",
    )
    CAMPAIGN_CREATED = "campaign.created", "A campaign was drafted, for one date of a schedule or by hand."
    CAMPAIGN_HELD = "campaign.held", "A campaign waits with its opening for sources that were not read for too long."
    CAMPAIGN_RELEASED = "campaign.released", "Somebody let a waiting campaign open although sources are not fresh."
    CAMPAIGN_OPENED = (
        "campaign.opened",
        "A campaign opened: its population is frozen and reviewers can answer.",
    )
    CAMPAIGN_CLOSED = "campaign.closed", "A campaign closed: its decisions are final."
    CAMPAIGN_COMPLETED = "campaign.completed", "Every order of a campaign is verified or settled by a person."
    CAMPAIGN_CANCELLED = "campaign.cancelled", "A campaign was called off, with a reason."
    QUALITY_READ = "quality.read", "Somebody read, person by person, how the questions of a campaign were answered."
    CAMPAIGN_ACKNOWLEDGED = "campaign.acknowledged", "A person of management acknowledged how a campaign ended."
    WATCH_CREATED = "watch.created", "A rule was written for opening reviews between their dates."
    WATCH_CHANGED = "watch.changed", "A rule for opening reviews between their dates changed."
    ITEM_ASSIGNED = "item.assigned", "A question was given to a reviewer."
    ITEM_REROUTED = "item.rerouted", "A question went to another person because it was not the first one's."
    ITEM_DELEGATED = "item.delegated", "A reviewer handed a question to somebody else."
    ITEM_ANSWERED = "item.answered", "An owner attested: still needed, may be narrowed, or can go."
    ITEM_DECIDED = "item.decided", "A reviewer decided on a question."
    ITEM_CARRIED = (
        "item.carried",
        "An earlier decision was carried over to an unchanged question, by the review's rules.",
    )
    ITEM_RECALLED = "item.recalled", "A decision was taken back before it was sent."
    ITEM_EXPIRED = "item.expired", "A question met its deadline unanswered and the policy answered."
    ITEM_ESCALATED = "item.escalated", "An unanswered question went to the next person in line."

    DELEGATION_CREATED = (
        "delegation.created",
        "Somebody was named to answer in a person's place, from one date until another.",
    )
    DELEGATION_STARTED = "delegation.started", "A delegation took effect: open questions go to whoever was named."
    DELEGATION_ENDED = "delegation.ended", "A delegation ended: what is unanswered goes back."
    REMARK_ASKED = "remark.asked", "Somebody asked another person about a question before answering it."
    REMARK_ANSWERED = "remark.answered", "The person who was asked about a question replied."

    # orders at the sources
    ORDER_PLANNED = "order.planned", "A change at a source was planned."
    ORDER_APPROVED = "order.approved", "A second person released a planned change."
    ORDER_HELD = "order.held", "A budget for changes was used up, so this one waits for two people."
    ORDER_INTERRUPTED = (
        "order.interrupted",
        "The database was restored to a time at which a change was under way; whether it was made has to be looked at.",
    )
    ORDER_REFUSED = "order.refused", "A second person refused to release a planned change; it ended unsent."
    ORDER_WATCHED = (
        "order.watched",
        "An identity was locked out; its access is removed on a date unless somebody protests.",
    )
    ORDER_PROTESTED = "order.protested", "Somebody said that a lock-out broke something; the lock is being taken off."
    ORDER_QUESTIONED = "order.questioned", "A protest against a lock-out was taken into a question that waits already."
    ORDER_URGENCY_SIGNED = (
        "order.urgency_signed",
        "A first person said that a held change cannot wait for its window; a second one has to agree.",
    )
    ORDER_URGENTLY_RELEASED = (
        "order.urgently_released",
        "A second person agreed that a held change does not wait for its window.",
    )
    ORDER_SENT = "order.sent", "A planned change was handed to a worker; it can no longer be recalled."
    ORDER_RECALLED = "order.recalled", "A planned change was withdrawn before it was sent."
    ORDER_EXECUTING = "order.executing", "A worker began to carry a change out."
    ORDER_APPLIED = "order.applied", "The source accepted the change."
    ORDER_VERIFIED = "order.verified", "A later reading, or Remit's decision point, showed that the permission is gone."
    ORDER_FAILED = (
        "order.failed",
        "An attempt at a change failed; it is repeated later unless it was the last.",
    )
    ORDER_DRIFTED = "order.drifted", "The source no longer looked as planned, so nothing was changed."
    ORDER_BLOCKED = "order.blocked", "A change cannot be carried out as things stand; the reason is given."
    ORDER_PARTIAL = "order.partial", "Some steps of a change were carried out, not all."
    ORDER_STILL_EFFECTIVE = (
        "order.still_effective",
        "The change was made, yet the permission is still held another way.",
    )
    ORDER_SESSIONS_REMAIN = (
        "order.sessions_remain",
        "The change was made, but open sessions still carry the old permission.",
    )
    ORDER_TASK_OPENED = (
        "order.task_opened",
        "Remit cannot write there, so a person was asked to make the change.",
    )
    ORDER_TASK_DONE = (
        "order.task_done",
        "A person says that the requested change is made; a reading will check it.",
    )
    ORDER_SETTLED = "order.settled", "A person looked at an order that could not be verified and let it rest."
    ORDER_RESTORED = "order.restored", "A change was undone and the earlier permission is back, for a time."
    ORDER_REAPPEARED = "order.reappeared", "A permission that had been removed was seen again."
    WINDOW_CREATED = "window.created", "Hours were set in which orders may run."
    WINDOW_REMOVED = "window.removed", "Hours in which orders may run no longer apply."
    FREEZE_CREATED = "freeze.created", "Orders were stopped for a time, for a reason."
    FREEZE_LIFTED = "freeze.lifted", "A freeze was ended before its time."
    APPROVAL_LAPSED = "approval.lapsed", "An approval with an end date ran out."

    BRAKE_TRIPPED = "brake.tripped", "More was to be taken away in an hour than the budget allows; the rest is held."
    BRAKE_SIGNED = "brake.signed", "A first person would release what a brake holds; a second one has to agree."
    BRAKE_RELEASED = "brake.released", "A second person agreed, and what a brake held is sent."
    BRAKE_RECALLED = "brake.recalled", "A person called off what a brake held."
    RESTORE_HOLD_RELEASED = (
        "restore_hold.released",
        "After a restore a person looked at a source, and its orders are sent again.",
    )
    RESTORE_HOLD_RECALLED = (
        "restore_hold.recalled",
        "After a restore a person looked at a source and withdrew what was still to be sent there.",
    )
    BRAKE_BUDGET_SET = "brake.budget_set", "A source got its own budget for changes per hour, or lost it."
    ORDER_TICKET_LINKED = "order.ticket_linked", "Another system keeps a ticket for an order; its reference was noted."

    # access on request
    ACCESS_REQUEST_MADE = "access_request.made", "Somebody asked that an identity may do something for a while."
    ACCESS_REQUEST_EMERGENCY_GRANTED = (
        "access_request.emergency_granted",
        "Access was asked for in an emergency, and holds at once for the shortest time.",
    )
    ACCESS_REQUEST_GRANTED = "access_request.granted", "Somebody independent granted access that was asked for."
    ACCESS_REQUEST_DENIED = "access_request.denied", "Somebody independent refused access that was asked for."
    ACCESS_REQUEST_CANCELLED = "access_request.cancelled", "Whoever had asked for access took the request back."
    ACCESS_REQUEST_LAPSED = "access_request.lapsed", "Nobody answered a request for access in time."
    ACCESS_REQUEST_ENDED = "access_request.ended", "Access on request ended, by its date or early."
    ACCESS_REQUEST_END_VERIFIED = (
        "access_request.end_verified",
        "The decision point was asked after the end, and its answer noted.",
    )
    ACCESS_REQUEST_LOOKED_AT = (
        "access_request.looked_at",
        "After an emergency, somebody independent noted whether it was one.",
    )

    # webhooks
    WEBHOOK_CREATED = "webhook.created", "An address of another system was added that is told what happens here."
    WEBHOOK_CHANGED = "webhook.changed", "A webhook's address, name or choice of events changed."
    WEBHOOK_REMOVED = "webhook.removed", "A webhook was removed; nothing more is sent there."
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated", "A webhook got a new signing secret."
    WEBHOOK_SWITCHED_OFF = (
        "webhook.switched_off",
        "A webhook was switched off, by a person or after it failed for days.",
    )
    WEBHOOK_SWITCHED_ON = "webhook.switched_on", "A webhook was switched on again."
    WEBHOOK_TEST_REQUESTED = "webhook.test_requested", "Somebody asked for a test event to be sent to a webhook."
    WEBHOOK_RESEND_REQUESTED = "webhook.resend_requested", "Somebody asked for an event to be sent to a webhook again."

    # mail, evidence, downloads
    MAIL_SENT = "mail.sent", "A message was sent to a person."
    EVIDENCE_PACK_REQUESTED = "evidence_pack.requested", "Somebody asked for the evidence of a campaign as a file."
    EVIDENCE_PACK_BUILT = "evidence_pack.built", "The evidence of a campaign was written as a file."
    EVIDENCE_PACK_FAILED = "evidence_pack.failed", "The evidence of a campaign could not be written."
    EVIDENCE_PACK_DOWNLOADED = "evidence_pack.downloaded", "Somebody took the evidence of a campaign out as a file."
    AUDIT_EXPORTED = "audit.exported", "Somebody downloaded part of the trail."
    AUDIT_VERIFIED = "audit.verified", "Somebody verified the trail; the result is recorded."
    CHECKPOINT_SIGNED = (
        "checkpoint.signed",
        "A signed checkpoint of the trail was written outside the database.",
    )
    INSTALLATION_RESTORED = (
        "installation.restored",
        "The database was restored from a backup; nothing is sent until a person has looked at each source.",
    )
    EPOCH_BEGUN = (
        "epoch.begun",
        "The trail goes on under a new name; the record keeps the last checkpoint of the old one.",
    )
    DECISION_LOG_SEALED = (
        "decision_log.sealed",
        "New lines of the decision log were chained; the record keeps their Merkle root.",
    )
    CHECKPOINT_PLACE_FAILED = (
        "checkpoint.place_failed",
        "A place outside does not take checkpoints any more; it is tried again until it does.",
    )
    CHECKPOINT_PLACE_RECOVERED = (
        "checkpoint.place_recovered",
        "A place outside that had failed takes checkpoints again.",
    )
    DETAIL_ERASED = (
        "detail.erased",
        "Free text or personal data beside the trail was erased; the proof still holds.",
    )
    HOLD_PLACED = "hold.placed", "Somebody ordered that records are neither erased nor retired for now."
    HOLD_LIFTED = "hold.lifted", "A legal hold ended."
    ARCHIVE_VERIFIED = "archive.verified", "Old events were copied to an archive, and its verification passed."
    EVENTS_RETIRED = (
        "events.retired",
        "The contents of old events were removed from here; they are in an archive, and the proof still holds.",
    )
    INVENTORY_EXPORTED = "inventory.exported", "Somebody downloaded part of the inventory."
