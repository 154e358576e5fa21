"""`/api/v1/campaigns/{id}/packs/` and `/api/v1/packs/`: the evidence of a review as a file, and who signed it."""

import json
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.downloads import file_download
from governance.web.pagination import SortKey
from governance.web.parameters import require_known_parameters
from identities.services.request_keys import AlreadyDone
from reviews import packs
from reviews.api.plans import IDEMPOTENCY_KEY, once_of
from reviews.api.requests import actor_of, page_of
from reviews.models import Acknowledgement, EvidencePack, PackState
from reviews.packs.requesting import SCOPE
from reviews.selectors import access_campaign

ZIP = "application/zip"


class PackProgressOut(serializers.Serializer[dict[str, Any]]):
    """How far a pack that is being written is; both 0 until that is known."""

    done = serializers.IntegerField()
    of = serializers.IntegerField()


class PackOut(serializers.ModelSerializer[EvidencePack]):
    """One pack. `size` and `origin` name the checkpoint that it is pinned to; `sha256` is the file's."""

    state = serializers.ChoiceField(PackState.choices)
    progress = serializers.SerializerMethodField()

    class Meta:
        model = EvidencePack
        fields = [
            *("id", "campaign", "state", "requested_at", "ready_at", "origin", "size", "file_size", "sha256"),
            *("manifest_sha256", "progress", "problem"),
        ]

    @extend_schema_field(PackProgressOut)
    def get_progress(self, pack: EvidencePack) -> dict[str, int]:
        return {"done": pack.progress.get("done", 0), "of": pack.progress.get("of", 0)}


class AcknowledgementOut(serializers.ModelSerializer[Acknowledgement]):
    """Who of management signed which state of a review."""

    numbers = serializers.DictField(child=serializers.DictField(child=serializers.IntegerField()))

    class Meta:
        model = Acknowledgement
        fields = ["id", "signed_by", "signed_name", "statement", "state_digest", "numbers", "signed_at"]


class CampaignPacks(APIView):
    """`/api/v1/campaigns/{id}/packs/`"""

    required_scope = SCOPE
    keyset = (SortKey("requested_at", descending=True), SortKey("pk", descending=True))

    @extend_schema(operation_id="packs_list", responses=PackOut(many=True))
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """The packs of a review, newest first."""
        actor = actor_of(request)
        campaign = packs.access_review(actor=actor, campaign_id=campaign_id)
        return page_of(self, request, packs.list_packs(campaign=campaign, actor=actor), PackOut)

    @extend_schema(operation_id="packs_request", request=None, responses={202: PackOut}, parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Ask for the evidence of a review that has ended; look at `Location` until its `state` is `ready` or `failed`.

        409 `review-not-over` while answers are given.
        """
        require_known_parameters(request, ())
        actor = actor_of(request)
        campaign = packs.access_review(actor=actor, campaign_id=campaign_id)
        try:
            pack = packs.request_pack(campaign=campaign, actor=actor, now=timezone.now(), once=once_of(request, _told))
        except AlreadyDone as earlier:
            answer, more = earlier.answer, {"Idempotency-Replayed": "true"}
        else:
            answer, more = _told(pack), {}
        place = reverse("api_pack", kwargs={"pack_id": answer["id"]})
        return Response(answer, status=202, headers={"Location": place, **more})


def _told(pack: EvidencePack) -> dict[str, Any]:
    """A pack as plain JSON, as it is answered and kept under a key."""
    plain: dict[str, Any] = json.loads(JSONRenderer().render(PackOut(pack).data))
    return plain


class PackDetail(APIView):
    """`/api/v1/packs/{id}/`"""

    required_scope = SCOPE

    @extend_schema(operation_id="packs_retrieve", responses=PackOut)
    def get(self, request: Request, pack_id: UUID) -> Response:
        """One pack and how far it is."""
        return Response(PackOut(packs.access_pack(actor=actor_of(request), pack_id=pack_id)).data)


class PackFile(APIView):
    """`/api/v1/packs/{id}/file/`"""

    required_scope = SCOPE

    @extend_schema(
        operation_id="packs_file",
        responses={
            (200, ZIP): OpenApiResponse(OpenApiTypes.BINARY, "The pack; VERIFY.md inside says how to check it.")
        },
    )
    def get(self, request: Request, pack_id: UUID) -> StreamingHttpResponse:
        """The file. Taking it out is recorded. 409 `pack-not-ready` until it is written."""
        require_known_parameters(request, ())
        actor = actor_of(request)
        pack = packs.access_pack(actor=actor, pack_id=pack_id)
        path = packs.take_out(pack=pack, actor=actor, now=timezone.now())
        return file_download(path, packs.file_name(pack), content_type=ZIP)


class CampaignAcknowledgements(APIView):
    """`/api/v1/campaigns/{id}/acknowledgements/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="campaigns_acknowledgements", responses=AcknowledgementOut(many=True))
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """Who signed the result of a review, newest first. Only people sign, on the review's page."""
        require_known_parameters(request, ())
        campaign = access_campaign(actor=actor_of(request), campaign_id=campaign_id)
        signed = campaign.acknowledgements.order_by("-signed_at", "-pk")[:100]
        return Response(AcknowledgementOut(signed, many=True).data)
