"""`/api/v1/items/{id}/remarks/`: what people asked each other about a question. Programs read it; only people talk."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reviews.api.requests import actor_of
from reviews.decisions.remarks import list_remarks
from reviews.models import Remark
from reviews.selectors import access_item


class ReplyOut(serializers.ModelSerializer[Remark]):
    """The reply of the person who was asked."""

    author = serializers.SlugRelatedField("email", read_only=True)  # type: ignore[var-annotated]

    class Meta:
        model = Remark
        fields = ["id", "author", "text", "made_at"]


class RemarkOut(serializers.ModelSerializer[Remark]):
    """A question to a named person, with the reply, or null while there is none. item_version: as the asker saw it."""

    author = serializers.SlugRelatedField("email", read_only=True)  # type: ignore[var-annotated]
    asked = serializers.SlugRelatedField("email", read_only=True)  # type: ignore[var-annotated]
    reply = serializers.SerializerMethodField()

    class Meta:
        model = Remark
        fields = ["id", "item", "author", "asked", "text", "item_version", "made_at", "reply"]

    @extend_schema_field(ReplyOut(allow_null=True))
    def get_reply(self, remark: Remark) -> Any:
        reply = getattr(remark, "reply", None)
        return ReplyOut(reply).data if reply else None


class ItemRemarks(APIView):
    """`/api/v1/items/{id}/remarks/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="items_remarks_list", responses=RemarkOut(many=True))
    def get(self, request: Request, item_id: UUID) -> Response:
        """Everything asked about a question, oldest first."""
        item = access_item(actor=actor_of(request), item_id=item_id)
        return Response(RemarkOut(list_remarks(item), many=True).data)
