"""`/api/v1/frameworks/`: which controls Remit evidences, and the evidence of one framework with its figures."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.console.frameworks.evidence import ControlLine, figures_of, section_lines, take_evidence
from governance.frameworks.loading import Framework, get_framework, load_frameworks
from governance.web.parameters import require_known_parameters


class FrameworkOut(serializers.Serializer[Any]):
    """A framework, as far as Remit has evidence for it."""

    id = serializers.CharField()
    title = serializers.CharField()
    edition = serializers.CharField()
    source: Any = serializers.URLField()
    note = serializers.CharField()
    is_protected = serializers.BooleanField()
    controls = serializers.IntegerField()


class FrameworkListOut(serializers.Serializer[Any]):
    """All of them."""

    results = FrameworkOut(many=True)


class FigureOut(serializers.Serializer[Any]):
    """One figure. `part` and `whole` are null where it is no share or nothing was measured; `missing` is not in it."""

    name = serializers.CharField()
    text = serializers.CharField()
    part = serializers.IntegerField(allow_null=True)
    whole = serializers.IntegerField(allow_null=True)
    missing = serializers.CharField(allow_blank=True)


class ControlOut(serializers.Serializer[Any]):
    """One control in our words. `intersects_with`: names of the framework's earlier edition; never an equivalence."""

    id = serializers.CharField()
    section = serializers.CharField()
    title = serializers.CharField()
    baseline = serializers.CharField(allow_blank=True)
    intersects_with = serializers.ListField(child=serializers.CharField())
    evidences = serializers.CharField()
    cannot = serializers.CharField()
    rules = serializers.ListField(child=serializers.CharField())
    verbs = serializers.ListField(child=serializers.CharField())
    figures = FigureOut(many=True)


class FrameworkDetailOut(FrameworkOut):
    """A framework with its controls and their figures as of `taken_at`."""

    taken_at = serializers.DateTimeField()
    results = ControlOut(many=True)


class FrameworkList(APIView):
    """`/api/v1/frameworks/`"""

    required_scope = "audit:read"

    @extend_schema(operation_id="frameworks_list", responses=FrameworkListOut)
    def get(self, request: Request) -> Response:
        """The frameworks, without figures."""
        require_known_parameters(request, ())
        return Response({"results": [_told(framework) for framework in load_frameworks()]})


class FrameworkDetail(APIView):
    """`/api/v1/frameworks/{id}/`"""

    required_scope = "audit:read"

    @extend_schema(operation_id="frameworks_retrieve", responses=FrameworkDetailOut)
    def get(self, request: Request, framework_id: str) -> Response:
        """One framework: per control what is evidenced, how much of it now, and what cannot be."""
        require_known_parameters(request, ())
        framework, now = get_framework(framework_id), timezone.now()
        evidence = take_evidence(now=now)
        controls = [_control(line) for section in section_lines(framework, evidence) for line in section.controls]
        return Response(_told(framework) | {"taken_at": now, "results": controls})


def _told(framework: Framework) -> dict[str, Any]:
    names = ("id", "title", "edition", "source", "note", "is_protected")
    return {name: getattr(framework, name) for name in names} | {"controls": len(framework.controls)}


def _control(line: ControlLine) -> dict[str, Any]:
    control = line.control
    names = ("id", "section", "title", "baseline", "evidences", "cannot")
    return {
        **{name: getattr(control, name) for name in names},
        "intersects_with": list(control.former),
        "rules": list(control.rules),
        "verbs": list(control.verbs),
        "figures": [
            {"name": name, "text": text, "part": part, "whole": whole, "missing": missing}
            for name, text, part, whole, missing in figures_of(line)
        ],
    }
