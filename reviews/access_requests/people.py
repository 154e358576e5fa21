"""Who may ask, answer, end and look back: separation of duties for access on request. Nothing is written here."""

from collections.abc import Callable
from uuid import UUID

from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Forbidden
from governance.people.access import MAIL_LINK
from identities.models import Identity
from reviews.decisions.independence import Parties, conflict_of, parties_of
from reviews.models import AccessRequest

ASK_SCOPE = "access:request"
# Whoever asks for others; owners ask for what is theirs.
ASKERS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER, Role.REVIEWER)
ANSWERERS = (Role.ADMINISTRATOR, Role.REVIEWER)


class OwnRequest(Forbidden):
    """Nobody answers for themself what they asked for."""

    code = "own-request"
    title = "Somebody else has to answer this"


def require_asker(actor: Actor, identity: Identity) -> None:
    """People with a role that asks, or who answer for this identity; programs with the scope. Raises Forbidden."""
    if actor.kind is ActorKind.API_CLIENT:
        if ASK_SCOPE not in actor.scopes:
            raise Forbidden(f"The API token lacks the scope {ASK_SCOPE}.", scope=ASK_SCOPE)
        return
    _require_signed_in(actor)
    if not actor.has_role(*ASKERS) and not _owns(actor.person_id, identity):
        raise Forbidden("You may ask for the identities that you answer for.")


def require_answerer(actor: Actor, request: AccessRequest) -> UUID:
    """The person, if they may say yes or no: independent of whoever asks and of whoever would gain. Raises Forbidden.

    The owner may answer what somebody else asked for, unless it is privileged; holders of a credential never.
    """
    person = _require_signed_in(actor)
    parties = _parties(request)
    _require_independent(person, request, parties)
    if not actor.has_role(*ANSWERERS) and person not in parties.owning_side:
        raise Forbidden("Requests are answered by reviewers, administrators, or the identity's owner.")
    return person


def require_ender(actor: Actor, request: AccessRequest) -> UUID:
    """Taking access away early is open to all who could have refused it, and to whoever asked for it."""
    person = _require_signed_in(actor)
    if person == request.asked_by_id or actor.has_role(*ANSWERERS) or _owns(person, request.identity):
        return person
    raise Forbidden("Access is ended by reviewers, administrators, its owner, or whoever asked for it.")


def require_onlooker(actor: Actor, request: AccessRequest) -> UUID:
    """Who may say afterwards whether an emergency was one: as independent as for an answer."""
    person = _require_signed_in(actor)
    if not actor.has_role(*ANSWERERS):
        raise Forbidden("Emergencies are looked at by reviewers and administrators.")
    _require_independent(person, request, _parties(request))
    return person


def may_answer(actor: Actor, request: AccessRequest) -> bool:
    """Whether a page offers it; the use case has the last word. So with the two below."""
    return _passes(require_answerer, actor, request)


def may_end(actor: Actor, request: AccessRequest) -> bool:
    return _passes(require_ender, actor, request)


def may_look(actor: Actor, request: AccessRequest) -> bool:
    return _passes(require_onlooker, actor, request)


def _passes(require: Callable[[Actor, AccessRequest], UUID], actor: Actor, request: AccessRequest) -> bool:
    try:
        require(actor, request)
    except Forbidden:
        return False
    return True


def _require_independent(person: UUID, request: AccessRequest, parties: Parties) -> None:
    if person == request.asked_by_id:
        raise OwnRequest("You asked for this yourself, or issued the token that did.")
    conflict = conflict_of(person, parties)
    if conflict is not None:
        raise OwnRequest(f"Somebody else has to answer this: you are one who {conflict.sentence}.")


def _require_signed_in(actor: Actor) -> UUID:
    if actor.person_id is None:
        raise Forbidden("Only a signed-in person may do this, not an API token.")
    if actor.auth_method == MAIL_LINK:
        raise Forbidden("You came by a link from a mail. Sign in with your password to do this.")
    return actor.person_id


def _owns(person: UUID | None, identity: Identity) -> bool:
    return person is not None and person in {identity.owner_id, identity.backup_owner_id, identity.sponsor_id}


def _parties(request: AccessRequest) -> Parties:
    [parties] = parties_of([(request.identity_id, None, request.is_privileged)])
    return parties
