"""Who approved a permission: every answer on a grant over all its versions, with what was seen and what came of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Prefetch

from governance.audit.actions import Verb
from governance.audit.selectors import list_events
from governance.kernel.actors import Actor
from governance.kernel.errors import NotFound
from identities.models import Grant, GrantVersion
from identities.selectors.inventory import access_grant
from reviews.models import Answer, Decision, Order
from reviews.selectors import reads_all_reviews, visible_items

MOST_ANSWERS = 200
MOST_LAPSES = 100
WHYS = {
    "date_reached": "its end date had come",
    "access_changed": "the access had changed",
    "tool_changed": "the definition of the tool had changed",
}
LETS_STAY = frozenset({Answer.APPROVE, Answer.APPROVE_UNTIL, Answer.SCOPE_DOWN, Answer.KEEP})


class Standing(StrEnum):
    """Whether the access, as it is now, is what somebody approved."""

    APPROVED = "approved"
    CHANGED = "changed"
    LAPSED = "lapsed"
    UNAPPROVED = "unapproved"
    GONE = "gone"


class Independence(StrEnum):
    """Who answered, seen from the identity's owner of that time."""

    INDEPENDENT = "independent"
    OWNER = "owner"
    POLICY = "policy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Approval:
    """One answer. `version` is the number of the content that it was given on, None where that is not kept.

    has_seen: whether the question still keeps what this reviewer was shown; it does not when the question was asked
    anew because the access had changed. seen_digest: SHA-256 of that evidence as canonical JSON.
    """

    decision: Decision
    version: int | None
    digest: str
    independence: Independence
    has_seen: bool
    seen_digest: str
    orders: Sequence[Order]

    @property
    def is_standing(self) -> bool:
        """Whether it is a decision that nobody took back: testimony and recalls are not."""
        decision = self.decision
        was_recalled = hasattr(decision, "recalled_by")
        return not (decision.is_attestation or decision.recalls_id or was_recalled)


@dataclass(frozen=True, slots=True)
class Lapse:
    """An approval that ended without anybody deciding. `event_id` leads to its record in the trail."""

    at: datetime
    why: str
    event_id: UUID


@dataclass(frozen=True, slots=True)
class Approvals:
    """Everything about one grant, latest first. `deciding` is the answer on which the standing rests."""

    grant: Grant
    standing: Standing
    current: GrantVersion | None
    approved_version: int | None
    deciding: Approval | None
    answers: Sequence[Approval]
    lapses: Sequence[Lapse]
    has_more: bool
    is_everything: bool


def access_reviewed_grant(*, actor: Actor, grant_id: UUID) -> Grant:
    """A grant that the actor may see, or any for whoever reads every review. Raises NotFound."""
    if not reads_all_reviews(actor):
        return access_grant(actor=actor, grant_id=grant_id)
    grant = Grant.objects.select_related("source", "identity").filter(pk=grant_id).first()
    if grant is None:
        raise NotFound("There is no such grant, or it is not yours to see.")
    return grant


def approvals_of(grant: Grant, *, actor: Actor) -> Approvals:
    """Every answer on this grant that the actor may see; the same number of queries however many there are."""
    versions = list(GrantVersion.objects.filter(grant=grant).order_by("-number").defer("permission"))
    current = versions[0] if versions else None
    orders = Order.objects.order_by("created_at", "pk").select_related("verified_by_run", "second_by")
    decisions = list(
        Decision.objects.filter(item__in=visible_items(actor).filter(grant=grant).values("pk"))
        .select_related(
            "item__campaign", "item__grant_version", "decided_by", "named_person", "recalled_by", "carries__decided_by"
        )
        .prefetch_related(Prefetch("orders", queryset=orders))
        .order_by("-decided_at", "-pk")[: MOST_ANSWERS + 1]
    )
    answers = [_approval(decision, versions) for decision in decisions[:MOST_ANSWERS]]
    lapses = _lapses(grant)
    approved = bytes(grant.reviewed_digest).hex() if grant.reviewed_digest is not None else ""
    deciding = _deciding(answers, approved)
    return Approvals(
        grant=grant,
        standing=_standing(grant, current, approved, lapses),
        current=current,
        approved_version=_number_of(approved, versions, grant.reviewed_at),
        deciding=deciding,
        answers=answers,
        lapses=lapses,
        has_more=len(decisions) > MOST_ANSWERS,
        is_everything=reads_all_reviews(actor),
    )


def sentence_of(found: Approvals) -> str:
    """Whether it is approved as it is now, by whom, when and on which version: one sentence."""
    grant, current = found.grant, found.current
    now = f"version {current.number}" if current else "what it was"
    by = _by(found.deciding) if found.deciding else "an answer that is not yours to see or was given elsewhere"
    when = f"{grant.reviewed_at:%-d %B %Y}" if grant.reviewed_at else ""
    match found.standing:
        case Standing.APPROVED:
            end = f", until {grant.approved_until:%-d %B %Y}" if grant.approved_until else ""
            return f"{now[:1].upper()}{now[1:]} is what {by} approved on {when}{end}."
        case Standing.CHANGED:
            was = f"version {found.approved_version}" if found.approved_version else "an earlier content"
            return f"{by[:1].upper()}{by[1:]} approved {was} on {when}; {now} holds now and nobody approved that."
        case Standing.LAPSED:
            lapse = found.lapses[0]
            return f"The last approval ended on {lapse.at:%-d %B %Y}, because {WHYS.get(lapse.why, lapse.why)}."
        case Standing.GONE:
            since = f" since {grant.retired_at:%-d %B %Y}" if grant.retired_at else ""
            return f"The source no longer holds it{since}; below is what was decided while it did."
    if found.deciding is None:
        return "Nobody has decided on it yet that you may see."
    answer = found.deciding.decision.get_answer_display().lower()
    return f"The last decision, “{answer}” by {by}, did not let it stay as it is."


def _by(approval: Approval) -> str:
    decision = approval.decision
    if decision.decided_by is not None:
        return str(decision.decided_by)
    if decision.carries is not None:
        return f"{decision.carries.decided_by or 'a policy'}, carried forward,"
    return f"the policy “{decision.decided_by_policy}”"


def _standing(grant: Grant, current: GrantVersion | None, approved: str, lapses: Sequence[Lapse]) -> Standing:
    if grant.retired_at is not None or current is None:
        return Standing.GONE
    if approved:
        return Standing.APPROVED if approved == bytes(current.digest).hex() else Standing.CHANGED
    return Standing.LAPSED if lapses else Standing.UNAPPROVED


def _approval(decision: Decision, versions: Sequence[GrantVersion]) -> Approval:
    item = decision.item
    pinned = decision.digest if decision.digest is not None else getattr(item.grant_version, "digest", None)
    digest = bytes(pinned).hex() if pinned is not None else ""
    has_seen = decision.round == item.round and bool(item.seen)
    return Approval(
        decision=decision,
        version=_number_of(digest, versions, decision.decided_at),
        digest=digest,
        independence=_independence(decision) if has_seen else Independence.UNKNOWN,
        has_seen=has_seen,
        seen_digest=_digest_of(item.seen) if has_seen else "",
        orders=[order for order in decision.orders.all() if order.restores_id is None],
    )


def _independence(decision: Decision) -> Independence:
    if decision.decided_by_id is None:
        return Independence.POLICY
    owner = decision.item.seen.get("owner")
    return Independence.OWNER if str(decision.decided_by_id) == owner else Independence.INDEPENDENT


def _deciding(answers: Sequence[Approval], approved: str) -> Approval | None:
    """The latest answer that let stay what is approved; without an approval, the latest that stands at all."""
    standing = [each for each in answers if each.is_standing]
    if approved:
        keeping = [each for each in standing if each.digest == approved and each.decision.answer in LETS_STAY]
        return keeping[0] if keeping else None
    return standing[0] if standing else None


def _number_of(digest: str, versions: Sequence[GrantVersion], at: datetime | None) -> int | None:
    """The version with this content; of several the one that held at the moment, else the latest."""
    same = [version for version in versions if bytes(version.digest).hex() == digest]
    then = [
        version
        for version in same
        if at and version.seen_from <= at and (version.seen_until is None or at < version.seen_until)
    ]
    return (then or same)[0].number if same else None


def _lapses(grant: Grant) -> list[Lapse]:
    found = list_events(
        verb=Verb.APPROVAL_LAPSED.value, subject_kind="grant", subject_id=str(grant.pk), limit=MOST_LAPSES
    )
    return [Lapse(row.occurred_at, str(row.context.get("why", "")), row.event_id) for row in found.rows]


def _digest_of(seen: object) -> str:
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
