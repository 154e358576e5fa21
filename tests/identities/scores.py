"""Scores as rows, for tests that look at them: what writes them in earnest is tested beside it."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from identities.models import Identity, IdentityPosture, PostureMeasure, PosturePolicy, PostureVersion
from identities.posture.policy import FACTORS, first_document, first_policy

THEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def factors(exposure: float, *, unknown: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Seven factors that share the points; those that are unknown could add all of their weight."""
    weights = first_policy().weights
    return [
        {
            "name": name,
            "weight": weights[name],
            "low": 0.0 if name in unknown else round(weights[name] * exposure / 100, 1),
            "high": weights[name] if name in unknown else round(weights[name] * exposure / 100, 1),
            "input": f"as {name} is",
            "why": "not reported" if name in unknown else "narrow it",
        }
        for name in FACTORS
    ]


def box_of(assurance: int, exposure: float | None) -> str:
    if exposure is None:
        return "unmeasured"
    return f"{'proven' if assurance >= 3 else 'unproven'}_{'broad' if exposure >= 50 else 'contained'}"


def policy_one() -> PosturePolicy:
    return PosturePolicy.objects.get_or_create(number=1, defaults={"document": first_document()})[0]


def score(
    identity: Identity, assurance: int = 1, exposure: float | None = 60, *, upper: int | None = None, **fields: Any
) -> IdentityPosture:
    """Not saved. exposure: None where it is not measured."""
    values: dict[str, Any] = {
        "assurance_lower": assurance,
        "assurance_upper": assurance if upper is None else upper,
        "exposure_low": exposure,
        "exposure_high": exposure,
        "worst_case": 80 if exposure is None else exposure,
        "box": box_of(assurance, exposure),
        "factors": factors(exposure or 40, unknown=() if exposure is not None else ("breadth", "environment")),
        "policy": policy_one(),
        "catalogue_version": "2026-11.2",
        "facts_digest": b"\0" * 16,
        "assessed_at": THEN,
    }
    return IdentityPosture(identity=identity, **(values | fields))


def make_score(identity: Identity, assurance: int = 1, exposure: float | None = 60, **fields: Any) -> IdentityPosture:
    made = score(identity, assurance, exposure, **fields)
    made.save()
    return made


def make_stand(
    identity: Identity,
    assurance: int = 1,
    exposure: float | None = 60,
    *,
    since: datetime = THEN,
    until: datetime | None = None,
    **fields: Any,
) -> PostureVersion:
    """How it stood in `[since, until)`."""
    values: dict[str, Any] = {
        "assurance_lower": assurance,
        "assurance_upper": assurance,
        "exposure_low": exposure,
        "exposure_high": exposure,
        "box": box_of(assurance, exposure),
        "factors": factors(exposure or 40, unknown=() if exposure is not None else ("breadth", "environment")),
        "policy": policy_one(),
        "catalogue_version": "2026-11.2",
        "seen_from": since,
        "seen_until": until,
    }
    return PostureVersion.objects.create(identity=identity, **(values | fields))


def measure_now(*, day: date | None = None) -> None:
    """The counts of every source on a day, today unless said otherwise, from its scores as they are."""
    day = day or datetime.now(UTC).date()
    scores = list(IdentityPosture.objects.select_related("identity"))
    for source_id in {each.identity.source_id for each in scores}:
        own = [each for each in scores if each.identity.source_id == source_id]
        boxes = Counter(each.box for each in own)
        PostureMeasure.objects.update_or_create(
            source_id=source_id,
            day=day,
            defaults={
                "identities": len(own),
                **{box: boxes[box] for box in boxes},
                "assurance_known": sum(each.assurance_lower == each.assurance_upper for each in own),
                "exposure_known": sum(each.exposure_high is not None for each in own),
                "exposure_exact": sum(
                    each.exposure_high is not None and each.exposure_low == each.exposure_high for each in own
                ),
                "excess": sum(each.has_excess is True for each in own),
                "no_excess": sum(each.has_excess is False for each in own),
            },
        )
