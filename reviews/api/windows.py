"""`/api/v1/change-windows/` and `/api/v1/freezes/`: when orders may run."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.errors import NotFound
from governance.web.pagination import SortKey
from governance.web.parameters import checked
from identities.models import Source
from reviews.api.requests import actor_of, page_of
from reviews.models import ChangeWindow, Freeze
from reviews.remediation import windows

SHOWN_DATES = 5
SCOPES = {"get": "orders:read", "post": "reviews:write", "delete": "reviews:write"}


class ChangeWindowOut(serializers.ModelSerializer[ChangeWindow]):
    """Hours in which orders may run at `source`, or at every source without windows of its own (null)."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True, allow_null=True)
    opens: Any = serializers.SerializerMethodField()

    class Meta:
        model = ChangeWindow
        fields = [
            *("id", "name", "source", "rrule", "time_zone", "starts_at", "duration_minutes", "opens"),
            *("created_by", "created_at"),
        ]

    def get_opens(self, window: ChangeWindow) -> list[str]:
        """The next five times it opens, in UTC."""
        found = windows.open_dates(window, SHOWN_DATES, after=timezone.now())
        return [date.isoformat() for date in found]


class ChangeWindowIn(serializers.Serializer[dict[str, Any]]):
    """`source` is a slug; absent or null means every source. `starts_at` is the first time it opens."""

    name = serializers.CharField(max_length=120)
    source: Any = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    rrule = serializers.CharField(max_length=300)
    time_zone = serializers.CharField(max_length=64, default="UTC")
    starts_at = serializers.DateTimeField()
    duration_minutes = serializers.IntegerField(min_value=1, max_value=windows.LONGEST_WINDOW)


class FreezeOut(serializers.ModelSerializer[Freeze]):
    """No order runs at `source`, or at any (null), from `starts_at` until `ends_at`."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True, allow_null=True)

    class Meta:
        model = Freeze
        fields = ["id", "reason", "source", "starts_at", "ends_at", "lifted_at", "created_by", "created_at"]


class FreezeIn(serializers.Serializer[dict[str, Any]]):
    """`source` is a slug; absent or null means every source."""

    reason = serializers.CharField(max_length=300)
    source: Any = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class ChangeWindowList(APIView):
    """`/api/v1/change-windows/`"""

    required_scope = SCOPES
    keyset = (SortKey("created_at"), SortKey("pk"))

    @extend_schema(operation_id="change_windows_list", responses=ChangeWindowOut(many=True))
    def get(self, request: Request) -> Response:
        """The windows that apply, oldest first."""
        found = ChangeWindow.objects.filter(removed_at=None).select_related("source")
        return page_of(self, request, found, ChangeWindowOut)

    @extend_schema(operation_id="change_windows_create", request=ChangeWindowIn, responses={201: ChangeWindowOut})
    def post(self, request: Request) -> Response:
        """Let orders run in these hours only."""
        data = checked(ChangeWindowIn, request)
        source = _source(data.pop("source"))
        window = windows.create_window(source=source, actor=actor_of(request), now=timezone.now(), **data)
        return Response(ChangeWindowOut(window).data, status=201)


class ChangeWindowDetail(APIView):
    """`/api/v1/change-windows/{id}/`"""

    required_scope = SCOPES

    @extend_schema(operation_id="change_windows_retrieve", responses=ChangeWindowOut)
    def get(self, request: Request, window_id: UUID) -> Response:
        """One window."""
        return Response(ChangeWindowOut(_window(window_id)).data)

    @extend_schema(operation_id="change_windows_remove", responses={204: None})
    def delete(self, request: Request, window_id: UUID) -> Response:
        """The window no longer applies; orders that it alone held go on."""
        windows.remove_window(window=_window(window_id), actor=actor_of(request), now=timezone.now())
        return Response(status=204)


class FreezeList(APIView):
    """`/api/v1/freezes/`"""

    required_scope = SCOPES
    keyset = (SortKey("created_at"), SortKey("pk"))

    @extend_schema(operation_id="freezes_list", responses=FreezeOut(many=True))
    def get(self, request: Request) -> Response:
        """Every freeze, oldest first, also those that are over."""
        return page_of(self, request, Freeze.objects.select_related("source"), FreezeOut)

    @extend_schema(operation_id="freezes_create", request=FreezeIn, responses={201: FreezeOut})
    def post(self, request: Request) -> Response:
        """Let no order run for a time."""
        data = checked(FreezeIn, request)
        source = _source(data.pop("source"))
        freeze = windows.create_freeze(source=source, actor=actor_of(request), now=timezone.now(), **data)
        return Response(FreezeOut(freeze).data, status=201)


class FreezeDetail(APIView):
    """`/api/v1/freezes/{id}/`"""

    required_scope = SCOPES

    @extend_schema(operation_id="freezes_retrieve", responses=FreezeOut)
    def get(self, request: Request, freeze_id: UUID) -> Response:
        """One freeze."""
        return Response(FreezeOut(_freeze(freeze_id)).data)

    @extend_schema(operation_id="freezes_lift", responses={204: None})
    def delete(self, request: Request, freeze_id: UUID) -> Response:
        """End a freeze before its time; it stays readable."""
        windows.lift_freeze(freeze=_freeze(freeze_id), actor=actor_of(request), now=timezone.now())
        return Response(status=204)


def _window(window_id: UUID) -> ChangeWindow:
    window = ChangeWindow.objects.filter(pk=window_id).select_related("source").first()
    if window is None:
        raise NotFound("There is no such window.")
    return window


def _freeze(freeze_id: UUID) -> Freeze:
    freeze = Freeze.objects.filter(pk=freeze_id).select_related("source").first()
    if freeze is None:
        raise NotFound("There is no such freeze.")
    return freeze


def _source(slug: str | None) -> Source | None:
    """By its slug. Whoever may say when orders run may name any source for it."""
    if not slug:
        return None
    source = Source.objects.filter(slug=slug).first()
    if source is None:
        raise NotFound("There is no such source.")
    return source
