"""One reading of a cluster: everything that access is made of, as inventory records ending with `end`."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from identities.connectors.contract import ReadIncomplete, Record
from identities.connectors.kubernetes import objects
from identities.connectors.kubernetes.api import METADATA_LIST, Settings, connect, each_item, path_of
from identities.connectors.kubernetes.estate import Estate
from identities.connectors.kubernetes.objects import TOKEN_SECRET, BadObject
from identities.connectors.kubernetes.records import inventory

Thing = TypeVar("Thing")

COVERAGE = {
    "identities": True,
    "purpose": False,
    "created_at": True,
    "credentials": True,
    "credential_expiry": True,
    "credential_created_at": True,
    "credential_last_used": True,
    "grants": True,
    "memberships": True,
    "last_used": False,
    "usage": False,
    "grant_expiry": False,
    "conditions": False,
    "sessions": False,
}
NOT_OBSERVABLE = (
    "Use: it stands in the audit log, which is imported as a file (format kubernetes-audit).",
    "Bound tokens that were issued: they cannot be listed, and end by themselves.",
    "Client certificates and sign-in providers, so credentials of users and groups, and who is in a group.",
    "Who created a binding, and when it was last changed.",
    "Open watches, and exec, attach and port-forward streams: they go on with the right they were opened with.",
    "Other authorizers beside RBAC (Node, webhook, ABAC), except where an access review is asked.",
    "Admission policies, which may refuse what RBAC allows.",
    "Users and groups that look like people: they are counted by the connection test and left out.",
)


def read(settings: Settings) -> Iterator[Record]:
    """Every record of the cluster. Raises SourceUnreachable, ReadIncomplete."""
    with connect(settings) as client:
        estate = read_estate(client, settings, with_everything=True)
    count = 0
    for record in inventory(estate):
        count += 1
        yield record
    yield {"type": "end", "records": count}


def read_estate(client: httpx.Client, settings: Settings, *, with_everything: bool = False) -> Estate:
    """Bindings, roles and accounts; with_everything also token secrets and pods.

    The lists are of different moments. Bindings come first: a role or an account that is made meanwhile is then seen
    without its binding and not the other way round, which would look like a binding to nothing.
    """
    bindings = _each(client, "RoleBinding", _namespaced(objects.read_binding))
    bindings += _each(client, "ClusterRoleBinding", _clusterwide(objects.read_binding))
    roles = _each(client, "Role", _namespaced(objects.read_role))
    roles += _each(client, "ClusterRole", _clusterwide(objects.read_role))
    estate = Estate(
        accounts=_each(client, "ServiceAccount", objects.read_account),
        roles=roles,
        bindings=bindings,
        machines=settings.machine_users,
    )
    if with_everything and settings.read_token_secrets:
        selector = f"type={TOKEN_SECRET}"
        found = _each(client, "Secret", objects.read_secret, accept=METADATA_LIST, selector=selector)
        estate.secrets = [secret for secret in found if secret is not None]
    if with_everything and settings.read_pods:
        estate.pods = dict(Counter(_each(client, "Pod", objects.read_pod)))
    return estate


def _each(client: httpx.Client, kind: str, parse: Callable[[Any], Thing], **options: str) -> list[Thing]:
    """All objects of a kind. What the API server keeps has the right shape; what has not is somebody in between."""
    path = path_of(kind, "")
    try:
        return [parse(item) for item in each_item(client, path, **options)]
    except (BadObject, AttributeError) as error:
        raise ReadIncomplete(f"GET {path} answered with an object that is no {kind}: {error}.") from error


def _namespaced(parse: Callable[..., Thing]) -> Callable[[Any], Thing]:
    return lambda item: parse(item, is_namespaced=True)


def _clusterwide(parse: Callable[..., Thing]) -> Callable[[Any], Thing]:
    return lambda item: parse(item, is_namespaced=False)
