"""REST for the rules of posture: what each says of everything the token may see, with what it could not judge."""

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identities.api.edge import actor_of, require_known_parameters
from identities.posture.report import RuleLine, ToldRules, report_rules, tell_rules
from identities.posture.results import ObjectKind, Severity
from identities.posture.rules import CATEGORIES
from identities.selectors.inventory import access_source


class RuleReasonOut(serializers.Serializer):
    """Why so many could not be judged."""

    code = serializers.CharField()
    sentence = serializers.CharField()
    count = serializers.IntegerField()


class PostureRuleOut(serializers.Serializer):
    """A rule with its counts. `assessed` is passed and failed together; `pass_share` is of the assessed, null for none.

    Counts are of identities, for rules about sources (`POP-…`) of sources. `base_severity` is null for a rule that
    never fails.
    """

    id = serializers.CharField(source="rule.id")
    title = serializers.CharField(source="rule.title")
    owasp = serializers.CharField(source="rule.owasp")
    category = serializers.SerializerMethodField()
    object_kind = serializers.ChoiceField([kind.value for kind in ObjectKind], source="rule.object_kind")
    base_severity = serializers.ChoiceField([level.value for level in Severity], source="rule.base", allow_null=True)
    fix = serializers.CharField(source="rule.fix")
    assessed = serializers.IntegerField(source="counts.assessed")
    passed = serializers.IntegerField(source="counts.passed")
    failed = serializers.IntegerField(source="counts.failed")
    not_assessable = serializers.IntegerField(source="counts.not_assessable")
    not_applicable = serializers.IntegerField(source="counts.not_applicable")
    assessed_share = serializers.FloatField(source="counts.assessed_share", allow_null=True)
    pass_share = serializers.FloatField(source="counts.pass_share", allow_null=True)
    reasons = RuleReasonOut(many=True)

    def get_category(self, line: RuleLine) -> str:
        """The name of the OWASP category; empty for population and trust boundaries."""
        return CATEGORIES.get(line.rule.owasp, "")


class PostureRulesOut(serializers.Serializer):
    """`counted_at`: the moment of which the counts are. Of a whole large estate they are up to a minute old."""

    counted_at = serializers.DateTimeField()
    results = PostureRuleOut(many=True)


class PostureRules(APIView):
    """`/api/v1/posture/rules/`"""

    required_scope = "inventory:read"
    further_refusals = ("404",)  # of a source that is not there

    @extend_schema(
        operation_id="posture_rules_list",
        responses=PostureRulesOut,
        parameters=[OpenApiParameter("source", str, description="Of this source only: its short name.")],
    )
    def get(self, request: Request) -> Response:
        """Every rule with what it says: failed, passed, not assessable with frequent reasons, not applicable.

        Of 5,000 judged identities and more, counts of the whole are shared for a minute; `counted_at` says of when they
        are. Counts of one source are always of now.
        """
        require_known_parameters(request, {"source"})
        actor, now = actor_of(request), timezone.now()
        slug = request.query_params.get("source")
        if slug:
            told = ToldRules(report_rules(actor=actor, now=now, source=access_source(actor=actor, slug=slug)), now)
        else:
            told = tell_rules(actor=actor, now=now)
        return Response(PostureRulesOut({"counted_at": told.counted_at, "results": told.lines}).data)


urlpatterns = [path("posture/rules/", PostureRules.as_view(), name="api_posture_rules")]
