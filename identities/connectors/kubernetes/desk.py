"""What a plan is worked out with: the API server, and what the connector itself may do there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from identities.connectors.contract import NotPossible, ReadIncomplete
from identities.connectors.kubernetes.api import Settings, ask, find, own_name, path_of
from identities.connectors.kubernetes.facets import BINDINGS, ROLES, Facet
from identities.connectors.kubernetes.objects import GROUP


@dataclass(frozen=True, slots=True)
class Right:
    """What one request needs: a verb on a kind of object, in a namespace or (empty) at cluster level."""

    verb: str
    kind: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} on {_resource(self.kind)[1]}{where}"


@dataclass
class Desk:
    client: httpx.Client
    settings: Settings

    def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return find(self.client, path_of(kind, namespace, name))

    def refuse_own(self, identity: str) -> None:
        """Raises NotPossible where the identity is the one that Remit itself signs in as."""
        if identity == own_name(self.settings):
            raise NotPossible("This is the account that Remit itself signs in as; it can't take its own access away.")

    def may(self, right: Right) -> bool:
        """Whether the connector has this right. True also where the API server does not say."""
        group, resource = _resource(right.kind)
        attributes = {"verb": right.verb, "group": group, "resource": resource, "namespace": right.namespace}
        if right.name:
            attributes["name"] = right.name
        answer = ask(self.client, "SelfSubjectAccessReview", {"resourceAttributes": attributes})
        return answer is None or answer[0]

    def missing(self, facets: Sequence[Facet]) -> list[str]:
        """The rights that the connector lacks to carry these changes out, each once, in plain words."""
        needed = dict.fromkeys(right for facet in facets for right in rights_for(facet))
        return [str(right) for right in needed if not self.may(right)]

    def require(self, facets: Sequence[Facet]) -> None:
        """Raises NotPossible with the rights that are missing."""
        missing = self.missing(facets)
        if missing:
            raise NotPossible(
                f"The connector lacks {'; '.join(missing)}. docs/connectors.md has the role that gives it."
            )

    def namespace_exists(self, name: str) -> bool:
        """True also where the connector may not look."""
        try:
            return self.find("Namespace", "", name) is not None
        except ReadIncomplete:
            return True


def rights_for(facet: Facet) -> list[Right]:
    """What the connector needs to make this change. A right that it gives it must hold itself or be let give."""
    verb = "delete" if facet.after is None else "create" if facet.before is None else "patch"
    rights = [Right(verb, facet.kind, facet.namespace, "" if verb == "create" else facet.name)]
    if facet.kind in ROLES and facet.after is not None:
        rights.append(Right("escalate", facet.kind, facet.namespace))
    if facet.kind in BINDINGS and facet.after is not None and _gives(facet):
        role = facet.after["roleRef"]
        rights.append(Right("bind", role["kind"], facet.namespace, role["name"]))
    return rights


def _gives(facet: Facet) -> bool:
    """Whether somebody is in the binding afterwards who was not before."""
    before = facet.before["subjects"] if facet.before else []
    return facet.after is not None and any(each not in before for each in facet.after["subjects"])


def _resource(kind: str) -> tuple[str, str]:
    group = GROUP if kind in (*BINDINGS, *ROLES) else ""
    return "authorization.k8s.io" if kind == "SubjectAccessReview" else group, f"{kind.lower()}s"
