"""Name who answers in somebody's place while they are away, and end it early.

The dates take effect by `reviews.decisions.absences`; here only the row is written.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from governance import dispatch
from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from governance.people.access import MAIL_LINK, require_role
from governance.people.models import User
from identities.models import Source
from reviews.models import Campaign, Delegation

LONGEST = timedelta(days=366)
LONGEST_REASON = 1000
MOST_NAMED = 50


class DelegationRefused(DomainError):
    """Nobody can stand in like this: the dates, the person named, or the missing reason; the message says which."""

    code = "delegation-refused"
    title = "This stand-in cannot be named"


class AlreadyAway(Conflict):
    """Somebody stands in for the person at that time already."""

    code = "already-away"
    title = "Somebody stands in already"


class DelegationOver(Conflict):
    """The delegation has ended, so there is nothing to end."""

    code = "delegation-over"


def create_delegation(
    *,
    person: User,
    delegate: User,
    starts_at: datetime,
    ends_at: datetime,
    actor: Actor,
    now: datetime,
    reason: str = "",
    campaigns: Sequence[UUID] = (),
    sources: Sequence[UUID] = (),
) -> Delegation:
    """Let `delegate` answer in the place of `person` from one moment until another.

    The person does it themself; an administrator, or a program with the scope `reviews:write`, does it for them and
    says why. campaigns, sources: ids to which it is limited; none means everything. A start that has passed means
    now. Raises Forbidden, DelegationRefused, AlreadyAway.
    """
    _require_may_act_for(person.pk, actor, reason)
    wanted = Delegation(
        person=person,
        delegate=delegate,
        starts_at=max(starts_at, now),
        ends_at=ends_at,
        campaigns=sorted(set(campaigns)),
        sources=sorted(set(sources)),
        reason=reason.strip(),
        created_by_id=actor.person_id if actor.kind is ActorKind.PERSON else None,
        created_at=now,
    )
    _require_sensible(wanted, now)
    with transaction.atomic(durable=True):
        # Both rows, in one order: two delegations made at once see each other.
        list(User.objects.select_for_update().filter(pk__in=[person.pk, delegate.pk]).order_by("pk"))
        _require_free(wanted)
        wanted.save(force_insert=True)
        log.record(
            verb=Verb.DELEGATION_CREATED,
            actor=actor,
            subject=delegation_subject(wanted),
            now=now,
            new=_facts(wanted),
            reason=wanted.reason,
        )
        dispatch.after_commit("reviews.apply_delegations")
    return wanted


def end_delegation(*, delegation: Delegation, actor: Actor, now: datetime, reason: str = "") -> Delegation:
    """End it now; what is unanswered goes back. The person or the stand-in may, or whoever may act for the person.

    Raises Forbidden, DelegationOver.
    """
    if actor.person_id != delegation.delegate_id or actor.kind is not ActorKind.PERSON:
        _require_may_act_for(delegation.person_id, actor, reason)
    elif actor.auth_method == MAIL_LINK:
        raise Forbidden("You came by a link from a mail. Sign in to do this.")
    with transaction.atomic(durable=True):
        locked = Delegation.objects.select_for_update().filter(pk=delegation.pk).first()
        if locked is None:
            raise NotFound("There is no such delegation.")
        if locked.ended_at is not None:
            raise DelegationOver("This has ended already.")
        locked.ended_by_id = actor.person_id if actor.kind is ActorKind.PERSON else None
        close_delegation(locked, actor, now, why="ended_early", reason=reason.strip())
        dispatch.after_commit("reviews.apply_delegations")
    return locked


def close_delegation(delegation: Delegation, actor: Actor, now: datetime, *, why: str, reason: str = "") -> None:
    """Write the end of a locked delegation and its record. An inner step of the caller's transaction."""
    old = delegation.state
    delegation.ended_at = now
    delegation.version += 1
    if delegation.started_at is None:
        delegation.returned_at = now
    delegation.save(update_fields=["ended_at", "ended_by", "returned_at", "version"])
    log.record(
        verb=Verb.DELEGATION_ENDED,
        actor=actor,
        subject=delegation_subject(delegation),
        now=now,
        old={"state": old},
        new={"state": delegation.state},
        reason=reason,
        context={"why": why},
    )


def delegation_subject(delegation: Delegation) -> log.Subject:
    """The delegation as the subject of an audit record."""
    return log.Subject("delegation", str(delegation.pk), "delegation")


def _facts(delegation: Delegation) -> dict[str, object]:
    return {
        "person": str(delegation.person_id),
        "delegate": str(delegation.delegate_id),
        "starts_at": delegation.starts_at,
        "ends_at": delegation.ends_at,
        "campaigns": [str(each) for each in delegation.campaigns],
        "sources": [str(each) for each in delegation.sources],
    }


def _require_may_act_for(person: UUID, actor: Actor, reason: str) -> None:
    if actor.kind is ActorKind.PERSON and actor.person_id == person:
        if actor.auth_method == MAIL_LINK:
            raise Forbidden("You came by a link from a mail. Sign in to name who stands in for you.")
        return
    require_role(actor, Role.ADMINISTRATOR, scope="reviews:write")
    if not reason.strip():
        raise DelegationRefused("Say why you do this for somebody else.", fields={"reason": "required"})


def _require_sensible(wanted: Delegation, now: datetime) -> None:
    if len(wanted.reason) > LONGEST_REASON or "\x00" in wanted.reason:
        raise DelegationRefused(
            f"The reason has at most {LONGEST_REASON} printable characters.", fields={"reason": "too long"}
        )
    if wanted.ends_at <= wanted.starts_at or wanted.ends_at <= now:
        raise DelegationRefused(
            "The end must come after the start, and not be over yet.", fields={"ends_at": "too early"}
        )
    if wanted.ends_at - wanted.starts_at > LONGEST:
        raise DelegationRefused("At most a year; after that it is no absence.", fields={"ends_at": "too late"})
    if wanted.person_id == wanted.delegate_id:
        raise DelegationRefused("Name somebody else.", fields={"delegate": "the same person"})
    for name, person in (("person", wanted.person), ("delegate", wanted.delegate)):
        if not person.is_active or person.left_at is not None:
            raise DelegationRefused("This person has left or cannot sign in.", fields={name: "not active"})
    _require_known("campaigns", wanted.campaigns, Campaign)
    _require_known("sources", wanted.sources, Source)


def _require_known(name: str, ids: Sequence[UUID], kind: type[Campaign] | type[Source]) -> None:
    if len(ids) > MOST_NAMED:
        raise DelegationRefused(f"At most {MOST_NAMED} at once.", fields={name: "too many"})
    if ids and kind._default_manager.filter(pk__in=ids).count() != len(ids):
        raise DelegationRefused("One of these does not exist.", fields={name: "unknown"})


def _require_free(wanted: Delegation) -> None:
    """One stand-in per question, and no chain: whoever is away then cannot be named. Raises what the caller raises."""
    live = Delegation.objects.filter(ended_at=None, person__in=[wanted.person_id, wanted.delegate_id])
    for other in live:
        if not wanted.shares_with(other):
            continue
        if other.person_id == wanted.person_id:
            raise AlreadyAway(
                "Somebody stands in at that time already. End that first, or choose other dates.",
                delegation=str(other.pk),
            )
        raise DelegationRefused(
            "This person is away then as well. Name somebody who is there.", fields={"delegate": "away too"}
        )
