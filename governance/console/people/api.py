"""REST for people, teams and API tokens. Roles are no part of it: only a signed-in administrator gives powers."""

from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.actors import Actor
from governance.people import accounts, teams, tokens
from governance.people.access import SCOPE_DESCRIPTIONS
from governance.people.models import ApiToken, Team, User
from governance.people.selectors import access_people, access_person, access_team, access_teams, access_tokens
from governance.web.authentication import ApiClient
from governance.web.etag import etag_for, require_match
from governance.web.pagination import KeysetPagination, SortKey
from governance.web.parameters import PAGING, checked, require_known_parameters

READ_WRITE = {"get": "people:read", "post": "people:write", "patch": "people:write"}
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag that you read."
)


class PersonOut(serializers.ModelSerializer):
    """A person as programs see them."""

    may_sign_in = serializers.BooleanField(source="is_active")
    roles = serializers.SerializerMethodField()
    teams: Any = serializers.SlugRelatedField("name", many=True, read_only=True)
    manager: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)

    class Meta:
        model = User
        fields = ["id", "email", "name", "may_sign_in", "left_at", "manager", "roles", "teams", "created_at"]

    def get_roles(self, person: User) -> list[str]:
        return sorted(assignment.role for assignment in person.role_assignments.all())


class PersonIn(serializers.Serializer):
    """A new person."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=200)


class PersonPatch(serializers.Serializer):
    """Fields to change; what is not sent stays."""

    email = serializers.EmailField(max_length=254, required=False)
    name = serializers.CharField(max_length=200, required=False)
    manager = serializers.EmailField(required=False, allow_null=True)
    may_sign_in = serializers.BooleanField(required=False)


class PersonLeave(serializers.Serializer):
    """The moment somebody left."""

    left_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class TeamOut(serializers.ModelSerializer):
    """A team with its members."""

    members: Any = serializers.SlugRelatedField("email", many=True, read_only=True)

    class Meta:
        model = Team
        fields = ["id", "name", "members", "created_at"]


class TeamIn(serializers.Serializer):
    """A team; `members` are e-mail addresses and replace the ones there are."""

    name = serializers.CharField(max_length=120)
    members = serializers.ListField(child=serializers.EmailField(), max_length=2000, required=False)


class TeamPatch(TeamIn):
    """Fields of a team to change."""

    name = serializers.CharField(max_length=120, required=False)


class TokenOut(serializers.ModelSerializer):
    """An API token without its secret. `is_orphaned`: the person who answers for it left."""

    created_by: Any = serializers.SlugRelatedField("email", read_only=True)
    is_orphaned = serializers.BooleanField(default=False)

    class Meta:
        model = ApiToken
        fields = [
            *("id", "name", "prefix", "scopes", "withheld_scopes", "created_by", "created_at", "expires_at"),
            *("last_used_at", "revoked_at", "is_orphaned"),
        ]


class TokenIn(serializers.Serializer):
    """A new token: scopes that the calling token has, ending no later than it."""

    name = serializers.CharField(max_length=120)
    scopes = serializers.ListField(child=serializers.ChoiceField(sorted(SCOPE_DESCRIPTIONS)), min_length=1)
    expires_at = serializers.DateTimeField()


class TokenScopes(serializers.Serializer):
    """Scopes to withhold or to give back. `held`: what the token has as you saw it; otherwise nothing happens."""

    scopes = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=100)
    held = serializers.ListField(child=serializers.CharField(max_length=40), max_length=100, required=False)


class TokenCreated(TokenOut):
    """The only answer that ever carries the secret."""

    secret = serializers.CharField()

    class Meta(TokenOut.Meta):
        fields = [*TokenOut.Meta.fields, "secret"]


class PersonList(APIView):
    """`/api/v1/people/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("email"), SortKey("pk"))
    filters = ("q",)

    @extend_schema(
        operation_id="people_list",
        responses=PersonOut(many=True),
        parameters=[OpenApiParameter("q", str, description="Part of a name or address.")],
    )
    def get(self, request: Request) -> Response:
        """People, by address."""
        people = access_people(_actor(request), search=request.query_params.get("q", "")[:200])
        return _page(self, request, people, PersonOut)

    @extend_schema(operation_id="people_create", request=PersonIn, responses={201: PersonOut})
    def post(self, request: Request) -> Response:
        """Add a person. They set a password by mail."""
        data = checked(PersonIn, request)
        user = accounts.create_user(actor=_actor(request), now=timezone.now(), **data)
        return _person(request, user.pk, status=201)


class PersonDetail(APIView):
    """`/api/v1/people/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="people_retrieve", responses=PersonOut)
    def get(self, request: Request, person_id: UUID) -> Response:
        """One person, with an ETag."""
        return _person(request, person_id)

    @extend_schema(operation_id="people_change", request=PersonPatch, responses=PersonOut, parameters=[IF_MATCH])
    def patch(self, request: Request, person_id: UUID) -> Response:
        """Change a person; needs If-Match."""
        person = access_person(_actor(request), person_id)
        require_match(request, person.version)
        data = checked(PersonPatch, request)
        if "manager" in data:
            data["manager_id"] = _id_of(data.pop("manager"))
        accounts.change_user(
            user_id=person_id,
            expected_version=person.version,
            actor=_actor(request),
            now=timezone.now(),
            **data,
        )
        return _person(request, person_id)


class PersonLeft(APIView):
    """`/api/v1/people/{id}/leave/`"""

    required_scope = "people:write"

    @extend_schema(operation_id="people_leave", request=PersonLeave, responses=PersonOut)
    def post(self, request: Request, person_id: UUID) -> Response:
        """The person left: they are signed out at once and their open work moves to others."""
        data = checked(PersonLeave, request)
        accounts.mark_left(user_id=person_id, actor=_actor(request), now=timezone.now(), **data)
        return _person(request, person_id)


class TeamList(APIView):
    """`/api/v1/teams/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(operation_id="teams_list", responses=TeamOut(many=True))
    def get(self, request: Request) -> Response:
        """Teams, by name."""
        return _page(self, request, access_teams(_actor(request)).prefetch_related("members"), TeamOut)

    @extend_schema(operation_id="teams_create", request=TeamIn, responses={201: TeamOut})
    def post(self, request: Request) -> Response:
        """Add a team."""
        data = checked(TeamIn, request)
        members = _ids_of(data.get("members", []))
        team = teams.create_team(name=data["name"], member_ids=members, actor=_actor(request), now=timezone.now())
        return _team(request, team.pk, status=201)


class TeamDetail(APIView):
    """`/api/v1/teams/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="teams_retrieve", responses=TeamOut)
    def get(self, request: Request, team_id: UUID) -> Response:
        """One team, with an ETag."""
        return _team(request, team_id)

    @extend_schema(operation_id="teams_change", request=TeamPatch, responses=TeamOut, parameters=[IF_MATCH])
    def patch(self, request: Request, team_id: UUID) -> Response:
        """Change a team; needs If-Match."""
        team = access_team(_actor(request), team_id)
        require_match(request, team.version)
        data = checked(TeamPatch, request)
        if "members" in data:
            data["member_ids"] = _ids_of(data.pop("members"))
        teams.change_team(
            team_id=team_id, expected_version=team.version, actor=_actor(request), now=timezone.now(), **data
        )
        return _team(request, team_id)


class TokenList(APIView):
    """`/api/v1/tokens/`"""

    required_scope = READ_WRITE
    keyset = (SortKey("created_at", descending=True), SortKey("pk", descending=True))

    @extend_schema(operation_id="tokens_list", responses=TokenOut(many=True))
    def get(self, request: Request) -> Response:
        """API tokens, newest first, without secrets."""
        return _page(self, request, access_tokens(_actor(request)), TokenOut)

    @extend_schema(operation_id="tokens_create", request=TokenIn, responses={201: TokenCreated})
    def post(self, request: Request) -> Response:
        """Create a token that can less than yours; the answer carries its secret, once."""
        data = checked(TokenIn, request)
        token, secret = tokens.create_token(actor=_actor(request), now=timezone.now(), **data)
        return Response(TokenOut(token).data | {"secret": secret}, status=201)


class TokenRevoke(APIView):
    """`/api/v1/tokens/{id}/revoke/`"""

    required_scope = "people:write"

    @extend_schema(operation_id="tokens_revoke", request=None, responses=TokenOut)
    def post(self, request: Request, token_id: UUID) -> Response:
        """End a token at once."""
        tokens.revoke_token(token_id=token_id, actor=_actor(request), now=timezone.now())
        return Response(TokenOut(access_tokens(_actor(request)).get(pk=token_id)).data)


class TokenWithhold(APIView):
    """`/api/v1/tokens/{id}/withhold/`"""

    required_scope = "clients:narrow"

    @extend_schema(operation_id="tokens_withhold", request=TokenScopes, responses=TokenOut)
    def post(self, request: Request, token_id: UUID) -> Response:
        """Take scopes from a token, with effect on its next request."""
        data = checked(TokenScopes, request)
        token = tokens.withhold_scopes(token_id=token_id, actor=_actor(request), now=timezone.now(), **data)
        return Response(TokenOut(token).data)


class TokenGiveBack(APIView):
    """`/api/v1/tokens/{id}/give-back/`"""

    required_scope = "clients:restore"

    @extend_schema(operation_id="tokens_give_back", request=TokenScopes, responses=TokenOut)
    def post(self, request: Request, token_id: UUID) -> Response:
        """Give a token scopes that were withheld from it, and no others."""
        data = checked(TokenScopes, request)
        token = tokens.give_scopes_back(token_id=token_id, actor=_actor(request), now=timezone.now(), **data)
        return Response(TokenOut(token).data)


def _actor(request: Request) -> Actor:
    client = cast(ApiClient, request.user)
    return client.actor


def _page(view: Any, request: Request, queryset: Any, serializer: Any) -> Response:
    require_known_parameters(request, PAGING | set(getattr(view, "filters", ())))
    pages = KeysetPagination()
    rows = pages.paginate_queryset(queryset, request, view)
    return pages.get_paginated_response(serializer(rows, many=True).data)


def _person(request: Request, person_id: UUID, status: int = 200) -> Response:
    person = access_person(_actor(request), person_id)
    return Response(PersonOut(person).data, status=status, headers={"ETag": etag_for(person.version)})


def _team(request: Request, team_id: UUID, status: int = 200) -> Response:
    team = access_team(_actor(request), team_id)
    return Response(TeamOut(team).data, status=status, headers={"ETag": etag_for(team.version)})


def _id_of(email: str | None) -> UUID | None:
    return _ids_of([email])[0] if email else None


def _ids_of(emails: list[str]) -> list[UUID]:
    wanted = {email.lower() for email in emails}
    found = dict(User.objects.filter(email__in=wanted).values_list("email", "pk"))
    if unknown := sorted(wanted - found.keys()):
        raise accounts.PersonRefused(f"There is nobody with the address {unknown[0]}.", unknown=unknown[:20])
    return list(found.values())
