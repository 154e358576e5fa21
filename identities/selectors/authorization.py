"""How the application behind an identity decides: what people declared of it or its source, or what the source says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.fields.json import KT

from identities.models import Authorization, AuthorizationModel, Identity, Source


@dataclass(frozen=True, slots=True)
class Declared:
    """said_by: "identity", "source" (people declared it) or "reading" (the source reported it)."""

    model: str
    classes: tuple[str, ...]
    breadth: str
    note: str
    said_by: str
    declared_at: datetime | None
    version: int

    @property
    def is_login_all(self) -> bool:
        """Whether signing in is all that the application asks, so that it counts what the application can do."""
        return self.model in (AuthorizationModel.LOGIN_IS_ALL, AuthorizationModel.STATIC_LIST)

    @property
    def words(self) -> str:
        return AuthorizationModel(self.model).label


def declared_of(identity_ids: Iterable[UUID]) -> Mapping[UUID, Declared]:
    """What holds for each identity; absent where nobody said anything. Two queries."""
    rows = {
        pk: (source_id, reported)
        for pk, source_id, reported in Identity.objects.filter(pk__in=list(identity_ids))
        .annotate(reported=KT("attributes__authz_model"))
        .values_list("pk", "source_id", "reported")
    }
    return _declared(rows)


def declared_for(identity: Identity) -> Declared | None:
    """What holds for one identity that is loaded already. One query."""
    reported = identity.attributes.get("authz_model")
    return _declared({identity.pk: (identity.source_id, reported)}).get(identity.pk)


def _declared(rows: Mapping[UUID, tuple[UUID, Any]]) -> dict[UUID, Declared]:
    sources = {source_id for source_id, _ in rows.values()}
    said = Authorization.objects.filter(Q(identity__in=rows) | Q(source__in=sources)).exclude(model="")
    by_identity = {each.identity_id: each for each in said if each.identity_id}
    by_source = {each.source_id: each for each in said if each.source_id}
    found: dict[UUID, Declared] = {}
    for pk, (source_id, reported) in rows.items():
        if pk in by_identity:
            found[pk] = _as_declared(by_identity[pk], "identity")
        elif source_id in by_source:
            found[pk] = _as_declared(by_source[source_id], "source")
        elif isinstance(reported, str) and reported in AuthorizationModel.values:
            found[pk] = Declared(reported, (), "", "", "reading", None, 0)
    return found


def own_declaration(of: Identity | Source) -> Authorization | None:
    """What was declared of this very object, also when the word was taken back."""
    by = {"identity": of} if isinstance(of, Identity) else {"source": of}
    return Authorization.objects.filter(**by).first()


def _as_declared(found: Authorization, said_by: str) -> Declared:
    return Declared(
        found.model, tuple(found.classes), found.breadth, found.note, said_by, found.declared_at, found.version
    )
