"""Use in three values: used, not seen while it was watched, not observable. Unknown is never unused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery

from governance.kernel import dialects
from governance.kernel.errors import DomainError
from governance.kernel.observing import UseState, Window, is_watched, observe
from governance.kernel.permissions import PatternSet, Permission, Statement
from governance.kernel.rightsizing import unused
from identities.models import GrantVersion, Identity, Usage, UsageWindow

# A grant with more parts is judged as a whole only: the parts would be too many to read anyway.
MOST_PARTS = 400
# The most used pairs of one identity that are looked at; the latest ones say whether it is used.
MOST_USES = 5_000


@dataclass(frozen=True, slots=True)
class GrantUse:
    """How much of one grant was used.

    since, until: what the logs that concern it watched. is_brief: for less than REVIEW_MIN_OBSERVED_DAYS, too short to
    conclude anything from silence. calls: how often it was seen. The parts are pairs of an action and a resource
    pattern: `used`, `unused` while watched, and `unknown`; all zero where there are too many to tell.
    """

    state: UseState
    last_seen_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    calls: int = 0
    used: int = 0
    unused: int = 0
    unknown: int = 0
    is_brief: bool = False

    @property
    def parts(self) -> int:
        return self.used + self.unused + self.unknown


def with_last_use(identities: QuerySet[Identity]) -> QuerySet[Identity]:
    """Add `watched_since`, when a log began to look, or null; `last_seen_at` stands in the row."""
    windows = UsageWindow.objects.filter(
        Q(identity=OuterRef("pk")) | Q(identity=None, source=OuterRef("source"))
    ).order_by("observed_from")
    return identities.annotate(watched_since=Subquery(windows.values("observed_from")[:1]))


def list_windows(identity: Identity) -> list[UsageWindow]:
    """What the logs of its source can show about this identity, and since when."""
    concerns = Q(identity=identity) | Q(identity=None)
    return list(UsageWindow.objects.filter(concerns, source=identity.source_id).order_by("log"))


def use_of_grants(
    identity: Identity, versions: Iterable[GrantVersion], windows: Sequence[UsageWindow]
) -> dict[UUID, GrantUse]:
    """The use of each of these current versions of one identity, by version id. One query."""
    uses = list(Usage.objects.filter(identity=identity).order_by("-last_seen_at")[:MOST_USES])
    unknown = GrantUse(UseState.NOT_OBSERVABLE)
    return {
        version.pk: unknown if _is_future(version) else judge(version.permission, uses, windows) for version in versions
    }


def _is_future(version: GrantVersion) -> bool:
    """Whether it applies only to objects that do not exist yet: use of present ones says nothing about it."""
    return any(step.get("kind") == "default_privileges" for step in version.grant.path)


def is_brief(since: datetime | None, until: datetime | None) -> bool:
    """Whether that is too short a time to conclude from silence that something is not needed."""
    return since is None or until is None or until - since < timedelta(days=settings.REVIEW_MIN_OBSERVED_DAYS)


def judge(document: Mapping[str, object], uses: Sequence[Usage], windows: Sequence[UsageWindow]) -> GrantUse:
    """Whether this permission was used, was not while it was watched, or nobody can know. Runs no query."""
    try:
        permission = Permission.from_json(document)
    except DomainError:
        return GrantUse(UseState.NOT_OBSERVABLE)
    found = observe(permission, uses, tuple(map(_as_value, windows)))
    since, until = found.coverage.since, found.coverage.until
    return GrantUse(
        found.state,
        last_seen_at=found.last_seen_at,
        since=since,
        until=until,
        calls=found.calls,
        is_brief=is_brief(since, until),
        **_parts(permission, found.relevant, found.coverage.shown),
    )


def _as_value(window: UsageWindow) -> Window:
    """Without its patterns a window shows nothing."""
    actions, resources = (tuple(window.observable.get(name) or ()) for name in ("actions", "resources"))
    return Window(window.log, window.observed_from, window.observed_until, actions, resources)


def _parts(permission: Permission, relevant: Sequence[Usage], shown: Permission | None) -> dict[str, int]:
    dialect = dialects.get(permission.dialect)
    size = sum(
        len(each.actions.include) * len(each.resources.include)
        for each in permission.statements
        if each.effect == "allow"
    )
    if size > MOST_PARTS:
        return {}
    pairs = {
        (action, resource)
        for each in permission.statements
        if each.effect == "allow"
        for action in each.actions.include
        for resource in each.resources.include
        if dialect.makes_sense(action, resource)
    }
    idle = set(unused(permission, [(use.action, use.resource) for use in relevant])) & pairs
    unknown = {pair for pair in idle if not _is_shown(shown, pair)}
    return {"used": len(pairs - idle), "unused": len(idle - unknown), "unknown": len(unknown)}


def _is_shown(shown: Permission | None, pair: tuple[str, str]) -> bool:
    if shown is None:
        return False
    action, resource = pair
    part = Permission(shown.dialect, (Statement(PatternSet((action,)), PatternSet((resource,))),))
    return is_watched(part, shown)
