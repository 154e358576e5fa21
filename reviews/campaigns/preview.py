"""What a review would ask of whom, and what silence would take away, told before it starts. Writes nothing.

It goes through the population by the code that opens a review, finds out who is asked by the code that asks them, and
lets the deadline's own rules judge. The database is told that the transaction only reads, so even a mistake here could
not write. People and examples are counted in whole and named up to a limit; the limits are part of the answer.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet

from governance.people.models import User
from identities.models import Credential, Grant, GrantVersion, Identity
from reviews.campaigns.carrying import rules_of
from reviews.campaigns.gate import Gate, gate_of
from reviews.campaigns.opening import population_of
from reviews.campaigns.ownership import owning_parties
from reviews.campaigns.previewed import Example, Load, Outcome, PassedOver, Preview
from reviews.campaigns.previewed_carrying import CarryingTally
from reviews.campaigns.previewed_use import LATELY, Question, UseJudge, unknown_use
from reviews.campaigns.snapshot import privileged_of
from reviews.decisions.independence import Parties, parties_of
from reviews.decisions.policy import Fate, fate_of
from reviews.decisions.resolution import Resolution, desk_of, resolve, resolve_all
from reviews.models import Campaign, DeadlinePolicy, ItemKind, ReviewItem

# Beyond these many questions the totals stay exact, and the rest is told of the first ones by identity, in the order of
# their random ids.
MOST_LOOKED_AT = 200_000
CHUNK = 5_000
MOST_NAMED_PEOPLE = 200
MOST_EXAMPLES = 10
# Any other fate takes something away.
KEEPS = frozenset({Fate.ESCALATE, Fate.CANCEL})


class Bucket(NamedTuple):
    """Questions that the deadline cannot tell apart."""

    kind: str
    is_privileged: bool
    environment: str
    use: str
    is_lately: bool


@dataclass(slots=True)
class _Tally:
    """What is counted while the population goes by."""

    carrying: CarryingTally
    parties: Counter[Parties] = field(default_factory=Counter)
    buckets: Counter[Bucket] = field(default_factory=Counter)
    nobody: list[Question] = field(default_factory=list)
    lately: list[tuple[datetime, str, Question]] = field(default_factory=list)
    looked_at: int = 0
    judged: int = 0


def preview_campaign(*, campaign: Campaign, now: datetime) -> Preview:
    """Simulate this unsaved campaign. `campaign.manager` answers for it."""
    with _reading_only():
        counts, privileged, source_ids = _totals(campaign, now)
        gate = gate_of(campaign, source_ids, now)
        if gate.left_out:
            campaign.frozen = {"left_out": gate.left_out}
            counts, privileged, _ = _totals(campaign, now)
        tally, fates = _Tally(CarryingTally(rules_of(campaign), now)), _Fates(campaign)
        judge = UseJudge(now)
        for kind in campaign.item_kinds:
            left = MOST_LOOKED_AT - tally.looked_at
            rows = _questions(campaign, kind, left, now)
            while questions := list(islice(rows, CHUNK)):
                _take(tally, questions, judge, fates)
        return replace(_told(tally, fates, gate, counts, privileged, now), unknown_use=unknown_use(campaign, now))


@contextmanager
def _reading_only() -> Iterator[None]:
    """A transaction in which the database refuses to write."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def _totals(campaign: Campaign, now: datetime) -> tuple[dict[str, int], dict[str, int], set[UUID]]:
    """Questions and privileged questions by kind, exactly, and the sources that they come from."""
    counts: dict[str, int] = {}
    privileged: dict[str, int] = {}
    sources: set[UUID] = set()
    for kind in campaign.item_kinds:
        is_grant = kind == ItemKind.GRANT
        source = "grant__source" if is_grant else "source"
        is_privileged = _IS_PRIVILEGED[ItemKind(kind)]()
        rows = population_of(campaign, kind, now).order_by().values_list(source)
        found = list(rows.annotate(total=Count("pk"), privileged=Count("pk", filter=is_privileged)))
        counts[kind] = sum(total for _, total, _ in found)
        privileged[kind] = sum(number for _, _, number in found)
        sources |= {source_id for source_id, _, _ in found}
    return counts, privileged, sources


_IS_PRIVILEGED: Mapping[ItemKind, Callable[[], Q]] = {
    ItemKind.GRANT: lambda: Q(is_privileged=True),
    ItemKind.CREDENTIAL: lambda: Q(identity__in=_privileged_identities()),
    # Who answers for an identity is no question about access.
    ItemKind.OWNERSHIP: lambda: Q(pk__isnull=True),
}


def _privileged_identities() -> QuerySet[GrantVersion, UUID]:
    held = GrantVersion.objects.filter(grant__retired_at=None, seen_until=None, is_privileged=True)
    return held.values_list("grant__identity_id", flat=True)


def _questions(campaign: Campaign, kind: str, most: int, now: datetime) -> Iterator[Question]:
    rows = population_of(campaign, kind, now).select_related(None)
    yield from _QUESTIONS[ItemKind(kind)](rows, most)


def _about_access(rows: QuerySet[Any], most: int) -> Iterator[Question]:
    at = "grant__identity"
    names = (f"{at}_id", f"{at}__source_id", f"{at}__effective_environment", "grant_id", "is_privileged")
    found = rows.order_by(f"{at}_id", "grant_id").values_list(*names, "pk", "digest")[:most]
    for identity, source, environment, thing, is_privileged, version, digest in found.iterator(chunk_size=CHUNK):
        yield Question(ItemKind.GRANT, identity, source, environment, thing, is_privileged, version, bytes(digest))


def _about_credentials(rows: QuerySet[Any], most: int) -> Iterator[Question]:
    names = ("identity_id", "identity__source_id", "identity__effective_environment", "pk", "last_used_at")
    found = rows.order_by("identity_id", "pk").values_list(*names)[:most]
    for identity, source, environment, thing, last_used_at in found.iterator(chunk_size=CHUNK):
        kind = ItemKind.CREDENTIAL
        yield Question(kind, identity, source, environment, thing, is_privileged=False, last_used_at=last_used_at)


def _about_ownership(rows: QuerySet[Any], most: int) -> Iterator[Question]:
    found = rows.order_by("pk").values_list("pk", "source_id", "effective_environment")[:most]
    for identity, source, environment in found.iterator(chunk_size=CHUNK):
        yield Question(ItemKind.OWNERSHIP, identity, source, environment, identity, is_privileged=False)


_QUESTIONS: Mapping[ItemKind, Callable[[QuerySet[Any], int], Iterator[Question]]] = {
    ItemKind.GRANT: _about_access,
    ItemKind.CREDENTIAL: _about_credentials,
    ItemKind.OWNERSHIP: _about_ownership,
}


def _take(tally: _Tally, questions: Sequence[Question], judge: UseJudge, fates: "_Fates") -> None:
    """Count one chunk, with a fixed number of queries."""
    if questions[0].kind == ItemKind.CREDENTIAL:
        held = privileged_of({question.identity for question in questions})
        questions = [question._replace(is_privileged=question.identity in held) for question in questions]
    people = _people_around(questions)
    resolved = resolve_all(people, fates.desk)
    judged = judge.judge(questions)
    unchanged = tally.carrying.take(questions, judged)
    tally.judged += sum(use is not None for use in judged)
    for question, parties, resolution, use, is_unchanged in zip(
        questions, people, resolved, judged, unchanged, strict=True
    ):
        if is_unchanged:
            continue
        tally.parties[parties] += 1
        if resolution.is_nobody and len(tally.nobody) < MOST_EXAMPLES:
            tally.nobody.append(question)
        if use is None:
            continue
        lately = use.at is not None and use.at >= judge.now - LATELY
        bucket = Bucket(question.kind, question.is_privileged, question.environment, str(use.state), lately)
        tally.buckets[bucket] += 1
        if lately and use.at and fates.chosen(bucket) not in KEEPS:
            entry = (use.at, str(question.thing), question)
            keep = heapq.heappush if len(tally.lately) < MOST_EXAMPLES else heapq.heappushpop
            keep(tally.lately, entry)
    tally.looked_at += len(questions)


def _people_around(questions: Sequence[Question]) -> list[Parties]:
    if questions[0].kind == ItemKind.OWNERSHIP:
        found = Identity.objects.select_related("source").in_bulk([question.identity for question in questions])
        return owning_parties([found[question.identity] for question in questions])
    return parties_of(
        (each.identity, each.thing if each.kind == ItemKind.GRANT else None, each.is_privileged) for each in questions
    )


class _Fates:
    """What the deadline would do, asked once per bucket and policy, and the people whom this campaign can ask."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.desk = campaign, desk_of(campaign)
        self._known: dict[tuple[str, Bucket], Fate] = {}

    def chosen(self, bucket: Bucket) -> Fate:
        return self.of(self.campaign.deadline_policy, bucket)

    def of(self, policy: str, bucket: Bucket) -> Fate:
        if (policy, bucket) not in self._known:
            campaign = Campaign(deadline_policy=policy, policy=self.campaign.policy)
            seen = {"use": {"state": bucket.use}, "identity": {"environment": bucket.environment}}
            item = ReviewItem(
                campaign=campaign,
                kind=bucket.kind,
                is_privileged=bucket.is_privileged,
                needs_independent=bucket.is_privileged,
                seen=seen,
            )
            self._known[policy, bucket] = fate_of(item, None)
        return self._known[policy, bucket]


# --- as it is told ------------------------------------------------------------------------------------------------


def _told(
    tally: _Tally,
    fates: _Fates,
    gate: Gate,
    counts: dict[str, int],
    privileged: dict[str, int],
    now: datetime,
) -> Preview:
    everybody = list(tally.parties)
    answers = list(zip(everybody, resolve_all(everybody, fates.desk), strict=True))
    passed = _passed_over(tally, answers)
    load = _load(tally, answers, fates)
    users = User.objects.in_bulk({*(person for person, _ in load), *(person for person, _, _ in passed)})
    return Preview(
        taken_at=now,
        counts=counts,
        privileged=privileged,
        looked_at=tally.looked_at,
        judged=tally.judged,
        people=len(load),
        load=[Load(users[person], **numbers) for person, numbers in load[:MOST_NAMED_PEOPLE]],
        nobody=sum(tally.parties[parties] for parties, answer in answers if answer.is_nobody),
        nobody_examples=_named([(question, None) for question in tally.nobody]),
        passed_over_people=len({person for person, _, _ in passed}),
        passed_over=[PassedOver(users[person], why, items) for person, why, items in passed[:MOST_NAMED_PEOPLE]],
        sources=gate.sources,
        left_out=[each["slug"] for each in gate.left_out],
        is_held=gate.holds,
        outcomes=[_outcome(policy, tally, fates) for policy in DeadlinePolicy],
        lately=_named([(question, at) for at, _, question in sorted(tally.lately, reverse=True)]),
        carrying=tally.carrying.told(),
    )


def _load(
    tally: _Tally, answers: Sequence[tuple[Parties, Resolution]], fates: _Fates
) -> list[tuple[UUID, dict[str, int]]]:
    """What each person is asked, the most first. Nobody's questions wait with the manager and are counted apart."""
    items: Counter[UUID] = Counter()
    privileged: Counter[UUID] = Counter()
    attests: Counter[UUID] = Counter()
    decides: Counter[UUID] = Counter()
    for parties, answer in answers:
        if answer.is_nobody:
            continue
        number, person = tally.parties[parties], answer.assignee
        items[person] += number
        privileged[person] += number if parties.is_privileged else 0
        if parties.is_privileged and person in parties.owning_side:
            attests[person] += number
            following = resolve(parties, fates.desk, deciding=True, not_again=frozenset({person}))
            decides[following.assignee] += number
    ranked = sorted(items | decides, key=lambda person: (-items[person] - decides[person], str(person)))
    return [
        (
            person,
            {
                "items": items[person],
                "privileged": privileged[person],
                "attests": attests[person],
                "decides": decides[person],
            },
        )
        for person in ranked
    ]


def _passed_over(tally: _Tally, answers: Sequence[tuple[Parties, Resolution]]) -> list[tuple[UUID, str, int]]:
    found: Counter[tuple[UUID, str]] = Counter()
    for parties, answer in answers:
        steps = {(UUID(step["person"]), step["why"]) for step in answer.trace if _is_passed_over(step)}
        for person, why in steps:
            found[person, why] += tally.parties[parties]
    ranked = sorted(found.items(), key=lambda each: (-each[1], str(each[0])))
    return [(person, why, items) for (person, why), items in ranked]


def _is_passed_over(step: dict[str, Any]) -> bool:
    return step["outcome"] == "skipped" and step["person"] is not None and step["rule"] != "nobody"


def _outcome(policy: DeadlinePolicy, tally: _Tally, fates: _Fates) -> Outcome:
    taken = {bucket: number for bucket, number in tally.buckets.items() if fates.of(policy, bucket) not in KEEPS}
    return Outcome(
        policy=policy,
        is_chosen=policy == fates.campaign.deadline_policy,
        takes_away=sum(taken.values()),
        privileged=sum(number for bucket, number in taken.items() if bucket.is_privileged),
        used_lately=sum(number for bucket, number in taken.items() if bucket.is_lately),
        unobservable=sum(number for bucket, number in taken.items() if bucket.use == "not_observable"),
    )


def _named(questions: Sequence[tuple[Question, datetime | None]]) -> list[Example]:
    ids = {question.thing for question, _ in questions}
    names: dict[UUID, tuple[str, str]] = {}
    for model, column in ((Grant, "label"), (Credential, "external_id")):
        rows = model._default_manager.filter(pk__in=ids).values_list("pk", column, "identity__name")
        names |= {pk: (name, identity) for pk, name, identity in rows}
    return [
        Example(each.kind, each.thing, names[each.thing][0], each.identity, names[each.thing][1], at)
        for each, at in questions
        if each.thing in names
    ]
