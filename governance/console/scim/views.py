"""`/scim/v2/`: a directory keeps people and teams in step. Translates only; `governance.people.directory` decides."""

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from governance.console.scim.discovery import MOST_PER_PAGE, PROVIDER, SCHEMAS, TYPES
from governance.console.scim.filters import parse_filter
from governance.console.scim.messages import (
    MEDIA_TYPE,
    SCIM_TYPES,
    Document,
    ScimRefused,
    error_document,
    list_document,
)
from governance.console.scim.patching import patched
from governance.console.scim.resources import etag, group_document, person_wish, team_wish, user_document
from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError, NotFound
from governance.people import directory
from governance.people.models import Team, User
from governance.web.authentication import ApiClient
from governance.web.parsers import CarefulJSONParser
from governance.web.problems import RETRY_SECONDS, DatabaseAway, database_away

USER_COLUMNS = {
    "username": "email__iexact",
    "emails": "email__iexact",
    "emails.value": "email__iexact",
    "externalid": "external_id",
    "displayname": "name__iexact",
    "id": "id",
    "active": "active",
}
GROUP_COLUMNS = {"displayname": "name__iexact", "externalid": "external_id", "id": "id"}


class ScimRenderer(JSONRenderer):
    """The same JSON under SCIM's own name."""

    media_type = MEDIA_TYPE
    format = "scim"


class ScimParser(CarefulJSONParser):
    """SCIM's JSON."""

    media_type = MEDIA_TYPE


def scim_errors(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal in the form that directories read. The unexpected stays a logged 500."""
    exc = exceptions.NotFound() if isinstance(exc, Http404) else database_away(exc) or exc
    if isinstance(exc, DomainError):
        set_rollback()
        # What this API calls 422, SCIM calls 400 with a scimType (RFC 7644, 3.12).
        status = 409 if _is_taken(exc) else 400 if exc.status == 422 else exc.status
        kind = "uniqueness" if status == 409 else exc.details.get("scimType") or SCIM_TYPES.get(exc.code, "")
        headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(exc, DatabaseAway) else None
        document = error_document(status, exc.message, str(kind))
        return Response(document, status=status, headers=headers, content_type=MEDIA_TYPE)
    if not isinstance(exc, exceptions.APIException):
        return None
    set_rollback()
    kind = "invalidSyntax" if isinstance(exc, exceptions.ParseError) else ""
    response = Response(
        error_document(exc.status_code, str(exc.detail), kind), status=exc.status_code, content_type=MEDIA_TYPE
    )
    if challenge := getattr(exc, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    return response


def _is_taken(exc: DomainError) -> bool:
    return exc.code in ("person-refused", "team-refused") and "already here" in exc.message


class ScimView(APIView):
    """What all of these endpoints share."""

    required_scope = "people:provision"
    renderer_classes = (ScimRenderer, JSONRenderer)
    parser_classes = (ScimParser, CarefulJSONParser)
    schema = None

    def get_exception_handler(self) -> Any:
        return scim_errors

    def actor(self) -> Actor:
        """The directory's token."""
        return cast(ApiClient, self.request.user).actor


class ServiceProvider(ScimView):
    """`/scim/v2/ServiceProviderConfig`"""

    def get(self, request: Request) -> Response:
        return Response(PROVIDER)


class Described(ScimView):
    """`/scim/v2/ResourceTypes` and `/scim/v2/Schemas`, whole or one by its id."""

    documents: dict[str, Document] = {}

    def get(self, request: Request, name: str = "") -> Response:
        if request.query_params.get("filter"):
            raise ScimRefused("These are not filtered (RFC 7644, 4).", "", status=403)
        if not name:
            return Response(list_document(list(self.documents.values()), total=len(self.documents), start=1))
        if name not in self.documents:
            raise NotFound("There is no such description.")
        return Response(self.documents[name])


class ResourceTypes(Described):
    """`/scim/v2/ResourceTypes`"""

    documents = TYPES


class Schemas(Described):
    """`/scim/v2/Schemas`"""

    documents = SCHEMAS


class Users(ScimView):
    """`/scim/v2/Users`"""

    def get(self, request: Request) -> Response:
        return _page(request, _users(), USER_COLUMNS, user_document)

    def post(self, request: Request) -> Response:
        user = directory.provision_person(wish=person_wish(request.data), actor=self.actor(), now=timezone.now())
        return _told(user_document(_user(user.pk)), user.version, status=201)


class OneUser(ScimView):
    """`/scim/v2/Users/{id}`"""

    def get(self, request: Request, user_id: UUID) -> Response:
        user = _user(user_id)
        return _told(user_document(user), user.version)

    def put(self, request: Request, user_id: UUID) -> Response:
        return self._become(request, _user(user_id), request.data)

    def patch(self, request: Request, user_id: UUID) -> Response:
        user = _user(user_id)
        before = user_document(user)
        after = patched(before, _operations(request))
        return self._become(request, user, _settled(before, after))

    def delete(self, request: Request, user_id: UUID) -> Response:
        user = _user(user_id)
        directory.remove_person(
            user_id=user.pk, expected_version=_expected(request, user.version), actor=self.actor(), now=timezone.now()
        )
        return Response(status=204)

    def _become(self, request: Request, user: User, document: Any) -> Response:
        directory.provision_person(
            wish=person_wish(document),
            user_id=user.pk,
            expected_version=_expected(request, user.version),
            actor=self.actor(),
            now=timezone.now(),
        )
        fresh = _user(user.pk)
        return _told(user_document(fresh), fresh.version)


class Groups(ScimView):
    """`/scim/v2/Groups`"""

    def get(self, request: Request) -> Response:
        return _page(request, _groups(), GROUP_COLUMNS, group_document)

    def post(self, request: Request) -> Response:
        team = directory.provision_team(wish=team_wish(request.data), actor=self.actor(), now=timezone.now())
        return _told(group_document(_group(team.pk)), team.version, status=201)


class OneGroup(ScimView):
    """`/scim/v2/Groups/{id}`"""

    def get(self, request: Request, team_id: UUID) -> Response:
        team = _group(team_id)
        return _told(group_document(team), team.version)

    def put(self, request: Request, team_id: UUID) -> Response:
        return self._become(request, _group(team_id), request.data)

    def patch(self, request: Request, team_id: UUID) -> Response:
        team = _group(team_id)
        return self._become(request, team, patched(group_document(team), _operations(request)))

    def delete(self, request: Request, team_id: UUID) -> Response:
        team = _group(team_id)
        directory.remove_team(
            team_id=team.pk, expected_version=_expected(request, team.version), actor=self.actor(), now=timezone.now()
        )
        return Response(status=204)

    def _become(self, request: Request, team: Team, document: Any) -> Response:
        directory.provision_team(
            wish=team_wish(document),
            team_id=team.pk,
            expected_version=_expected(request, team.version),
            actor=self.actor(),
            now=timezone.now(),
        )
        fresh = _group(team.pk)
        return _told(group_document(fresh), fresh.version)


def _settled(before: Document, after: Document) -> Document:
    """Where several attributes say the same thing, the one that the operations changed is meant."""
    if after.get("userName") == before.get("userName") and after.get("emails") != before.get("emails"):
        after = after | {"userName": ""}
    name = after.get("name")
    if after.get("displayName") == before.get("displayName") and name != before.get("name"):
        if isinstance(name, dict) and name.get("formatted") == before["name"]["formatted"]:
            name = {key: value for key, value in name.items() if key != "formatted"}
        after = after | {"displayName": "", "name": name}
    return after


def _users() -> QuerySet[User]:
    found = User.objects.filter(directory_removed_at=None)
    return found.select_related("manager").prefetch_related("teams").order_by("created_at", "pk")


def _groups() -> QuerySet[Team]:
    return Team.objects.filter(directory_removed_at=None).prefetch_related("members").order_by("created_at", "pk")


def _user(user_id: UUID) -> User:
    user = _users().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _group(team_id: UUID) -> Team:
    team = _groups().filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such group.")
    return team


def _page(request: Request, rows: QuerySet[Any], columns: dict[str, str], document: Any) -> Response:
    """By position, as SCIM pages: startIndex counts from 1, count 0 asks for the number only."""
    if text := request.query_params.get("filter", ""):
        rows = rows.filter(parse_filter(text, columns))
    start = max(1, _number(request, "startIndex", 1))
    count = min(MOST_PER_PAGE, max(0, _number(request, "count", MOST_PER_PAGE)))
    found = [document(row) for row in rows[start - 1 : start - 1 + count]] if count else []
    excluded = {name.strip().lower() for name in request.query_params.get("excludedAttributes", "").split(",")}
    found = [{name: value for name, value in each.items() if name.lower() not in excluded} for each in found]
    return Response(list_document(found, total=rows.count(), start=start))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    sign, digits = text[:1] == "-", text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ScimRefused(f"{name} is a number.")
    return -int(digits) if sign else int(digits)


def _operations(request: Request) -> Any:
    if not isinstance(request.data, dict):
        raise ScimRefused("A PATCH is an object with Operations.", "invalidSyntax")
    return next((value for name, value in request.data.items() if str(name).lower() == "operations"), None)


def _expected(request: Request, version: int) -> int:
    """The version to change: the one just read, after If-Match (where it is sent) has named it. Raises ScimRefused."""
    header = request.headers.get("If-Match", "").strip()
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    if header and header != "*" and etag(version).removeprefix("W/") not in tags:
        raise ScimRefused("It changed since you read it. Read it again and repeat your change.", "", status=412)
    return version


def _told(document: Document, version: int, status: int = 200) -> Response:
    headers = {"ETag": etag(version), "Location": document["meta"]["location"]}
    return Response(document, status=status, headers=headers)
