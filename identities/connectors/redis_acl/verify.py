"""A later look at the server: the native state, what its own dry run still allows, and connections that remain."""

from collections.abc import Iterable
from datetime import UTC, datetime

from governance.kernel.dialects.redis import SERVER
from governance.kernel.permissions import Answer, Permission, matches
from identities.connectors.contract import Plan, Verification
from identities.connectors.judging import Sample, judge
from identities.connectors.redis_acl.accounts import Account, permission_json
from identities.connectors.redis_acl.assembly import current_hash
from identities.connectors.redis_acl.execute import remaining
from identities.connectors.redis_acl.plans import DEFAULT
from identities.connectors.redis_acl.server import Server, Settings, open_server


def verify(settings: Settings, plan: Plan, since: datetime | None = None) -> Verification:
    """Read the server anew and compare it with what the plan promised. Raises SourceUnreachable, ReadIncomplete.

    since: when the plan was carried out. Monitors, replicas and waiting calls older than that go on as before.
    """
    image = plan.pre_image
    with open_server(settings) as server:
        observed_at = datetime.now(UTC)
        is_kept = current_hash(server, image) == plan.post_hash
        account = server.account(plan.identity)
        still = [(*sample, via) for sample in plan.removes for via in _paths(server, account, sample)]
        lost = [sample for sample in plan.keeps if not (account and _may(server, account, sample))]
        ends = image["ends"]
        old_only = since if ends == "lingering" else None
        found = remaining(server.clients(), plan.identity, ends, old_only) if ends else []
    differs = "" if is_kept else f"the access list or state of {plan.identity} differs"
    return judge(plan, observed_at, differs=differs, still=still, sessions=len(found), lost=lost)


def _paths(server: Server, account: Account | None, sample: Sample) -> Iterable[str]:
    if account is not None and account.is_enabled:
        if _may(server, account, sample):
            yield "its access control list"
        if _may(server, account, ("acl|setuser", SERVER)):
            yield "the command ACL SETUSER, with which it may give itself everything"
    if account is None or account.name != DEFAULT:
        anybody = server.account(DEFAULT)
        if anybody and anybody.is_enabled and not anybody.needs_password and _may(server, anybody, sample):
            yield "the user default, which needs no password"


def _may(server: Server, account: Account, sample: Sample) -> bool:
    """What the server says to a call that stands for the sample; our own answer where no call can be made up."""
    words = _call(server, *sample)
    answer = server.may(account.name, *words) if words else None
    if answer is not None:
        return answer
    permission = Permission.from_json(permission_json(account.selectors, server.catalogue, server.touches))
    return matches(permission, *sample) is not Answer.NO


def _call(server: Server, action: str, resource: str) -> list[str]:
    """The words of a call that does this and nothing else; empty where that is not sure."""
    command = server.commands.get(action)
    kind, _, name = resource.partition(":")
    if command is None or kind not in command.touches:
        return []
    words = action.split("|")
    words += ["1"] * (abs(command.arity) - len(words))
    if kind in ("read", "write"):
        if not command.key or command.key >= len(words) or {"read", "write"} <= command.touches:
            return []
        words[command.key] = name
    elif kind == "channel":
        words = [action, name, "1"] if action in ("publish", "spublish") else [action, name]
    elif len(command.touches) > 1:
        return []
    return words
