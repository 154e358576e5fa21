"""One reading of a broker: users, permissions, tags and what open channels do, as records ending with `end`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.rabbitmq.broker import Broker, Settings, open_broker, tags_of
from identities.connectors.rabbitmq.records import (
    Estate,
    Topic,
    User,
    inventory,
    is_exact,
    password_state,
    resource,
)

ATTEMPTS = 3
MOST_CHANNELS = 500
"""Each channel is asked by itself what it does, so a reading asks so many and leaves the rest unobserved."""

COVERAGE = {
    "identities": True,
    "purpose": False,
    "created_at": False,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": False,
    "credential_last_used": False,
    "grants": True,
    "memberships": False,
    "last_used": False,
    "usage": True,
    "grant_expiry": False,
    "conditions": True,
    "sessions": True,
}
NOT_OBSERVABLE = (
    "When a user or a permission was created, and by which person; RabbitMQ passwords never expire.",
    "The last connection of a user that is not connected while it is read.",
    "Use by channels that opened and closed between two readings, so nothing is ever called unused.",
    "To which exchange a channel publishes, unless the broker runs with management.rates_mode = detailed.",
    "Declaring, deleting and binding (configure): the broker counts publishing and consuming only.",
    "Users and rights that come from LDAP, OAuth 2, HTTP or another backend beside the broker's own.",
    "Certificates that sign a user in, and whether a user signs in with one.",
)


def read(settings: Settings) -> Iterator[Record]:
    """Every record of the broker. Raises SourceUnreachable, ReadIncomplete."""
    with open_broker(settings) as broker:
        require_administrator(broker)
        estate = read_estate(broker)
        now = datetime.now(UTC).isoformat()
        connected = {each["user"]: now for each in broker.list_of("connections", columns="user") if each.get("user")}
        count = 0
        for record in [*inventory(estate, connected), *_usage(broker, {user.name for user in estate.users}, now)]:
            count += 1
            yield record
    yield {"type": "end", "records": count}


def require_administrator(broker: Broker) -> None:
    """Raises ReadIncomplete: without the tag, users and permissions cannot be listed."""
    if "administrator" not in broker.tags():
        raise ReadIncomplete(
            f"The user {broker.me!r} lacks the tag administrator, without which users and permissions cannot be read. "
            f"rabbitmqctl set_user_tags {broker.me} administrator would allow it."
        )


def read_estate(broker: Broker) -> Estate:
    """Users and permissions that fit together: the lists are read one after another, so a change may fall between."""
    for _ in range(ATTEMPTS):
        try:
            estate = _lists(broker)
        except (KeyError, TypeError, ValueError) as error:
            raise ReadIncomplete("The broker's lists of users and permissions are not of the expected form.") from error
        if estate is not None:
            return estate
    raise ReadIncomplete("The broker's users changed again and again while they were read.")


def _lists(broker: Broker) -> Estate | None:
    """None where a permission names a user that the list of users, read just before, lacks."""
    users = [_user(each) for each in broker.list_of("users")]
    permissions = [
        (each["user"], each["vhost"], {action: each[action] for action in ("configure", "write", "read")})
        for each in broker.list_of("permissions")
    ]
    topics = [
        Topic(each["user"], each["vhost"], each["exchange"], each["write"], each["read"])
        for each in broker.list_of("topic-permissions")
    ]
    named = {user for user, _, _ in permissions} | {topic.user for topic in topics}
    if not named <= {user.name for user in users}:
        return None
    exchanges = broker.list_of("exchanges", columns="vhost,name,type") if topics else []
    types = {(each["vhost"], each["name"]): each["type"] for each in exchanges}
    return Estate(users, permissions, topics, types)


def _user(data: dict[str, Any]) -> User:
    limits = data.get("limits")
    return User(
        data["name"],
        tuple(tags_of(data)),
        password_state(data.get("password_hash", ""), data.get("hashing_algorithm", "")),
        limits if isinstance(limits, dict) else {},
    )


def _usage(broker: Broker, known: set[str], now: str) -> Iterator[Record]:
    """What channels that are open right now have published and consumed since they were opened."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for channel in broker.list_of("channels", columns="name,user,vhost")[:MOST_CHANNELS]:
        if channel.get("user") in known and channel.get("name"):
            details = broker.get("channels", channel["name"])
            for action, name, count in _done(details or {}):
                seen[channel["user"], action, resource(channel["vhost"], name or "amq.default")] += count
    for (user, action, place), count in sorted(seen.items()):
        if is_exact(place) and len(place.encode()) <= 1000:
            yield {
                "type": "usage",
                "identity": user,
                "action": action,
                "resource": place,
                "last_seen_at": now,
                "count": count,
            }


def _done(channel: dict[str, Any]) -> Iterable[tuple[str, str, int]]:
    """(action, name, how often at the least). A consumer reads from its queue also while nothing arrives."""
    for each in _dicts(channel.get("publishes")):
        count = _number(each, "publish")
        if count:
            yield "write", each.get("exchange", {}).get("name", ""), count
    delivered = Counter[str]()
    for each in _dicts(channel.get("deliveries")):
        delivered[each.get("queue", {}).get("name", "")] += _number(each, "deliver_get")
    for each in _dicts(channel.get("consumer_details")):
        delivered[each.get("queue", {}).get("name", "")] += 0
    for name, count in delivered.items():
        if name:
            yield "read", name, max(count, 1)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(each: dict[str, Any], name: str) -> int:
    stats = each.get("stats")
    found = stats.get(name, 0) if isinstance(stats, dict) else 0
    return found if isinstance(found, int) else 0
