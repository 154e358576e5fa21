"""REST for the past: inventory and access at a moment, and who could do something then."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from governance.kernel import dialects
from governance.kernel.documents import format_moment
from governance.kernel.permissions import Answer
from governance.kernel.questions import read_question
from governance.web.pagination import KeysetPagination, SortKey, paginate
from governance.web.places import read_place, write_place
from identities.api.edge import InvalidParameter, actor_of, choice_parameter, require_known_parameters
from identities.models import Environment, IdentityKind, IdentityStatus, IdentityVersion
from identities.selectors import as_of
from identities.selectors.filters import SEGMENTS
from identities.selectors.inventory import access_identity
from identities.selectors.past_filter import NAMES, PastFilter, read_moment
from identities.selectors.who_could import Reason, judge, who_could

PAGING = frozenset({"cursor", "limit"})
ANSWERS = {"yes": Answer.YES, "depends": Answer.UNKNOWN}
_MANY = "Several, separated by commas, mean any of them."
AT = OpenApiParameter("at", str, description="A date (its end, UTC) or an RFC 3339 time; now when left out.")
CURSOR = OpenApiParameter("cursor", str, description="Where to continue; take it from `next` or `previous`.")
LIMIT = OpenApiParameter("limit", int, description="Rows per page, 1 to 1000.")
FILTERS = [
    OpenApiParameter("q", str, description="Part of the name it had then."),
    OpenApiParameter("source", str, description="Short name of a source."),
    OpenApiParameter("kind", str, enum=IdentityKind.values, description=_MANY),
    OpenApiParameter("environment", str, enum=Environment.values, description=_MANY),
    OpenApiParameter("status", str, enum=IdentityStatus.values, description=_MANY),
    OpenApiParameter("owner", str, description="An e-mail address, or `none`."),
    OpenApiParameter("tag", str, description="One tag, of people or of the source."),
    OpenApiParameter("team", str, description="Name or id of a team."),
]


class MemoryOut(serializers.Serializer):
    """What can be known of a source at the moment: before `known_since`, that something is missing says nothing."""

    source: Any = serializers.CharField(source="slug")
    known_since = serializers.DateTimeField(allow_null=True)
    read_at = serializers.DateTimeField(allow_null=True)
    run = serializers.UUIDField(source="run_id", allow_null=True)
    is_known = serializers.BooleanField()


class PastIdentityOut(serializers.ModelSerializer):
    """An identity as it was in `[seen_from, seen_until)`. `tags` are those of people and of the source."""

    id = serializers.UUIDField(source="identity_id")
    source: Any = serializers.SlugRelatedField("slug", read_only=True)
    owner: Any = serializers.SlugRelatedField("email", read_only=True, allow_null=True)
    team: Any = serializers.SlugRelatedField("name", read_only=True, allow_null=True)
    external_id = serializers.CharField(source="identity.external_id")

    class Meta:
        model = IdentityVersion
        fields = [
            *("id", "source", "external_id", "name", "kind", "status", "environment", "purpose", "owner", "team"),
            *("tags", "content", "seen_from", "seen_until"),
        ]


class PastAccessOut(serializers.Serializer):
    """A grant as it was. `is_in_force`: the moment lies within the validity that the source gave it."""

    grant = serializers.UUIDField(source="version.grant_id")
    source: Any = serializers.CharField(source="version.grant.source.slug")
    external_id = serializers.CharField(source="version.grant.external_id")
    identity = serializers.UUIDField(source="identity.identity_id")
    identity_name = serializers.CharField(source="identity.name")
    label: Any = serializers.CharField()
    path = serializers.JSONField()
    permission = serializers.JSONField(source="version.permission")
    plain = serializers.JSONField(source="version.plain")
    segment = serializers.CharField(source="version.segment")
    further_segments = serializers.ListField(child=serializers.CharField(), source="version.further_segments")
    is_privileged = serializers.BooleanField(source="version.is_privileged")
    is_in_force = serializers.BooleanField()
    valid_from = serializers.DateTimeField(source="version.valid_from", allow_null=True)
    valid_until = serializers.DateTimeField(source="version.valid_until", allow_null=True)
    seen_from = serializers.DateTimeField(source="version.seen_from")
    seen_until = serializers.DateTimeField(source="version.seen_until", allow_null=True)


class ReasonOut(serializers.Serializer):
    """A grant behind an answer; `allowed_if` and `denied_if` are what an open answer hangs on, in words."""

    grant = serializers.UUIDField(source="version.grant_id")
    label: Any = serializers.CharField()
    path = serializers.JSONField()
    plain = serializers.JSONField(source="version.plain")
    says = serializers.SerializerMethodField()
    allowed_if = serializers.ListField(child=serializers.CharField())
    denied_if = serializers.ListField(child=serializers.CharField())

    def get_says(self, reason: Reason) -> str:
        """`allows`, `depends` or `denies_if`."""
        return "allows" if reason.allows else "depends" if reason.allows is None else "denies_if"


class CouldOut(serializers.Serializer):
    """An identity that could do it: `yes` for certain, `depends` under conditions. The first few grants behind it."""

    identity = PastIdentityOut()
    answer = serializers.SerializerMethodField()
    reasons = ReasonOut(many=True)
    more_reasons = serializers.IntegerField(source="more")

    def get_answer(self, could: Any) -> str:
        return "yes" if could.answer is Answer.YES else "depends"


def _page_schema(name: str, row: type[serializers.Serializer[Any]], **more: Any) -> Any:
    link = serializers.URLField(allow_null=True)
    return inline_serializer(
        name,
        {
            "at": serializers.DateTimeField(),
            "sources": MemoryOut(many=True),
            "next": link,
            "previous": serializers.URLField(allow_null=True),
            "results": row(many=True),
        }
        | more,
    )


class HistoryIdentities(APIView):
    """`/api/v1/history/identities/`"""

    required_scope = "inventory:read"

    @extend_schema(
        operation_id="history_identities",
        responses=_page_schema("PastIdentityPage", PastIdentityOut),
        parameters=[AT, *FILTERS, CURSOR, LIMIT],
    )
    def get(self, request: Request) -> Response:
        """The identities that were there at a moment, by the names they had, and what is known of each source then."""
        require_known_parameters(request, PAGING | {"at", *NAMES} - {"privileged", "segment"})
        at, filters = _moment(request), _filters(request)
        found = as_of.list_identities_as_of(actor=actor_of(request), filters=filters, at=at)
        keys = (SortKey("name"), SortKey("identity_id"))
        shown = paginate(found, keys, cursor=request.query_params.get("cursor", ""), size=_limit(request))
        rows = PastIdentityOut(shown.rows, many=True).data
        return _answer(request, at, rows, shown.next_cursor, shown.previous_cursor, slug=filters.source)


class HistoryAccess(APIView):
    """`/api/v1/history/access/`"""

    required_scope = "inventory:read"
    further_refusals = ("404",)  # of an identity that is not there

    @extend_schema(
        operation_id="history_access",
        responses=_page_schema("PastAccessPage", PastAccessOut),
        parameters=[
            AT,
            OpenApiParameter("identity", UUID, description="Only what this one held."),
            *FILTERS,
            OpenApiParameter("privileged", str, enum=("yes", "no")),
            OpenApiParameter("segment", str, description=f"What it reached, of: {', '.join(SEGMENTS)}."),
            CURSOR,
            LIMIT,
        ],
    )
    def get(self, request: Request) -> Response:
        """Everything that was held at a moment, identity by identity, with label and path of that time."""
        require_known_parameters(request, PAGING | {"at", "identity", *NAMES})
        at, filters = _moment(request), _filters(request)
        cursor, wanted = request.query_params.get("cursor", ""), request.query_params.get("identity")
        backwards, place = read_place("access", cursor, (str, UUID, UUID)) if cursor else (False, None)
        actor = actor_of(request)
        page = as_of.list_access_as_of(
            actor=actor,
            filters=filters,
            at=at,
            after=tuple(place) if place else None,
            backwards=backwards,
            limit=_limit(request),
            identity=access_identity(actor=actor, identity_id=_uuid(wanted)) if wanted else None,
        )
        ends = [(each.identity.name, each.identity.identity_id, each.version.grant_id) for each in page.rows]
        has_previous = page.has_more if backwards else place is not None
        return _answer(
            request,
            at,
            PastAccessOut(page.rows, many=True).data,
            write_place("access", ends[-1]) if ends and (page.has_more or backwards) else "",
            write_place("access", ends[0], backwards=True) if ends and has_previous else "",
            slug=filters.source,
        )


class HistoryWhoCould(APIView):
    """`/api/v1/history/who-could/`"""

    required_scope = "inventory:read"

    @extend_schema(
        operation_id="history_who_could",
        responses=_page_schema(
            "WhoCouldPage",
            CouldOut,
            question=inline_serializer(
                "WhoCouldQuestion",
                {name: serializers.CharField() for name in ("dialect", "action", "resource")},
            ),
            permissions=inline_serializer(
                "WhoCouldPermissions",
                {name: serializers.IntegerField() for name in ("judged", "allow", "depend", "deny")},
            ),
        ),
        parameters=[
            OpenApiParameter("action", str, required=True, description="One action in the words of its system."),
            OpenApiParameter("resource", str, required=True, description="One resource in the words of its system."),
            OpenApiParameter("dialect", str, enum=tuple(dialects.DIALECTS), description="Told by the resource if not."),
            AT,
            OpenApiParameter("answer", str, enum=tuple(ANSWERS), description="Only these; both when left out."),
            CURSOR,
            LIMIT,
        ],
    )
    def get(self, request: Request) -> Response:
        """Who could do one action on one resource at a moment. A page may be short although `next` leads on."""
        require_known_parameters(request, PAGING | {"action", "resource", "dialect", "at", "answer"})
        given = request.query_params
        question = read_question(given.get("action", ""), given.get("resource", ""), given.get("dialect", ""))
        at = _moment(request)
        answer = ANSWERS.get(choice_parameter(request, "answer", ANSWERS))
        cursor = given.get("cursor", "")
        place = read_place("could", cursor, (str, UUID))[1] if cursor else None
        judged = judge(question, at)
        page = who_could(
            actor=actor_of(request),
            judgement=judged,
            at=at,
            answer=answer,
            after=tuple(place) if place else None,
            limit=_limit(request),
        )
        facts = {
            "question": {"dialect": question.dialect, "action": question.action, "resource": question.resource},
            "permissions": {
                "judged": judged.caught,
                "allow": judged.count(allows=True),
                "depend": judged.count(allows=None) + judged.count(denies=None),
                "deny": judged.count(denies=True),
            },
        }
        rows = CouldOut(page.rows, many=True).data
        following = write_place("could", page.last) if page.last else ""
        return _answer(request, at, rows, following, "", more=facts)


def _moment(request: Request) -> datetime:
    return read_moment(request.query_params.get("at", ""), now=timezone.now())


def _filters(request: Request) -> PastFilter:
    return PastFilter.parse({name: str(value) for name, value in request.query_params.items()})


def _limit(request: Request) -> int:
    return KeysetPagination()._limit(request)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidParameter("identity is the identifier of an identity.", parameter="identity") from None


def _answer(
    request: Request,
    at: datetime,
    rows: Any,
    following: str,
    previous: str,
    *,
    slug: str = "",
    more: dict[str, Any] | None = None,
) -> Response:
    memories = as_of.list_memories(actor=actor_of(request), at=at, slug=slug)
    return Response(
        {
            "at": format_moment(at),
            **(more or {}),
            "sources": MemoryOut(memories, many=True).data,
            "next": _link(request, at, following),
            "previous": _link(request, at, previous),
            "results": rows,
        }
    )


def _link(request: Request, at: datetime, cursor: str) -> str | None:
    """The address of another page; it names the moment, so that all pages show the same one."""
    if not cursor:
        return None
    url = replace_query_param(request.build_absolute_uri(), "at", format_moment(at))
    return replace_query_param(remove_query_param(url, "cursor"), "cursor", cursor)


urlpatterns = [
    path("history/identities/", HistoryIdentities.as_view(), name="api_history_identities"),
    path("history/access/", HistoryAccess.as_view(), name="api_history_access"),
    path("history/who-could/", HistoryWhoCould.as_view(), name="api_history_who_could"),
]
