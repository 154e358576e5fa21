"""From a decision to a plan: which parts change, to what, and what must be out of reach afterwards."""

import re
from collections.abc import Sequence
from typing import Any

from governance.kernel.dialects.rabbitmq import ACTIONS
from governance.kernel.permissions import (
    Permission,
    Proof,
    difference_samples,
    effective,
    includes,
    sample_requests,
)
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged
from identities.connectors.rabbitmq.assembly import assemble, check_current
from identities.connectors.rabbitmq.broker import Broker
from identities.connectors.rabbitmq.parts import UNFIT, Part, read_state
from identities.connectors.rabbitmq.records import (
    HASH_SIZES,
    Expressions,
    Topic,
    is_exact,
    permission_json,
    resource,
)

MOST_SAMPLES = 100
_FLAGS = re.compile(r"\(\?[a-zA-Z^-]+\)|\\[QE]|\(\*")


def plan_revoke(broker: Broker, grant: GrantRef) -> Plan:
    """The plan that takes the grant away. Raises NotPossible, SourceUnreachable."""
    if grant.native_ref.get("kind") == "tag":
        return _revoke_tag(broker, grant)
    part = _permissions_part(grant, None)
    check_current(broker, [part])
    return assemble(
        "revoke",
        grant.identity,
        grant.external_id,
        [part],
        closes={"user": part.user, "vhost": part.vhost},
        summary=f"Takes every permission in virtual host {part.vhost} from {part.user}.",
        removes=sample_requests(grant.permission, MOST_SAMPLES),
        side_effects=_left_topics(grant),
    )


def plan_narrow(broker: Broker, grant: GrantRef, target: Permission) -> Plan:
    """The plan after which only `target` is left of the grant. Raises NotPossible with what stands in the way."""
    if grant.native_ref.get("kind") != "permissions":
        raise NotPossible("A tag is one thing that cannot be held in part; keep it or revoke it.")
    held, topics = _expressions(grant), _topics(grant)
    if not all(map(is_exact, held.values())):
        raise NotPossible("An expression of this permission is too long to be compared; change it at the broker.")
    if any(statement.until for statement in target.statements):
        raise NotPossible("RabbitMQ cannot end a permission by itself; approve it until that date instead.")
    vhost = grant.native_ref["vhost"]
    wanted = {action: _expression(vhost, action, held[action], target) for action in ACTIONS}
    result = Permission.from_json(permission_json(vhost, wanted, topics))
    _require_same(grant.permission, target, result)
    if wanted == held:
        raise NotPossible("The target is everything that is held; there is nothing to narrow.")
    part = _permissions_part(grant, wanted)
    check_current(broker, [part])
    lost = difference_samples(grant.permission, result, MOST_SAMPLES)
    return assemble(
        "narrow",
        grant.identity,
        grant.external_id,
        [part],
        closes={"user": part.user, "vhost": part.vhost},
        summary=f"Narrows the permissions of {part.user} in virtual host {part.vhost}.",
        removes=[(each.action, each.resource) for each in lost],
        keeps=sample_requests(result, MOST_SAMPLES),
    )


def plan_quarantine(broker: Broker, identity: str) -> Plan:
    """Nobody connects as this user any more and open connections end; what it holds stays. Raises NotPossible."""
    _refuse_self(broker, identity)
    user, limit = _user(broker, identity), read_state(broker, "limit", identity)
    parts = []
    if user["tags"]:
        parts.append(Part("user", identity, "", user, user | {"tags": []}))
    if limit != 0:
        parts.append(Part("limit", identity, "", limit, 0))
    if not parts:
        raise NotPossible(f"{identity} is locked out already.")
    return assemble(
        "quarantine",
        identity,
        "",
        parts,
        closes={"user": identity, "vhost": None},
        summary=f"Lets {identity} open no connection and use no management page, and ends its open connections.",
    )


def plan_deactivate(broker: Broker, identity: str, credential: str) -> Plan:
    """The password stops working, and open connections end. Raises NotPossible.

    The hash stays where it is, under an algorithm that it was not made with: no password fits it, and what brings it
    back is the name of the algorithm, no secret.
    """
    if credential != f"password:{identity}":
        raise NotPossible(f"RabbitMQ knows no credential {credential!r} of {identity}.")
    _refuse_self(broker, identity)
    user = _user(broker, identity)
    if user["login"] != "usable":
        raise NotPossible(f"The password of {identity} does not work already.")
    if user["hashing_algorithm"] not in HASH_SIZES:
        raise NotPossible(
            f"The password of {identity} is hashed by {user['hashing_algorithm']!r}, which Remit does not know; it "
            "can only be cleared at the broker, for good: rabbitmqctl clear_password."
        )
    other = UNFIT.get(user["hashing_algorithm"], "rabbit_password_hashing_sha256")
    after = user | {"hashing_algorithm": other, "login": "unusable"}
    return assemble(
        "deactivate",
        identity,
        "",
        [Part("user", identity, "", user, after)],
        closes={"user": identity, "vhost": None},
        summary=f"Ends the password of {identity} and its open connections. Certificates and OAuth still sign it in.",
    )


def _revoke_tag(broker: Broker, grant: GrantRef) -> Plan:
    tag, name = grant.native_ref["tag"], grant.native_ref["user"]
    _refuse_self(broker, name)
    user = _user(broker, name)
    if tag not in user["tags"]:
        raise SourceChanged(f"{name} has not the tag {tag} any more. Read the source again.")
    after = user | {"tags": [each for each in user["tags"] if each != tag]}
    # Channels ask for this one tag when a message names its sender, and they remember the user they opened with.
    closes = {"user": name, "vhost": None} if tag == "impersonator" else None
    return assemble(
        "revoke",
        grant.identity,
        grant.external_id,
        [Part("user", name, "", user, after)],
        closes=closes,
        summary=f"Takes the tag {tag} from {name}.",
        removes=sample_requests(grant.permission, MOST_SAMPLES),
    )


def _permissions_part(grant: GrantRef, after: Expressions | None) -> Part:
    ref = grant.native_ref
    if ref.get("kind") != "permissions":
        raise NotPossible(f"A grant of kind {ref.get('kind')!r} cannot be changed here.")
    return Part("permissions", ref["user"], ref["vhost"], _expressions(grant), dict(after) if after else None)


def _expressions(grant: GrantRef) -> dict[str, str]:
    return {action: grant.native_ref[action] for action in ACTIONS}


def _topics(grant: GrantRef) -> list[Topic]:
    ref = grant.native_ref
    return [
        Topic(ref["user"], ref["vhost"], each["exchange"], each["write"], each["read"])
        for each in ref["topic_permissions"]
    ]


def _left_topics(grant: GrantRef) -> list[str]:
    """Deleting a topic permission would widen what a later permission gives, so no plan does it."""
    if not grant.native_ref["topic_permissions"]:
        return []
    return ["Its topic permissions stay: they restrict, and without them a permission given later would be wider."]


def _user(broker: Broker, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = read_state(broker, "user", name)
    if found is None:
        raise NotPossible(f"The broker has no user {name!r} any more.")
    return found


def _refuse_self(broker: Broker, name: str) -> None:
    if name == broker.me:
        raise NotPossible("This is the user that Remit itself signs in as; it cannot take its own access away.")


def _expression(vhost: str, action: str, held: str, target: Permission) -> str:
    """One expression for everything the target lets this action reach; the held one where it means the same."""
    start = resource(vhost, "")
    found: dict[str, None] = {}
    for statement in effective(target).statements:
        if statement.effect == "deny":
            raise NotPossible("RabbitMQ knows no deny; take it out of the target.")
        if action in statement.actions.include or "*" in statement.actions.include:
            for place in statement.resources.include:
                if not place.startswith(start):
                    raise NotPossible(f"{place} lies outside virtual host {vhost}, to which this grant belongs.")
                found[place.removeprefix(start)] = None
    found.pop("", None)
    written = _alternatives(list(found))
    return held if written == held or _mean_the_same(vhost, action, written, held) else written


def _alternatives(expressions: Sequence[str]) -> str:
    """Expressions joined as alternatives, which is what several of them mean; a flag would reach across the joint."""
    if len(expressions) > 1 and any(_FLAGS.search(each) for each in expressions):
        raise NotPossible("An expression with options of its own cannot be joined with another; keep only one of them.")
    return "|".join(expressions)


def _mean_the_same(vhost: str, action: str, one: str, other: str) -> bool:
    first, second = (
        Permission.from_json(
            {"dialect": "rabbitmq", "statements": [{"actions": [action], "resources": [resource(vhost, each)]}]}
        )
        for each in (one, other)
    )
    return includes(first, second).holds and includes(second, first).holds


def _require_same(held: Permission, target: Permission, result: Permission) -> None:
    """What RabbitMQ would hold must be the target, no more and no less, and a part of what is held."""
    verdict = includes(held, target)
    if not isinstance(verdict, Proof):
        raise NotPossible(f"The target is not part of what is held: {verdict.explain()}")
    for wide, narrow, problem in (
        (target, result, "would leave more than the target"),
        (result, target, "would take more than was decided"),
        (held, result, "is not seen to lie inside what is held"),
    ):
        verdict = includes(wide, narrow)
        if not isinstance(verdict, Proof):
            raise NotPossible(
                f"RabbitMQ cannot hold this target: three regular expressions per virtual host, and what they can say "
                f"{problem}. {verdict.explain()}"
            )
