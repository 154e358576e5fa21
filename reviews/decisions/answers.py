"""Which answers a question allows, and which of them need a written reason."""

from datetime import datetime, timedelta

from governance.kernel.errors import DomainError
from reviews.models import PASSING_ON, Answer, ItemKind, ReviewItem

GRANT_ANSWERS = (Answer.APPROVE, Answer.APPROVE_UNTIL, Answer.SCOPE_DOWN, Answer.REVOKE)
CREDENTIAL_ANSWERS = (Answer.KEEP, Answer.ROTATE, Answer.DEACTIVATE)
OWNERSHIP_ANSWERS = (Answer.MINE, Answer.RETIRE)
ENDING = {
    ItemKind.GRANT: GRANT_ANSWERS,
    ItemKind.CREDENTIAL: CREDENTIAL_ANSWERS,
    ItemKind.OWNERSHIP: OWNERSHIP_ANSWERS,
}
# These do not end the question; they ask somebody else.
_PASSING = (Answer.NOT_MINE, Answer.DONT_KNOW)
_ANSWERS = {str(kind): (*answers, *_PASSING) for kind, answers in ENDING.items()}
DATED = frozenset({Answer.APPROVE_UNTIL, Answer.ROTATE})
# Scoping down in bulk means: each to its own recommended target.
BULK = frozenset(
    {
        *(Answer.APPROVE, Answer.REVOKE, Answer.SCOPE_DOWN),
        *(Answer.KEEP, Answer.DEACTIVATE),
        *(Answer.MINE, Answer.RETIRE),
    }
)

LONGEST_TERM = timedelta(days=5 * 366)
LONGEST_REASON = 4000


class AnswerNotPossible(DomainError):
    """This question does not take this answer, or the answer lacks something it needs."""

    code = "answer-not-possible"


class ReasonRequired(DomainError):
    """Privileged access and dated approvals are never answered without a written reason."""

    code = "reason-required"

    def __init__(self) -> None:
        super().__init__("Say why in a few words: this answer is kept with its reason.", fields={"reason": "required"})


def answers_for(item: ReviewItem) -> tuple[Answer, ...]:
    """Every answer that the item takes, in the order in which they are offered."""
    return _ANSWERS[item.kind]


def reason_is_required(item: ReviewItem, answer: str) -> bool:
    """Whether the answer must carry a reason: for privileged items, approvals with an end date, and retiring."""
    if answer in PASSING_ON:
        return False
    return item.is_privileged or answer in {Answer.APPROVE_UNTIL, Answer.RETIRE}


def require_possible(
    item: ReviewItem, answer: str, *, reason: str, until: datetime | None, has_target: bool, now: datetime
) -> None:
    """Check an answer by itself, without the state of the world. Raises AnswerNotPossible, ReasonRequired."""
    if answer not in answers_for(item):
        raise AnswerNotPossible(f"“{answer}” is not an answer to this question.", fields={"answer": "not possible"})
    if (answer in DATED) != (until is not None):
        text = "needs a date" if answer in DATED else "takes no date"
        raise AnswerNotPossible(f"“{Answer(answer).label}” {text}.", fields={"until": text})
    if until is not None and not now < until <= now + LONGEST_TERM:
        raise AnswerNotPossible(
            "The date must lie in the future, and at most five years away.", fields={"until": "out of range"}
        )
    if (answer == Answer.SCOPE_DOWN) != has_target:
        text = "needs what shall remain" if answer == Answer.SCOPE_DOWN else "takes no target"
        raise AnswerNotPossible(f"“{Answer(answer).label}” {text}.", fields={"target": text})
    if len(reason) > LONGEST_REASON:
        raise AnswerNotPossible(
            f"The reason is longer than {LONGEST_REASON} characters.", fields={"reason": "too long"}
        )
    if "\x00" in reason:
        raise AnswerNotPossible(
            "The reason holds a character that cannot be stored.", fields={"reason": "bad character"}
        )
    if reason_is_required(item, answer) and not reason.strip():
        raise ReasonRequired
