"""REST for all grants as one list: the twin of the page *Access*."""

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.filtered import FilteredPagination
from governance.web.pagination import SortKey
from identities.api.edge import actor_of
from identities.api.filters import FILTERS, filter_of
from identities.models import Environment, Grant, GrantVersion, IdentityKind
from identities.selectors.access import current_contents, list_grants


class HeldGrantOut(serializers.Serializer):
    """A grant with its holder and its current content. Its use stands at `/grants/{id}/`.

    `segment` is the most sensitive that it reaches, `further_segments` what it reaches beside that one.
    """

    id = serializers.UUIDField()
    source: Any = serializers.CharField()
    identity = serializers.UUIDField()
    identity_name = serializers.CharField()
    identity_kind = serializers.ChoiceField(IdentityKind.choices)
    environment = serializers.ChoiceField(Environment.choices)
    external_id = serializers.CharField()
    label: Any = serializers.CharField()
    path = serializers.JSONField()
    revocability = serializers.CharField()
    shared_with = serializers.IntegerField()
    segment = serializers.CharField(allow_blank=True)
    further_segments = serializers.ListField(child=serializers.CharField())
    is_privileged = serializers.BooleanField()
    plain = serializers.ListField(child=serializers.CharField())
    permission = serializers.JSONField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    valid_until = serializers.DateTimeField(allow_null=True)
    first_seen_at = serializers.DateTimeField()
    last_changed_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class GrantList(APIView):
    """`/api/v1/grants/`"""

    required_scope = "inventory:read"
    pagination_class = FilteredPagination
    keyset = (SortKey("label"), SortKey("pk"))

    @extend_schema(operation_id="grants_list", responses=HeldGrantOut(many=True), parameters=FILTERS)
    def get(self, request: Request) -> Response:
        """Grants by label, narrowed by the same filter as the page and the scope of a campaign.

        Where so many fit that sorting them would take too long, they come in no particular order.
        """
        found = list_grants(actor=actor_of(request), filters=filter_of(request), now=timezone.now())
        pages = FilteredPagination()
        grants = pages.paginate_queryset(found, request, self)
        contents = current_contents((grant.pk for grant in grants), is_whole=True)
        return pages.get_paginated_response([_facts(grant, contents.get(grant.pk)) for grant in grants])


def _facts(grant: Grant, content: GrantVersion | None) -> dict[str, Any]:
    """By hand: field by field through a serializer, a thousand rows take longer than reading them."""
    return {
        "id": grant.pk,
        "source": grant.source.slug,
        "identity": grant.identity_id,
        "identity_name": grant.identity.name,
        "identity_kind": grant.identity.kind,
        "environment": grant.identity.effective_environment,
        "external_id": grant.external_id,
        "label": grant.label,
        "path": grant.path,
        "revocability": grant.revocability,
        "shared_with": grant.shared_with,
        "segment": grant.segment,
        "further_segments": grant.further_segments,
        "is_privileged": grant.is_privileged,
        "plain": content.plain if content else [],
        "permission": content.permission if content else None,
        "digest": bytes(content.digest).hex() if content else None,
        "valid_until": content.valid_until if content else None,
        "first_seen_at": grant.first_seen_at,
        "last_changed_at": grant.last_changed_at,
        "retired_at": grant.retired_at,
    }


urlpatterns = [path("grants/", GrantList.as_view(), name="api_grant_list")]
