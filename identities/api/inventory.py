"""REST for the inventory: identities, what they hold, how they prove themselves, and the feed of changes."""

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.etag import etag_for, require_match
from governance.web.filtered import FilteredPagination
from governance.web.pagination import KeysetPagination, SortKey
from identities.api.edge import (
    InvalidParameter,
    actor_of,
    checked,
    page_of,
    require_known_parameters,
)
from identities.api.filters import FILTERS, filter_of
from identities.api.named import person_named, team_named
from identities.models import (
    Credential,
    Environment,
    Grant,
    GrantVersion,
    Identity,
)
from identities.models.identity import MAX_TAG
from identities.selectors.history import list_versions, list_visible_credentials
from identities.selectors.inventory import access_grant, access_identity, list_identities, with_facts
from identities.selectors.use import list_windows, use_of_grants, with_last_use
from identities.services.identities import MAX_TAGS, edit_identity

READ_WRITE = {"get": "inventory:read", "patch": "inventory:write"}
PAGING = frozenset({"cursor", "limit"})
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")


class IdentityOut(serializers.ModelSerializer):
    """An identity. `environment` and `purpose` are what holds: a person's word, else the source's.

    `tags` are people's, `source_tags` the source's; both hold.

    `last_seen_at` is the latest use by any evidence; `watched_since` says since when a log would have shown use. Both
    null means that its use is not observable, which is not the same as unused.
    """

    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    owner: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)
    environment = serializers.ChoiceField(Environment.choices, source="effective_environment")
    purpose = serializers.CharField(source="effective_purpose")
    source_environment = serializers.ChoiceField(Environment.choices, source="environment")
    source_purpose = serializers.CharField(source="purpose")
    last_seen_at = serializers.DateTimeField(allow_null=True)
    watched_since = serializers.DateTimeField(allow_null=True)
    grants = serializers.IntegerField(source="grant_count")
    privileged_grants = serializers.IntegerField(source="privileged_count")
    credentials = serializers.IntegerField(source="credential_count")

    class Meta:
        model = Identity
        fields = [
            *("id", "source", "external_id", "kind", "name", "status", "custody", "environment", "source_environment"),
            *("purpose", "source_purpose", "owner", "source_owner", "source_sponsor", "acts_for"),
            *("tags", "source_tags", "grants", "privileged_grants", "credentials"),
            *("last_seen_at", "watched_since", "created_at", "first_seen_at", "last_changed_at", "retired_at"),
        ]


class IdentityDetailOut(IdentityOut):
    """An identity with everything that people and its source say."""

    backup_owner: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)
    sponsor: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)
    team: Any = serializers.SlugRelatedField("name", read_only=True, allow_null=True)

    class Meta(IdentityOut.Meta):
        fields = [*IdentityOut.Meta.fields, "backup_owner", "sponsor", "team", "attributes"]


class IdentityPatch(serializers.Serializer):
    """What people may say. People are e-mail addresses, a team is its name; null means nobody or none.

    An empty `purpose` or `environment` goes back to what the source says.
    """

    owner = serializers.EmailField(required=False, allow_null=True)
    backup_owner = serializers.EmailField(required=False, allow_null=True)
    sponsor = serializers.EmailField(required=False, allow_null=True)
    team = serializers.CharField(required=False, allow_null=True, max_length=120)
    purpose = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    environment = serializers.ChoiceField(["", *Environment.values], required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=MAX_TAG), max_length=MAX_TAGS, required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)


class UseOut(serializers.Serializer):
    """Use in three values, whole and by parts. `is_brief`: watched too shortly to conclude anything from silence."""

    state = serializers.ChoiceField(["used", "unused", "not_observable"])
    last_seen_at = serializers.DateTimeField(allow_null=True)
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    calls = serializers.IntegerField()
    used = serializers.IntegerField()
    unused = serializers.IntegerField()
    unknown = serializers.IntegerField()
    is_brief = serializers.BooleanField()


class VersionOut(serializers.ModelSerializer):
    """One content of a grant while the source was seen to hold it: `[seen_from, seen_until)`."""

    digest = serializers.SerializerMethodField()

    class Meta:
        model = GrantVersion
        fields = [
            *("id", "number", "permission", "plain", "digest", "segment", "further_segments", "is_privileged"),
            *("privilege_classes", "valid_from", "valid_until", "seen_from", "seen_until"),
        ]

    def get_digest(self, version: GrantVersion) -> str:
        """sha256 of the permission's canonical form, hex: what a decision is bound to."""
        return bytes(version.digest).hex()


class GrantOut(serializers.ModelSerializer):
    """A grant: one thing that can be removed at the source, with its current content."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    current = serializers.SerializerMethodField()
    use = serializers.SerializerMethodField()

    class Meta:
        model = Grant
        fields = [
            *("id", "source", "identity", "external_id", "label", "path", "revocability", "shared_with"),
            *("reviewed_at", "approved_until", "first_seen_at", "last_changed_at", "retired_at", "current", "use"),
        ]

    @extend_schema_field(VersionOut(allow_null=True))
    def get_current(self, grant: Grant) -> Any:
        version = self.context["current"].get(grant.pk)
        return VersionOut(version).data if version else None

    @extend_schema_field(UseOut(allow_null=True))
    def get_use(self, grant: Grant) -> Any:
        version = self.context["current"].get(grant.pk)
        return UseOut(self.context["use"][version.pk]).data if version else None


class CredentialOut(serializers.ModelSerializer):
    """How an identity proves itself; never a secret. A null time means: not reported."""

    source: Any = serializers.SlugRelatedField("slug", read_only=True)

    class Meta:
        model = Credential
        fields = [
            *("id", "source", "identity", "external_id", "kind", "status", "created_at", "expires_at", "never_expires"),
            *("last_rotated_at", "last_used_at", "storage", "audience", "fingerprint", "first_seen_at"),
        ]


class IdentityList(APIView):
    """`/api/v1/identities/`"""

    required_scope = READ_WRITE
    pagination_class = FilteredPagination
    keyset = (SortKey("name"), SortKey("pk"))

    @extend_schema(operation_id="identities_list", responses=IdentityOut(many=True), parameters=FILTERS)
    def get(self, request: Request) -> Response:
        """Identities by name, narrowed by the same filter as the page and the scope of a campaign."""
        filters = filter_of(request)
        found = list_identities(actor=actor_of(request), filters=filters, now=timezone.now())
        return page_of(self, request, with_last_use(found), IdentityOut)


class IdentityDetail(APIView):
    """`/api/v1/identities/{id}/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="identities_retrieve", responses=IdentityDetailOut)
    def get(self, request: Request, identity_id: UUID) -> Response:
        """One identity, with an ETag."""
        require_known_parameters(request, ())
        return _identity(request, identity_id)

    @extend_schema(
        operation_id="identities_change", request=IdentityPatch, responses=IdentityDetailOut, parameters=[IF_MATCH]
    )
    def patch(self, request: Request, identity_id: UUID) -> Response:
        """Change what people say about it; needs If-Match. What the source says stays."""
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        require_match(request, identity.version)
        changes = checked(IdentityPatch, request)
        reason = changes.pop("reason", "")
        for name in ("owner", "backup_owner", "sponsor"):
            if name in changes:
                changes[name] = person_named(changes[name], name)
        if "team" in changes:
            changes["team"] = team_named(changes["team"])
        edit_identity(
            identity=identity,
            version=identity.version,
            changes=changes,
            actor=actor_of(request),
            now=timezone.now(),
            reason=reason,
        )
        return _identity(request, identity_id)


class IdentityGrants(APIView):
    """`/api/v1/identities/{id}/grants/`"""

    required_scope = "inventory:read"
    pagination_class = KeysetPagination
    keyset = (SortKey("pk"),)

    @extend_schema(operation_id="identities_grants", responses=GrantOut(many=True))
    def get(self, request: Request, identity_id: UUID) -> Response:
        """What it holds now, each with its use."""
        require_known_parameters(request, PAGING)
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        held = Grant.objects.filter(identity=identity, retired_at=None).select_related("source")
        pages = KeysetPagination()
        grants = pages.paginate_queryset(held, request, self)
        versions = GrantVersion.objects.filter(grant__in=grants, seen_until=None).select_related("grant")
        context = _contents(identity, list(versions))
        return pages.get_paginated_response(GrantOut(grants, many=True, context=context).data)


class GrantDetail(APIView):
    """`/api/v1/grants/{id}/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="grants_retrieve", responses=GrantOut)
    def get(self, request: Request, grant_id: UUID) -> Response:
        """One grant with its current content and its use."""
        require_known_parameters(request, ())
        grant = access_grant(actor=actor_of(request), grant_id=grant_id)
        versions = GrantVersion.objects.filter(grant=grant, seen_until=None).select_related("grant")
        return Response(GrantOut(grant, context=_contents(grant.identity, list(versions))).data)


class GrantVersions(APIView):
    """`/api/v1/grants/{id}/versions/`"""

    required_scope = "inventory:read"
    pagination_class = KeysetPagination
    keyset = (SortKey("number", descending=True), SortKey("pk", descending=True))

    @extend_schema(operation_id="grants_versions", responses=VersionOut(many=True))
    def get(self, request: Request, grant_id: UUID) -> Response:
        """Every content it ever had, latest first. History is never rewritten."""
        require_known_parameters(request, PAGING)
        grant = access_grant(actor=actor_of(request), grant_id=grant_id)
        return page_of(self, request, list_versions(grant), VersionOut)


class CredentialList(APIView):
    """`/api/v1/credentials/`"""

    required_scope = "inventory:read"
    further_refusals = ("404",)  # of an identity that is not there
    pagination_class = KeysetPagination
    keyset = (SortKey("pk"),)

    @extend_schema(
        operation_id="credentials_list",
        responses=CredentialOut(many=True),
        parameters=[OpenApiParameter("identity", UUID), OpenApiParameter("source", str)],
    )
    def get(self, request: Request) -> Response:
        """Live credentials, of one identity or source if you wish."""
        require_known_parameters(request, PAGING | {"identity", "source"})
        found = list_visible_credentials(actor=actor_of(request))
        if identity := request.query_params.get("identity"):
            found = found.filter(identity=access_identity(actor=actor_of(request), identity_id=_uuid(identity)))
        if source := request.query_params.get("source"):
            found = found.filter(source__slug=source)
        return page_of(self, request, found, CredentialOut)


def _contents(identity: Identity, versions: list[GrantVersion]) -> dict[str, Any]:
    """What GrantOut needs beside the grants: their current contents by grant, and the use of those by version."""
    return {
        "current": {version.grant_id: version for version in versions},
        "use": use_of_grants(identity, versions, list_windows(identity)),
    }


def _identity(request: Request, identity_id: UUID) -> Response:
    found = access_identity(actor=actor_of(request), identity_id=identity_id)
    facts = with_last_use(with_facts(Identity.objects.filter(pk=found.pk)))
    identity = facts.select_related("backup_owner", "sponsor", "team").get()
    return Response(IdentityDetailOut(identity).data, headers={"ETag": etag_for(identity.version)})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidParameter("identity is the identifier of an identity.", parameter="identity") from None


urlpatterns = [
    path("identities/", IdentityList.as_view(), name="api_identity_list"),
    path("identities/<uuid:identity_id>/", IdentityDetail.as_view(), name="api_identity_detail"),
    path("identities/<uuid:identity_id>/grants/", IdentityGrants.as_view(), name="api_identity_grants"),
    path("grants/<uuid:grant_id>/", GrantDetail.as_view(), name="api_grant_detail"),
    path("grants/<uuid:grant_id>/versions/", GrantVersions.as_view(), name="api_grant_versions"),
    path("credentials/", CredentialList.as_view(), name="api_credential_list"),
]
