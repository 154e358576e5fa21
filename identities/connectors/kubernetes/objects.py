"""Objects of the Kubernetes API as values: what access is made of, and nothing else of them. Pure.

Both the live API and dumps come through here, so that both are read in the same way. The contents of a Secret are
never looked at.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

GROUP = "rbac.authorization.k8s.io"
SERVICE_ACCOUNT, USER, GROUP_OF_USERS = "ServiceAccount", "User", "Group"
TOKEN_SECRET = "kubernetes.io/service-account-token"  # noqa: S105 - a type's name
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "remit"
QUARANTINED = "remit/quarantined"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"

# Marks that deployment tools leave on what they will put back.
_TOOLS = (
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
    ("labels", "addonmanager.kubernetes.io/mode", "the add-on manager"),
    ("labels", "olm.owner", "the Operator Lifecycle Manager"),
)


class BadObject(ValueError):
    """An object does not have the shape of its kind. The text says what is wrong and holds no value of it."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Who a binding gives something to. namespace: of service accounts only."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def account(self) -> tuple[str, str] | None:
        """(namespace, name) of the service account that is meant, in either of the two ways to write it."""
        if self.kind == SERVICE_ACCOUNT:
            return self.namespace, self.name
        parts = self.name.split(":")
        if self.kind == USER and len(parts) == 4 and parts[:2] == ["system", "serviceaccount"]:
            return parts[2], parts[3]
        return None

    @property
    def username(self) -> str:
        """The name by which the API server knows a caller; of a group, `group:` and its name."""
        if self.kind == GROUP_OF_USERS:
            return f"group:{self.name}"
        return username(self.namespace, self.name) if self.kind == SERVICE_ACCOUNT else self.name

    def to_json(self) -> dict[str, str]:
        """As a binding lists it."""
        if self.kind == SERVICE_ACCOUNT:
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"apiGroup": GROUP, "kind": self.kind, "name": self.name}

    def title(self) -> str:
        where = f" of namespace {self.namespace}" if self.namespace else ""
        return f"{_WORDS.get(self.kind, self.kind)} {self.name}{where}"


_WORDS = {SERVICE_ACCOUNT: "service account", USER: "user", GROUP_OF_USERS: "group"}


@dataclass(frozen=True, slots=True)
class Meta:
    """What an object says about itself. tool: who would put it back if it were changed, where it shows."""

    namespace: str
    name: str
    uid: str = ""
    created_at: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    has_owner: bool = False

    @property
    def is_ours(self) -> bool:
        return self.labels.get(MANAGED_BY) == OURS

    @property
    def is_reconciled(self) -> bool:
        """Whether the API server itself puts it back at every start."""
        return self.annotations.get(AUTOUPDATE) == "true"

    @property
    def tool(self) -> str:
        if self.has_owner:
            return "its owner object's controller"
        for place, key, name in _TOOLS:
            if key in (self.labels if place == "labels" else self.annotations):
                return name
        manager = self.labels.get(MANAGED_BY, "")
        return manager if manager and manager != OURS else ""


@dataclass(frozen=True, slots=True)
class Rule:
    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """As a role lists it; members in order, so that equal rules are equal."""
        written = {
            "apiGroups": sorted(set(self.api_groups)),
            "resources": sorted(set(self.resources)),
            "resourceNames": sorted(set(self.resource_names)),
            "nonResourceURLs": sorted(set(self.urls)),
            "verbs": sorted(set(self.verbs)),
        }
        return {name: values for name, values in written.items() if values}


@dataclass(frozen=True, slots=True)
class Role:
    """A Role, or with an empty namespace a ClusterRole."""

    meta: Meta
    rules: tuple[Rule, ...]
    is_aggregated: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.meta.namespace, self.meta.name


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding, or with an empty namespace a ClusterRoleBinding. role_kind: Role or ClusterRole.

    subjects: each once, in the order given. repeated: how many stand there again. homeless: how many service accounts
    lack their namespace, which only files that no API server has seen can do; they count as being in the binding's.
    """

    meta: Meta
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]
    repeated: int = 0
    homeless: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.meta.namespace, self.meta.name

    @property
    def kind(self) -> str:
        return "RoleBinding" if self.meta.namespace else "ClusterRoleBinding"

    @property
    def role_key(self) -> tuple[str, str]:
        return (self.meta.namespace if self.role_kind == "Role" else ""), self.role_name

    def title(self) -> str:
        where = f" of namespace {self.meta.namespace}" if self.meta.namespace else ""
        return f"{self.kind} {self.meta.name}{where}"


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount."""

    meta: Meta
    automounts: bool | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.meta.namespace, self.meta.name

    @property
    def username(self) -> str:
        return username(*self.key)


@dataclass(frozen=True, slots=True)
class TokenSecret:
    """A Secret that holds a token of a service account for ever: only that there is one."""

    meta: Meta
    account: str

    @property
    def owner(self) -> tuple[str, str]:
        return self.meta.namespace, self.account


def username(namespace: str, name: str) -> str:
    """What the API server calls a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def read_meta(data: Any, *, is_namespaced: bool, default_namespace: str = "") -> Meta:
    """The metadata of an object. Raises BadObject."""
    meta = _object(data.get("metadata"), "metadata")
    name = meta.get("name")
    if not isinstance(name, str) or not name:
        raise BadObject("it has no metadata.name")
    namespace = (meta.get("namespace") or default_namespace) if is_namespaced else ""
    if not isinstance(namespace, str):
        raise BadObject("its metadata.namespace is no text")
    created = meta.get("creationTimestamp")
    return Meta(
        namespace=namespace,
        name=name,
        uid=str(meta.get("uid") or ""),
        created_at=created if isinstance(created, str) and created else _moment_text(created),
        labels=_texts(meta.get("labels"), "labels"),
        annotations=_texts(meta.get("annotations"), "annotations"),
        has_owner=bool(meta.get("ownerReferences")),
    )


def read_role(data: Any, *, is_namespaced: bool, default_namespace: str = "") -> Role:
    rules = tuple(_rule(each) for each in _list(data.get("rules"), "rules"))
    meta = read_meta(data, is_namespaced=is_namespaced, default_namespace=default_namespace)
    return Role(meta, rules, is_aggregated=bool(data.get("aggregationRule")))


def _rule(data: Any) -> Rule:
    rule = _object(data, "a rule")
    names = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return Rule(*(_words(rule.get(name), name) for name in names))


def read_binding(data: Any, *, is_namespaced: bool, default_namespace: str = "") -> Binding:
    meta = read_meta(data, is_namespaced=is_namespaced, default_namespace=default_namespace)
    role = _object(data.get("roleRef"), "roleRef")
    kind, name = role.get("kind"), role.get("name")
    if kind not in ("Role", "ClusterRole") or not isinstance(name, str) or not name:
        raise BadObject("its roleRef names neither a Role nor a ClusterRole")
    listed = [_subject(each) for each in _list(data.get("subjects"), "subjects")]
    homeless = [each.kind == SERVICE_ACCOUNT and not each.namespace for each in listed]
    home = meta.namespace or default_namespace
    subjects = [replace(each, namespace=home) if lost else each for each, lost in zip(listed, homeless, strict=True)]
    once = tuple(dict.fromkeys(subjects))
    return Binding(meta, kind, name, once, len(subjects) - len(once), sum(homeless))


def _subject(data: Any) -> Subject:
    subject = _object(data, "a subject")
    kind, name, namespace = subject.get("kind"), subject.get("name"), subject.get("namespace") or ""
    if kind not in _WORDS or not isinstance(name, str) or not name or not isinstance(namespace, str):
        raise BadObject("one of its subjects is no ServiceAccount, User or Group with a name")
    return Subject(kind, name, namespace if kind == SERVICE_ACCOUNT else "")


def read_account(data: Any, *, default_namespace: str = "") -> Account:
    meta = read_meta(data, is_namespaced=True, default_namespace=default_namespace)
    automounts = data.get("automountServiceAccountToken")
    return Account(meta, automounts if isinstance(automounts, bool) else None)


def read_secret(data: Any, *, default_namespace: str = "") -> TokenSecret | None:
    """The token of a service account; None for a Secret of another type. Its content stays where it is."""
    meta = read_meta(data, is_namespaced=True, default_namespace=default_namespace)
    account = meta.annotations.get("kubernetes.io/service-account.name", "")
    kind = data.get("type")
    if not account or (kind is not None and kind != TOKEN_SECRET):
        return None
    return TokenSecret(meta, account)


def read_pod(data: Any, *, default_namespace: str = "") -> tuple[str, str]:
    """(namespace, name) of the service account that a pod runs as."""
    meta = read_meta(data, is_namespaced=True, default_namespace=default_namespace)
    spec = _object(data.get("spec") or {}, "spec")
    return meta.namespace, str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")


def canonical_rules(rules: Iterable[Rule]) -> list[dict[str, list[str]]]:
    """The rules in one form for equal meaning: each once, whatever the order in which they were written."""
    written = [rule.to_json() for rule in rules]
    return sorted((each for n, each in enumerate(written) if each not in written[:n]), key=str)


def _object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise BadObject(f"its {what} is no object")
    return data


def _list(data: Any, what: str) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise BadObject(f"its {what} is no list")
    return data


def _words(data: Any, what: str) -> tuple[str, ...]:
    words = _list(data, what)
    if not all(isinstance(word, str) for word in words):
        raise BadObject(f"a rule's {what} holds something that is no text")
    return tuple(words)


def _texts(data: Any, what: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in _object(data, what).items()} if data else {}


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def _moment_text(value: Any) -> str | None:
    """YAML turns times that stand without quotes into times."""
    written = value.isoformat() if hasattr(value, "isoformat") else ""
    if not _TIME.match(written):
        return None
    return written if written[-6:-5] in "+-" else f"{written}Z"
