"""What becomes of a question that nobody answered: the campaign's policy, never an approval.

Every policy is a table (`reviews.policies.deadline`): by risk, by use, and by environment as they stood at opening.

| policy | privileged | use was observable and none seen | anything else |
|---|---|---|---|
| keep_and_escalate | keep, escalate | keep, escalate | keep, escalate |
| revoke_unused | keep, escalate | revoke | keep, escalate |
| revoke | revoke | revoke | revoke |
| graded | printed in docs/reviews.md | | |
| table | the schedule's own | | |

Credentials are deactivated where access would be revoked. Access that is gone at the source needs no answer any more
(cancelled); access that changed since the review opened is kept and escalated under every policy, because nobody looked
at what it is now. Access that ends after some days is no approval for those days: its order is dated, and an approval
from an earlier review lapses with it. A quarantine that is not possible, or would hit an identity that is seen at work,
becomes an escalation that says so.
"""

from enum import StrEnum

from governance.kernel.observing import UseState
from reviews.decisions.items import Drift
from reviews.models import ItemKind, ReviewItem
from reviews.policies.deadline import Act, Consequence, table_of


class Fate(StrEnum):
    """What the deadline does to an undecided item."""

    ESCALATE = "escalate"
    EXPIRE = "expire"
    QUARANTINE = "quarantine"
    TAKE_AWAY = "take_away"
    CANCEL = "cancel"


ENDING = frozenset({Fate.EXPIRE, Fate.QUARANTINE, Fate.TAKE_AWAY})
"""By which access ends, at once or later."""

_FATE_OF = {
    Act.KEEP: Fate.ESCALATE,
    Act.EXPIRE: Fate.EXPIRE,
    Act.QUARANTINE: Fate.QUARANTINE,
    Act.REVOKE: Fate.TAKE_AWAY,
}


def fate_of(item: ReviewItem, drift: Drift | None) -> Fate:
    """What the campaign's table says. drift: how the access differs from what the item was opened for."""
    if drift is Drift.GONE:
        return Fate.CANCEL
    if item.kind == ItemKind.OWNERSHIP:
        # That nobody says who answers for it is no reason to take anything away.
        return Fate.ESCALATE
    if drift is Drift.CHANGED:
        return Fate.ESCALATE
    return _FATE_OF[consequence_of(item).act]


def consequence_of(item: ReviewItem) -> Consequence:
    """The cell of the campaign's table that the item falls into."""
    campaign = item.campaign
    return table_of(campaign.deadline_policy, campaign.policy).consequence(
        is_privileged=item.is_privileged,
        use=observed_use(item),
        environment=(item.seen.get("identity") or {}).get("environment", ""),
    )


def observed_use(item: ReviewItem) -> str:
    """The use of what the item is about, as it stood at opening."""
    return (item.seen.get("use") or {}).get("state") or UseState.NOT_OBSERVABLE
