"""One object of the API that a plan changes: its state before and after, and the request between the two.

A state is None where the object is absent. It keeps what is needed to make the object again, but it is *compared* by
meaning: the order of subjects and rules, labels and annotations never count.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx

from identities.connectors.contract import NotPossible, ReadIncomplete, Step, image_hash
from identities.connectors.kubernetes import objects
from identities.connectors.kubernetes.api import METADATA, find, path_of
from identities.connectors.kubernetes.objects import GROUP, LAST_APPLIED, QUARANTINED, Subject

State = dict[str, Any] | None
BINDINGS = ("RoleBinding", "ClusterRoleBinding")
ROLES = ("Role", "ClusterRole")
AS_COMPARED = "(as read right before)"


@dataclass(frozen=True, slots=True)
class Facet:
    """kind, namespace and name find the object. note: what the change means, for a person."""

    kind: str
    namespace: str
    name: str
    before: State
    after: State
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def path(self) -> str:
        return path_of(self.kind, self.namespace, self.name)

    def title(self) -> str:
        where = f" of namespace {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}"

    def reversed(self) -> "Facet":
        return replace(self, before=self.after, after=self.before, note="")

    def step(self) -> Step:
        """The request that leads from before to after, as it is shown and sent."""
        method, path, body = self._request()
        written = json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True)
        return Step(f"{method} {path}\n{written}", self.note, {"method": method, "path": path, "body": body})

    def _request(self) -> tuple[str, str, Any]:
        if self.after is None:
            preconditions = {"uid": AS_COMPARED, "resourceVersion": AS_COMPARED}
            return "DELETE", self.path, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if self.before is None:
            return "POST", path_of(self.kind, self.namespace), self._manifest(self.after)
        if self.kind == "ServiceAccount":
            value = "true" if self.after["quarantined"] else None
            return "PATCH", self.path, {"metadata": {"annotations": {QUARANTINED: value}}}
        return "PATCH", self.path, _subjects_patch(self.before, self.after)

    def _manifest(self, state: Mapping[str, Any]) -> dict[str, Any]:
        meta = {"name": self.name} | ({"namespace": self.namespace} if self.namespace else {})
        content = {name: state[name] for name in ("rules", "roleRef", "subjects") if name in state}
        return {
            "apiVersion": f"{GROUP}/v1",
            "kind": self.kind,
            "metadata": meta | dict(state["metadata"]),
        } | content

    def look(self, client: httpx.Client) -> State:
        """The state of the object now. Raises SourceUnreachable, ReadIncomplete."""
        found = self.fetch(client)
        return None if found is None else state_of(self.kind, found)

    def fetch(self, client: httpx.Client) -> dict[str, Any] | None:
        """The object as the API server has it; of a secret only its metadata."""
        return find(client, self.path, accept=METADATA if self.kind == "Secret" else "")


def state_of(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The state of an object as the API gives it. Raises ReadIncomplete."""
    meta = data.get("metadata") or {}
    if kind == "ServiceAccount":
        return {"quarantined": QUARANTINED in (meta.get("annotations") or {})}
    if kind == "Secret":
        return {"uid": str(meta.get("uid", ""))}
    try:
        if kind in ROLES:
            role = objects.read_role(data, is_namespaced=kind == "Role")
            return {"rules": objects.canonical_rules(role.rules), "metadata": _kept(meta)}
        objects.read_binding(data, is_namespaced=kind == "RoleBinding")
    except objects.BadObject as error:
        raise ReadIncomplete(f"The API server answered with an object that is no {kind}: {error}.") from error
    return {
        "roleRef": dict(data["roleRef"]),
        "subjects": list(data.get("subjects") or []),
        "metadata": _kept(meta),
    }


def _kept(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What an object needs to be the same when it is made again."""
    kept: dict[str, Any] = {}
    if meta.get("labels"):
        kept["labels"] = dict(meta["labels"])
    annotations = {name: value for name, value in (meta.get("annotations") or {}).items() if name != LAST_APPLIED}
    if annotations:
        kept["annotations"] = annotations
    if meta.get("ownerReferences"):
        kept["ownerReferences"] = list(meta["ownerReferences"])
    return kept


def meaning(kind: str, state: State) -> Any:
    """What of a state counts when two are compared."""
    if state is None or kind in ("ServiceAccount", "Secret"):
        return state
    if kind in ROLES:
        return state["rules"]
    role = state["roleRef"]
    return {
        "role": [role.get("kind"), role.get("name")],
        "subjects": sorted({(s.get("kind"), s.get("namespace") or "", s.get("name")) for s in state["subjects"]}),
    }


def states_hash(facets: Sequence[Facet], states: Iterable[State]) -> str:
    return image_hash([[facet.path, meaning(facet.kind, state)] for facet, state in zip(facets, states, strict=True)])


def without_subject(state: Mapping[str, Any], subject: Subject) -> State:
    """The state of a binding after the subject is gone: None where nobody would be left."""
    left = [each for each in state["subjects"] if not is_subject(each, subject)]
    return {**state, "subjects": left} if left else None


def is_subject(data: Mapping[str, Any], subject: Subject) -> bool:
    return (data.get("kind"), data.get("name"), data.get("namespace") or "") == (
        subject.kind,
        subject.name,
        subject.namespace,
    )


def _subjects_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A JSON patch that changes the list of subjects, and does nothing unless the list is the expected one."""
    old, new = before["subjects"], after["subjects"]
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/roleRef", "value": before["roleRef"]},
        {"op": "test", "path": "/subjects", "value": old},
    ]
    # From the end, so that the places of the others stay what they are.
    patch += [{"op": "remove", "path": f"/subjects/{n}"} for n in reversed(range(len(old))) if old[n] not in new]
    return patch + [{"op": "add", "path": "/subjects/-", "value": each} for each in new if each not in old]


def fill_in(step: Step, found: Mapping[str, Any]) -> Any:
    """The body of a request with the preconditions of the object that was just compared."""
    body = step.call["body"]
    if step.call["method"] != "DELETE":
        return body
    meta = found.get("metadata") or {}
    preconditions = {"uid": meta.get("uid"), "resourceVersion": meta.get("resourceVersion")}
    if not all(preconditions.values()):
        raise NotPossible("The API server does not say which version of the object it holds.")
    return {**body, "preconditions": preconditions}
