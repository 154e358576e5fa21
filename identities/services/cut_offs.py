"""Kill switches: cut an agent, a server or one tool off, and let it be used again.

Whoever answers for an agent may always stop it, and an administrator may stop anything. Giving back is the larger step:
it needs an administrator, another person than the one who cut, and nobody who answers for the agent.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import MAIL_LINK, require_role
from governance.people.models import ApiToken
from identities.models import CutKind, CutOff, GatewayServer, Identity, IdentityKind
from identities.services.gateway_servers import server_subject
from identities.services.identities import identity_subject

REVIEW_TASK = "reviews.ask_about_cut_offs"
LONGEST_REASON = 2_000


class CutOffAlready(Conflict):
    """It is cut off already; `cut_off` names the one that holds."""

    code = "cut-off-already"
    title = "This is cut off already"


class ReasonMissing(DomainError):
    """Stopping and giving back are both explained, because both are looked at later."""

    code = "reason-missing"
    title = "Say why"


class NoTarget(DomainError):
    """What was named can't be cut off at the gateway."""

    code = "no-cut-off-target"
    title = "This can't be cut off"


class SecondPersonNeeded(Forbidden):
    """Somebody else has to give it back."""

    code = "second-person-needed"
    title = "Somebody else has to do this"


@dataclass(frozen=True, slots=True)
class Target:
    """What is cut off: an agent, a server, or (with `tool`) one tool of a server. Exactly one is meant."""

    identity: Identity | None = None
    server: GatewayServer | None = None
    tool: str = ""

    @property
    def kind(self) -> CutKind:
        if (self.identity is None) == (self.server is None) or (self.tool and self.server is None):
            raise NoTarget("Name an agent, or a server, or a tool of a server.")
        return CutKind.AGENT if self.identity is not None else CutKind.TOOL if self.tool else CutKind.SERVER


def cut_off(*, target: Target, reason: str, actor: Actor, now: datetime) -> CutOff:
    """Stop it with effect on the next call, in every process, and have a review look at what stands behind it.

    Raises `CutOffAlready`, `ReasonMissing`, `NoTarget`, `Forbidden`.
    """
    kind = target.kind
    _require_may_cut(target, actor)
    reason = _reason(reason)
    if target.identity is not None and target.identity.kind != IdentityKind.AI_AGENT:
        raise NoTarget("Only an AI agent is cut off here.")
    if target.tool and (len(target.tool) > 256 or not target.tool.isprintable()):
        raise NoTarget("This is no name of a tool.", field="tool")
    with transaction.atomic(durable=True):
        row = CutOff(
            kind=kind,
            identity=target.identity,
            server=target.server,
            tool=target.tool,
            reason=reason,
            cut_at=now,
            cut_by_id=_person_behind(actor),
            cut_by_label=actor.label[:120],
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise CutOffAlready("It is cut off already, and nothing gets through.") from None
        log.record(
            verb=Verb.ACCESS_CUT_OFF,
            actor=actor,
            subject=subject_of(row),
            now=now,
            new=_facts(row),
            reason=reason,
        )
        dispatch.after_commit(REVIEW_TASK)
    return row


def restore_access(*, cut_off_id: UUID, reason: str, actor: Actor, now: datetime) -> CutOff:
    """Let it be used again, by what its grants say now.

    Only an administrator who neither cut it off nor answers for the agent, and no program. Raises
    `SecondPersonNeeded`, `ReasonMissing`, `NotFound`, `Conflict` where it was given back before, `Forbidden`.
    """
    require_role(actor, Role.ADMINISTRATOR)
    reason = _reason(reason)
    with transaction.atomic(durable=True):
        row = CutOff.objects.select_for_update(of=("self",)).filter(pk=cut_off_id).first()
        if row is None:
            raise NotFound("There is no such kill switch.")
        if row.restored_at is not None:
            raise Conflict("This was given back already.")
        why_not = why_not_restore(row, actor)
        if why_not:
            raise SecondPersonNeeded(why_not)
        row.restored_at, row.restored_by_id, row.restored_reason = now, actor.person_id, reason
        row.save(update_fields=["restored_at", "restored_by", "restored_reason"])
        log.record(
            verb=Verb.ACCESS_GIVEN_BACK,
            actor=actor,
            subject=subject_of(row),
            now=now,
            old=_facts(row),
            new={"restored_at": now},
            reason=reason,
        )
    return row


def may_cut(target: Target, actor: Actor) -> bool:
    """Whether the actor may stop this."""
    try:
        _require_may_cut(target, actor)
    except DomainError:
        return False
    return True


def why_not_restore(row: CutOff, actor: Actor) -> str:
    """The sentence that tells an administrator why somebody else has to give this back; empty where they may."""
    if actor.kind is not ActorKind.PERSON:
        return ""
    if row.cut_by_id == actor.person_id:
        return "You cut it off yourself: another administrator gives it back."
    if row.identity_id and _answers_for(row.identity_id, actor.person_id):
        return "You answer for this agent: another administrator gives it back."
    return ""


def subject_of(row: CutOff) -> log.Subject:
    """What was cut off, as the trail names it."""
    if row.identity is not None:
        return identity_subject(row.identity)
    assert row.server is not None  # noqa: S101 - the database says so
    return server_subject(row.server)


def _require_may_cut(target: Target, actor: Actor) -> None:
    identity = target.identity
    is_signed_in = actor.kind is ActorKind.PERSON and actor.auth_method != MAIL_LINK
    if identity is not None and is_signed_in and _answers_for(identity.pk, actor.person_id):
        return
    require_role(actor, Role.ADMINISTRATOR, scope="clients:narrow")


def _answers_for(identity_id: UUID, person: UUID | None) -> bool:
    """Whether the person is owner, backup owner, sponsor, or in the team of the agent."""
    answers = Q(owner=person) | Q(backup_owner=person) | Q(sponsor=person) | Q(team__members=person)
    return person is not None and Identity.objects.filter(answers, pk=identity_id).exists()


def _person_behind(actor: Actor) -> UUID | None:
    """The person who cut, or whoever issued the token of the program that did: nobody undoes their own program's."""
    if actor.kind is ActorKind.API_CLIENT:
        return ApiToken.objects.filter(pk=actor.id).values_list("created_by_id", flat=True).first()
    return actor.person_id


def _reason(text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST_REASON or "\x00" in text:
        raise ReasonMissing(f"Say why, in 1 to {LONGEST_REASON:,} characters.", field="reason")
    return text


def _facts(row: CutOff) -> dict[str, str]:
    facts = {"kind": str(row.kind), "switch": row.pk.hex}
    return facts | {"tool": row.tool} if row.tool else facts
