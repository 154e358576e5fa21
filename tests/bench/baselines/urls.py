"""A ping, the admin, and a plain DRF viewset that also takes lists."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework import filters, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from tests.bench.baselines.models import Grant


class GrantSerializer(serializers.ModelSerializer):
    class Meta:
        model = Grant
        fields = "__all__"


class GrantViewSet(viewsets.ModelViewSet):
    """`POST` of a list is `many=True`, validated and created in one transaction."""

    queryset = Grant.objects.order_by("label", "id")
    serializer_class = GrantSerializer
    filter_backends = [filters.SearchFilter]
    search_fields = ["label", "external_id", "identity__name"]

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("data"), list):
            kwargs["many"] = True
        return super().get_serializer(*args, **kwargs)

    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().create(request, *args, **kwargs)


def ping(request: HttpRequest) -> HttpResponse:
    return HttpResponse("pong")


def who(request: HttpRequest) -> HttpResponse:
    """A ping that has to look the person up."""
    return HttpResponse(request.user.get_username())


router = SimpleRouter()
router.register("grants", GrantViewSet)
urlpatterns = [
    path("ping", ping),
    path("who", who),
    path("admin/", admin.site.urls),
    path("api/", include(router.urls)),
]
