"""How the application behind an identity or a source decides, as its owner declares it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.breadth import ORDER
from governance.kernel.errors import Conflict, DomainError
from governance.kernel.privileges import PrivilegeClass
from governance.people.access import require_role
from identities.models import Authorization, AuthorizationModel, Identity, Source
from identities.services.identities import require_editor
from identities.services.posture_marks import mark_in
from identities.services.sources import source_subject

LONGEST_NOTE = 2_000


class InvalidDeclaration(DomainError):
    """A value that nobody can declare; `field` names it."""

    code = "invalid-declaration"
    title = "This can't be declared"


# Whoever stands on this application: the identity itself, or all of the source.
_CONCERNED = """
SELECT id FROM identities_identity WHERE retired_at IS NULL AND (id = %(of)s::uuid OR source_id = %(of)s::uuid)
"""


class DeclarationChanged(Conflict):
    """Somebody else declared something since it was read."""

    code = "declaration-changed"
    title = "The declaration changed since you read it"


def declare_authorization(
    *,
    of: Identity | Source,
    model: str,
    classes: Collection[str],
    breadth: str,
    note: str,
    version: int,
    actor: Actor,
    now: datetime,
) -> Authorization:
    """Say how the application decides; an empty model takes the word back.

    classes, breadth: what the application itself can do, where signing in is all that it asks. version: of what was
    seen, 0 where nothing was declared. Of an identity its owners and whoever edits identities speak, of a source
    administrators. Raises Forbidden, InvalidDeclaration, DeclarationChanged.
    """
    _require_word(of, actor)
    values = _checked(model, classes, breadth, note)
    by = {"identity": of} if isinstance(of, Identity) else {"source": of}
    with transaction.atomic(durable=True):
        found = Authorization.objects.select_for_update(of=("self",)).filter(**by).first()
        if (found.version if found else 0) != version:
            raise DeclarationChanged("Somebody declared something else since you opened this. Look again.")
        old = {name: getattr(found, name) for name in values} if found else dict.fromkeys(values)
        if found and old == values:
            return found
        declared = found or Authorization(**by, version=0)
        for name, value in values.items():
            setattr(declared, name, value)
        declared.declared_by_id, declared.declared_at = actor.person_id, now
        declared.version += 1
        _write(declared)
        mark_in(_CONCERNED, {"of": of.pk})
        log.record(
            verb=Verb.AUTHORIZATION_DECLARED,
            actor=actor,
            subject=_subject(of),
            now=now,
            old={name: value for name, value in old.items() if name != "note"} if found else None,
            new={name: value for name, value in values.items() if name != "note"},
            reason=note.strip(),
        )
    return declared


def _require_word(of: Identity | Source, actor: Actor) -> None:
    if isinstance(of, Source):
        require_role(actor, Role.ADMINISTRATOR, scope="inventory:write")
    else:
        require_editor(of, actor)


def _checked(model: str, classes: Collection[str], breadth: str, note: str) -> dict[str, Any]:
    if model and model not in AuthorizationModel.values:
        raise InvalidDeclaration(f"Known are: {', '.join(AuthorizationModel.values)}.", field="model")
    known = [each.value for each in PrivilegeClass]
    unknown = sorted(set(classes) - set(known))
    if unknown:
        raise InvalidDeclaration(
            f"“{unknown[0][:40]}” is no privilege class; known are {', '.join(known)}.", field="classes"
        )
    if breadth and breadth not in ORDER:
        raise InvalidDeclaration(f"Breadth is one of {', '.join(ORDER)}.", field="breadth")
    if len(note) > LONGEST_NOTE:
        raise InvalidDeclaration("The note has more than 2,000 characters.", field="note")
    if not model and (classes or breadth):
        raise InvalidDeclaration("Say how the application decides, or leave everything empty.", field="model")
    return {
        "model": model,
        "classes": [name for name in known if name in set(classes)],
        "breadth": breadth,
        "note": note.strip(),
    }


def _write(declared: Authorization) -> None:
    try:
        with transaction.atomic():
            declared.save()
    except IntegrityError as error:
        raise DeclarationChanged("Somebody declared something at the same moment. Look again.") from error


def _subject(of: Identity | Source) -> log.Subject:
    if isinstance(of, Source):
        return source_subject(of)
    return log.Subject("identity", str(of.pk), f"{of.kind}:{of.external_id}"[:200])
