"""The filter as parameters of an endpoint: the same names and values as in a list's address (docs/filters.md)."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from governance.web.parameters import require_known_parameters
from identities.models import Environment, FindingState, IdentityKind, IdentityStatus, PostureBox
from identities.selectors.filters import ASSURANCES, PATHS, SEGMENTS, SEVERITIES, InventoryFilter

FILTER_NAMES = frozenset(InventoryFilter.__slots__)
PAGING = frozenset({"cursor", "limit"})


def _listed(name: str, values: tuple[str, ...] | list[str]) -> OpenApiParameter:
    some = "Any of these, separated by commas; with a minus before each, none of them: " + ", ".join(values)
    return OpenApiParameter(name, str, description=some)


FILTERS = [
    OpenApiParameter("q", str, description="Part of the identity's name or id; three characters at least."),
    OpenApiParameter("access", str, description="Part of a grant's label or id; three characters at least."),
    _listed("source", ["short names of sources"]),
    _listed("kind", IdentityKind.values),
    _listed("environment", Environment.values),
    _listed("status", IdentityStatus.values),
    _listed("owner", ["e-mail addresses", "none"]),
    _listed("team", ["identifiers of teams", "none"]),
    _listed("tag", ["tags, of the source or of people"]),
    OpenApiParameter("privileged", str, enum=("yes", "no")),
    OpenApiParameter("standing", str, enum=("yes", "no"), description="`yes`: grants without an end."),
    _listed("segment", SEGMENTS),
    _listed("path", PATHS),
    _listed("finding", ["rules like NHI5-A", "families like NHI5"]),
    OpenApiParameter("finding_severity", str, enum=SEVERITIES, description="A finding so severe or worse."),
    _listed("finding_state", FindingState.values),
    _listed("finding_assignee", ["e-mail addresses", "none"]),
    OpenApiParameter("new_days", int, description="First seen within so many days: what is listed."),
    OpenApiParameter("unused_days", int, description="Not used for so many days, as far as it was watched."),
    _listed("box", PostureBox.values),
    _listed("assurance", ASSURANCES),
    _listed("exposure", ["ranges such as 50-74 (both ends meant)", "unmeasured"]),
    _listed("excess", ["yes", "no", "unknown"]),
    OpenApiParameter("retired", str, enum=("yes", "no"), description="`yes` lists those that are gone instead."),
]


def filter_of(request: Request) -> InventoryFilter:
    """What the parameters ask for. Raises UnknownParameter and InvalidFilter."""
    require_known_parameters(request, PAGING | FILTER_NAMES)
    given = {name: str(value) for name, value in request.query_params.items() if name in FILTER_NAMES}
    return InventoryFilter.parse(given)
