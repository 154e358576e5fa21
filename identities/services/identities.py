"""What people say about identities: who answers for them, what they are for, where they run.

Human facts live in columns of their own that no reading of a source ever touches.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.models import Team, User
from identities.models import Environment, Identity
from identities.models.identity import MAX_TAG
from identities.services.decision_notes import note_identities, own_notes
from identities.services.identity_versions import write_versions_of

EDITORS = (Role.ADMINISTRATOR, Role.CAMPAIGN_MANAGER)
MAX_PURPOSE = 2000
MAX_IMPORT = 100_000
MAX_TAGS = 50
# Control characters, invisible marks that turn the direction of a line, and halves of characters.
_UNPRINTABLE = {"Cc", "Cf", "Cs"}


class IdentityChanged(Conflict):
    """Somebody else edited the identity since it was read."""

    code = "identity-changed"


class NotAnOwner(DomainError):
    """The person named cannot be accountable: unknown, or has left."""

    code = "not-an-owner"


class InvalidEdit(DomainError):
    """A field that people may not edit, or a value that it does not take."""

    code = "invalid-edit"


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """One line of an owners file: which identity of which source, and the e-mail of its owner (empty = nobody)."""

    line: int
    source: str
    identity: str
    owner: str


@dataclass(slots=True)
class OwnerImport:
    """What an import of owners did or would do. Any error means that nothing was applied."""

    is_applied: bool = False
    assigned: int = 0
    unchanged: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)


def edit_identity(
    *, identity: Identity, version: int, changes: Mapping[str, Any], actor: Actor, now: datetime, reason: str = ""
) -> Identity:
    """Change what people say about one identity.

    changes: any of owner, backup_owner, sponsor (User or None), team (Team or None), purpose (text), environment (a
    known environment or "" for what the source says), tags (all of people's tags; the source's own stay beside them).
    Raises Forbidden, IdentityChanged, NotAnOwner, InvalidEdit.
    """
    values = {name: checked(name, value) for name, value in changes.items()}
    with transaction.atomic(durable=True):
        locked = Identity.objects.select_for_update(of=("self",)).get(pk=identity.pk)
        require_editor(locked, actor)
        if locked.version != version:
            raise IdentityChanged("Somebody changed this identity since you opened it. Look again.")
        old, new = _apply(locked, values)
        if not new:
            return locked
        if "backup_owner" in new and locked.backup_owner_id and locked.backup_owner_id == locked.owner_id:
            raise InvalidEdit(OWN_BACKUP, field="backup_owner")
        locked.version += 1
        with own_notes():
            locked.save(update_fields=[*(_COLUMN[name] for name in values), "version"])
        note_identities([locked.pk])
        write_versions_of([locked.pk], at=now)
        before, after, personal = plain_facts(old, new)
        log.record(
            verb=Verb.IDENTITY_OWNER_ASSIGNED if "owner" in new else Verb.IDENTITY_CHANGED,
            actor=actor,
            subject=identity_subject(locked),
            now=now,
            old=before,
            new=after,
            reason=reason,
            personal=personal,
        )
    return locked


def assign_owner(
    *, identity: Identity, version: int, owner: User | None, actor: Actor, now: datetime, reason: str = ""
) -> Identity:
    """Make one person accountable, or nobody."""
    return edit_identity(
        identity=identity, version=version, changes={"owner": owner}, actor=actor, now=now, reason=reason
    )


def take_source_value(*, identity: Identity, version: int, name: str, actor: Actor, now: datetime) -> Identity:
    """Let the source's word hold again for owner, sponsor, purpose, environment or tags.

    Only people here can answer for something: for owner and sponsor the person whom the source names takes over.
    Raises what `edit_identity` raises; NotAnOwner also when nobody here has the address that the source names.
    """
    if name in ("owner", "sponsor"):
        address = identity.source_owner if name == "owner" else identity.source_sponsor
        value: Any = User.objects.filter(email__iexact=address, left_at=None).first()
        if value is None:
            raise NotAnOwner("Nobody here has the address that the source names, so nobody would answer.", field=name)
    elif name in ("purpose", "environment", "tags"):
        value = [] if name == "tags" else ""
    else:
        raise InvalidEdit(f"“{name[:40]}” is nothing that both a source and people speak about.", field="name")
    return edit_identity(identity=identity, version=version, changes={name: value}, actor=actor, now=now)


def import_owners(*, rows: Sequence[OwnerRow], actor: Actor, now: datetime, dry_run: bool = False) -> OwnerImport:
    """Assign owners from a list, all rows or none. One audit record per identity that changed."""
    if not actor.has_role(*EDITORS):
        raise Forbidden("Only administrators and campaign managers import owners.")
    report = OwnerImport()
    if len(rows) > MAX_IMPORT:
        raise InvalidEdit(f"At most {MAX_IMPORT} rows at once.")
    with transaction.atomic(durable=True):
        identities = {
            (identity.source.slug, identity.external_id): identity
            # In one order, so that two imports at once wait for each other instead of ending in a deadlock.
            for identity in Identity.objects.select_for_update(of=("self",))
            .order_by("pk")
            .select_related("source")
            .filter(source__slug__in={row.source for row in rows}, external_id__in={row.identity for row in rows})
        }
        people = {
            person.email.lower(): person for person in User.objects.filter(email__in=_spellings(rows), left_at=None)
        }
        changed = _assign_rows(rows, identities, people, report)
        if report.errors or dry_run:
            return report
        Identity.objects.bulk_update([identity for identity, _ in changed], ["owner", "version"], batch_size=1000)
        write_versions_of([identity.pk for identity, _ in changed], at=now)
        log.record_many(
            log.Record(
                verb=Verb.IDENTITY_OWNER_ASSIGNED,
                actor=actor,
                subject=identity_subject(identity),
                now=now,
                old={"owner": old},
                new={"owner": _id_of(identity.owner_id)},
            )
            for identity, old in changed
        )
        report.is_applied = True
    return report


def identity_subject(identity: Identity) -> log.Subject:
    """The identity as the trail names it: names of machines are not personal."""
    return subject_of(identity.pk, identity.kind, identity.external_id)


def subject_of(pk: UUID, kind: str, external_id: str) -> log.Subject:
    """The same for somebody who has only these columns at hand."""
    return log.Subject("identity", str(pk), f"{kind}:{external_id}"[:200])


def plain_facts(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """The facts before and after as the trail keeps them for ever, and beside them what can be erased.

    A purpose and tags are free text and may name people. Of them the trail says only that they changed; what they were
    and became stands in the erasable part.
    """
    texts = {name for name in new if name in {"purpose", "tags"}}
    before = {name: "(text)" if name in texts else _plain(value) for name, value in old.items()}
    after = {name: "(changed)" if name in texts else _plain(value) for name, value in new.items()}
    return before, after, {name: {"old": old[name], "new": new[name]} for name in sorted(texts)} or None


_COLUMN = {
    "owner": "owner",
    "backup_owner": "backup_owner",
    "sponsor": "sponsor",
    "team": "team",
    "purpose": "purpose_edited",
    "environment": "environment_edited",
    "tags": "tags",
}
OWN_BACKUP = "The owner is their own backup. Name somebody else, or nobody."


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are kept: sorted, each once, without spaces at the ends. Raises InvalidEdit."""
    kept = set()
    for tag in tags:
        text = " ".join(tag.split())
        if not text or len(text) > MAX_TAG:
            raise InvalidEdit(f"A tag has 1 to {MAX_TAG} characters.", field="tags")
        if (
            text.startswith("-")
            or "," in text
            or any(unicodedata.category(character) in _UNPRINTABLE for character in text)
        ):
            # In a filter a comma parts two tags, and a minus before one means: not this one.
            raise InvalidEdit(
                "A tag holds no commas and no control characters, and begins with no minus.", field="tags"
            )
        kept.add(text)
    if len(kept) > MAX_TAGS:
        raise InvalidEdit(f"At most {MAX_TAGS} tags.", field="tags")
    return sorted(kept)


def checked(name: str, value: Any) -> Any:
    """One of the changes of `edit_identity` as it would be written. Raises NotAnOwner, InvalidEdit."""
    if name not in _COLUMN:
        raise InvalidEdit(f"“{name}” comes from the source and cannot be edited here.", field=name)
    if name in {"owner", "backup_owner", "sponsor"}:
        if value is not None and (not isinstance(value, User) or value.left_at is not None):
            raise NotAnOwner("This person has left or does not exist, so nobody would answer.", field=name)
    elif name == "team":
        if value is not None and not isinstance(value, Team):
            raise InvalidEdit("There is no such team.", field=name)
    elif name == "environment" and value not in {"", *Environment.values}:
        raise InvalidEdit(f"“{value}” is not a known environment.", field=name)
    elif name == "purpose" and (not isinstance(value, str) or len(value) > MAX_PURPOSE or "\x00" in value):
        raise InvalidEdit(f"The purpose is a text of at most {MAX_PURPOSE} characters.", field=name)
    elif name == "tags":
        return clean_tags(value)
    return value


def require_editor(identity: Identity, actor: Actor) -> None:
    """Refuse whoever may not edit this identity. Raises Forbidden."""
    own = actor.person_id is not None and actor.person_id in {identity.owner_id, identity.backup_owner_id}
    if not own and not actor.has_role(*EDITORS) and "inventory:write" not in actor.scopes:
        raise Forbidden("Only its owner, a campaign manager or an administrator edits an identity.")
    if actor.auth_method == "mail_link":
        raise Forbidden("Sign in with your password to edit; the link from the mail only answers reviews.")


def _apply(identity: Identity, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for name, value in values.items():
        column = _COLUMN[name]
        before = getattr(identity, column)
        if before == value:
            continue
        old[name], new[name] = before, value
        setattr(identity, column, value)
    return old, new


def _plain(value: Any) -> str | None:
    value = getattr(value, "pk", value)
    return _id_of(value) if isinstance(value, UUID) else value


def _id_of(value: Any) -> str | None:
    return str(value) if value is not None else None


def _spellings(rows: Sequence[OwnerRow]) -> set[str]:
    return {spelling for row in rows if row.owner for spelling in (row.owner, row.owner.lower())}


def _assign_rows(
    rows: Sequence[OwnerRow],
    identities: Mapping[tuple[str, str], Identity],
    people: Mapping[str, User],
    report: OwnerImport,
) -> list[tuple[Identity, str | None]]:
    changed: list[tuple[Identity, str | None]] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row.source, row.identity)
        identity = identities.get(key)
        person = people.get(row.owner.lower()) if row.owner else None
        if identity is None:
            report.errors.append((row.line, f"There is no identity “{row.identity}” in the source “{row.source}”."))
        elif row.owner and person is None:
            report.errors.append((row.line, f"Nobody here has the address “{row.owner}”, or the person has left."))
        elif key in seen:
            report.errors.append((row.line, f"“{row.identity}” is named twice."))
        elif identity.owner_id == (person.pk if person else None):
            report.unchanged += 1
        else:
            changed.append((identity, _id_of(identity.owner_id)))
            identity.owner = person
            identity.version += 1
            report.assigned += 1
        seen.add(key)
    return changed
