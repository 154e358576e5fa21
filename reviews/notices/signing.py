"""Signatures of webhooks as Standard Webhooks describes them (scheme `v1`: HMAC-SHA256 over id, time and body).

https://www.standardwebhooks.com, specification 1.0
"""

import base64
import hmac
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from reviews.models import WebhookEndpoint
from reviews.notices.keys import WebhookKeyUnusable, fingerprint_of, secret_of


def signed_headers(*, event_id: UUID, body: bytes, secrets: Iterable[bytes], now: datetime) -> dict[str, str]:
    """The three headers of one attempt. `now` is when it is made; the id stays the same from attempt to attempt."""
    timestamp = str(int(now.timestamp()))
    content = b".".join([str(event_id).encode(), timestamp.encode(), body])
    signatures = [base64.b64encode(hmac.new(secret, content, sha256).digest()).decode() for secret in secrets]
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def secrets_of(endpoint: WebhookEndpoint, now: datetime) -> list[bytes]:
    """The secrets that sign now: the current one and, while both are good, the one before.

    Raises WebhookKeyUnusable where the key file is not the one that the secret was made with: a signature that nobody
    can check is worse than none.
    """
    current = secret_of(endpoint.pk, bytes(endpoint.salt))
    if fingerprint_of(current) != endpoint.fingerprint:
        raise WebhookKeyUnusable(
            "The webhook key is another one than when this endpoint's secret was made. Bring the old key file back, "
            "or make a new secret."
        )
    if endpoint.previous_salt and endpoint.previous_until and now < endpoint.previous_until:
        return [current, secret_of(endpoint.pk, bytes(endpoint.previous_salt))]
    return [current]
