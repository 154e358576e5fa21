"""scope.json, acknowledgement.json and policies/: what was reviewed, by which rules, and who signed the result."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from governance.kernel.privileges import CATALOGUE_VERSION
from reviews.campaigns.acknowledging import digest_of_state
from reviews.models import Campaign, PackedOrder
from reviews.packs.content import ROWS_AT_ONCE, Pin, Tally, pretty, when
from reviews.recommend import RULE_VERSION


def scope_json(pin: Pin, tally: Tally) -> Iterator[str]:
    """The review: its scope and what it leaves out, its dates, its people, and the reason for its interval."""
    review, frozen = pin.review, pin.review["frozen"]
    schedule = pin.frozen["schedule"]
    times = ("created_at", "opened_at", "deadline_at", "closed_at", "completed_at")
    document = {
        "review": {"id": review["id"], "name": review["name"], "state": review["state"], "round": review["round"]},
        "first_round": review["first_round"],
        "scope": {
            "filter": review["scope"] or "everything",
            "asks_about": review["item_kinds"],
            "one_access_only": frozen.get("asked"),
            "left_out": [
                {"source": each["slug"], "questions": each["questions"], "why": each["freshness"]}
                for each in frozen.get("left_out", ())
            ],
            "released_although_stale": _released(pin, frozen.get("released")),
        },
        "times": {name: when(review[name]) or None for name in times} | {"frozen_at": when(frozen.get("taken_at"))},
        "people": {
            name: {"id": review[name], "name": pin.name_of(review[name])} if review[name] else None
            for name in ("manager", "fallback_reviewer", "independent_reviewer")
        },
        "asked_in_this_order": review["reviewer_rules"],
        "at_the_deadline": review["deadline_policy"],
        "closed_early_by": review["closed_by"] and {key: review["closed_by"].get(key) for key in ("id", "label")},
        "called_off_because": review["cancelled_reason"] or None,
        "schedule": schedule
        and schedule
        | {name: pin.name_of(schedule[name]) or None for name in ("written_by", "approved_by")}
        | {name: when(schedule[name]) or None for name in ("written_at", "approved_at", "scheduled_for")},
        "counts_at_opening": frozen.get("counts"),
        "carried": frozen.get("carrying"),
    }
    yield from pretty(document)


def _released(pin: Pin, released: dict[str, Any] | None) -> dict[str, Any] | None:
    if released is None:
        return None
    return {"at": when(released["at"]), "by": pin.name_of(released["by"]), "reason": released["reason"]}


def acknowledgement_json(pin: Pin, tally: Tally) -> Iterator[str]:
    """Who of management signed which state, and whether that is the state of this pack."""
    campaign = Campaign.objects.get(pk=pin.campaign)
    tally.state_digest = digest_of_state(campaign, _states(pin))
    signed = [
        {
            "name": each["signed_name"],
            "person": each["signed_by"],
            "signed_at": when(each["signed_at"]),
            "signed_in_by": each["auth_method"],
            "statement": each["statement"],
            "state_digest": each["state_digest"],
            "numbers": each["numbers"],
            "is_over_this_state": each["state_digest"] == tally.state_digest,
        }
        for each in pin.frozen["acknowledgements"]
    ]
    for each in signed:
        tally.show("signed", each["name"], each["signed_at"], each["statement"], each["is_over_this_state"])
    yield from pretty(
        {
            "state_digest_of_this_pack": tally.state_digest,
            "how_it_is_made": "sha256 of the lines “review ID CLOSED_AT POPULATION”, then “item ID STATE” for each row "
            "of population.csv by id, then “order ID STATE” for each row of remediation.csv by id, each line with a "
            "line feed.",
            "is_acknowledged": any(each["is_over_this_state"] for each in signed),
            "acknowledgements": signed,
        }
    )


def _states(pin: Pin) -> Iterable[tuple[UUID, str]]:
    rows = PackedOrder.objects.filter(pack=pin.pack).order_by("order_id").values_list("order_id", "facts__state")
    return rows.iterator(chunk_size=ROWS_AT_ONCE)


def policies(pin: Pin, tally: Tally) -> dict[str, Iterator[str]]:
    """By file name: the rules of the review, one file per topic, as they were copied when it was drafted."""
    files = {
        f"policies/{name}.json": pretty({"topic": name, "rules": rules})
        for name, rules in sorted(pin.frozen["policy"].items())
    }
    versions = {
        "recommendations": sorted(set(_rule_versions(pin))) or [RULE_VERSION],
        "catalogue_of_privileges": CATALOGUE_VERSION,
        "deadline": pin.review["deadline_policy"],
        "format_of_this_pack": "remit-evidence/1",
        "schedule_version": (pin.frozen["schedule"] or {}).get("version"),
    }
    return files | {"policies/versions.json": pretty(versions)}


def _rule_versions(pin: Pin) -> Iterable[str]:
    found = pin.items().order_by().values_list("rule_version", flat=True).distinct()
    return [each for each in found if each]
