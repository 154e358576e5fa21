"""One edit of many identities: what it would do, and then exactly that, all at once or not at all.

The preview and the edit judge every identity by the same function. The preview's digest names what was judged, and
the edit refuses when it would judge anything else.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from psycopg.errors import LockNotAvailable

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor
from governance.kernel.errors import Conflict, DomainError, Forbidden
from identities.models import Identity
from identities.selectors.inventory import filtered, sees_everything, visible_identities
from identities.selectors.selection import Selection, SelectionChanged
from identities.services.decision_notes import note_identities, own_notes
from identities.services.identities import (
    EDITORS,
    MAX_TAGS,
    OWN_BACKUP,
    InvalidEdit,
    checked,
    clean_tags,
    plain_facts,
    subject_of,
)
from identities.services.identity_versions import write_versions_of
from identities.services.request_keys import Once, remember, require_new

MOST_IDENTITIES = 100_000
MOST_NAMED = 10_000
SHOWN = 50
EDITABLE = ("owner", "backup_owner", "team", "add_tags", "remove_tags")
# A reading holds its rows only while it writes; whoever meets it tries again for so long.
LOCK_TRIES, LOCK_PAUSE_SECONDS = 20, 0.25
_RECORDS_AT_ONCE = 5_000
# Sorted by code point as Python sorts, whatever the collation of the database.
_MERGED_TAGS = """ARRAY(
    SELECT DISTINCT tag COLLATE "C" FROM unnest(tags::text[] || %s::text[]) AS tag WHERE tag <> ALL (%s::text[])
    ORDER BY 1
)"""
_COLUMN = {"owner": "owner_id", "backup_owner": "backup_owner_id", "team": "team_id"}

RETIRED = "Its source no longer holds it."
GONE = "There is no such identity, or it is not yours to see."
TOO_MANY_TAGS = f"It would have more than {MAX_TAGS} tags."


class TooManyIdentities(DomainError):
    """More identities than one edit takes."""

    code = "too-many-identities"


class IdentitiesBusy(Conflict):
    """A reading or another edit is writing some of these identities at this moment."""

    code = "identities-busy"
    title = "Some of these identities are being written"


class Row(NamedTuple):
    """What an edit has to know of one identity."""

    id: UUID
    kind: str
    external_id: str
    version: int
    retired_at: datetime | None
    owner_id: UUID | None
    backup_owner_id: UUID | None
    team_id: UUID | None
    tags: list[str]


class Difference(NamedTuple):
    """What would change on one identity; both are empty when it is so already. refusal: why it cannot, in words."""

    row: Row
    old: dict[str, Any]
    new: dict[str, Any]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class BulkEdit:
    """What an edit would do or did. `digest` names the selection as it was judged.

    changes, refused: in the order of ids; unchanged: how many are as wished already; reasons: refusals counted.
    """

    digest: str
    selected: int
    unchanged: int
    changes: list[Difference] = field(repr=False)
    refused: list[Difference] = field(repr=False)
    gone: int = 0

    @property
    def reasons(self) -> list[tuple[str, int]]:
        counted = Counter(difference.refusal for difference in self.refused)
        return [*counted.most_common(), *([(GONE, self.gone)] if self.gone else [])]


def preview_bulk_edit(*, selection: Selection, changes: Mapping[str, Any], actor: Actor, now: datetime) -> BulkEdit:
    """What `bulk_edit_identities` would do at this moment; nothing is written. Raises what that raises."""
    wish = _checked_wish(changes)
    rows = _rows(_selected(selection, actor, now))
    return _judge(rows, wish, selection)


def bulk_edit_identities(
    *,
    selection: Selection,
    changes: Mapping[str, Any],
    digest: str | None,
    actor: Actor,
    now: datetime,
    reason: str = "",
    once: Once[BulkEdit] | None = None,
) -> BulkEdit:
    """Say the same about many identities, in one transaction, with one audit record for each that changed.

    changes: any of owner, backup_owner (User or None), team (Team or None), add_tags, remove_tags. digest: of the
    preview; None edits whatever is selected by now. Identities that cannot change stay as they are. once: the key under
    which the sender may ask again and gets the same answer.

    Raises Forbidden, InvalidEdit, NotAnOwner, TooManyIdentities, SelectionChanged, IdentitiesBusy, KeyReused,
    AlreadyDone.
    """
    wish = _checked_wish(changes)
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            return _edit_at_once(selection, wish, digest, actor, now, reason, once)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            if not tries_left:
                raise IdentitiesBusy("A reading or another edit is writing some of them. Try again.") from error
        time.sleep(LOCK_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def _edit_at_once(
    selection: Selection, wish: Mapping[str, Any], digest: str | None, actor: Actor, now: datetime, reason: str,
    once: Once[BulkEdit] | None,
) -> BulkEdit:  # fmt: skip
    with transaction.atomic(durable=True):
        if once is not None:
            require_new(once)
        # Waiting for one row while holding others could end in a deadlock with a reading, whose rows come in an order
        # of their own; so nobody waits here.
        chosen = _selected(selection, actor, now)
        locked = Identity.objects.filter(pk__in=chosen.order_by().values("pk")[: MOST_IDENTITIES + 1])
        edit = _judge(_rows(locked.select_for_update(nowait=True, no_key=True, of=("self",))), wish, selection)
        if digest is not None and digest != edit.digest:
            raise SelectionChanged("Somebody changed one of them, or others match by now. Look again.")
        if edit.changes:
            _write([difference.row.id for difference in edit.changes], wish, now)
            for start in range(0, len(edit.changes), _RECORDS_AT_ONCE):
                part = edit.changes[start : start + _RECORDS_AT_ONCE]
                log.record_many(_record(change, edit, actor, now, reason) for change in part)
        if once is not None:
            remember(once, edit, now=now)
    return edit


def _selected(selection: Selection, actor: Actor, now: datetime) -> QuerySet[Identity]:
    """The identities meant, without order. Raises Forbidden, TooManyIdentities."""
    if not actor.has_role(*EDITORS) and "inventory:write" not in actor.scopes:
        raise Forbidden("Only administrators and campaign managers edit many identities at once.")
    if actor.auth_method == "mail_link":
        raise Forbidden("Sign in with your password to edit; the link from the mail only answers reviews.")
    if not sees_everything(actor):
        raise Forbidden("Whoever edits many identities at once must be able to read them: inventory:read.")
    if selection.filters is not None:
        return filtered(visible_identities(actor), selection.filters, actor=actor, now=now)
    if len(selection.ids) > MOST_NAMED:
        raise TooManyIdentities(f"At most {MOST_NAMED} identities are named at once; use a filter for more.")
    return visible_identities(actor).filter(pk__in=selection.ids)


def _rows(chosen: QuerySet[Identity]) -> list[Row]:
    """The chosen identities by id. Raises TooManyIdentities."""
    rows = list(chosen.order_by("pk").values_list(*Row._fields)[: MOST_IDENTITIES + 1])
    if len(rows) > MOST_IDENTITIES:
        raise TooManyIdentities(
            f"More than {MOST_IDENTITIES:,} identities match. Narrow the filter and edit them in parts.",
            most=MOST_IDENTITIES,
        )
    return [Row(*row) for row in rows]


def _checked_wish(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as they would be written. Raises InvalidEdit, NotAnOwner."""
    if not changes:
        raise InvalidEdit("Say what to set.")
    wish: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in EDITABLE:
            known = ", ".join(EDITABLE)
            raise InvalidEdit(f"“{name}” cannot be edited for many at once. Known: {known}.", field=name)
        if name in _COLUMN:
            wish[name] = checked(name, value)
        else:
            wish[name] = clean_tags(value)
            if not wish[name]:
                raise InvalidEdit("Name at least one tag.", field=name)
    if both := set(wish.get("add_tags", ())) & set(wish.get("remove_tags", ())):
        raise InvalidEdit(f"“{min(both)}” cannot be added and removed at once.", field="remove_tags")
    return wish


def _judge(rows: Sequence[Row], wish: Mapping[str, Any], selection: Selection) -> BulkEdit:
    differences = [_difference(row, wish) for row in rows]
    changes = [each for each in differences if each.new and not each.refusal]
    refused = [each for each in differences if each.refusal]
    gone = len(set(selection.ids)) - len(rows) if selection.filters is None else 0
    return BulkEdit(
        digest=_digest(rows),
        selected=len(rows) + gone,
        unchanged=len(rows) - len(changes) - len(refused),
        changes=changes,
        refused=refused,
        gone=gone,
    )


def _difference(row: Row, wish: Mapping[str, Any]) -> Difference:
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for name, column in _COLUMN.items():
        if name in wish and (wished := getattr(wish[name], "pk", None)) != getattr(row, column):
            old[name], new[name] = getattr(row, column), wished
    tags = sorted({*row.tags, *wish.get("add_tags", ())} - {*wish.get("remove_tags", ())})
    if tags != row.tags:
        old["tags"], new["tags"] = row.tags, tags
    return Difference(row, old, new, _refusal(row, new))


def _refusal(row: Row, new: Mapping[str, Any]) -> str:
    if row.retired_at is not None:
        return RETIRED
    if new.get("backup_owner") and new["backup_owner"] == new.get("owner", row.owner_id):
        return OWN_BACKUP
    return TOO_MANY_TAGS if len(new.get("tags", ())) > MAX_TAGS else ""


def _digest(rows: Iterable[Row]) -> str:
    """Names these identities in these versions, present or retired."""
    found = hashlib.sha256()
    for row in rows:
        found.update(row.id.bytes + row.version.to_bytes(8) + (b"-" if row.retired_at else b"+"))
    return found.hexdigest()[:32]


def _write(ids: list[UUID], wish: Mapping[str, Any], now: datetime) -> None:
    values: dict[str, Any] = {_COLUMN[name]: value for name, value in wish.items() if name in _COLUMN}
    if "add_tags" in wish or "remove_tags" in wish:
        tags = [list(wish.get("add_tags", ())), list(wish.get("remove_tags", ()))]
        values["tags"] = RawSQL(_MERGED_TAGS, tags)  # noqa: S611 - a constant of this module
    chosen: Any = RawSQL("SELECT unnest(%s::uuid[])", [ids])
    with own_notes():
        Identity.objects.filter(pk__in=chosen).update(version=F("version") + 1, **values)
    if "tags" in values:
        note_identities(ids)
    write_versions_of(ids, at=now)


def _record(change: Difference, edit: BulkEdit, actor: Actor, now: datetime, reason: str) -> log.Record:
    old, new, personal = plain_facts(change.old, change.new)
    return log.Record(
        verb=Verb.IDENTITY_OWNER_ASSIGNED if "owner" in new else Verb.IDENTITY_CHANGED,
        actor=actor,
        subject=subject_of(change.row.id, change.row.kind, change.row.external_id),
        now=now,
        old=old,
        new=new,
        reason=reason,
        # The same on every record of one edit: what it belonged to.
        context={"bulk": edit.digest, "changed": len(edit.changes), "selected": edit.selected},
        personal=personal,
    )
