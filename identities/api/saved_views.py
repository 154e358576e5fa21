"""REST for saved views. A program's views belong to the person who answers for its token."""

from typing import Any, cast
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.people.models import ApiToken, User
from governance.web.etag import etag_for, require_match
from governance.web.pagination import KeysetPagination, SortKey
from governance.web.parameters import PAGING
from identities.api.edge import actor_of, checked, choice_parameter, page_of, require_known_parameters
from identities.models import SavedView, SavedViewPage
from identities.selectors.saved_views import access_saved_view, list_saved_views, opened
from identities.services.saved_views import LONGEST_NAME, change_view, delete_view, save_view

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")
READ_WRITE = {"get": "inventory:read", "post": "inventory:write", "patch": "inventory:write",
              "delete": "inventory:write"}  # fmt: skip


class SavedViewOut(serializers.ModelSerializer):
    """A view of a list. `problem` says why it opens no longer; empty when it does. `is_mine` may be changed."""

    owner: Any = serializers.SlugRelatedField("email", read_only=True)
    is_mine = serializers.SerializerMethodField()
    problem = serializers.SerializerMethodField()

    class Meta:
        model = SavedView
        fields = [
            *("id", "page", "name", "filter", "sort", "columns", "is_shared", "owner", "is_mine", "problem"),
            "created_at",
        ]

    def get_is_mine(self, view: SavedView) -> bool:
        """Whether it belongs to the person who answers for the token."""
        return view.owner_id == _person(self.context["request"]).pk

    def get_problem(self, view: SavedView) -> str:
        """Why its filter means nothing any more."""
        return opened(view).problem


class SavedViewPatch(serializers.Serializer):
    """What a view shows, under which name, and whether others find it."""

    name = serializers.CharField(max_length=LONGEST_NAME, required=False)
    filter = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    sort = serializers.CharField(max_length=40, required=False, allow_blank=True)
    columns = serializers.CharField(max_length=300, required=False, allow_blank=True)
    is_shared = serializers.BooleanField(required=False)


class SavedViewIn(SavedViewPatch):
    """A new view."""

    page = serializers.ChoiceField(SavedViewPage.choices)
    name = serializers.CharField(max_length=LONGEST_NAME)


class SavedViewList(APIView):
    """`/api/v1/saved-views/`"""

    required_scope = READ_WRITE
    pagination_class = KeysetPagination
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(
        operation_id="saved_views_list",
        responses=SavedViewOut(many=True),
        parameters=[OpenApiParameter("page", str, enum=SavedViewPage.values)],
    )
    def get(self, request: Request) -> Response:
        """One's own views and the shared ones, by name."""
        require_known_parameters(request, PAGING | {"page"})
        page = choice_parameter(request, "page", SavedViewPage.values)
        return page_of(self, request, list_saved_views(person_id=_person(request).pk, page=page), SavedViewOut)

    @extend_schema(operation_id="saved_views_create", request=SavedViewIn, responses={201: SavedViewOut})
    def post(self, request: Request) -> Response:
        """Keep a view."""
        require_known_parameters(request, ())
        wish = checked(SavedViewIn, request)
        view = save_view(
            page=wish["page"],
            name=wish["name"],
            filter_text=wish.get("filter", ""),
            sort=wish.get("sort", ""),
            columns=wish.get("columns", ""),
            is_shared=wish.get("is_shared", False),
            owner=_person(request),
            actor=actor_of(request),
            now=timezone.now(),
        )
        return _told(request, view, status.HTTP_201_CREATED)


class SavedViewDetail(APIView):
    """`/api/v1/saved-views/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="saved_views_retrieve", responses=SavedViewOut)
    def get(self, request: Request, view_id: UUID) -> Response:
        """One view, with an ETag."""
        require_known_parameters(request, ())
        return _told(request, access_saved_view(person_id=_person(request).pk, view_id=view_id))

    @extend_schema(
        operation_id="saved_views_change", request=SavedViewPatch, responses=SavedViewOut, parameters=[IF_MATCH]
    )
    def patch(self, request: Request, view_id: UUID) -> Response:
        """Rename it, share it or not, or let it show something else; needs If-Match."""
        require_known_parameters(request, ())
        person = _person(request)
        seen = access_saved_view(person_id=person.pk, view_id=view_id)
        require_match(request, seen.version)
        view = change_view(
            view=seen,
            version=seen.version,
            changes=checked(SavedViewPatch, request),
            actor=actor_of(request),
            owner=person,
            now=timezone.now(),
        )
        return _told(request, view)

    @extend_schema(operation_id="saved_views_delete", responses={204: None})
    def delete(self, request: Request, view_id: UUID) -> Response:
        """Remove it; with If-Match only the version that it names."""
        require_known_parameters(request, ())
        person = _person(request)
        view = access_saved_view(person_id=person.pk, view_id=view_id)
        if "If-Match" in request.headers:
            require_match(request, view.version)
        delete_view(view=view, actor=actor_of(request), owner=person, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _person(request: Request) -> User:
    """Who answers for the token."""
    return cast(ApiToken, request.auth).created_by


def _told(request: Request, view: SavedView, code: int = status.HTTP_200_OK) -> Response:
    data = SavedViewOut(view, context={"request": request}).data
    return Response(data, status=code, headers={"ETag": etag_for(view.version)})


urlpatterns = [
    path("saved-views/", SavedViewList.as_view(), name="api_saved_view_list"),
    path("saved-views/<uuid:view_id>/", SavedViewDetail.as_view(), name="api_saved_view_detail"),
]
