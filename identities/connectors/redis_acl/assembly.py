"""Putting a plan together: one atomic ACL SETUSER, then what has to follow it."""

from collections.abc import Mapping, Sequence
from typing import Any

from identities.connectors.contract import Plan, Step, image_hash
from identities.connectors.redis_acl.accounts import Account, Selector, setting_rules
from identities.connectors.redis_acl.server import Server

Samples = Sequence[tuple[str, str]]
State = Any
"""What one plan changes: a list of selectors as JSON, or whether the user is enabled."""

NOT_KEPT = (
    "The server keeps its users in memory only, or the connector may not see where: after a restart the old access is "
    "back. Configure an aclfile, or allow the connector CONFIG GET, INFO and ACL SAVE or CONFIG REWRITE."
)
REWRITES_ALL = "CONFIG REWRITE also writes down every other setting that was changed at run time."


def assemble(
    server: Server,
    action: str,
    identity: str,
    grant: str,
    part: str,
    before: State,
    after: State,
    *,
    ends: str = "",
    summary: str,
    removes: Samples = (),
    keeps: Samples = (),
    side_effects: Sequence[str] = (),
) -> Plan:
    """part: `selectors` or `enabled`. ends: whose connections end afterwards, `all`, `lingering` or nobody's."""
    keeping = server.keeping()
    image = {
        "user": identity,
        "part": part,
        "before": before,
        "after": after,
        "ends": ends,
        "keeping": list(keeping),
    }
    more = {(): [NOT_KEPT], ("CONFIG", "REWRITE"): [REWRITES_ALL]}.get(keeping, [])
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=steps_of(image),
        inverse=steps_of(reversed_image(image)),
        pre_image=image,
        pre_hash=state_hash(server, part, before),
        post_hash=state_hash(server, part, after),
        stages=(state_hash(server, part, after),),
        removes=tuple(removes),
        keeps=tuple(keeps),
        side_effects=(*side_effects, *more),
        summary=summary,
    )


def reversed_image(image: Mapping[str, Any]) -> dict[str, Any]:
    """The way back; nobody's connections end on it."""
    return {**image, "before": image["after"], "after": image["before"], "ends": ""}


def steps_of(image: Mapping[str, Any]) -> tuple[Step, ...]:
    """What is sent, in order. The text is the command itself, so it is also what runs."""
    user = image["user"]
    words = ["ACL", "SETUSER", user, *_rules(image["part"], image["after"])]
    steps = [Step(" ".join(words), "one command, which the server carries out whole or not at all", {"words": words})]
    if image["ends"] == "all":
        ending = ["CLIENT", "KILL", "USER", user]
        steps.append(Step(" ".join(ending), "open connections would go on working", {"ends": "all", "user": user}))
    elif image["ends"] == "lingering":
        text = f"CLIENT KILL ID … for each connection of {user} that monitors, replicates or waits"
        note = "others lose their rights at their next command"
        steps.append(Step(text, note, {"ends": "lingering", "user": user}))
    if image["keeping"]:
        note = "or the old access is back after a restart"
        steps.append(Step(" ".join(image["keeping"]), note, {"words": list(image["keeping"])}))
    return tuple(steps)


def _rules(part: str, state: State) -> list[str]:
    if part == "enabled":
        return ["on" if state else "off"]
    return setting_rules([Selector.from_json(each) for each in state])


def state_of(part: str, account: Account) -> State:
    return account.is_enabled if part == "enabled" else [selector.to_json() for selector in account.selectors]


def state_hash(server: Server, part: str, state: State) -> str:
    """By what the state means: the server rewrites the text of what it is told."""
    if part == "enabled":
        return image_hash(state)
    selectors = tuple(Selector.from_json(each) for each in state)
    return image_hash(Account("", True, True, 0, selectors).meaning(server.catalogue))


def current_hash(server: Server, image: Mapping[str, Any]) -> str:
    account = server.account(image["user"])
    return state_hash(server, image["part"], state_of(image["part"], account)) if account else image_hash(None)
