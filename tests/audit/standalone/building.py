"""Trails and packs made from nothing but the rules of docs/audit.md, for tests of the stand-alone verifier."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.audit.notes import sign_checkpoint, verifier_key
from governance.kernel.merkle import consistency_proof, inclusion_proof, leaf_hash, multiproof, root, tlog_proof

ORIGIN = "test.example/audit/1"
SALT = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"the log's key").digest())
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"another key").digest())


def compact(value: Any, *, ascii_only: bool = False) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)


def key_line(key: Ed25519PrivateKey = KEY, origin: str = ORIGIN) -> str:
    return verifier_key(origin, key.public_key())


def record(number: int, *, detail: str | None = None, **changes: Any) -> str:
    """One canonical record; the shapes differ from event to event."""
    facts = {
        "v": 1,
        "id": f"01890000-0000-7000-8000-{number:012x}",
        "at": f"2026-03-02T09:30:00.{number:06d}Z",
        "verb": ("item.decided", "order.sent", "user.signed_in")[number % 3],
        "actor": {"kind": "person", "id": f"person-{number % 7}", "label": "a person", "auth": "password+totp"},
        "subject": {"kind": "item", "id": f"item-{number}", "label": ("Item", 'Größe "XL"\n')[number % 5 == 4]},
        "request": f"req-{number}",
        "outcome": "success",
        "old": None,
        "new": {"answer": "keep", "version": number, "paths": [1, True, None]} if number % 2 else {"answer": "keep"},
        "context": None,
        "detail": detail,
    }
    return compact(facts | changes)


@dataclass
class Trail:
    """A sealed trail of `size` events; every fourth has a detail. `lines` are those of an export."""

    size: int
    payloads: list[str] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)
    erased: set[int] = field(default_factory=set)
    retired: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for number in range(len(self.payloads) + 1, self.size + 1):
            text = compact({"reason": f"because of {number}, ü"}) if number % 4 == 0 else None
            promise = sha256(SALT + text.encode()).hexdigest() if text else None
            self.payloads.append(record(number, detail=promise))
            self.details.append(text)

    @property
    def leaves(self) -> list[bytes]:
        return [leaf_hash(payload.encode()) for payload in self.payloads]

    @property
    def lines(self) -> list[str]:
        previous, lines = bytes(32), []
        for seq, payload in enumerate(self.payloads, start=1):
            digest = sha256(payload.encode()).digest()
            entry = sha256(b"chain.v1\0" + previous + seq.to_bytes(8, "big") + digest).digest()
            facts: dict[str, Any] = {
                "detail": self._detail(seq),
                "entry_hash": entry.hex(),
                "payload": payload,
                "prev_hash": previous.hex(),
                "seq": seq,
            }
            if seq in self.retired:
                hashes = {"payload_hash": digest.hex(), "leaf_hash": leaf_hash(payload.encode()).hex()}
                facts |= {"payload": None, "detail": None, **hashes}
            lines.append(compact(facts, ascii_only=True) + "\n")
            previous = entry
        return lines

    def _detail(self, seq: int) -> dict[str, str] | None:
        text = self.details[seq - 1]
        if text is None:
            return None
        if seq in self.erased:
            return {"erased_at": "2026-04-01T00:00:00.000000Z"}
        return {"salt": SALT.hex(), "text": text}

    def checkpoint(self, size: int | None = None, *, key: Ed25519PrivateKey = KEY, origin: str = ORIGIN) -> str:
        size = self.size if size is None else size
        return sign_checkpoint(origin=origin, size=size, root=root(self.leaves[:size]), key=key).note

    def write(self, folder: Path, *checkpoints: int, lines: Iterable[str] | None = None) -> Path:
        """The trail as `folder`/trail.jsonl and the checkpoints of these sizes in `folder`/checkpoints."""
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        for size in checkpoints:
            (folder / "checkpoints" / f"{size}.checkpoint").write_text(self.checkpoint(size))
        path = folder / "trail.jsonl"
        path.write_text("".join(self.lines if lines is None else lines), encoding="utf-8", newline="")
        return path


def sign_note(body: str, *, key: Ed25519PrivateKey = KEY, name: str = ORIGIN) -> str:
    """`body` with the signature line of c2sp.org/signed-note."""
    key_id = bytes.fromhex(verifier_key(name, key.public_key()).split("+")[1])
    return f"{body}\n— {name} {base64.b64encode(key_id + key.sign(body.encode())).decode()}\n"


@dataclass
class PackBuilder:
    """A pack over events of a trail, with a place for each kind of damage."""

    trail: Trail
    seqs: tuple[int, ...] = (2, 3, 7, 8)
    milestones: tuple[int, ...] = (3,)
    older: tuple[int, ...] = (5,)
    key: Ed25519PrivateKey = KEY
    facts: dict[str, Any] = field(default_factory=lambda: {"campaign": {"id": "1", "name": "Prüfung"}})
    format: str = "remit-evidence/1"

    def files(self) -> dict[str, bytes]:
        trail, leaves = self.trail, self.trail.leaves
        lines, indices = trail.lines, [seq - 1 for seq in self.seqs]
        proof = {"size": trail.size, "indices": indices, "nodes": [n.hex() for n in multiproof(leaves, indices)]}
        growth = [
            {"old_size": size, "new_size": trail.size, "nodes": [n.hex() for n in consistency_proof(leaves, size)]}
            for size in self.older
        ]
        files = {
            "decisions.csv": b"item,decision\nitem-2,keep\n",
            "audit-log.jsonl": "".join(lines[index] for index in indices).encode(),
            "checkpoint.txt": trail.checkpoint(key=self.key).encode(),
            "proofs/inclusion.json": compact(proof).encode(),
        }
        if growth:
            files["proofs/consistency.json"] = compact(growth).encode()
        for seq in self.milestones:
            path = inclusion_proof(leaves, seq - 1)
            text = tlog_proof(index=seq - 1, proof=path, checkpoint=trail.checkpoint(key=self.key))
            files[f"proofs/{seq}.tlog-proof"] = text.encode()
        return files

    def manifest(self, files: Mapping[str, bytes]) -> bytes:
        listed = [
            {"path": path, "sha256": sha256(data).hexdigest(), "size": len(data)}
            for path, data in sorted(files.items())
        ]
        head = {"origin": ORIGIN, "size": self.trail.size, "root": root(self.trail.leaves).hex()}
        return compact({"format": self.format, "checkpoint": head, "files": listed, **self.facts}).encode()

    def note(self, manifest: bytes, *, key: Ed25519PrivateKey | None = None) -> bytes:
        body = f"{self.format}\n{ORIGIN}\n{sha256(manifest).hexdigest()}\n"
        return sign_note(body, key=key or self.key).encode()

    def entries(self, change: Callable[[dict[str, bytes]], None] | None = None) -> dict[str, bytes]:
        """Everything in the ZIP. change: alters the files before the manifest is made, so that it fits them."""
        files = self.files()
        if change:
            change(files)
        manifest = self.manifest(files)
        return {"manifest.json": manifest, "manifest.note": self.note(manifest), **files}

    def write(self, path: Path, change: Callable[[dict[str, bytes]], None] | None = None) -> Path:
        path.write_bytes(zipped(self.entries(change).items()))
        return path


def zipped(entries: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()
