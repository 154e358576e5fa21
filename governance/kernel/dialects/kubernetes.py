"""Kubernetes RBAC: verbs on API objects and on plain URLs; nothing is ever denied.

An action is a verb. A resource is `api:namespace/group/resource/subresource/name` with empty elements where the request
has none (cluster scope, core group, no subresource, a list), so `api:prod//pods/log/web-1` reads the log of a pod; or
`url:/metrics`. In a rule an element is either `*` (anything, also nothing) or literal: resource names know no
wildcards, and the group "" is the core group only. Build resources with `resource` and whole rules with `from_rule`.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from governance.kernel.dialects import paths
from governance.kernel.dialects.interface import Dialect, Language, exactly, gathered_by, join_words
from governance.kernel.patterns import ANY, Pattern, exact, glob
from governance.kernel.statements import PatternSet, Statement

_CLASS_OF = {
    "get": "read", "list": "read", "watch": "read", "head": "read",
    "create": "write", "update": "write", "patch": "write", "post": "write", "put": "write", "use": "write",
    "delete": "destructive", "deletecollection": "destructive",
    "bind": "admin", "escalate": "admin", "impersonate": "admin", "approve": "admin", "sign": "admin",
}  # fmt: skip
_ADMIN_RESOURCES = frozenset(
    [
        "roles",
        "rolebindings",
        "clusterroles",
        "clusterrolebindings",
        "serviceaccounts/token",
        "nodes",
        "nodes/proxy",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "certificatesigningrequests/approval",
        "pods/exec",
        "pods/attach",
        "pods/ephemeralcontainers",
        "customresourcedefinitions",
        "apiservices",
        "persistentvolumes",
    ]
)

# Where a wildcard for kinds meets secrets, and the kinds above.
_GROUPS_OF_SECRETS = frozenset({"", "*"})
_ADMIN_GROUPS = frozenset(
    [
        *("", "*", "rbac.authorization.k8s.io", "certificates.k8s.io", "admissionregistration.k8s.io"),
        *("apiextensions.k8s.io", "apiregistration.k8s.io"),
    ]
)


def resource(namespace: str, group: str, kind: str, subresource: str = "", name: str = "") -> str:
    """The resource of a request; elements are literal names."""
    return paths.join("api", namespace, group, kind, subresource, name)


def from_rule(
    *,
    verbs: Sequence[str],
    namespace: str | None,
    api_groups: Sequence[str] = (),
    resources: Sequence[str] = (),
    resource_names: Sequence[str] = (),
    urls: Sequence[str] = (),
) -> tuple[Statement, ...]:
    """The statements of one rule bound in a namespace (None: bound for the whole cluster)."""
    statements = []
    if api_groups and resources and verbs:
        scope = "*" if namespace is None else paths.encode(namespace)
        patterns = tuple(
            f"api:{scope}/{_element(group)}/{_kind(kind)}/{paths.encode(name) if name else '*'}"
            for group in api_groups
            for kind in resources
            for name in (resource_names or ("",))
        )
        statements.append(Statement(PatternSet(tuple(verbs)), PatternSet(patterns)))
    if urls and namespace is None and verbs:
        statements.append(Statement(PatternSet(tuple(verbs)), PatternSet(tuple(f"url:{url}" for url in urls))))
    return tuple(statements)


def _element(text: str) -> str:
    return text if text == "*" else paths.encode(text)


def _kind(text: str) -> str:
    if text == "*":
        return "*/*"
    kind, _, subresource = text.partition("/")
    # `pods/*` is no wildcard to Kubernetes: only `*` and `*/subresource` are.
    return f"{_element(kind)}/{paths.encode(subresource)}"


class Kubernetes(Dialect):
    name = "kubernetes"
    title = "Kubernetes"
    known_actions = tuple(_CLASS_OF)
    known_resources = (
        "api:default//pods//example",
        "api:default//pods//",
        "api:default//secrets//example",
        "api:default/apps/deployments//example",
        "api://nodes//example",
        "url:/metrics",
    )

    def action(self, text: str, *, removing: bool = False) -> Language:
        return Language((Pattern((ANY,)),)) if text == "*" else exactly(text)

    @lru_cache(maxsize=65_536)  # noqa: B019 - the dialects are singletons
    def resource(self, text: str, *, removing: bool = False) -> Language:
        if text == "*":
            return Language((Pattern((ANY,)),))
        if text.startswith("url:"):
            body = text.removesuffix("*")
            return Language((Pattern((*exact(body).tokens, ANY)) if body != text else exact(text),))
        return Language((glob(text, "/"),))

    def resource_fault(self, text: str) -> str:
        if text == "*" or text.startswith(("url:/", "url:*")):
            return ""
        kind, _, path = text.partition(":")
        if kind != "api":
            return f"{text!r} is no Kubernetes resource; expected api:… with five elements, or url:/path"
        elements = path.split("/")
        if len(elements) != 5:
            return f"{text!r} needs five elements: namespace/group/resource/subresource/name"
        if any("?" in element or ("*" in element and element != "*") for element in elements):
            return f"{text!r}: an element is either * or a name (write a literal * as %2A)"
        return ""

    def action_fault(self, text: str) -> str:
        return f"{text!r}: a verb is either * or a name" if "?" in text or ("*" in text and text != "*") else ""

    def gathered(self, resources: list[str]) -> Iterable[tuple[str, list[str]]]:
        return gathered_by(resources, paths.last_name_open)

    def classes(self, action: str, resource: str) -> frozenset[str]:
        found = set(_CLASS_OF.values()) if action == "*" else {_CLASS_OF.get(action, "write")}
        if resource == "*" or resource.startswith("url:"):
            return frozenset(found | ({"secret_read"} if resource == "*" else set()))
        kind, subresource = _kind_of(resource)
        if kind in ("secrets", "*") and found & {"read"}:
            found.add("secret_read")
        full = f"{kind}/{subresource}" if subresource not in ("", "*") else kind
        if found - {"read"} and (full in _ADMIN_RESOURCES or kind == "*"):
            found.add("admin")
        if full in ("serviceaccounts/token", "nodes/proxy"):
            found |= {"secret_read"}
        return frozenset(found)

    def segment(self, actions: Iterable[str], resources: Iterable[str]) -> str:
        kinds = {_kind_of(resource)[0] for resource in resources if resource.startswith("api:")}
        if "secrets" in kinds:
            return "secrets"
        return "admin" if "*" in kinds or kinds & _ADMIN_RESOURCES else "apis"

    def reached(self, statement: Statement) -> set[str]:
        return set().union(*map(_reached, statement.resources.include))

    def phrase(self, actions: tuple[str, ...], resource: str) -> str:
        verbs = "do everything with" if "*" in actions else join_words(actions)
        if resource == "*":
            return f"{verbs} everything in the cluster"
        if resource.startswith("url:"):
            return f"{verbs} URL {resource.removeprefix('url:')}"
        _, (namespace, group, kind, subresource, name) = paths.split(resource)
        noun = "every kind of object" if kind == "*" else kind
        if group not in ("", "*"):
            noun += f".{group}"
        if subresource not in ("", "*"):
            noun = f"{subresource} of {noun}"
        if name not in ("", "*"):
            noun += f" named {name}"
        where = {"*": "anywhere in the cluster", "": "at cluster level"}.get(namespace, f"in namespace {namespace}")
        return f"{verbs} {noun} {where}"


def _reached(resource: str) -> set[str]:
    if resource == "*":
        return {"apis", "secrets", "admin"}
    if not resource.startswith("api:"):
        return {"apis"}
    kind, subresource = _kind_of(resource)
    if kind == "*":
        group = paths.decode(resource.split("/")[1])
        sensitive = {"secrets": group in _GROUPS_OF_SECRETS, "admin": group in _ADMIN_GROUPS}
        return {"apis"} | {segment for segment, is_there in sensitive.items() if is_there}
    if kind == "secrets":
        return {"secrets"}
    parts = (each for each in _ADMIN_RESOURCES if each.startswith(f"{kind}/"))
    full = f"{kind}/{subresource}"
    if kind in _ADMIN_RESOURCES or full in _ADMIN_RESOURCES:
        return {"admin"}
    return {"apis", "admin"} if subresource == "*" and any(parts) else {"apis"}


def _kind_of(resource: str) -> tuple[str, str]:
    elements = resource.partition(":")[2].split("/")
    return (elements[2], elements[3]) if len(elements) == 5 else ("*", "*")
