"""Withhold scopes from tokens, switch sources and webhooks off, look whether it holds, and give back."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from governance.kernel.permissions import Permission, includes
from identities.connectors.contract import (
    Execution,
    ExecutionState,
    GrantRef,
    NotPossible,
    Plan,
    SourceChanged,
    Step,
    Verification,
    VerificationState,
    image_hash,
)
from identities.connectors.remit.api import Api
from identities.connectors.remit.records import ITSELF, scopes_permission, secret_id, source_id, token_id, webhook_id
from identities.connectors.stepwise import carry_out

NARROW, RESTORE = "clients:narrow", "clients:restore"
WIDENING = frozenset({"people:write", "people:provision", "inventory:write", "sync:write"})
"""Scopes with which somebody could give rights; the connector needs none of them."""

State = Any
"""Of a token the sorted scopes it has; of a source or a webhook whether it is on; None where the object is gone."""


def plan_revoke(api: Api, grant: GrantRef) -> Plan:
    """Everything the grant gives, at once. Raises NotPossible, SourceChanged."""
    _check_current(api, grant)
    return plan_whole(api, grant.identity, "revoke", grant=grant.external_id)


def plan_narrow(api: Api, grant: GrantRef, target: Permission) -> Plan:
    """Leave a token only the target's scopes. Raises NotPossible, SourceChanged."""
    if grant.native_ref.get("kind") == "webhook":
        raise NotPossible("What a webhook is told is chosen where it is set up; revoking switches it off.")
    if grant.native_ref.get("kind") != "scopes":
        raise NotPossible(
            "What a connector may do follows from the account it signs in with; narrow that account at its own source, "
            "or revoke, which switches the connector off."
        )
    _check_current(api, grant)
    token = _token_of(api, grant.identity)
    kept = sorted(_scopes_of(target))
    remaining = Permission.from_json(scopes_permission(kept))
    if not (includes(target, remaining).holds and includes(grant.permission, remaining).holds):
        raise NotPossible("What would remain is not inside what is held.")
    return _assemble("narrow", grant.identity, grant.external_id, sorted(token["scopes"]), kept, token["name"])


def plan_whole(api: Api, identity: str, action: str, grant: str = "") -> Plan:
    """All scopes of a token, or the whole connector or webhook. Raises NotPossible."""
    if identity.startswith("token:"):
        token = _token_of(api, identity)
        if not token["scopes"]:
            raise NotPossible(f"The token {token['name']} opens nothing already.")
        return _assemble(action, identity, grant, sorted(token["scopes"]), [], token["name"])
    if identity.startswith("webhook:"):
        return _plan_silence(api, identity, action, grant)
    source = next((each for each in api.sources() if source_id(each) == identity), None)
    if source is None:
        raise NotPossible("Remit has no such source any more.")
    if source["kind"] == "remit":
        raise NotPossible("Remit could then no longer read itself, nor see that it is so. Switch it off by hand.")
    if not source["is_enabled"]:
        raise NotPossible(f"{source['name']} is switched off already.")
    effects = [f"Reviews of {source['name']} go on, but nothing is read, changed or verified there."]
    return _assemble(action, identity, grant, True, False, source["name"], slug=source["slug"], effects=effects)


def _plan_silence(api: Api, identity: str, action: str, grant: str) -> Plan:
    webhook = _webhook_of(api, identity)
    if webhook is None:
        raise NotPossible("Remit has no such webhook any more.")
    if not webhook["is_enabled"]:
        raise NotPossible(f"The webhook {webhook['name']} is switched off already.")
    effects = [f"Nothing is sent to {webhook['name']} any more; the trail keeps what happens until it is on again."]
    return _assemble(action, identity, grant, True, False, webhook["name"], effects=effects)


def plan_deactivate(api: Api, identity: str, credential: str) -> Plan:
    """The token opens nothing any more, or the webhook's secret signs nothing. Raises NotPossible."""
    if identity.startswith("webhook:") and credential == secret_id(identity):
        return plan_whole(api, identity, "deactivate")
    if credential != identity or not identity.startswith("token:"):
        raise NotPossible("The secret of a connector is not Remit's; end it where it was issued.")
    return plan_whole(api, identity, "deactivate")


def plan_restore(done: Plan) -> Plan:
    """The plan turned around."""
    image = done.pre_image
    return _assemble(
        "restore", done.identity, done.grant_external_id, image["after"], image["before"], image["name"],
        slug=image["slug"], keeps=[*done.removes, *done.keeps],
    )  # fmt: skip


def execute(api: Api, plan: Plan) -> Execution:
    """Apply the plan once. Raises SourceUnreachable."""
    image = plan.pre_image
    expected = _step(plan.identity, image["before"], image["after"], image["slug"])
    hashes = (_hash(plan.identity, image["before"]), _hash(plan.identity, image["after"]))
    steps = [(step.text, dict(step.call)) for step in plan.steps]
    if steps != [(expected.text, dict(expected.call))] or hashes != (plan.pre_hash, plan.post_hash):
        return Execution(ExecutionState.BLOCKED, "The stored plan is not what was planned; make a new one.")
    return carry_out(
        plan,
        look=lambda: _hash(plan.identity, _state(api, plan.identity)),
        run=lambda step: api.post(step.call["path"], step.call["body"]),
        patience=(),
    )


def verify(api: Api, plan: Plan) -> Verification:
    """Look anew: revoked means refused at the next request, so nothing outlives what the lists say."""
    observed_at, state = datetime.now(UTC), _state(api, plan.identity)
    image = plan.pre_image
    if state is None or _hash(plan.identity, state) == plan.post_hash:
        reason = (
            "The token, source or webhook is gone altogether." if state is None and image["after"] is not None else ""
        )
        return Verification(VerificationState.GONE, observed_at, reason=reason)
    if isinstance(state, list):
        back = [each for each in plan.removes if each[0] in state]
        lost = [each for each in plan.keeps if each[0] not in state]
        if not back:
            return Verification(VerificationState.GONE, observed_at, lost=tuple(lost), reason="More was taken since.")
    return Verification(VerificationState.STILL_PRESENT, observed_at, reason="Somebody gave it back since.")


def _assemble(
    action: str, identity: str, grant: str, before: State, after: State, name: str, *, slug: str = "",
    effects: Sequence[str] = (), keeps: Sequence[tuple[str, str]] = (),
) -> Plan:  # fmt: skip
    step = _step(identity, before, after, slug)
    post_hash = _hash(identity, after)
    return Plan(
        action=action,
        identity=identity,
        grant_external_id=grant,
        steps=(step,),
        inverse=(_step(identity, after, before, slug),),
        pre_image={"before": before, "after": after, "name": name, "slug": slug},
        pre_hash=_hash(identity, before),
        post_hash=post_hash,
        stages=(post_hash,),
        removes=_samples(before, after),
        keeps=tuple(keeps) or (_samples(after, []) if isinstance(after, list) else ()),
        side_effects=tuple(effects),
        summary=_summary(action, identity, name, before, after),
    )


def _samples(more: State, less: State) -> tuple[tuple[str, str], ...]:
    if not isinstance(more, list):
        return ()
    return tuple((scope, ITSELF) for scope in more if scope not in less)


def _summary(action: str, identity: str, name: str, before: State, after: State) -> str:
    if not isinstance(before, list):
        what = "webhook" if identity.startswith("webhook:") else "connector of"
        return f"Switches the {what} {name} {'on' if after else 'off'}."
    if action == "restore":
        return f"Gives {name} back what was withheld."
    return f"Withholds {', '.join(sorted(set(before) - set(after)))} from {name}, from its next request on."


def _step(identity: str, before: State, after: State, slug: str) -> Step:
    """The one request that leads from before to after."""
    if not isinstance(before, list):
        kind, _, own = identity.partition(":")
        place = f"webhooks/{own}" if kind == "webhook" else f"sources/{slug}"
        path, body = f"/api/v1/{place}/switch-{'on' if after else 'off'}/", {}
    else:
        verb = "give-back" if len(after) > len(before) else "withhold"
        path = f"/api/v1/tokens/{identity.removeprefix('token:')}/{verb}/"
        body = {"scopes": sorted(set(before) ^ set(after)), "held": before}
    call: Mapping[str, Any] = {"method": "POST", "path": path, "body": body}
    return Step(f"POST {path}\n{json.dumps(body, indent=2)}", call=call)


def _hash(identity: str, state: State) -> str:
    return image_hash([identity, state])


def _state(api: Api, identity: str) -> State:
    if identity.startswith("token:"):
        token = next((each for each in api.tokens() if token_id(each) == identity), None)
        return sorted(token["scopes"]) if token is not None and not token.get("revoked_at") else None
    if identity.startswith("webhook:"):
        webhook = _webhook_of(api, identity)
        return webhook["is_enabled"] if webhook is not None else None
    source = next((each for each in api.sources() if source_id(each) == identity), None)
    return source["is_enabled"] if source is not None else None


def _webhook_of(api: Api, identity: str) -> dict[str, Any] | None:
    return next((each for each in api.webhooks() if webhook_id(each) == identity), None)


def _token_of(api: Api, identity: str) -> dict[str, Any]:
    """The token of an identity. Raises NotPossible."""
    token = next((each for each in api.tokens() if token_id(each) == identity), None)
    if token is None or token.get("revoked_at"):
        raise NotPossible("Remit has no such token any more.")
    if api.settings.is_own(token):
        raise NotPossible(
            "This is the token that the connector itself signs in with; it can't take its own access away."
        )
    return token


def _check_current(api: Api, grant: GrantRef) -> None:
    """Raises SourceChanged where the token has other scopes than the inventory says."""
    if grant.native_ref.get("kind") == "scopes":
        scopes = _token_of(api, grant.identity)["scopes"]
        now = Permission.from_json(scopes_permission(scopes)) if scopes else None
        if now is None or now.digest() != grant.permission.digest():
            raise SourceChanged("The token has other scopes by now; read the source again.")


def _scopes_of(target: Permission) -> set[str]:
    """Raises NotPossible where the target is more than a list of scopes."""
    found: set[str] = set()
    for statement in target.statements:
        plain = statement.effect == "allow" and not statement.conditions and statement.until is None
        if not plain or statement.actions.exclude or statement.resources != type(statement.resources)((ITSELF,)):
            raise NotPossible("A token takes a list of scopes, without conditions or an end date of their own.")
        found |= set(statement.actions.include)
    if not found or "*" in found:
        raise NotPossible("Name the scopes that remain, at least one.")
    return found
