"""A few identities with grants, written as rows: what decisions are tried on."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from governance.kernel.permissions import Permission
from identities.models import Credential, DecisionPolicy, Grant, GrantVersion, Identity, Source, TrustRelation
from identities.pdp.requests import Request

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READ_FILES = {"dialect": "tools", "statements": [{"actions": ["read_file"], "resources": ["server:files"]}]}


def permission(*actions: str, on: str = "server:files", **more: Any) -> dict[str, Any]:
    """A permission of one statement in the words of agents' tools."""
    return {"dialect": "tools", "statements": [{"actions": list(actions), "resources": [on], **more}]}


class World:
    """Builders of rows, each with the fewest facts that are true of it; keywords replace."""

    def __init__(self) -> None:
        self.source = self.make_source("agents")

    @staticmethod
    def make_source(slug: str, **more: Any) -> Source:
        facts = {"name": slug.title(), "kind": "push", "last_success_at": NOW - timedelta(minutes=5)}
        return Source.objects.create(slug=slug, **(facts | more))

    def identity(self, name: str, **more: Any) -> Identity:
        facts = {"source": self.source, "kind": "ai_agent", "name": name, "first_seen_at": NOW, "last_changed_at": NOW}
        return Identity.objects.create(external_id=name, content_hash=b"", **(facts | more))

    def grant(
        self,
        identity: Identity,
        held: dict[str, Any] = READ_FILES,
        *,
        version: dict[str, Any] | None = None,
        **more: Any,
    ) -> Grant:
        digest = Permission.from_json(held).digest()
        name = f"grant/{uuid.uuid4().hex[:8]}"
        facts = {"source": identity.source, "label": name, "first_seen_at": NOW, "last_changed_at": NOW}
        made = Grant.objects.create(identity=identity, external_id=name, content_hash=b"", **(facts | more))
        GrantVersion.objects.create(
            grant=made, number=1, permission=held, digest=digest, segment="ai_tools", privilege_classes=["read"],
            is_privileged=made.is_privileged, catalogue_version="1", seen_from=NOW, **(version or {}),
        )  # fmt: skip
        return made

    @staticmethod
    def reviewed(grant: Grant, **more: Any) -> None:
        digest = grant.versions.get(seen_until=None).digest
        facts = {"reviewed_at": NOW - timedelta(days=1), "reviewed_digest": digest}
        Grant.objects.filter(pk=grant.pk).update(**(facts | more))

    @staticmethod
    def credential(identity: Identity, name: str, **more: Any) -> Credential:
        facts = {"source": identity.source, "kind": "api_key", "first_seen_at": NOW, "last_changed_at": NOW}
        return Credential.objects.create(identity=identity, external_id=name, content_hash=b"", **(facts | more))

    @staticmethod
    def trust(identity: Identity, issuer: str, **more: Any) -> TrustRelation:
        facts = {"source": identity.source, "first_seen_at": NOW, "last_changed_at": NOW}
        return TrustRelation.objects.create(
            identity=identity, external_id=f"trust/{uuid.uuid4().hex[:8]}", issuer=issuer, content_hash=b"",
            **(facts | more),
        )  # fmt: skip

    @staticmethod
    def policy(**sections: dict[str, Any]) -> None:
        """Another version of the policy, with these sections changed."""
        current = DecisionPolicy.objects.order_by("-number").first()
        assert current
        document = {name: part | sections.get(name, {}) for name, part in current.document.items()}
        DecisionPolicy.objects.create(number=current.number + 1, document=document)


def question(subject: str = "agent", action: str = "read_file", resource: str = "server:files", **more: Any) -> Request:
    kind, _, identifier = resource.partition(":")
    facts = {"subject_type": "identity", "subject_id": subject, "action": action} | more
    return Request(resource_type=kind, resource_id=identifier, **facts)
