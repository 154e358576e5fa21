"""Decision domains as values: which sources answer, what subjects may be called, what a request may add."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import NotFound
from identities.models import DecisionDomain, IdentityKind, Source
from identities.selectors.inventory import sees_everything

# What callers may call any identity, beside the name of its kind: the words of COAZ and of this field.
ANY_SUBJECT = ("identity", "nhi")
EVERY_KIND = frozenset(IdentityKind.values)


@dataclass(frozen=True, slots=True)
class Domain:
    """One decision domain. slug: empty for the default one. version: counts its edits; 0 for the default one.

    subject_types: name to the kinds of identities it stands for.
    """

    slug: str
    source_ids: frozenset[UUID]
    subject_types: Mapping[str, frozenset[str]]
    registered_types: frozenset[str] = frozenset()
    request_properties: frozenset[str] = frozenset()
    version: int = 0
    _whole_parts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        whole = (name.removesuffix(".*") for name in self.request_properties if name.endswith(".*"))
        object.__setattr__(self, "_whole_parts", frozenset(whole))

    def kinds_of(self, subject_type: str) -> frozenset[str]:
        """The kinds of identities that subjects of this type are; none for a type that the domain does not know."""
        return self.subject_types.get(subject_type, frozenset())

    def admits(self, subject_type: str, kind: str) -> bool:
        """Whether an identity of this kind may be called so here."""
        return kind in self.kinds_of(subject_type)

    def accepts(self, name: str) -> bool:
        """Whether a request may supply this attribute (`resource.ownerID`) where the inventory says nothing of it."""
        return name.lower() in self.request_properties or name.partition(".")[0] in self._whole_parts

    def is_registered_type(self, resource_type: str) -> bool:
        """Whether resources of this type exist only if they are registered."""
        return resource_type in self.registered_types


_DEFAULT_TYPES: Mapping[str, frozenset[str]] = {
    **{kind: frozenset({kind}) for kind in IdentityKind.values},
    **dict.fromkeys(ANY_SUBJECT, EVERY_KIND),
}


def find_domain(slug: str) -> Domain | None:
    """The domain of this slug as it is now, "" for the default one; None where there is none or it is switched off.

    One query. The default domain is every source that is switched on and does not answer apart.
    """
    if not slug:
        apart = DecisionDomain.objects.filter(is_apart=True, is_enabled=True, sources__isnull=False)
        sources = Source.objects.filter(is_enabled=True).exclude(pk__in=apart.values("sources"))
        return Domain("", frozenset(sources.values_list("pk", flat=True)), _DEFAULT_TYPES)
    found = (
        DecisionDomain.objects.filter(slug=slug, is_enabled=True)
        .annotate(
            enabled=ArrayAgg("sources__id", filter=Q(sources__is_enabled=True), default=[], distinct=True),
        )
        .first()
    )
    return _value(found, frozenset(found.enabled)) if found else None


def _value(row: DecisionDomain, source_ids: frozenset[UUID]) -> Domain:
    return Domain(
        slug=row.slug,
        source_ids=source_ids,
        subject_types={name: frozenset(kinds) or EVERY_KIND for name, kinds in row.subject_types.items()},
        registered_types=frozenset(row.registered_types),
        request_properties=frozenset(name.lower() for name in row.request_properties),
        version=row.version,
    )


def list_domains(*, actor: Actor) -> QuerySet[DecisionDomain]:
    """All domains with their sources, for those who see the inventory; none for others."""
    domains = DecisionDomain.objects.prefetch_related("sources")
    return domains if sees_everything(actor) or "inventory:write" in actor.scopes else domains.none()


def access_domain(*, actor: Actor, slug: str) -> DecisionDomain:
    """One domain by its slug, or NotFound."""
    domain = list_domains(actor=actor).filter(slug=slug).first()
    if domain is None:
        raise NotFound("There is no such decision domain, or it is not yours to see.")
    return domain
