"""Whether a grant was used is asked of the grant itself, in three answers, and the same everywhere."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from governance.kernel.actors import system_actor
from identities.models import (
    Credential,
    PostureMark,
    Source,
    SyncMode,
    UsageWindow,
)
from identities.posture.evaluate import evaluate_changes
from identities.selectors.access import list_grants
from identities.selectors.filters import InventoryFilter
from identities.selectors.inventory import list_identities, list_population_credentials, list_population_grants
from tests.identities.sync.conftest import NOW, Records, actor, make_source, send  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db
SYSTEM = system_actor("test")
DAY = timedelta(days=1)
QUEUE = "arn:aws:sqs:eu-central-1:123456789012"


def permission(*actions: str, resource: str = f"{QUEUE}:orders") -> dict[str, Any]:
    return {"dialect": "aws", "statements": [{"actions": list(actions), "resources": [resource]}]}


def used(identity: str, action: str, days_ago: float) -> dict[str, Any]:
    at = (NOW - timedelta(days=days_ago)).isoformat()
    return {
        "type": "usage",
        "identity": identity,
        "action": action,
        "resource": f"{QUEUE}:orders",
        "last_seen_at": at,
        "count": 1,
    }


def window(since: float, until: float = 0, *actions: str, identity: str = "", log: str = "trail") -> dict[str, Any]:
    record = {
        "type": "usage_window",
        "log": log,
        "from": (NOW - timedelta(days=since)).isoformat(),
        "until": (NOW - timedelta(days=until)).isoformat(),
        "observable": {"actions": list(actions or ("*",)), "resources": ["*"]},
    }
    return record | ({"identity": identity} if identity else {})


def estate() -> list[dict[str, Any]]:
    """One busy identity of which one grant lies idle, one log of 200 days that shows no reading of objects."""
    return [
        Records.identity("busy"),
        Records.grant("sends", "busy", permission=permission("sqs:SendMessage")),
        Records.grant("purges", "busy", permission=permission("sqs:PurgeQueue")),
        Records.grant("deletes", "busy", permission=permission("sqs:DeleteQueue")),
        Records.grant("reads", "busy", permission=permission("s3:GetObject", resource="arn:aws:s3:::statements/*")),
        used("busy", "sqs:SendMessage", 2),
        used("busy", "sqs:DeleteQueue", 120),
        window(200, 0, "sqs:*"),
    ]


@pytest.fixture
def source(db: None, make_source: Callable[..., Source], send: Callable[..., Any]) -> Source:  # noqa: F811
    made = make_source()
    send(made, estate())
    evaluate_changes(now=NOW)
    return made


def listed(text: str) -> set[str]:
    """The grants of this filter; the list and the population of a review are one."""
    filters = InventoryFilter.parse(text)
    grants = {grant.external_id for grant in list_grants(actor=SYSTEM, filters=filters, now=NOW)}
    asked = {each.grant.external_id for each in list_population_grants(filters=filters, actor=None, now=NOW)}
    assert grants == asked
    return grants


def test_a_grant_that_lies_idle_under_a_busy_identity_is_unused(source: Source) -> None:
    assert listed("unused_days=90") == {"purges", "deletes"}
    assert listed("unused_days=150") == {"purges"}
    assert not list_identities(actor=SYSTEM, filters=InventoryFilter.parse("unused_days=90"), now=NOW)


def test_what_no_log_shows_is_not_unused_and_is_listed_apart(source: Source) -> None:
    assert listed("unknown_use_days=90") == {"reads"}
    assert listed("unknown_use_days=365") == {"reads", "purges"}, "no log reaches back a year"


@pytest.mark.parametrize("days", [1, 30, 90, 150, 199, 365])
def test_used_unused_and_unknown_are_all_there_is(source: Source, days: int) -> None:
    unused, unknown = listed(f"unused_days={days}"), listed(f"unknown_use_days={days}")
    lately = {"sends"} if days > 1 else set()
    lately |= {"deletes"} if days > 121 else set()

    assert not unused & unknown
    assert {"sends", "purges", "deletes", "reads"} - unused - unknown == lately


def test_a_use_that_was_just_read_counts_before_posture_has_looked(source: Source, send: Any) -> None:  # noqa: F811
    send(source, [used("busy", "sqs:PurgeQueue", 1)], mode=SyncMode.DELTA)
    assert "purges" not in listed("unused_days=90")

    evaluate_changes(now=NOW)
    assert listed("unused_days=90") == {"deletes"}


def test_the_same_use_on_a_later_day_is_looked_at_again_and_on_the_same_day_is_not(
    source: Source,
    send: Any,  # noqa: F811
) -> None:
    send(source, [used("busy", "sqs:SendMessage", 2)], mode=SyncMode.DELTA)
    assert not PostureMark.objects.exists()

    send(source, [used("busy", "sqs:DeleteQueue", 3)], mode=SyncMode.DELTA)
    evaluate_changes(now=NOW)
    assert listed("unused_days=90") == {"purges"}


def test_a_grant_that_changed_is_unknown_until_its_use_is_worked_out(source: Source, send: Any) -> None:  # noqa: F811
    wider = permission("sqs:PurgeQueue", "sqs:SendMessage")
    send(source, [Records.grant("purges", "busy", permission=wider)], mode=SyncMode.DELTA)
    assert "purges" in listed("unknown_use_days=90")

    evaluate_changes(now=NOW)
    assert listed("unused_days=90") == {"deletes"}


def test_a_log_that_ended_or_began_anew_proves_no_silence(source: Source) -> None:
    UsageWindow.objects.update(observed_until=NOW - 150 * DAY)
    assert listed("unused_days=90") == set()
    assert listed("unused_days=40") == {"purges"}, "it was watched for fifty days before the log ended"

    UsageWindow.objects.update(observed_until=NOW, observed_from=NOW - 20 * DAY)
    assert listed("unused_days=30") == set()


def test_what_applies_to_future_objects_is_never_unused(source: Source, send: Any) -> None:  # noqa: F811
    path = [{"kind": "default_privileges", "id": "d", "label": "d"}]
    later = Records.grant("later", "busy", permission=permission("sqs:PurgeQueue"), path=path)
    send(source, [later], mode=SyncMode.DELTA)
    evaluate_changes(now=NOW)

    assert "later" in listed("unknown_use_days=30")


def test_a_credential_is_asked_for_its_own_use(source: Source, send: Any) -> None:  # noqa: F811
    ago = (NOW - 100 * DAY).isoformat()
    told = [Records.credential("old", "busy", last_used_at=ago), Records.credential("untold", "busy")]
    send(source, told, mode=SyncMode.DELTA)

    def asked(text: str) -> set[str]:
        found = list_population_credentials(filters=InventoryFilter.parse(text), actor=None, now=NOW)
        return {credential.external_id for credential in found}

    assert asked("unused_days=90") == {"old"}
    assert asked("unknown_use_days=90") == {"untold"}
    assert asked("") == {credential.external_id for credential in Credential.objects.all()}
