"""`/api/v1/campaign-previews/`: what a review would ask of whom, and what silence would take away. Writes nothing."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.web.parameters import checked, require_known_parameters
from reviews.api.plans import PlanIn, chosen_of
from reviews.api.requests import actor_of
from reviews.campaigns.launching import preview_launch
from reviews.campaigns.previewed import Example, Load, Outcome, PassedOver, Preview
from reviews.campaigns.previewed_carrying import CarriedOver
from reviews.campaigns.unchanged import Why
from reviews.models import DeadlinePolicy, ItemKind


class CountsOut(serializers.Serializer[dict[str, Any]]):
    """Questions by kind; a kind that is not asked about is 0."""

    total = serializers.IntegerField()
    grant = serializers.IntegerField()
    credential = serializers.IntegerField()
    ownership = serializers.IntegerField()


class LoadOut(serializers.Serializer[dict[str, Any]]):
    """How much one person is asked. `attests`: of these, questions on which they only testify. `decides`: privileged
    questions that come to them after somebody else has attested."""

    person = serializers.EmailField()
    items = serializers.IntegerField()
    privileged = serializers.IntegerField()
    attests = serializers.IntegerField()
    decides = serializers.IntegerField()


class PassedOverOut(serializers.Serializer[dict[str, Any]]):
    """Somebody whom a rule names and who is not asked."""

    person = serializers.EmailField()
    why = serializers.CharField()
    items = serializers.IntegerField()


class NamedThingOut(serializers.Serializer[dict[str, Any]]):
    """One access or credential."""

    kind = serializers.ChoiceField(ItemKind.choices)
    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)
    identity = serializers.UUIDField()
    identity_name = serializers.CharField(allow_blank=True)
    used_at = serializers.DateTimeField(allow_null=True)


class FreshnessOut(serializers.Serializer[dict[str, Any]]):
    """How old what is known about a source is. `run`: the reading that it comes from."""

    source = serializers.UUIDField()  # type: ignore[assignment]
    slug = serializers.CharField()
    name = serializers.CharField()
    freshness = serializers.ChoiceField(["fresh", "stale", "never_read"])
    read_at = serializers.DateTimeField(allow_null=True)
    run = serializers.UUIDField(allow_null=True)


class OutcomeOut(serializers.Serializer[dict[str, Any]]):
    """What one deadline policy would take away if nobody answered, and of that: privileged, used in the last seven
    days, and of which nobody can know whether it is used."""

    policy = serializers.ChoiceField(DeadlinePolicy.choices)
    is_chosen = serializers.BooleanField()
    takes_away = serializers.IntegerField()
    privileged = serializers.IntegerField()
    used_lately = serializers.IntegerField()
    unobservable = serializers.IntegerField()


class AskedOut(serializers.Serializer[dict[str, Any]]):
    """So many questions are asked although approvals are carried over, for this first reason."""

    why = serializers.ChoiceField(list(Why))
    words = serializers.CharField()
    items = serializers.IntegerField()


class CarryingOut(serializers.Serializer[dict[str, Any]]):
    """`unchanged` is exact: the opening carries over or samples so many. Chance draws the sample only then: `carried`
    and `sampled` are what to expect of it, exact where `sample_percent` is 0 or 100."""

    unchanged = serializers.IntegerField()
    carried = serializers.IntegerField()
    sampled = serializers.IntegerField()
    sample_percent = serializers.IntegerField()
    asked = AskedOut(many=True, help_text="The other questions by reason, the most first.")


class PreviewOut(serializers.Serializer[dict[str, Any]]):
    """`counts` are exact. The rest is told of `looked_at` questions, use of `judged` ones; `is_partial` says that this
    is fewer than all. `people` and `passed_over_people` count everybody, the lists name the first 200. Questions that
    would be carried over (`carrying`, null where the review carries nothing) are in the counts and nowhere else."""

    taken_at = serializers.DateTimeField()
    counts = CountsOut()
    privileged = CountsOut()
    looked_at = serializers.IntegerField()
    judged = serializers.IntegerField()
    is_partial = serializers.BooleanField()
    people = serializers.IntegerField()
    load = LoadOut(many=True)
    nobody = serializers.IntegerField(help_text="Questions on which nobody may decide.")
    nobody_examples = NamedThingOut(many=True)
    passed_over_people = serializers.IntegerField()
    passed_over = PassedOverOut(many=True)
    sources = FreshnessOut(many=True)
    left_out = serializers.ListField(child=serializers.CharField(), help_text="Sources that it would open without.")
    is_held = serializers.BooleanField(help_text="Whether it would wait for its sources first.")
    unknown_use = serializers.IntegerField(
        help_text="What a scope with `unused_days` leaves out because nobody can tell whether it is used."
    )
    outcomes = OutcomeOut(many=True)
    used_lately = NamedThingOut(many=True, help_text="What the chosen policy would take away, the latest used first.")
    carrying = CarryingOut(allow_null=True)


class CampaignPreviews(APIView):
    """`/api/v1/campaign-previews/`"""

    required_scope = "reviews:write"

    @extend_schema(operation_id="campaign_previews", request=PlanIn, responses=PreviewOut)
    def post(self, request: Request) -> Response:
        """Simulate a review: its questions, who would be asked how much, and what silence would take away.

        Takes what `POST /api/v1/campaigns/` takes, without the name. Nothing is kept.
        """
        require_known_parameters(request, ())
        chosen = chosen_of(checked(PlanIn, request))
        return Response(told(preview_launch(actor=actor_of(request), now=timezone.now(), **chosen)))


def told(preview: Preview) -> dict[str, Any]:
    """The preview as plain JSON."""
    return {
        "taken_at": preview.taken_at,
        "counts": _counts(preview.counts),
        "privileged": _counts(preview.privileged),
        "looked_at": preview.looked_at,
        "judged": preview.judged,
        "is_partial": preview.is_partial,
        "people": preview.people,
        "load": [_load(each) for each in preview.load],
        "nobody": preview.nobody,
        "nobody_examples": [_example(each) for each in preview.nobody_examples],
        "passed_over_people": preview.passed_over_people,
        "passed_over": [_passed_over(each) for each in preview.passed_over],
        "sources": list(preview.sources),
        "left_out": list(preview.left_out),
        "is_held": preview.is_held,
        "unknown_use": preview.unknown_use,
        "outcomes": [_outcome(each) for each in preview.outcomes],
        "used_lately": [_example(each) for each in preview.lately],
        "carrying": _carrying(preview.carrying) if preview.carrying else None,
    }


def _counts(counts: dict[str, int]) -> dict[str, int]:
    return {"total": sum(counts.values())} | {kind.value: counts.get(kind, 0) for kind in ItemKind}


def _load(load: Load) -> dict[str, Any]:
    numbers = {name: getattr(load, name) for name in ("items", "privileged", "attests", "decides")}
    return {"person": load.person.email} | numbers


def _passed_over(each: PassedOver) -> dict[str, Any]:
    return {"person": each.person.email, "why": each.why, "items": each.items}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    names = ("is_chosen", "takes_away", "privileged", "used_lately", "unobservable")
    return {"policy": outcome.policy.value} | {name: getattr(outcome, name) for name in names}


def _carrying(carrying: CarriedOver) -> dict[str, Any]:
    numbers = {name: getattr(carrying, name) for name in ("unchanged", "carried", "sampled", "sample_percent")}
    asked = [{"why": each.why.value, "words": each.words, "items": each.items} for each in carrying.asked]
    return numbers | {"asked": asked}


def _example(each: Example) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "id": str(each.id),
        "name": each.name,
        "identity": str(each.identity_id),
        "identity_name": each.identity,
        "used_at": each.used_at,
    }
