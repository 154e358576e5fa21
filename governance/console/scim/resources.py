"""People and teams as SCIM resources, and what a directory sends as wishes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse

from governance.console.scim.messages import ENTERPRISE, GROUP, USER, Document, ScimRefused
from governance.people.directory import PersonWish, TeamWish
from governance.people.models import Team, User

MOST_MEMBERS = 10_000


def etag(version: int) -> str:
    """Weak, as the document also shows teams, which have versions of their own."""
    return f'W/"v{version}"'


def user_document(user: User) -> Document:
    """A person. `active` says whether they are here; somebody locked out by an administrator still is."""
    document: Document = {
        "schemas": [USER, ENTERPRISE] if user.manager_id else [USER],
        "id": str(user.pk),
        "userName": user.email,
        "name": {"formatted": user.name},
        "displayName": user.name,
        "active": user.left_at is None,
        "emails": [{"value": user.email, "type": "work", "primary": True}],
        "groups": [
            {"value": str(team.pk), "display": team.name, "type": "direct"}
            for team in user.teams.all()
            if team.directory_removed_at is None
        ],
        "meta": {
            "resourceType": "User",
            "created": user.created_at.isoformat(),
            "location": reverse("scim_user", args=[user.pk]),
            "version": etag(user.version),
        },
    }
    if user.external_id:
        document["externalId"] = user.external_id
    if user.manager is not None:
        document[ENTERPRISE] = {"manager": {"value": str(user.manager_id), "displayName": user.manager.name}}
    return document


def group_document(team: Team) -> Document:
    """A team with its members."""
    document: Document = {
        "schemas": [GROUP],
        "id": str(team.pk),
        "displayName": team.name,
        "members": [
            {"value": str(person.pk), "display": person.name, "type": "User"}
            for person in team.members.all()
            if person.directory_removed_at is None
        ],
        "meta": {
            "resourceType": "Group",
            "created": team.created_at.isoformat(),
            "location": reverse("scim_group", args=[team.pk]),
            "version": etag(team.version),
        },
    }
    return document | ({"externalId": team.external_id} if team.external_id else {})


def person_wish(document: Any) -> PersonWish:
    """What a directory sends about a person; names of attributes in any case. Raises ScimRefused."""
    given = _lower(document)
    email = _text(given.get("username")) or _first_email(given.get("emails"))
    if not email:
        raise ScimRefused("userName is needed: the e-mail address by which the person signs in.")
    if "@" not in email:
        email = _first_email(given.get("emails")) or email
    manager = _lower(given.get(ENTERPRISE.lower(), {})).get("manager")
    return PersonWish(
        email=email,
        name=_name(given) or email,
        external_id=_text(given.get("externalid")),
        manager_id=_manager(manager),
        is_here=_flag(given.get("active", True)),
    )


def team_wish(document: Any) -> TeamWish:
    """What a directory sends about a group. Raises ScimRefused."""
    given = _lower(document)
    members = given.get("members") or []
    if not isinstance(members, list) or len(members) > MOST_MEMBERS:
        raise ScimRefused(f"members is a list of at most {MOST_MEMBERS}.")
    return TeamWish(
        name=_text(given.get("displayname")),
        external_id=_text(given.get("externalid")),
        member_ids=frozenset(_id(_lower(row).get("value")) for row in members),
    )


def _lower(document: Any) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise ScimRefused("An object is needed here.", "invalidSyntax")
    return {str(name).lower(): value for name, value in document.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise ScimRefused("A text is needed here.")
    return str(value).strip()


def _name(given: dict[str, Any]) -> str:
    parts = _lower(given.get("name") or {})
    joined = " ".join(filter(None, (_text(parts.get("givenname")), _text(parts.get("familyname")))))
    return _text(given.get("displayname")) or _text(parts.get("formatted")) or joined


def _first_email(emails: Any) -> str:
    rows = [_lower(row) for row in emails] if isinstance(emails, list) else []
    rows.sort(key=lambda row: not row.get("primary"))
    return _text(rows[0].get("value")) if rows else ""


def _manager(manager: Any) -> UUID | None:
    if not manager:
        return None
    # One known directory sends the bare id.
    value = _lower(manager).get("value") if isinstance(manager, Mapping) else manager
    return _id(value) if value else None


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    # One known directory sends “True” and “False” as texts.
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ScimRefused("active is true or false.")


def _id(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise ScimRefused("There is nobody with this id.") from None
