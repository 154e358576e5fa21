"""Keys in a backup: only where asked for, and only under a passphrase.

A key that signs the trail must not lie beside the trail: whoever holds both can write a history and sign it. So a
backup leaves keys out by default. Where one asks for them they are sealed with AES-256-GCM under a key that scrypt
(RFC 7914, N=2^17, r=8, p=1) makes from a passphrase; the passphrase belongs somewhere else than the backup.
"""

import base64
import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from governance.operations.problems import OperationFailed

SHORTEST_PASSPHRASE = 16
_COST = {"n": 2**17, "r": 8, "p": 1}
_LABEL = b"remit-backup-keys/1"


def seal(keys: Mapping[str, bytes], passphrase: str) -> bytes:
    """The keys by name, sealed. Raises OperationFailed for a passphrase that is too short."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise OperationFailed(f"The passphrase needs at least {SHORTEST_PASSPHRASE} characters.")
    salt, nonce = os.urandom(16), os.urandom(12)
    plain = json.dumps({name: base64.b64encode(value).decode() for name, value in keys.items()}).encode()
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, plain, _LABEL)
    parts = {"salt": salt, "nonce": nonce, "sealed": sealed}
    return json.dumps({name: base64.b64encode(value).decode() for name, value in parts.items()}).encode()


def unseal(text: bytes, passphrase: str) -> dict[str, bytes]:
    """What `seal` sealed. Raises OperationFailed when the passphrase is another one."""
    try:
        parts = {name: base64.b64decode(value) for name, value in json.loads(text).items()}
        plain = AESGCM(_key(passphrase, parts["salt"])).decrypt(parts["nonce"], parts["sealed"], _LABEL)
    except InvalidTag:
        raise OperationFailed("The passphrase does not open the keys of this backup.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OperationFailed("The keys of this backup cannot be read.") from error
    return {name: base64.b64decode(value) for name, value in json.loads(plain).items()}


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, **_COST).derive(passphrase.encode())
