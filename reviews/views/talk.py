"""What was asked and replied about a question, as its page prints it."""

from typing import Any

from governance.kernel.actors import Actor
from reviews.decisions.remarks import askable, list_remarks
from reviews.forms.remarks import AskForm, ReplyForm
from reviews.models import ReviewItem
from reviews.states import CampaignState


def talk_of(item: ReviewItem, actor: Actor) -> dict[str, Any]:
    """What was said about the question, and the forms for saying more while its review is open."""
    is_open = item.campaign.state == CampaignState.OPEN and actor.person_id is not None
    people = askable(item, actor) if is_open else []
    return {
        "remarks": list(list_remarks(item)),
        "may_talk": is_open,
        "ask_form": AskForm(item=item, people=people) if people else None,
        "reply_form": ReplyForm(),
    }
