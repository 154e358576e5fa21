"""The operations that plans consist of: how each reads to a person, what it changes, how it is undone and sent.

A call is JSON: {"operation": "attach_user_policy", "parameters": {…}}. Documents stand in it as objects. What a call
does to a state is worked out here without AWS, so a plan knows every state that it will pass through.
"""

import copy
import shlex
from collections.abc import Mapping
from typing import Any

from identities.connectors.aws.documents import compact, meaning
from identities.connectors.aws.session import plain_errors
from identities.connectors.aws.state import NEW, Facet, State, read_state
from identities.connectors.contract import NotPossible, Step

Call = dict[str, Any]
DOCUMENT = "PolicyDocument"
MADE_HERE = "the version that holds the document above"


def put_inline(kind: str, holder: str, name: str, document: Mapping[str, Any]) -> Call:
    return _call(f"put_{kind}_policy", {_word(kind): holder, "PolicyName": name, DOCUMENT: dict(document)})


def delete_inline(kind: str, holder: str, name: str) -> Call:
    return _call(f"delete_{kind}_policy", {_word(kind): holder, "PolicyName": name})


def attach(kind: str, holder: str, arn: str) -> Call:
    return _call(f"attach_{kind}_policy", {_word(kind): holder, "PolicyArn": arn})


def detach(kind: str, holder: str, arn: str) -> Call:
    return _call(f"detach_{kind}_policy", {_word(kind): holder, "PolicyArn": arn})


def create_policy(arn: str, document: Mapping[str, Any]) -> Call:
    """arn: what it will be; made of the account and the name, so it is known before."""
    name = arn.rpartition("/")[2]
    return _call("create_policy", {"PolicyName": name, DOCUMENT: dict(document)}, arn=arn)


def delete_policy(arn: str) -> Call:
    return _call("delete_policy", {"PolicyArn": arn})


def create_version(arn: str, document: Mapping[str, Any], *, default: bool) -> Call:
    return _call("create_policy_version", {"PolicyArn": arn, DOCUMENT: dict(document), "SetAsDefault": default})


def set_default(arn: str, version: str, document: Mapping[str, Any]) -> Call:
    """document: what the version must hold, because versions are never renumbered but may be made anew."""
    return _call("set_default_policy_version", {"PolicyArn": arn, "VersionId": version}, document=dict(document))


def delete_version(arn: str, version: str, document: Mapping[str, Any]) -> Call:
    return _call("delete_policy_version", {"PolicyArn": arn, "VersionId": version}, document=dict(document))


def leave_group(user: str, group: str) -> Call:
    return _call("remove_user_from_group", {"UserName": user, "GroupName": group})


def join_group(user: str, group: str) -> Call:
    return _call("add_user_to_group", {"UserName": user, "GroupName": group})


def set_status(sort: str, user: str, credential: str, status: str) -> Call:
    """sort: key, ssh or cert."""
    operation, parameter = _CREDENTIALS[sort]
    return _call(operation, {"UserName": user, parameter: credential, "Status": status})


def delete_login(user: str) -> Call:
    return _call("delete_login_profile", {"UserName": user})


_CREDENTIALS = {
    "key": ("update_access_key", "AccessKeyId"),
    "ssh": ("update_ssh_public_key", "SSHPublicKeyId"),
    "cert": ("update_signing_certificate", "CertificateId"),
}
_SORTS = {operation: (sort, parameter) for sort, (operation, parameter) in _CREDENTIALS.items()}


def _call(operation: str, parameters: dict[str, Any], **more: Any) -> Call:
    return {"operation": operation, "parameters": parameters, **more}


def _word(kind: str) -> str:
    return f"{kind.capitalize()}Name"


def step(call: Call, note: str = "") -> Step:
    return Step(render(call), note, call)


_ORDER = ("UserName", "RoleName", "GroupName", "PolicyName", "PolicyArn", "VersionId", DOCUMENT)


def render(call: Mapping[str, Any]) -> str:
    """The call as AWS's own command line would make it."""
    parts = ["aws iam", call["operation"].replace("_", "-")]
    given = call["parameters"]
    # In a fixed order, for a stored plan does not keep the one it was made in.
    for name in sorted(given, key=lambda each: (_ORDER.index(each) if each in _ORDER else len(_ORDER), each)):
        value = given[name]
        option = "".join(f"-{char.lower()}" if char.isupper() else char for char in name)
        option = option.replace("-s-s-h", "-ssh").lstrip("-")
        if isinstance(value, bool):
            parts.append(f"--{option}" if value else f"--no-{option}")
        else:
            text = compact(value) if isinstance(value, Mapping) else str(value)
            parts.append(f"--{option} {shlex.quote(text)}")
    return " ".join(parts)


def facets_of(call: Mapping[str, Any]) -> list[Facet]:  # noqa: PLR0911 - one per sort of operation
    """What the call changes."""
    operation, given = call["operation"], call["parameters"]
    verb, _, rest = operation.partition("_")
    kind = rest.removesuffix("_policy")
    if kind in ("user", "role") and verb in ("put", "delete"):
        return [("inline", kind, given[_word(kind)], given["PolicyName"])]
    if kind in ("user", "role") and verb in ("attach", "detach"):
        return [("attached", kind, given[_word(kind)], given["PolicyArn"])]
    if operation == "create_policy":
        return [("policy", call["arn"])]
    if "policy" in operation:
        return [("policy", given["PolicyArn"])]
    if "group" in operation:
        return [("member", given["UserName"], given["GroupName"])]
    if operation == "delete_login_profile":
        return [("login", given["UserName"])]
    if operation in _SORTS:
        sort, parameter = _SORTS[operation]
        return [(sort, given["UserName"], given[parameter])]
    raise NotPossible(f"{operation} is no operation of a plan.")


def predict(state: State, call: Mapping[str, Any]) -> State:
    """The state after the call."""
    after = copy.deepcopy(state)
    (facet,) = facets_of(call)
    operation, given = call["operation"], call["parameters"]
    if facet[0] == "inline":
        after[facet] = given.get(DOCUMENT)
    elif facet[0] in ("attached", "member"):
        after[facet] = operation.startswith(("attach", "add"))
    elif facet[0] == "login":
        after[facet] = False
    elif facet[0] != "policy":
        after[facet] = given["Status"]
    elif operation == "create_policy":
        after[facet] = {"default": NEW, "versions": {NEW: given[DOCUMENT]}}
    elif operation == "delete_policy":
        after[facet] = None
    elif operation == "create_policy_version":
        number = _free(after[facet]["versions"])
        after[facet]["versions"][number] = given[DOCUMENT]
        if given["SetAsDefault"]:
            after[facet]["default"] = number
    elif operation == "set_default_policy_version":
        after[facet]["default"] = _version(after[facet], call)
    else:
        del after[facet]["versions"][_version(after[facet], call, not_default=True)]
    return after


def inverse(before: State, call: Mapping[str, Any]) -> list[Call]:  # noqa: PLR0911 - one per operation
    """The calls that lead from the state after the call back to the state before it, by meaning."""
    (facet,) = facets_of(call)
    operation, given = call["operation"], call["parameters"]
    was: Any = before.get(facet)
    if facet[0] == "inline":
        kind, holder, name = facet[1:]
        return [put_inline(kind, holder, name, was) if was is not None else delete_inline(kind, holder, name)]
    if facet[0] == "attached":
        return [(attach if was else detach)(*facet[1:])]
    if facet[0] == "member":
        return [(join_group if was else leave_group)(*facet[1:])]
    if facet[0] == "login":
        return []
    if facet[0] != "policy":
        return [set_status(facet[0], facet[1], facet[2], str(was))]
    arn = facet[1]
    if operation == "create_policy":
        return [delete_policy(arn)]
    if operation == "create_policy_version":
        made = delete_version(arn, MADE_HERE, given[DOCUMENT])
        held = was["versions"][was["default"]]
        return [set_default(arn, was["default"], held), made] if given["SetAsDefault"] else [made]
    if operation == "delete_policy_version":
        return [create_version(arn, call["document"], default=False)]
    if operation == "set_default_policy_version":
        return [set_default(arn, was["default"], was["versions"][was["default"]])]
    return [create_policy(arn, was["versions"][was["default"]])]


def send(iam: Any, step: Step) -> None:
    """Make the call. Raises NotPossible where AWS refuses, SourceUnreachable, and ReadIncomplete."""
    call = step.call
    if not call or render(call) != step.text:
        raise NotPossible("A step of this plan is not the one that was shown, so it does not run.")
    facets_of(call)
    given = {
        name: compact(value) if isinstance(value, Mapping) else value for name, value in call["parameters"].items()
    }
    if "VersionId" in given:
        facet = ("policy", given["PolicyArn"])
        held = read_state(iam, [facet])[facet]
        if held is None:
            raise NotPossible("The policy is gone.")
        given["VersionId"] = _version(held, call, not_default=call["operation"] == "delete_policy_version")
    operation = call["operation"]
    action = "iam:" + "".join(word.capitalize() for word in operation.split("_")).replace("Ssh", "SSH")
    with plain_errors(action, changing=True):
        getattr(iam, operation)(**given)


def _version(policy: Mapping[str, Any], call: Mapping[str, Any], *, not_default: bool = False) -> str:
    """The id of the version that the call means: by its id if it still holds that document, else by the document."""
    wanted, text = call["parameters"]["VersionId"], meaning(call["document"])
    fitting = [
        number
        for number, document in policy["versions"].items()
        if meaning(document) == text and not (not_default and number == policy["default"])
    ]
    if wanted in fitting:
        return str(wanted)
    if not fitting:
        raise NotPossible("The policy has no such version any more.")
    return fitting[-1]


def _free(versions: Mapping[str, Any]) -> str:
    number = NEW
    while number in versions:
        number += "'"
    return number
