"""Putting a plan together: one step per part, then the end of the connections that would outlive it."""

from collections.abc import Sequence
from typing import Any

from identities.connectors.contract import NotPossible, Plan, SourceChanged, Step, image_hash
from identities.connectors.rabbitmq.broker import Broker, path
from identities.connectors.rabbitmq.parts import Part

Samples = Sequence[tuple[str, str]]


def assemble(
    action: str,
    identity: str,
    grant: str,
    parts: Sequence[Part],
    *,
    closes: dict[str, Any] | None = None,
    summary: str,
    removes: Samples = (),
    keeps: Samples = (),
    side_effects: Sequence[str] = (),
) -> Plan:
    """closes: whose connections end after the change, `{"user": …, "vhost": … or None for all}`."""
    hashes = hashes_of(parts)
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=steps_of(parts, closes),
        inverse=steps_of([part.reversed() for part in reversed(parts)], None),
        pre_image={"parts": [part.to_json() for part in parts], "closes": closes},
        pre_hash=hashes[0],
        post_hash=hashes[-1],
        stages=tuple(hashes[1:]),
        removes=tuple(removes),
        keeps=tuple(keeps),
        side_effects=tuple(side_effects),
        summary=summary,
    )


def parts_of(plan: Plan) -> list[Part]:
    return [Part.from_json(data) for data in plan.pre_image["parts"]]


def hashes_of(parts: Sequence[Part]) -> list[str]:
    """The hash of the native state before the first part changes, and after each."""
    return [
        image_hash([part.after if place < done else part.before for place, part in enumerate(parts)])
        for done in range(len(parts) + 1)
    ]


def steps_of(parts: Sequence[Part], closes: dict[str, Any] | None) -> tuple[Step, ...]:
    changes = [Step(part.text(), part.note(), {"part": place}) for place, part in enumerate(parts)]
    return (*changes, *([_closing(closes)] if closes else []))


def _closing(closes: dict[str, Any]) -> Step:
    where = f" in virtual host {closes['vhost']}" if closes["vhost"] is not None else ""
    return Step(
        f"DELETE {path('connections')}/… for each open connection of {closes['user']}{where}",
        "what is connected already keeps its old rights until it connects anew",
        {"closes": closes},
    )


def check_current(broker: Broker, parts: Sequence[Part]) -> None:
    """Raises SourceChanged when the broker is neither in the state the plan starts from nor in the one it leads to."""
    states = [part.read(broker) for part in parts]
    if states == [part.after for part in parts]:
        return
    for part, state in zip(parts, states, strict=True):
        if state != part.before:
            raise SourceChanged(
                f"The broker's {part.kind} of {part.user} changed since it was last read. Read the source again, then "
                "decide on what it holds now."
            )


def plan_restore(done: Plan) -> Plan:
    """The plan turned around: from what it led to, back to what it started from. Nobody's connections end."""
    if done.irreversible:
        raise NotPossible("This change cannot be undone.")
    parts = [part.reversed() for part in reversed(parts_of(done))]
    return assemble(
        "restore",
        done.identity,
        done.grant_external_id,
        parts,
        keeps=(*done.removes, *done.keeps),
        summary=f"Brings back what was taken: {done.summary}",
    )
