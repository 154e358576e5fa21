"""Saved views: keep what a list shows under a name, for oneself or for everybody who may open the page.

A view holds a question and no answers: whoever opens a shared one sees what they may see.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Actor, ActorKind, Role
from governance.kernel.errors import Conflict, DomainError, Forbidden
from governance.people.models import User
from identities.models import SavedView, SavedViewPage
from identities.selectors.filters import InventoryFilter

MOST_VIEWS = 200
LONGEST_NAME = 80
CHANGEABLE = ("name", "filter", "sort", "columns", "is_shared")
_SORT = re.compile(r"-?[a-z_]{1,39}")
_COLUMNS = re.compile(r"[a-z_]{1,40}(,[a-z_]{1,40}){0,19}")


class InvalidView(DomainError):
    """A name, an order or columns that a view cannot have, or too many views."""

    code = "invalid-view"


class ViewNameTaken(Conflict):
    """The person has a view of this name on this page already."""

    code = "view-name-taken"


class ViewChanged(Conflict):
    """The view was changed since it was read: in another window, or by another program of the same person."""

    code = "view-changed"


def save_view(
    *,
    page: str,
    name: str,
    filter_text: str,
    owner: User,
    actor: Actor,
    now: datetime,
    sort: str = "",
    columns: str = "",
    is_shared: bool = False,
) -> SavedView:
    """Keep a view for `owner`: the person acting, or who answers for the program that acts.

    Raises Forbidden, InvalidView, InvalidFilter, ViewNameTaken.
    """
    _require_own(actor, owner)
    if page not in SavedViewPage.values:
        raise InvalidView(f"Views are kept of: {', '.join(SavedViewPage.values)}.", field="page")
    values = _checked({"name": name, "filter": filter_text, "sort": sort, "columns": columns, "is_shared": is_shared})
    with transaction.atomic(durable=True):
        # One person saves twice at once only by a double click; the count may then be off by one.
        if SavedView.objects.filter(owner=owner).count() >= MOST_VIEWS:
            raise InvalidView(f"One person keeps at most {MOST_VIEWS} views. Delete one first.")
        view = SavedView(page=page, owner=owner, **values)
        _write(view)
        _record(Verb.VIEW_SAVED, view, actor, now, new={"page": page, "is_shared": is_shared}, personal=_words(view))
    return view


def change_view(
    *, view: SavedView, changes: Mapping[str, Any], actor: Actor, owner: User, now: datetime, version: int | None = None
) -> SavedView:
    """Rename a view, share it or not, or let it show something else. `owner`: whose views the actor may change.

    version: the one that was seen; None changes whatever it is by now.
    Raises Forbidden, InvalidView, InvalidFilter, ViewNameTaken, ViewChanged.
    """
    _require_own(actor, owner)
    values = _checked(changes)
    with transaction.atomic(durable=True):
        locked = SavedView.objects.select_for_update().get(pk=view.pk)
        if locked.owner_id != owner.pk:
            raise Forbidden("Only whoever saved a view changes it.")
        if version is not None and locked.version != version:
            raise ViewChanged("It was changed since you opened it. Open it again.")
        old = {name: getattr(locked, name) for name in values if getattr(locked, name) != values[name]}
        if not old:
            return locked
        before = _words(locked)
        for name in old:
            setattr(locked, name, values[name])
        locked.version += 1
        _write(locked)
        plain = [name for name in ("sort", "columns", "is_shared") if name in old]
        _record(
            Verb.VIEW_CHANGED,
            locked,
            actor,
            now,
            old={name: old[name] for name in plain},
            new={name: getattr(locked, name) for name in plain},
            context={"changed": sorted(old)},
            personal={"old": before, "new": _words(locked)},
        )
    return locked


def delete_view(*, view: SavedView, actor: Actor, owner: User, now: datetime) -> None:
    """Remove a view of one's own; administrators also remove what others share. Raises Forbidden."""
    _require_own(actor, owner)
    with transaction.atomic(durable=True):
        locked = SavedView.objects.select_for_update().filter(pk=view.pk).first()
        if locked is None:
            return
        if locked.owner_id != owner.pk and not (locked.is_shared and actor.has_role(Role.ADMINISTRATOR)):
            raise Forbidden("Only whoever saved a view deletes it; administrators also delete shared ones.")
        _record(
            Verb.VIEW_DELETED,
            locked,
            actor,
            now,
            old={"page": locked.page, "is_shared": locked.is_shared},
            personal=_words(locked),
        )
        locked.delete()


def _require_own(actor: Actor, owner: User) -> None:
    if actor.auth_method == "mail_link":
        raise Forbidden("Sign in with your password to keep views; the link from the mail only answers reviews.")
    if actor.kind is ActorKind.API_CLIENT:
        if "inventory:write" not in actor.scopes:
            raise Forbidden("Keeping views needs the scope inventory:write.")
    elif actor.person_id != owner.pk:
        raise Forbidden("Everybody keeps their own views.")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in CHANGEABLE:
            raise InvalidView(f"“{name}” is nothing that a view has.", field=name)
        found[name] = _CHECKS[name](value)
    return found


def _checked_name(value: str) -> str:
    name = " ".join(value.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidView(f"A name has 1 to {LONGEST_NAME} characters.", field="name")
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in name):
        raise InvalidView("A name holds no control characters.", field="name")
    return name


def _checked_sort(value: str) -> str:
    if value and not _SORT.fullmatch(value):
        raise InvalidView("The order is the name of a column, with a minus before it to turn it round.", field="sort")
    return value


def _checked_columns(value: str) -> str:
    if value and not _COLUMNS.fullmatch(value):
        raise InvalidView("Columns are names separated by commas.", field="columns")
    return value


_CHECKS: dict[str, Any] = {
    "name": _checked_name,
    "filter": lambda text: InventoryFilter.parse(text).to_text(),
    "sort": _checked_sort,
    "columns": _checked_columns,
    "is_shared": bool,
}


def _write(view: SavedView) -> None:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        if "identities_saved_view_named" not in str(error):
            raise
        raise ViewNameTaken(f"You have a view called “{view.name}” here already.", field="name") from error


def _words(view: SavedView) -> dict[str, str]:
    """What people typed: it may name people, so it stands in the erasable part of the trail."""
    return {"name": view.name, "filter": view.filter}


def _record(verb: Verb, view: SavedView, actor: Actor, now: datetime, **facts: Any) -> None:
    log.record(verb=verb, actor=actor, subject=log.Subject("view", str(view.pk), view.page), now=now, **facts)
