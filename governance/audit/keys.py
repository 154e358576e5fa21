"""The key that signs checkpoints: a file outside the database, readable by the service's account alone."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.kernel.errors import DomainError
from governance.kernel.keyfile import write_once


class KeyUnusable(DomainError):
    """The signing key file cannot be read, written or understood."""

    code = "audit-key-unusable"
    status = 500
    title = "The audit signing key cannot be used"


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in the PEM file `path`; made with mode 0600 when there is none yet. Raises KeyUnusable."""
    try:
        if not path.exists():
            _create(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyUnusable(f"The audit signing key {path} cannot be used: {error}.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"The audit signing key {path} is not an Ed25519 key.")
    return key


def _create(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_once(path, pem)
