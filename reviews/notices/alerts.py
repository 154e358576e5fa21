"""Tell administrators by mail that a webhook was switched off."""

from datetime import datetime, timedelta
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string

from governance.audit import log
from governance.audit.actions import Verb
from governance.kernel.actors import Role, system_actor
from governance.people.models import User
from reviews.models import WebhookEndpoint

logger = structlog.get_logger(__name__)
MAILER = system_actor("mailer")
# A worker that has not come back by then is taken for dead; also the pause after a mail server refused.
CLAIM_LASTS = timedelta(minutes=10)


def send_alerts(*, now: datetime) -> int:
    """Write to every administrator about each webhook that was switched off; returns how many mails went out."""
    sent = 0
    while (endpoint := _claim(now)) is not None:
        sent += _tell(endpoint, now)
    return sent


def _claim(now: datetime) -> WebhookEndpoint | None:
    with transaction.atomic(durable=True):
        endpoint = (
            WebhookEndpoint.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(alert_at__lte=now, removed_at=None)
            .order_by("alert_at", "pk")
            .first()
        )
        if endpoint is not None:
            endpoint.alert_at = now + CLAIM_LASTS
            endpoint.save(update_fields=["alert_at"])
    return endpoint


def _tell(endpoint: WebhookEndpoint, now: datetime) -> int:
    people = User.objects.filter(is_active=True, role_assignments__role=Role.ADMINISTRATOR).distinct()
    told = list(people.order_by("pk"))
    try:
        for person in told:
            _message(endpoint, person.email).send()
    except (SMTPException, OSError) as problem:
        logger.warning("alert.not_sent", webhook=str(endpoint.pk), problem=str(problem))
        return 0
    with transaction.atomic(durable=True):
        WebhookEndpoint.objects.filter(pk=endpoint.pk, alert_at=endpoint.alert_at).update(alert_at=None)
        log.record_many(
            log.Record(
                verb=Verb.MAIL_SENT,
                actor=MAILER,
                subject=log.Subject("person", str(person.pk), "person"),
                now=now,
                context={"kind": "webhook_off", "webhook": str(endpoint.pk)},
            )
            for person in told
        )
    return len(told)


def _message(endpoint: WebhookEndpoint, address: str) -> EmailMultiAlternatives:
    subject = f"The webhook “{endpoint.name}” was switched off"
    letter = {
        "subject": subject,
        "paragraphs": (
            f"Remit no longer sends notices to the webhook “{endpoint.name}”. {endpoint.off_reason}",
            "Nothing is lost: the audit trail keeps what happens. Switched on again, the webhook goes on where it "
            "stopped.",
        ),
        "button": "Open the webhook",
        "url": f"{settings.PUBLIC_URL}/settings/webhooks/{endpoint.pk}/",
    }
    message = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("reviews/mail/letter.txt", {"letter": letter}),
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("reviews/mail/letter.html", {"letter": letter}), "text/html")
    return message
