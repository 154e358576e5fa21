"""From a cluster's objects to inventory records, in the words of docs/api.md. Pure."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from identities.connectors.contract import Record
from identities.connectors.kubernetes.estate import ANONYMOUS, Estate, Holding
from identities.connectors.kubernetes.objects import (
    GROUP_OF_USERS,
    QUARANTINED,
    Account,
    Binding,
    Subject,
    TokenSecret,
    username,
)

LONGEST_ID = 500
LONGEST_GRANT_ID = 1000
LONGEST_LABEL = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LAST_USED = "kubernetes.io/legacy-token-last-used"
_INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"


def inventory(estate: Estate) -> Iterator[Record]:
    """Identities, credentials and grants of everything that was read."""
    direct = {holding.identity for holding in estate.holdings() if not holding.group}
    for identity in estate.identities:
        yield _identity(estate, identity, holds_something=identity in direct)
    for account in estate.accounts:
        yield _bound_tokens(account)
    for secret in estate.secrets:
        yield from _legacy_token(estate, secret)
    written: set[str] = set()
    for holding in estate.holdings():
        record = _grant(estate, holding)
        # A subject may stand in a binding as an account and as the user of that name; a member of two such groups
        # differs by the group.
        if record["id"] not in written:
            written.add(record["id"])
            yield record


def identity_id(identity: str) -> str:
    """The external id of an identity: its username, fit to be one."""
    return shortened(printable(identity), LONGEST_ID)


def _identity(estate: Estate, identity: str, *, holds_something: bool) -> Record:
    account = estate.account_of.get(identity)
    named = Subject("User", identity).account
    attributes: dict[str, Any] = {"subject_kind": "ServiceAccount" if named else "User"}
    if identity.startswith("group:"):
        attributes = {"subject_kind": GROUP_OF_USERS, "members": "not observable: they come from the sign-in"}
    if named:
        is_known = account is not None or estate.is_whole
        attributes |= {"namespace": named[0], "exists": account is not None if is_known else "not in the file"}
    if named and account is None and estate.is_whole:
        attributes["dangling"] = "No such service account exists; whoever creates it gets what is bound to its name."
    if account is not None:
        attributes |= {"uid": account.meta.uid, "pods": estate.pods.get(account.key, 0)}
        if account.automounts is not None:
            # Not called automountServiceAccountToken: a field of that name looks like a secret.
            attributes["mounted_by_default"] = account.automounts
    is_locked = account is not None and QUARANTINED in account.meta.annotations and not holds_something
    return {
        "type": "identity",
        "id": identity_id(identity),
        "name": shortened(printable(_name(identity, named)), LONGEST_ID),
        "kind": "service_account" if named else "machine",
        "status": "disabled" if is_locked else "active",
        "custody": "platform_managed" if named or identity == ANONYMOUS else "unknown",
        "created_at": account.meta.created_at if account else None,
        "attributes": attributes,
    }


def _name(identity: str, account: tuple[str, str] | None) -> str:
    return f"{account[0]}/{account[1]}" if account else identity


def _bound_tokens(account: Account) -> Record:
    """Tokens that the API server issues on request: nobody can list them, and each ends by itself."""
    return {
        "type": "credential",
        "id": shortened(f"bound:{account.username}", LONGEST_ID),
        "identity": identity_id(account.username),
        "kind": "platform_issued",
        "created_at": account.meta.created_at,
        "attributes": {"lifetime": "chosen by whoever asks for one; issued ones cannot be listed"},
    }


def _legacy_token(estate: Estate, secret: TokenSecret) -> Iterator[Record]:
    namespace, account = secret.owner
    owner = username(namespace, account)
    if owner not in estate.account_of:
        return  # it opens nothing while its account does not exist
    labels = secret.meta.labels
    created, used = secret.meta.created_at, labels.get(_LAST_USED)
    last_used_at = f"{used}T00:00:00Z" if used and re.fullmatch(r"\d{4}-\d\d-\d\d", used) else None
    yield {
        "type": "credential",
        "id": shortened(f"secret:{namespace}/{secret.meta.name}", LONGEST_ID),
        "identity": identity_id(owner),
        "kind": "token",
        "status": "disabled" if _INVALID_SINCE in labels else "active",
        "created_at": created,
        # The label names a day only, which may begin before the token did.
        "last_used_at": max(last_used_at, created) if last_used_at and created else last_used_at,
        "never_expires": True,
        "storage": "kubernetes secret",
        "attributes": {"uid": secret.meta.uid},
    }


def _grant(estate: Estate, holding: Holding) -> Record:
    binding = holding.binding
    role = estate.role_of.get(binding.role_key)
    steps = [{"kind": "group", "id": holding.group, "label": f"group {holding.group}"}] if holding.group else []
    steps += [
        {"kind": "binding", "id": binding_id(binding), "label": binding.title()},
        {"kind": "role", "id": "/".join(filter(None, binding.role_key)), "label": _role_title(binding)},
    ]
    return {
        "type": "grant",
        "id": grant_id(holding),
        "identity": identity_id(holding.identity),
        "label": shortened(printable(_label(holding, "" if role else _absence(estate))), LONGEST_LABEL),
        "permission": estate.permission(binding).to_json(),
        "path": [{name: shortened(printable(text), LONGEST_LABEL) for name, text in step.items()} for step in steps],
        "revocability": _revocability(holding),
        "shared_with": len(estate.subjects_of_role[binding.role_key]) - 1,
        "native_ref": {
            "kind": "group" if holding.group else "binding",
            "binding": {
                "kind": binding.kind,
                "namespace": binding.meta.namespace,
                "name": binding.meta.name,
                "uid": binding.meta.uid,
            },
            "role": {"kind": binding.role_kind, "name": binding.role_name, "exists": role is not None},
            "subject": {
                "kind": holding.subject.kind,
                "name": holding.subject.name,
                "namespace": holding.subject.namespace,
            },
            "is_aggregated": role is not None and role.is_aggregated,
            "is_overstated": binding.role_key in estate.overstated,
            "tool": binding.meta.tool,
        },
    }


def _absence(estate: Estate) -> str:
    return "no such role: no access until somebody creates it" if estate.is_whole else "its role is not in the file"


def _label(holding: Holding, missing: str) -> str:
    binding = holding.binding
    where = f"in namespace {binding.meta.namespace}" if binding.meta.namespace else "in the whole cluster"
    label = f"{_role_title(binding)} {where}, by {binding.meta.name}"
    if holding.group:
        label += f" through {holding.group}"
    return f"{label} ({missing})" if missing else label


def _role_title(binding: Binding) -> str:
    return f"{binding.role_kind} {binding.role_name}"


def _revocability(holding: Holding) -> str:
    if holding.binding.meta.is_reconciled:
        return "provider_only"
    if holding.group:
        return "via_group"
    return "infrastructure_code" if holding.binding.meta.tool else "here"


def binding_id(binding: Binding) -> str:
    if binding.meta.namespace:
        return f"rolebinding/{binding.meta.namespace}/{binding.meta.name}"
    return f"clusterrolebinding/{binding.meta.name}"


def grant_id(holding: Holding) -> str:
    """Made of names, so that a dump and the live API agree."""
    subject = holding.subject
    who = "/".join(filter(None, (subject.kind, subject.namespace, subject.name)))
    parts = [binding_id(holding.binding), who, *([holding.identity] if holding.group else [])]
    return shortened(printable("/".join(parts), escape=True), LONGEST_GRANT_ID)


def printable(text: str, *, escape: bool = False) -> str:
    """The text on one line; control characters become spaces or, where texts must stay different, codes."""
    return _CONTROL.sub((lambda found: f"%{ord(found[0]):02X}") if escape else " ", text)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and a hash of all of it. `longest` counts bytes."""
    data = text.encode()
    if len(data) <= longest:
        return text
    return f"{data[: longest - 20].decode(errors='ignore')}…#{hashlib.sha256(data).hexdigest()[:16]}"
