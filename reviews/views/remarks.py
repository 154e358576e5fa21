"""Asking about a question and replying, on the page of the question."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.errors import DomainError
from governance.web.access import page
from reviews.decisions import ask_remark, reply_to_remark
from reviews.decisions.remarks import access_remark, askable
from reviews.forms.remarks import AskForm, ReplyForm
from reviews.models import ReviewItem
from reviews.selectors import access_item
from reviews.views.items import show_item
from reviews.views.requests import PageRequest


@require_POST
@page()
def remark_ask(request: PageRequest, item_id: UUID) -> HttpResponse:
    """Ask a person about the question. What was typed is kept when it cannot be taken."""
    item = access_item(actor=request.actor, item_id=item_id)
    form = AskForm(request.POST, item=item, people=askable(item, request.actor))
    if not form.is_valid():
        return _again(request, item, {"ask_form": form}, 422)
    data = form.cleaned_data
    try:
        ask_remark(item=item, asked=data["asked"], text=data["text"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        form.add_error(None, refusal.message)
        return _again(request, item, {"ask_form": form}, refusal.status)
    messages.success(request, f"{data['asked']} is asked. The reply will stand here.")
    return redirect(_talk(item))


@require_POST
@page()
def remark_reply(request: PageRequest, item_id: UUID, remark_id: UUID) -> HttpResponse:
    """Reply to what one was asked."""
    remark = access_remark(actor=request.actor, remark_id=remark_id)
    item = access_item(actor=request.actor, item_id=remark.item_id)
    form = ReplyForm(request.POST)
    if item.pk != item_id or not form.is_valid():
        return _again(request, item, {"reply_form": form, "replying": remark.pk}, 422)
    try:
        reply_to_remark(remark=remark, text=form.cleaned_data["text"], actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        form.add_error(None, refusal.message)
        return _again(request, item, {"reply_form": form, "replying": remark.pk}, refusal.status)
    messages.success(request, "Your reply is kept with the question.")
    return redirect(_talk(item))


def _again(request: PageRequest, item: ReviewItem, context: dict[str, Any], status: int) -> HttpResponse:
    return show_item(request, item, more=context, status=status)


def _talk(item: ReviewItem) -> str:
    """To what was said; #talk would open the form for the next question as well."""
    return f"{reverse('reviews:item_detail', args=[item.pk])}#talk-title"
