"""REST for one edit of many identities: ask first what it would do, then do exactly that."""

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import VersionNeeded
from identities.api.edge import actor_of, checked, idempotency_key, require_known_parameters
from identities.api.named import person_named, team_named
from identities.models.identity import MAX_TAG
from identities.selectors.selection import Selection
from identities.services.bulk_edit import (
    MOST_NAMED,
    SHOWN,
    BulkEdit,
    Difference,
    bulk_edit_identities,
    preview_bulk_edit,
)
from identities.services.identities import MAX_TAGS
from identities.services.request_keys import AlreadyDone, Once


class _Tags(serializers.ListField):
    child = serializers.CharField(max_length=MAX_TAG)


class BulkSet(serializers.Serializer):
    """What to say about each of them. People are e-mail addresses, a team is its name; null means nobody or none."""

    owner = serializers.EmailField(required=False, allow_null=True)
    backup_owner = serializers.EmailField(required=False, allow_null=True)
    team = serializers.CharField(required=False, allow_null=True, max_length=120)
    add_tags = _Tags(required=False, max_length=MAX_TAGS)
    remove_tags = _Tags(required=False, max_length=MAX_TAGS)

    def to_internal_value(self, data: Any) -> Any:
        """Members that nobody knows are refused, as at the top of a body."""
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError(dict.fromkeys(sorted(map(str, unknown))[:20], "There is no such member."))
        return super().to_internal_value(data)


class BulkEditIn(serializers.Serializer):
    """Either `filter`, the filter of the list as one text (empty: everything present), or `ids`."""

    filter = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    ids = serializers.ListField(child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST_NAMED)
    set = BulkSet()
    dry_run = serializers.BooleanField(required=False, default=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in attrs) == ("ids" in attrs):
            raise serializers.ValidationError("Say which identities: either filter or ids.")
        return attrs


class BulkReasonOut(serializers.Serializer):
    """Why identities stay as they are, and how many."""

    reason = serializers.CharField()
    count = serializers.IntegerField()


class BulkChangeOut(serializers.Serializer):
    """What changes on one identity; people and teams by their ids."""

    id = serializers.UUIDField()
    old = serializers.JSONField()
    new = serializers.JSONField()


class BulkEditOut(serializers.Serializer):
    """What the edit did or, on a dry run, would do. `changes` holds the first fifty."""

    dry_run = serializers.BooleanField()
    selected = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    reasons = BulkReasonOut(many=True)
    changes = BulkChangeOut(many=True)


class IdentityBulkEdit(APIView):
    """`/api/v1/identities/bulk-edit/`"""

    required_scope = "inventory:write"

    @extend_schema(
        operation_id="identities_bulk_edit",
        request=BulkEditIn,
        responses=BulkEditOut,
        parameters=[
            OpenApiParameter(
                "If-Match",
                str,
                OpenApiParameter.HEADER,
                description="The ETag of the dry run. `*` edits whatever is selected by now.",
            ),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
        ],
    )
    def post(self, request: Request) -> Response:
        """Say the same about many identities, all at once or not at all.

        A dry run writes nothing and gives an ETag; the edit needs it as If-Match and is refused (412) once somebody
        changed one of the identities or others match. So an edit that is sent twice is carried out once; with an
        Idempotency-Key the second one gets the answer of the first.
        """
        require_known_parameters(request, ())
        wish = checked(BulkEditIn, request)
        common: dict[str, Any] = {
            "selection": _selection(wish),
            "changes": _changes(wish["set"]),
            "actor": actor_of(request),
            "now": timezone.now(),
        }
        key = idempotency_key(request)
        if wish["dry_run"]:
            edit = preview_bulk_edit(**common)
            return Response(_told(edit, is_dry=True), headers=_etag(edit))
        once = _once(request, key) if key else None
        try:
            edit = bulk_edit_identities(**common, digest=_digest(request), reason=wish.get("reason", ""), once=once)
        except AlreadyDone as earlier:
            return Response(earlier.answer, headers={"Idempotency-Replayed": "true"})
        return Response(_told(edit, is_dry=False))


def _once(request: Request, key: str) -> Once[BulkEdit]:
    """What makes two requests the same: the members of the body, in whatever order, and If-Match."""
    body = json.dumps([request.data, request.headers.get("If-Match", "")], sort_keys=True, ensure_ascii=False)
    digest = sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return Once(actor_of(request).id, key, digest, lambda edit: _told(edit, is_dry=False))


def _selection(wish: dict[str, Any]) -> Selection:
    if "ids" in wish:
        return Selection.named(wish["ids"])
    return Selection.matching(wish["filter"])


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    changes = dict(given)
    for name in ("owner", "backup_owner"):
        if name in changes:
            changes[name] = person_named(changes[name], name)
    if "team" in changes:
        changes["team"] = team_named(changes["team"])
    return changes


def _digest(request: Request) -> str | None:
    """What If-Match names; None for `*`. Raises VersionNeeded."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise VersionNeeded("Send the ETag of a dry run as If-Match.")
    return None if header == "*" else header.strip('"')


def _etag(edit: BulkEdit) -> dict[str, str]:
    return {"ETag": f'"{edit.digest}"'}


def _told(edit: BulkEdit, *, is_dry: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry,
        "selected": edit.selected,
        "changed": len(edit.changes),
        "unchanged": edit.unchanged,
        "refused": len(edit.refused) + edit.gone,
        "reasons": [{"reason": reason, "count": count} for reason, count in edit.reasons],
        "changes": [_change(difference) for difference in edit.changes[:SHOWN]],
    }


def _change(difference: Difference) -> dict[str, Any]:
    def plain(facts: dict[str, Any]) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, UUID) else value for name, value in facts.items()}

    return {"id": str(difference.row.id), "old": plain(difference.old), "new": plain(difference.new)}


urlpatterns = [path("identities/bulk-edit/", IdentityBulkEdit.as_view(), name="api_identity_bulk_edit")]
