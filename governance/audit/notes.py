"""Signed notes and checkpoints in the text forms of C2SP, so that other people's tools can check ours.

Sources: c2sp.org/signed-note (keys, signature lines) and c2sp.org/tlog-checkpoint (the three lines of a checkpoint).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
KEY_ID_BYTES = 4
HASH_BYTES = 32
SIGNATURE_MARK = "— "


class BadNote(ValueError):
    """The text is not a checkpoint, or no valid signature of the expected key is on it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The statement "the log `origin` has `size` entries and this Merkle root", with its signed text."""

    origin: str
    size: int
    root: bytes
    note: str


def sign_note(*, name: str, body: str, key: Ed25519PrivateKey) -> str:
    """The signed note over `body`, which ends with a line feed; `name` says whose key it is."""
    signature = base64.b64encode(_key_id(name, key.public_key()) + key.sign(body.encode())).decode()
    return f"{body}\n{SIGNATURE_MARK}{name} {signature}\n"


def sign_checkpoint(*, origin: str, size: int, root: bytes, key: Ed25519PrivateKey) -> Checkpoint:
    """The checkpoint signed by `key` under the name `origin`."""
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    return Checkpoint(origin, size, root, sign_note(name=origin, body=body, key=key))


def open_checkpoint(note: str, public_key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in `note` after its signature has been verified; raises BadNote.

    The signature must be made under the note's own origin; lines of other keys (witnesses) are ignored.
    """
    checkpoint = read_checkpoint(note)
    body, signatures = note.rsplit("\n\n", 1)
    key_id = _key_id(checkpoint.origin, public_key)
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(SIGNATURE_MARK).partition(" ")
        blob = _base64(encoded)
        if name != checkpoint.origin or not blob.startswith(key_id):
            continue
        try:
            public_key.verify(blob[KEY_ID_BYTES:], f"{body}\n".encode())
        except InvalidSignature:
            raise BadNote("the signature does not fit the text") from None
        return checkpoint
    raise BadNote("the expected key has not signed this checkpoint")


def read_checkpoint(note: str) -> Checkpoint:
    """The checkpoint that `note` claims to be, signature unread; raises BadNote."""
    body, separator, signatures = note.rpartition("\n\n")
    lines = body.split("\n")
    if not separator or not signatures.startswith(SIGNATURE_MARK) or len(lines) < 3:
        raise BadNote("the text is not a signed checkpoint")
    origin, size, root = lines[0], lines[1], _base64(lines[2])
    if not origin or not size.isascii() or not size.isdigit() or len(root) != HASH_BYTES:
        raise BadNote("the first three lines must be origin, size and root")
    return Checkpoint(origin, int(size), root, note)


def verifier_key(origin: str, public_key: Ed25519PublicKey) -> str:
    """The public key in the one-line form `<name>+<key id>+<key>` that note tools take."""
    encoded = base64.b64encode(ED25519 + public_key.public_bytes_raw()).decode()
    return f"{origin}+{_key_id(origin, public_key).hex()}+{encoded}"


def read_verifier_key(line: str) -> Ed25519PublicKey:
    """The public key of a line that `verifier_key` wrote; raises BadNote."""
    name, _, rest = line.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    blob = _base64(encoded)
    if len(blob) != 1 + HASH_BYTES or not blob.startswith(ED25519):
        raise BadNote("the line is not an Ed25519 verifier key")
    public_key = Ed25519PublicKey.from_public_bytes(blob[1:])
    if _key_id(name, public_key).hex() != key_id:
        raise BadNote("the verifier key's id does not fit its name and key")
    return public_key


def _key_id(name: str, public_key: Ed25519PublicKey) -> bytes:
    named = name.encode() + b"\n" + ED25519 + public_key.public_bytes_raw()
    return hashlib.sha256(named).digest()[:KEY_ID_BYTES]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("a line is not base64") from None
