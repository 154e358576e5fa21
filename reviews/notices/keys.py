"""Signing secrets of webhooks: derived from one key file, kept nowhere.

Remit issues these secrets itself, so there is nothing outside to refer to. Each is made from the key file and a random
salt of the endpoint (HKDF, RFC 5869): the database alone tells nobody how to sign, and a secret that was shown once
cannot be shown again by looking at a table. Another key file makes other secrets; the fingerprint notices.
"""

import base64
import hmac
import secrets
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from governance.kernel.errors import DomainError
from governance.kernel.keyfile import write_once

KEY_BYTES = 32
SALT_BYTES = 16
PREFIX = "whsec_"


class WebhookKeyUnusable(DomainError):
    """The key file of webhooks cannot be read, or is not the one that the endpoint's secret was made with."""

    code = "webhook-key-unusable"
    status = 500
    title = "The webhook key cannot be used"


def new_salt() -> bytes:
    """What a new secret is made from, beside the key file."""
    return secrets.token_bytes(SALT_BYTES)


def secret_of(endpoint_id: UUID, salt: bytes) -> bytes:
    """The 32 bytes that sign for this endpoint. Raises WebhookKeyUnusable."""
    derivation = HKDF(SHA256(), KEY_BYTES, bytes(salt), b"remit webhook v1 " + endpoint_id.bytes)
    return derivation.derive(_load_or_create(settings.WEBHOOK_KEY_FILE))


def spoken(secret: bytes) -> str:
    """The secret as it is given to people and programs: `whsec_` and Base64, as Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(secret).decode()


def fingerprint_of(secret: bytes) -> str:
    """16 hexadecimal digits that tell two secrets apart and nothing about them."""
    return hmac.new(secret, b"fingerprint", sha256).hexdigest()[:16]


def _load_or_create(path: Path) -> bytes:
    try:
        if not path.exists():
            write_once(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise WebhookKeyUnusable(f"The webhook key {path} cannot be used: {error.strerror}.") from error
    if len(key) < KEY_BYTES:
        raise WebhookKeyUnusable(f"The webhook key {path} is shorter than {KEY_BYTES} bytes.")
    return key
