"""A later look at the broker: the native state, what is still effective by any path, and connections that remain."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import Plan, Verification
from identities.connectors.judging import Sample, judge
from identities.connectors.rabbitmq.assembly import parts_of
from identities.connectors.rabbitmq.broker import Broker, Connection, Settings, open_broker
from identities.connectors.rabbitmq.execute import older
from identities.connectors.rabbitmq.reading import read_estate, require_administrator
from identities.connectors.rabbitmq.records import Estate, User, permission_json

LOOKS = 4
"""How often a connection is looked for again, over twice the time by which the list lags."""
IMPLIED = {
    "tag:management": ("administrator", "monitoring", "policymaker"),
    "tag:monitoring": ("administrator",),
    "tag:policymaker": ("administrator",),
}
"""Which other tags contain what a tag lets one do."""


def verify(settings: Settings, plan: Plan, since: datetime | None = None) -> Verification:
    """Read the broker anew and compare it with what the plan promised. Raises SourceUnreachable, ReadIncomplete.

    since: when the plan was carried out. Connections older than that still act with what was taken.
    """
    with open_broker(settings) as broker:
        require_administrator(broker)
        observed_at = datetime.now(UTC)
        parts = parts_of(plan)
        changed = [part for part in parts if part.read(broker) != part.after]
        estate = read_estate(broker)
        paths = _Paths(estate, plan.identity)
        still = [(*sample, via) for sample in plan.removes for via in paths.of(sample)]
        lost = [sample for sample in plan.keeps if not paths.gives(sample)]
        sessions = _sessions(broker, plan, since)
    differs = f"{changed[0].kind} of {changed[0].user} differs" if changed else ""
    return judge(plan, observed_at, differs=differs, still=still, sessions=sessions, lost=lost)


class _Paths:
    """By which ways one user can do something now."""

    def __init__(self, estate: Estate, name: str) -> None:
        self.user = next((user for user in estate.users if user.name == name), User(name))
        self.permissions = [
            (vhost, Permission.from_json(permission_json(vhost, expressions, estate.restrictions(name, vhost))))
            for user, vhost, expressions in estate.permissions
            if user == name
        ]

    def of(self, sample: Sample) -> Iterable[str]:
        """In plain words; nothing where it is out of reach."""
        action = sample[0]
        if action.startswith("tag:"):
            tag = action.removeprefix("tag:")
            implied_by = [each for each in IMPLIED.get(action, ()) if each in self.user.tags]
            yield from [f"the tag {each}" for each in [tag, *implied_by] if each in self.user.tags]
            return
        for vhost, permission in self.permissions:
            if matches(permission, *sample) is not Answer.NO:
                yield f"its permissions in virtual host {vhost}"
        if "administrator" in self.user.tags:
            yield "the tag administrator, with which it may give itself every permission"

    def gives(self, sample: Sample) -> bool:
        if sample[0].startswith("tag:"):
            return sample[0].removeprefix("tag:") in self.user.tags
        return any(matches(permission, *sample) is not Answer.NO for _, permission in self.permissions)


def _sessions(broker: Broker, plan: Plan, since: datetime | None) -> int:
    """Connections that outlive the change. The list shows what was closed for a while, so it is asked repeatedly."""
    left = {each.name for each in _remaining(broker, plan, since)}
    for _ in range(LOOKS):
        if not left:
            break
        time.sleep(broker.settings.list_lag / 2)
        left &= {each.name for each in _remaining(broker, plan, since)}
    return len(left)


def _remaining(broker: Broker, plan: Plan, since: datetime | None) -> list[Connection]:
    """Connections that the change does not reach: all of a user that was locked out, else the older ones."""
    closes = plan.pre_image["closes"]
    if not closes:
        return []
    found = broker.connections(closes["user"], closes["vhost"])
    if plan.action == "quarantine" or since is None:
        return found if plan.action in ("quarantine", "deactivate") else []
    ahead = broker.now() - datetime.now(UTC)  # the broker's clock may differ from ours
    # Carrying out ends with a wait for the broker's list, during which clients that were cut off have come back.
    waited = timedelta(seconds=broker.settings.list_lag + 2)
    return older(found, since + ahead - waited)
