"""Trying a narrowing over the API: what the workbench shows, as data; and asking whether it shall be done."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.kernel.permissions import Permission, describe
from governance.web.parameters import checked
from identities.connectors.contract import Plan
from identities.models import Grant, GrantVersion, Identity
from identities.selectors.inventory import access_grant
from reviews import evidence
from reviews.api.items import ItemOut
from reviews.api.requests import actor_of
from reviews.campaigns.asking import LONGEST_WHY, ask_about, require_held
from reviews.decisions.targets import held_permission
from reviews.evidence import Replayed, Trial, TrialState
from reviews.remediation import Prepared, others_of, prepare_narrowing
from reviews.selectors import access_item


class TargetIn(serializers.Serializer[dict[str, Any]]):
    """What shall remain: a permission (docs/permissions.md)."""

    target = serializers.JSONField()


class ProposalIn(TargetIn):
    """What shall remain, and why it is proposed."""

    why = serializers.CharField(max_length=LONGEST_WHY, required=False, allow_blank=True, default="")


class ExampleOut(serializers.Serializer[dict[str, Any]]):
    """A request that the target would newly allow, in the source's words and in plain ones."""

    action = serializers.CharField()
    resource = serializers.CharField()
    context = serializers.DictField()  # type: ignore[assignment]
    at = serializers.DateTimeField(allow_null=True)
    words = serializers.CharField()


class RefusedOut(serializers.Serializer[dict[str, Any]]):
    """Calls that were seen and would have been refused."""

    action = serializers.CharField()
    resource = serializers.CharField()
    count = serializers.IntegerField()
    last_seen_at = serializers.DateTimeField()


class ReplayOut(serializers.Serializer[dict[str, Any]]):
    """Calls that were seen against the target. `unknown`: different requests that depend on what no log recorded."""

    calls = serializers.IntegerField()
    refused_calls = serializers.IntegerField()
    refused = RefusedOut(many=True)
    unknown = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    not_observable = serializers.ListField(child=serializers.CharField())


class StepOut(serializers.Serializer[dict[str, Any]]):
    """One native operation, as it would be shown before it runs."""

    text = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class PlanOut(serializers.Serializer[dict[str, Any]]):
    """What would be done at the source, and how it would be undone."""

    summary = serializers.CharField(allow_blank=True)
    steps = StepOut(many=True)
    inverse = StepOut(many=True)
    irreversible = serializers.BooleanField()


class VerdictOut(serializers.Serializer[dict[str, Any]]):
    """The outcome of a trial; nothing was written. What makes no sense in its state is null or empty.

    `others`: who else is touched, null where nobody knows yet. `plan` is null where a person would have to do it
    (`instructions`) or where none could be made now (`problem`).
    """

    state = serializers.ChoiceField([state.value for state in TrialState])
    text = serializers.CharField()
    counter_example = ExampleOut(allow_null=True)
    stays = serializers.ListField(child=serializers.CharField())
    goes = serializers.ListField(child=serializers.CharField())
    replay = ReplayOut(allow_null=True)
    others = serializers.ListField(child=serializers.CharField(), allow_null=True)
    plan = PlanOut(allow_null=True)
    instructions = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)


class SuggestionOut(serializers.Serializer[dict[str, Any]]):
    """A start for choosing: what was used, and what nobody could have seen, written in one style."""

    style = serializers.CharField()  # type: ignore[assignment]
    target = serializers.JSONField()
    plain = serializers.ListField(child=serializers.CharField())


class SuggestionsOut(serializers.Serializer[dict[str, Any]]):
    """Nothing in `results` means: nothing smaller would do, or nothing is known of its use."""

    results = SuggestionOut(many=True)


class GrantSuggestions(APIView):
    """`/api/v1/grants/{id}/suggestions/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="grants_suggestions", responses=SuggestionsOut)
    def get(self, request: Request, grant_id: UUID) -> Response:
        """What right-sizing suggests for a grant. Each is proved to lie inside what is held."""
        grant, version = _held(request, grant_id)
        held = Permission.from_json(version.permission)
        found = evidence.suggestions_of(held, evidence.observe(grant.identity), timezone.now())
        rows = [
            {"style": each.style, "target": each.target.to_json(), "plain": describe(each.target)} for each in found
        ]
        return Response({"results": rows})


class ItemVerdict(APIView):
    """`/api/v1/items/{id}/verdict/`"""

    required_scope = "reviews:read"

    @extend_schema(operation_id="items_verdict", request=TargetIn, responses=VerdictOut)
    def post(self, request: Request, item_id: UUID) -> Response:
        """Try what scoping a question down to `target` would mean. Asks the source for a plan; changes nothing."""
        item = access_item(actor=actor_of(request), item_id=item_id)
        target = Permission.from_json(checked(TargetIn, request)["target"])
        held = held_permission(item)
        assert item.grant is not None and item.grant_version is not None  # noqa: S101 - else nothing is held
        return Response(_verdict(item.identity, item.grant, item.grant_version, held, target))


class GrantVerdict(APIView):
    """`/api/v1/grants/{id}/verdict/`"""

    required_scope = "inventory:read"

    @extend_schema(operation_id="grants_verdict", request=TargetIn, responses=VerdictOut)
    def post(self, request: Request, grant_id: UUID) -> Response:
        """Try what narrowing a grant to `target` would mean. Asks the source for a plan; changes nothing."""
        grant, version = _held(request, grant_id)
        target = Permission.from_json(checked(TargetIn, request)["target"])
        held = Permission.from_json(version.permission)
        return Response(_verdict(grant.identity, grant, version, held, target))


class GrantQuestions(APIView):
    """`/api/v1/grants/{id}/questions/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="grants_ask", request=ProposalIn, responses={201: ItemOut})
    def post(self, request: Request, grant_id: UUID) -> Response:
        """Open a review with just this question, the proposal attached. The token needs `inventory:read` as well.

        A person decides; until then nothing changes. 409 `asked-already` names the question that waits already.
        """
        grant = access_grant(actor=actor_of(request), grant_id=grant_id)
        data = checked(ProposalIn, request)
        proposal = Permission.from_json(data["target"])
        item = ask_about(grant=grant, proposal=proposal, actor=actor_of(request), now=timezone.now(), why=data["why"])
        return Response(ItemOut(item).data, status=201)


def _held(request: Request, grant_id: UUID) -> tuple[Grant, GrantVersion]:
    """The grant and what it holds now. Raises NotFound, NothingHeld."""
    return require_held(access_grant(actor=actor_of(request), grant_id=grant_id))


def _verdict(
    identity: Identity, grant: Grant, version: GrantVersion, held: Permission, target: Permission
) -> dict[str, Any]:
    trial = evidence.try_target(held, target, evidence.observe(identity), timezone.now())
    prepared = prepare_narrowing(grant=grant, version=version, target=target) if trial.is_narrower else None
    return {
        "state": trial.state.value,
        "text": trial.text,
        "counter_example": _example(trial),
        "stays": [text for change, text in trial.lines if change == "kept"],
        "goes": [text for change, text in trial.lines if change == "removed"],
        "replay": _replay(trial.replayed),
        "others": others_of(prepared, grant) if prepared and (prepared.plan or prepared.instructions) else None,
        "plan": _plan(prepared),
        "instructions": prepared.instructions if prepared else "",
        "problem": prepared.problem if prepared else "",
    }


def _example(trial: Trial) -> dict[str, Any] | None:
    example = trial.example
    if example is None:
        return None
    facts = {"action": example.action, "resource": example.resource, "context": dict(example.context)}
    return facts | {"at": _text(example.at), "words": trial.example_words}


def _replay(replayed: Replayed | None) -> dict[str, Any] | None:
    if replayed is None:
        return None
    return {
        "calls": replayed.calls,
        "refused_calls": replayed.refused_calls,
        "refused": [
            {
                "action": use.action,
                "resource": use.resource,
                "count": use.count,
                "last_seen_at": _text(use.last_seen_at),
            }
            for use in replayed.refused
        ],
        "unknown": replayed.unknown,
        "since": _text(replayed.since),
        "not_observable": list(replayed.not_observable),
    }


def _plan(prepared: Prepared | None) -> dict[str, Any] | None:
    plan: Plan | None = prepared.plan if prepared else None
    if plan is None:
        return None
    return {
        "summary": plan.summary,
        "steps": [{"text": step.text, "note": step.note} for step in plan.steps],
        "inverse": [{"text": step.text, "note": step.note} for step in plan.inverse],
        "irreversible": plan.irreversible,
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
