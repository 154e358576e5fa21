"""REST for how applications decide: what is declared of an identity, and of a source."""

from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.breadth import ORDER
from governance.kernel.privileges import PrivilegeClass
from identities.api.edge import actor_of, checked, require_known_parameters
from identities.models import AuthorizationModel, Identity, Source
from identities.selectors.authorization import declared_of, own_declaration
from identities.selectors.inventory import access_identity, access_source
from identities.services.authorization import LONGEST_NOTE, declare_authorization

READ_WRITE = {"get": "inventory:read", "put": "inventory:write"}
_CLASSES = [each.value for each in PrivilegeClass]


class AuthorizationOut(serializers.Serializer):
    """How an application decides. `said_by`: the identity's own declaration, its source's, or what the source reports.

    `model` is empty where nobody said anything. `version` is of the declaration of this very object, 0 for none.
    """

    model = serializers.ChoiceField([*AuthorizationModel.values, ""])
    classes = serializers.ListField(child=serializers.ChoiceField(_CLASSES))
    breadth = serializers.ChoiceField([*ORDER, ""])
    note = serializers.CharField(allow_blank=True)
    said_by = serializers.ChoiceField(["identity", "source", "reading", ""])
    version = serializers.IntegerField()


class AuthorizationIn(serializers.Serializer):
    """A declaration; an empty `model` takes the word back. `version`: the one that was read."""

    model = serializers.ChoiceField([*AuthorizationModel.values, ""])
    classes = serializers.ListField(child=serializers.ChoiceField(_CLASSES), required=False, default=list)
    breadth = serializers.ChoiceField([*ORDER, ""], required=False, default="")
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE, default="")
    version = serializers.IntegerField(min_value=0)


class IdentityAuthorization(APIView):
    """`/api/v1/identities/{id}/authorization/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="identities_authorization", responses=AuthorizationOut)
    def get(self, request: Request, identity_id: UUID) -> Response:
        """How the application behind the identity decides, whoever said so."""
        require_known_parameters(request, ())
        return Response(_of_identity(access_identity(actor=actor_of(request), identity_id=identity_id)))

    @extend_schema(operation_id="identities_authorization_declare", request=AuthorizationIn, responses=AuthorizationOut)
    def put(self, request: Request, identity_id: UUID) -> Response:
        """Declare it."""
        require_known_parameters(request, ())
        identity = access_identity(actor=actor_of(request), identity_id=identity_id)
        declare_authorization(
            of=identity, actor=actor_of(request), now=timezone.now(), **checked(AuthorizationIn, request)
        )
        return Response(_of_identity(identity))


class SourceAuthorization(APIView):
    """`/api/v1/sources/{slug}/authorization/`"""

    required_scope = READ_WRITE

    @extend_schema(operation_id="sources_authorization", responses=AuthorizationOut)
    def get(self, request: Request, slug: str) -> Response:
        """What is declared of every identity of the source of which nothing else is said."""
        require_known_parameters(request, ())
        return Response(_of_source(access_source(actor=actor_of(request), slug=slug)))

    @extend_schema(operation_id="sources_authorization_declare", request=AuthorizationIn, responses=AuthorizationOut)
    def put(self, request: Request, slug: str) -> Response:
        """Declare it."""
        require_known_parameters(request, ())
        source = access_source(actor=actor_of(request), slug=slug)
        declare_authorization(
            of=source, actor=actor_of(request), now=timezone.now(), **checked(AuthorizationIn, request)
        )
        return Response(_of_source(source))


def _of_identity(identity: Identity) -> dict[str, Any]:
    found = declared_of([identity.pk]).get(identity.pk)
    own = own_declaration(identity)
    version = own.version if own else 0
    if found is None:
        return {"model": "", "classes": [], "breadth": "", "note": "", "said_by": "", "version": version}
    return {
        "model": found.model,
        "classes": list(found.classes),
        "breadth": found.breadth,
        "note": found.note,
        "said_by": found.said_by,
        "version": version,
    }


def _of_source(source: Source) -> dict[str, Any]:
    own = own_declaration(source)
    if own is None:
        return {"model": "", "classes": [], "breadth": "", "note": "", "said_by": "", "version": 0}
    return {
        "model": own.model,
        "classes": own.classes,
        "breadth": own.breadth,
        "note": own.note,
        "said_by": "source" if own.model else "",
        "version": own.version,
    }


urlpatterns = [
    path(
        "identities/<uuid:identity_id>/authorization/",
        IdentityAuthorization.as_view(),
        name="api_identity_authorization",
    ),
    path("sources/<slug:slug>/authorization/", SourceAuthorization.as_view(), name="api_source_authorization"),
]
