"""Which catalogues privilege classes, segments and ways to more privilege come from: version, source, what is known."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from governance.kernel import dialects, escalation
from governance.kernel.privileges import CATALOGUE_VERSION, PrivilegeClass
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.inventory import SEGMENT_LABELS
from identities.selectors.filters import SEGMENTS
from identities.views.requests import PageRequest

# Whose documentation each word list was written from; the words about harm are ours.
SOURCES = {
    "postgresql": ("PostgreSQL documentation, chapter on privileges", "https://www.postgresql.org/docs/current/ddl-priv.html"),
    "aws": ("AWS service authorization reference", "https://docs.aws.amazon.com/service-authorization/latest/reference/"),
    "kubernetes": ("Kubernetes documentation, RBAC good practices", "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"),
    "rabbitmq": ("RabbitMQ documentation, access control", "https://www.rabbitmq.com/docs/access-control"),
    "redis": ("Redis documentation, command categories", "https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/"),
    "tools": ("Our own classes for names of tools; what a server says of its tools is never used", ""),
    "scopes": ("Our own classes for words in scopes", ""),
    "authzen": ("Names are whatever the callers of the decision point use; our own classes for their words", ""),
}  # fmt: skip
CLASS_WORDS = {
    PrivilegeClass.READ: ("Reads", False),
    PrivilegeClass.WRITE: ("Writes; privileged where it writes everywhere", False),
    PrivilegeClass.EXTERNAL_SEND: ("Sends outside", False),
    PrivilegeClass.DESTRUCTIVE: ("Destroys", True),
    PrivilegeClass.SECRET_READ: ("Reads secrets", True),
    PrivilegeClass.ADMIN: ("Administers: permissions, identities, policies", True),
}


@dataclass(frozen=True, slots=True)
class CatalogueLine:
    """One kind of source and where its words come from."""

    name: str
    title: str
    source: str
    url: str
    actions: int


@dataclass(frozen=True, slots=True)
class PrimitiveLine:
    """One way to more privilege."""

    name: str
    words: str
    is_direct: bool
    source: str


@require_safe
@page()
def catalogues(request: PageRequest) -> HttpResponse:
    """Every catalogue in force."""
    context = {
        "version": CATALOGUE_VERSION,
        "lines": _lines(),
        "classes": [(each.value, *CLASS_WORDS[each]) for each in PrivilegeClass],
        "escalation_version": escalation.CATALOGUE_VERSION,
        "primitives": [_primitive_line(primitive) for primitive in escalation.catalogue()],
        "segments": [(segment, SEGMENT_LABELS[segment]) for segment in SEGMENTS],
    }
    return render_page(request, "identities/catalogues.html", context)


def _primitive_line(primitive: escalation.Primitive) -> PrimitiveLine:
    return PrimitiveLine(primitive.name, primitive.words, primitive.is_direct, primitive.source)


def _lines() -> Sequence[CatalogueLine]:
    return [
        CatalogueLine(name, dialect.title, *SOURCES[name], actions=len(dialect.known_actions))
        for name, dialect in dialects.DIALECTS.items()
    ]
