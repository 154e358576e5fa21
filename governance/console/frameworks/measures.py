"""What the frameworks page counts when it is opened: real figures with their whole, and what is missing from them.

Everything comes from counts that are kept anyway (readings, daily measures, kept figures of reviews), so that the page
costs the same for a large estate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from governance.audit.selectors import sealing_state
from governance.kernel.actors import Actor
from governance.web.filtered import bounded_count
from governance.web.templatetags.remit import number, percent, plural
from identities.models import Identity, IdentityKind, PosturePolicy, Source, UsageWindow
from identities.selectors.posture_scores import Picture, list_policies, picture
from identities.selectors.sources import freshness_of
from reviews.reports.clock import zone_for
from reviews.reports.period import Period
from reviews.reports.programme import programme

PERIOD_DAYS = 365
MOST_COUNTED = 10_000
PROVEN = ("proven_contained", "proven_broad")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. part, whole: where it is a share; None where nothing was measured. missing: what is not in it."""

    label: str
    text: str
    part: int | None = None
    whole: int | None = None
    missing: str = ""

    @property
    def is_known(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all measures are taken from, read once for a whole page."""

    sources: list[Source]
    picture: Picture
    programme: Mapping[str, Any]
    policy: PosturePolicy | None
    owners_of_agents: list[Any]
    now: datetime

    @property
    def identities(self) -> int:
        return sum(source.totals.get("identities", 0) for source in self.sources)


def take_measures(*, actor: Actor, now: datetime) -> dict[str, Measure]:
    """Every measure by its key, for whoever sees everything. A fixed number of queries."""
    zone = zone_for("")
    last = now.astimezone(zone).date()
    agents = Identity.objects.filter(retired_at=None, kind=IdentityKind.AI_AGENT)
    ground = Ground(
        sources=list(Source.objects.annotate(is_watched=Exists(UsageWindow.objects.filter(source=OuterRef("pk"))))),
        picture=picture(actor=actor),
        programme=programme(Period(last - timedelta(days=PERIOD_DAYS - 1), last, zone), actor=actor, now=now),
        policy=list_policies().first(),
        owners_of_agents=list(agents.values_list("owner", flat=True)[: MOST_COUNTED + 1]),
        now=now,
    )
    return {key: take(ground) for key, take in MEASURES.items()}


def _identities(ground: Ground) -> Measure:
    return Measure(
        "Identities in the inventory",
        f"{number(ground.identities)} in {plural(len(ground.sources), 'source,sources')}",
        part=ground.identities,
    )


def _sources_fresh(ground: Ground) -> Measure:
    fresh = sum(freshness_of(source, ground.now) == "fresh" for source in ground.sources)
    late = len(ground.sources) - fresh
    return _share(
        "Sources read in time",
        fresh,
        len(ground.sources),
        f"{plural(late, 'source is,sources are')} late" if late else "",
    )


def _owned(ground: Ground) -> Measure:
    present = Identity.objects.filter(retired_at=None)
    return _without(
        "Identities that somebody answers for",
        bounded_count(present.filter(owner=None), MOST_COUNTED),
        ground.identities,
    )


def _agents(ground: Ground) -> Measure:
    count = len(ground.owners_of_agents)
    text = f"{number(MOST_COUNTED)}+" if count > MOST_COUNTED else number(count)
    return Measure("AI agents in the inventory", text, part=count)


def _agents_owned(ground: Ground) -> Measure:
    owners = ground.owners_of_agents
    return _without("Agents that somebody answers for", owners.count(None), len(owners))


def _watched(ground: Ground) -> Measure:
    part = sum(source.is_watched for source in ground.sources)  # type: ignore[attr-defined]
    missing = len(ground.sources) - part
    words = f"{plural(missing, 'source shows,sources show')} no use" if missing else ""
    return _share("Sources whose use is watched", part, len(ground.sources), words)


def _assurance(ground: Ground) -> Measure:
    shown = ground.picture
    return _share(
        "Assurance known to one level",
        shown.assurance_known,
        shown.identities,
        _rest(shown.identities - shown.assurance_known, "known as a range"),
    )


def _proven(ground: Ground) -> Measure:
    shown = ground.picture
    part = sum(shown.boxes[box] for box in PROVEN)
    whole = shown.identities - shown.boxes["unmeasured"]
    return _share("Proven, of those that are measured", part, whole, _rest(shown.boxes["unmeasured"], "unmeasured"))


def _exposure(ground: Ground) -> Measure:
    shown = ground.picture
    return _share(
        "Exposure measured",
        shown.exposure_known,
        shown.identities,
        _rest(shown.identities - shown.exposure_known, "unmeasured"),
    )


def _excess(ground: Ground) -> Measure:
    shown = ground.picture
    return _share(
        "Powerful rights unused, of those measured",
        shown.excess,
        shown.excess + shown.no_excess,
        _rest(shown.excess_unknown, "not measured"),
    )


def _reviewed(ground: Ground) -> Measure:
    total = ground.programme["coverage"]["total"]
    return _share(
        "Grants reviewed within a year",
        total["grants_reviewed_365"],
        total["grants"],
        _rest(len(ground.programme["coverage"]["not_measured"]), "sources not measured"),
    )


def _on_time(ground: Ground) -> Measure:
    answered = ground.programme["reviews"]["this"]
    return _share(
        "Questions answered in time, in a year",
        answered["in_time"],
        answered["to_answer"],
        _rest(answered["uncounted"], "reviews not counted yet"),
    )


def _removed(ground: Ground) -> Measure:
    removal = ground.programme["removal"]["this"]
    return _share(
        "Orders verified at the source, in a year",
        removal["verified"],
        removal["orders"],
        _rest(removal["not_verified"], "not verified"),
    )


def _policy(ground: Ground) -> Measure:
    policy = ground.policy
    if policy is None:
        return Measure("Policy in force", "version 1, as delivered")
    return Measure(
        "Policy in force", f"version {policy.number}, since {policy.created_at:%-d %B %Y}", part=policy.number
    )


def _trail(ground: Ground) -> Measure:
    state = sealing_state()
    return Measure(
        "Events sealed",
        number(state.size),
        part=state.size,
        missing=_rest(state.unsigned, "since the last signed checkpoint"),
    )


MEASURES: Mapping[str, Callable[[Ground], Measure]] = {
    "identities": _identities,
    "sources_fresh": _sources_fresh,
    "owned": _owned,
    "agents": _agents,
    "agents_owned": _agents_owned,
    "watched": _watched,
    "assurance_measured": _assurance,
    "proven": _proven,
    "exposure_measured": _exposure,
    "excess": _excess,
    "reviewed": _reviewed,
    "on_time": _on_time,
    "removed": _removed,
    "policy": _policy,
    "trail": _trail,
}


def _share(label: str, part: int, whole: int, missing: str = "") -> Measure:
    """A share with its whole; nothing where there is no whole, which is not the same as none of it."""
    if not whole:
        return Measure(label, "", None, None, missing)
    return Measure(label, f"{percent(part, whole)} ({number(part)} of {number(whole)})", part, whole, missing)


def _without(label: str, lacking: int | None, whole: int) -> Measure:
    if lacking is None or not whole:
        return Measure(label, "")
    if lacking > MOST_COUNTED:
        return Measure(label, f"more than {number(MOST_COUNTED)} without, of {number(whole)}", None, whole)
    part = max(0, whole - lacking)
    return _share(label, part, whole, _rest(lacking, "without"))


def _rest(count: int, words: str) -> str:
    return f"{number(count)} {words}" if count > 0 else ""
