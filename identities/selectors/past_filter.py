"""What a list of the past may be narrowed by, and how a moment is written."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import QuerySet

from governance.kernel.actors import Actor
from governance.kernel.errors import DomainError
from identities.models import Environment, IdentityKind, IdentityStatus, IdentityVersion
from identities.models.source import ON_REQUEST
from identities.selectors.filters import SEGMENTS, InvalidFilter

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TEXT = 200


class InvalidMoment(DomainError):
    """A date that does not exist, has no time zone, or lies where nothing can be known."""

    code = "invalid-moment"
    status = 400
    title = "This date can't be used"


def read_moment(text: str, *, now: datetime) -> datetime:
    """The moment that a date or an RFC 3339 time stands for; nothing means now. Raises InvalidMoment.

    A date alone means its end, UTC: what was there when the day was over. For today that is now.
    """
    text = text.strip()
    if not text:
        return now
    moment = _end_of_day(text, now) if len(text) == 10 else _exact(text)
    if moment > now:
        raise InvalidMoment(f"{_said(text)} lies ahead; history ends now.", field="at")
    if moment < EARLIEST:
        raise InvalidMoment(f"{_said(text)} lies before 1970; no source was read then.", field="at")
    return moment


def _said(text: str) -> str:
    """A day as pages say it; a time as it was written."""
    return f"{date.fromisoformat(text):%-d %B %Y}" if len(text) == 10 else text[:40]


def _end_of_day(text: str, now: datetime) -> datetime:
    try:
        day = date.fromisoformat(text)
        end = datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise _unreadable(text) from None
    return now if day == now.astimezone(UTC).date() else end


def _exact(text: str) -> datetime:
    try:
        # A plus sign that a form or a careless client did not escape arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _unreadable(text) from None
    raise InvalidMoment(f"{text[:40]} needs a time zone, for instance 2026-03-03T12:00:00Z.", field="at")


def _unreadable(text: str) -> InvalidMoment:
    return InvalidMoment(f"“{text[:40]}” is no date. Write 2026-03-03 or 2026-03-03T12:00:00Z.", field="at")


@dataclass(frozen=True, slots=True)
class PastFilter:
    """Which identities of the past. Every field is optional and means what was true then.

    q: part of the name. owner: an e-mail address, "none" or "me". tag: one tag of either side. team: its name or id.
    privileged and segment narrow lists of access, not of identities.
    """

    q: str = ""
    source: str = ""
    kind: str = ""
    environment: str = ""
    status: str = ""
    owner: str = ""
    tag: str = ""
    team: str = ""
    privileged: str = ""
    segment: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "PastFilter":
        """Read what an address gives; other names are the caller's matter. Raises InvalidFilter naming the field."""
        return cls(**{name: _checked(name, given[name].strip()) for name in NAMES if given.get(name, "").strip()})

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, name) for name in NAMES)

    @property
    def is_given(self) -> bool:
        """Whether what Remit itself gave on request is meant: no identity comes from there, so grants are asked."""
        return self.source == ON_REQUEST

    def apply(self, versions: QuerySet[IdentityVersion], actor: Actor) -> QuerySet[IdentityVersion]:
        """Narrow identity versions. "me" is the actor, nobody for a program."""
        if self.q:
            versions = versions.filter(name__icontains=self.q)
        if self.source and not self.is_given:
            versions = versions.filter(source__slug=self.source)
        for name in ("kind", "environment", "status"):
            if value := getattr(self, name):
                versions = versions.filter(**{f"{name}__in": value.split(",")})
        if self.tag:
            versions = versions.filter(tags__contains=[self.tag])
        if self.team:
            versions = versions.filter(**_team(self.team))
        return self._by_owner(versions, actor)

    def _by_owner(self, versions: QuerySet[IdentityVersion], actor: Actor) -> QuerySet[IdentityVersion]:
        if self.owner == "none":
            return versions.filter(owner=None)
        if self.owner == "me":
            return versions.filter(owner=actor.person_id) if actor.person_id else versions.none()
        return versions.filter(owner__email__iexact=self.owner) if self.owner else versions


NAMES = tuple(field.name for field in fields(PastFilter))
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": tuple(IdentityKind.values),
    "environment": tuple(Environment.values),
    "status": tuple(IdentityStatus.values),
    "privileged": ("yes", "no"),
    "segment": SEGMENTS,
}


def _checked(name: str, value: str) -> str:
    if len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidFilter(f"“{name}” is too long or holds characters that cannot be searched for.", field=name)
    for part in value.split(",") if name in _CHOICES else ():
        if part not in _CHOICES[name]:
            allowed = ", ".join(_CHOICES[name])
            raise InvalidFilter(f"“{part[:40]}” is not a known {name}. Known: {allowed}.", field=name)
    return value


def _team(text: str) -> dict[str, object]:
    try:
        return {"team_id": UUID(text)}
    except ValueError:
        return {"team__name__iexact": text}
