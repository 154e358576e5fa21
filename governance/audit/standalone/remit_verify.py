#!/usr/bin/env python3
"""Check evidence of Remit without Remit: an exported audit trail, or an evidence pack.

    python3 remit_verify.py verify-trail trail.jsonl --checkpoints FOLDER --key verifier.key
    python3 remit_verify.py verify-pack pack.zip --key verifier.key [--older-checkpoint FILE]

This file is all that is needed: Python 3.9 or later, nothing else. It opens no connection and writes no file. Where the
package `cryptography` is installed, signatures are checked by it, otherwise by the few lines below.

Exit code 0: intact. 1: not intact, each problem is named. 2: it could not be checked; the sentence says why.
`--json` prints the report for machines. README.md beside this file says what is checked and what that proves.

The rules of the formats are those of Remit's docs/audit.md. They are written here a second time on purpose: what checks
the evidence should share no code with what made it.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import os
import re
import struct
import sys
import zipfile
import zlib
from bisect import bisect_left
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Complain = Callable[[str, str], None]  # takes a code and a sentence that lacks its subject

VERSION = "1"
INTACT, NOT_INTACT, NOT_CHECKED = 0, 1, 2

# Bounds, so that hostile files end with a sentence and not with a full memory or disk.
MAX_LINE = 16 * 2**20
MAX_SMALL_FILE = 2**20
MAX_JSON = 256 * 2**20
MAX_MANIFEST = 16 * 2**20
MAX_ENTRIES = 100_000
MAX_PATH = 400
MAX_SIZE = 2**63 - 1
PROBLEMS_KEPT = 100

BLOCK = 2**20
WORTH_OTHER_PROCESSES = 16 * 2**20

START = "00" * 32
CHAIN = b"chain.v1\0"
EMPTY_ROOT = sha256(b"").digest()


class NotChecked(Exception):
    """The evidence cannot be checked at all; the message says why."""


class Broken(ValueError):
    """One thing is not what it must be. `code` is for machines; the sentence lacks its subject, often the `file`."""

    def __init__(self, code: str, message: str, file: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.file = file


class Report:
    """What was checked and what was found. `problems` holds the first hundred; `problem_count` counts all."""

    def __init__(self, command: str, path: str) -> None:
        self.command = command
        self.path = path
        self.facts: dict[str, Any] = {}
        self.problems: list[dict[str, Any]] = []
        self.problem_count = 0
        self.notices: list[str] = []
        self.not_checked = ""

    def add(self, code: str, message: str, *, file: str = "", line: int | None = None, seq: int | None = None) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append({"code": code, "message": message, "file": file, "line": line, "seq": seq})

    @property
    def exit_code(self) -> int:
        if self.problem_count:
            return NOT_INTACT
        return NOT_CHECKED if self.not_checked else INTACT

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": "remit-verify/1",
            "verifier": VERSION,
            "command": self.command,
            "file": self.path,
            "result": ("intact", "not intact", "not checked")[self.exit_code],
            "intact": (True, False, None)[self.exit_code],
            **self.facts,
            "problem_count": self.problem_count,
            "problems": self.problems,
            "notices": self.notices,
            "not_checked": self.not_checked,
        }


# --- Ed25519 (RFC 8032), verification only ---------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple  # extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z
NEUTRAL = (0, 1, 1, 0)


def decode_point(encoded: bytes) -> Point | None:
    """The point that 32 bytes stand for; None unless they are its one proper encoding."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if len(encoded) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def encode_point(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def add_points(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply_point(factor: int, point: Point) -> Point:
    result = NEUTRAL
    while factor:
        if factor & 1:
            result = add_points(result, point)
        point = add_points(point, point)
        factor >>= 1
    return result


def _base_point() -> Point:
    point = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    assert point is not None  # noqa: S101 - a constant of the curve
    return point


BASE = _base_point()


def is_usable_key(public_key: bytes) -> bool:
    """Whether these are the proper bytes of a point that is not one of the eight weak ones."""
    point = decode_point(public_key)
    if point is None:
        return False
    x, y, z, _ = multiply_point(8, point)
    return not (x % P == 0 and (y - z) % P == 0)


def verify_signature_here(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is valid: without cofactor, and with no second form of a valid signature."""
    key = decode_point(public_key)
    if key is None or len(signature) != 64:
        return False
    factor = int.from_bytes(signature[32:], "little")
    if factor >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    minus_key = (P - key[0], key[1], 1, P - key[3])
    sum_of_both = add_points(multiply_point(factor, BASE), multiply_point(challenge, minus_key))
    return encode_point(sum_of_both) == signature[:32]


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is valid, by `cryptography` where it is installed."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except Exception:  # a broken installation fails in its own ways
        return verify_signature_here(public_key, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- keys, signed notes, checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) ---------------------------------


class Key(NamedTuple):
    """A verifier key: the log's name and the public key that signs for it."""

    name: str
    id: bytes
    public_key: bytes


class Checkpoint(NamedTuple):
    """The statement "the log `origin` has `size` events and this root"; its signature was valid."""

    origin: str
    size: int
    root: bytes


def from_base64(text: str) -> bytes:
    """The bytes of a line of base64 in its one proper form."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Broken("note", "a line is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Broken("note", "a line of base64 ends with bits that mean nothing")
    return data


def read_key(line: str) -> Key:
    """The key of a line `<name>+<key id>+<key>`."""
    name, _, rest = line.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        blob = from_base64(encoded)
    except Broken:
        raise NotChecked("The key is not a verifier key: one line <name>+<key id>+<key>.") from None
    named = sha256(name.encode() + b"\n" + blob).digest()[:4]
    if not name or len(blob) != 33 or blob[0] != 1 or named.hex() != key_id:
        raise NotChecked("The key is not an Ed25519 verifier key, or a letter of it was changed.")
    if not is_usable_key(blob[1:]):
        raise NotChecked("The key is one under which anybody could sign.")
    return Key(name, named, blob[1:])


def read_keys(given: Sequence[str]) -> list[Key]:
    """The keys that were named: each a file or the line itself."""
    keys = []
    for each in given:
        text = each
        if "+" not in each or Path(each).is_file():
            text = read_small(Path(each), "The key")
        keys += [read_key(line) for line in text.splitlines() if line.strip()]
    if not keys:
        raise NotChecked("The key file is empty.")
    return keys


def read_small(path: Path, what: str) -> str:
    """The text of a small file. Raises NotChecked."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SMALL_FILE + 1)
        if len(data) > MAX_SMALL_FILE:
            raise NotChecked(f"{what} {path} is too large to be one.")
        return data.decode()
    except UnicodeDecodeError:
        raise NotChecked(f"{what} {path} is not text.") from None
    except (OSError, ValueError) as error:
        raise NotChecked(f"{what} {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def open_note(text: str, keys: Sequence[Key], name: str = "") -> str:
    """The signed text of a note after one of the keys has verified it; `name` is whose signature must be on it."""
    body, separator, signatures = text.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise Broken("note", "it is not a signed note")
    body += "\n"
    name = name or body.split("\n", 1)[0]
    mine = {key.id: key for key in keys if key.name == name}
    if not mine:
        raise Broken("note", f"it speaks for {name!r}, and no key of that name was given")
    is_signed = False
    for line in signatures[:-1].split("\n"):
        mark, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if mark != "\u2014" or not signer or not encoded:
            raise Broken("note", "a signature line is not one")
        blob = from_base64(encoded)
        key = mine.get(blob[:4])
        if signer != name or key is None:
            continue  # a witness, or a key that is not ours to judge
        if not verify_signature(key.public_key, body.encode(), blob[4:]):
            raise Broken("note", "the signature does not fit the text")
        is_signed = True
    if not is_signed:
        raise Broken("note", "the expected key has not signed it")
    return body


def open_checkpoint(text: str, keys: Sequence[Key]) -> Checkpoint:
    """The checkpoint in a signed note."""
    try:
        lines = open_note(text, keys).split("\n")
        root = from_base64(lines[2]) if len(lines) > 3 else b""
    except Broken as error:
        raise Broken("checkpoint", str(error)) from None
    if len(root) != 32 or not is_decimal(lines[1]):
        raise Broken("checkpoint", "the first three lines must be origin, size and root")
    return Checkpoint(lines[0], int(lines[1]), root)


def is_decimal(text: str) -> bool:
    return bool(re.fullmatch(r"0|[1-9][0-9]{0,18}", text)) and int(text) <= MAX_SIZE


# --- the tree (RFC 9162) ---------------------------------------------------------------------------------------------


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows: complete subtrees of 1,024 leaves and more, and the leaves behind them."""

    GROUP = 1024

    def __init__(self) -> None:
        self.groups: list[tuple[int, bytes]] = []
        self.leaves: list[bytes] = []
        self.size = 0

    def take(self) -> None:
        """Hash the leaves that are waiting in `leaves`, as far as they fill a group."""
        while len(self.leaves) >= self.GROUP:
            node, height = self._reduce(self.leaves[: self.GROUP]), 0
            del self.leaves[: self.GROUP]
            self.size += self.GROUP
            while self.groups and self.groups[-1][0] == height:
                node, height = node_hash(self.groups.pop()[1], node), height + 1
            self.groups.append((height, node))

    def root(self) -> bytes:
        """The root over everything so far."""
        nodes = [node for _, node in self.groups]
        if self.leaves:
            nodes.append(self._reduce(self.leaves))
        if not nodes:
            return EMPTY_ROOT
        current = nodes.pop()
        while nodes:
            current = node_hash(nodes.pop(), current)
        return current

    @staticmethod
    def _reduce(level: Sequence[bytes]) -> bytes:
        """Pair neighbours level by level; an odd one out moves up, which is the shape of the RFC."""
        while len(level) > 1:
            pairs = iter(level)
            above = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs)]
            if len(level) & 1:
                above.append(level[-1])
            level = above
        return level[0]


def root_of_multiproof(
    size: int, indices: Sequence[int], leaves: Sequence[bytes], nodes: Sequence[bytes]
) -> bytes | None:
    """The root that wanted leaves and the nodes between them give; None when the numbers do not fit."""
    if any(a >= b for a, b in zip(indices, indices[1:])) or (indices and not 0 <= indices[0] <= indices[-1] < size):
        return None
    taken, used = 0, 0
    todo, done = [(0, size)], []  # type: ignore[var-annotated]
    while todo:
        start, end = todo.pop()
        if end < 0:  # both halves of a node are done
            right, left = done.pop(), done.pop()
            done.append(node_hash(left, right))
        elif taken == len(indices) or indices[taken] >= end:
            if used == len(nodes):
                return None
            done.append(nodes[used])
            used += 1
        elif end - start == 1:
            done.append(leaves[taken])
            taken += 1
        else:
            middle = start + (1 << ((end - start - 1).bit_length() - 1))
            todo += [(0, -1), (middle, end), (start, middle)]
    return done[0] if taken == len(indices) == len(leaves) and used == len(nodes) else None


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    node, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and current == root


def proves_consistency(old: Checkpoint, new: Checkpoint, path: Sequence[bytes]) -> bool:
    """RFC 9162, 2.1.4.2. A log of no events agrees with every other."""
    if old.size in (new.size, 0):
        return not path and old.root == (new.root if old.size else EMPTY_ROOT)
    if old.size > new.size or not path:
        return False
    nodes = list(path)
    if old.size & (old.size - 1) == 0:
        nodes.insert(0, old.root)
    node, last = old.size - 1, new.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old.root and second == new.root


# --- records and lines -----------------------------------------------------------------------------------------------

FIELDS = {
    "actor", "at", "context", "detail", "id", "new", "old", "outcome", "request", "subject", "v", "verb"
}  # fmt: skip
LARGEST_INTEGER = 2**53 - 1
HEX = re.compile(r"[0-9a-f]{64}")
CONTROLS = bytes(range(32))
NOT_PLAIN = b"\\" + CONTROLS + bytes(range(128, 256))
NEEDS_ESCAPES = b"\\" + CONTROLS
LINE = re.compile(
    rb'\{"detail":(?:null|\{"salt":"(.{64})","text":"([^\n]*?)"\}|\{"erased_at":"([^"\\\n]*)"\}),"entry_hash":"(.{64})",'
    rb'(?:"payload":"([^\n]*)"|"leaf_hash":"(.{64})","payload":null,"payload_hash":"(.{64})"),'
    rb'"prev_hash":"(.{64})","seq":([1-9][0-9]{0,18})\}\n'
)
TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
HEX_BYTES = re.compile(rb"[0-9a-f]{64}")


class Line(NamedTuple):
    """One event as a line tells it. Hashes in hex; `leaf` is what the tree holds.

    payload_hash and leaf are made from the payload, and read from the line when the payload was retired.
    """

    seq: int
    previous: str
    entry: str
    payload_hash: bytes
    leaf: bytes
    state: str = ""  # of the detail: "", "kept" or "erased"
    is_retired: bool = False


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Shapes:
    """Recognises records that are canonical JSON, quickly.

    A record of a new shape (its names and kinds of values) is taken apart and written again, which proves that it is
    canonical. From then on a pattern recognises records of that shape, whatever their texts and numbers are. One
    pattern serves all records that end alike (the end is the verb): each field may have any of the shapes seen there,
    for a record of canonical values under names in order is canonical. `quick` holds patterns for records as they
    stand inside a line, with escaped quotes, `plain` for records themselves.
    """

    LARGEST, PER_FIELD, VERBS = 8192, 12, 2000
    END = 16

    def __init__(self) -> None:
        self.quick: dict[bytes, Callable[[bytes], Any]] = {}
        self.plain: dict[bytes, Callable[[bytes], Any]] = {}
        self.seen: dict[bytes, dict[str, list[str]]] = {}

    def promised(self, payload: bytes) -> bytes | None:
        """The commitment to a detail in this record, or None. Raises Broken unless it is a canonical record."""
        if len(payload.translate(None, NEEDS_ESCAPES)) != len(payload):
            return _promise(read_record(payload))
        match = self.plain.get(payload[-self.END :])
        found = match(payload) if match else None
        if found:
            return found[1]
        record = read_record(payload)
        if len(payload) <= self.LARGEST and len(self.seen) < 2 * self.VERBS:
            self._learn(self.plain, payload, _shapes_of_fields(record, '"', '[^"]*'))
            self._learn(self.quick, payload.replace(b'"', b'\\"'), _shapes_of_fields(record, r'\\"', r"[^\\]*"))
        return _promise(record)

    def _learn(self, known: dict[bytes, Callable[[bytes], Any]], text: bytes, shapes: dict[str, str]) -> None:
        seen = self.seen.setdefault(text[-self.END :], {})
        for field, shape in shapes.items():
            if shape not in seen.setdefault(field, []):
                seen[field].append(shape)
        if all(len(alternatives) <= self.PER_FIELD for alternatives in seen.values()):
            fields = (f"{field}:(?:{'|'.join(alternatives)})" for field, alternatives in sorted(seen.items()))
            known[text[-self.END :]] = re.compile(_braces(fields).encode()).fullmatch


def _promise(record: dict[str, Any]) -> bytes | None:
    return record["detail"].encode() if record["detail"] else None


def _shapes_of_fields(record: dict[str, Any], quote: str, inside: str) -> dict[str, str]:
    """Patterns for canonical values of the same kinds, texts without escapes, by the record's (quoted) names.

    quote: how a quote is written; inside: what may stand between two of them.
    """

    def shape(value: Any) -> str:
        if isinstance(value, dict):
            return _braces(f"{quote}{re.escape(name)}{quote}:{shape(entry)}" for name, entry in sorted(value.items()))
        if isinstance(value, list):
            return r"\[" + ",".join(map(shape, value)) + r"\]"
        if isinstance(value, str):
            return f"{quote}{inside}{quote}"
        if isinstance(value, bool):
            return "(?:true|false)"
        return "null" if value is None else "(?:0|-?[1-9][0-9]{0,14})"

    shapes = {f"{quote}{name}{quote}": shape(value) for name, value in record.items()}
    shapes[f"{quote}detail{quote}"] = f"null|{quote}([0-9a-f]{{64}}){quote}"
    return shapes


def _braces(entries: Iterable[str]) -> str:
    return r"\{" + ",".join(entries) + r"\}"


def read_json(data: bytes | str) -> Any:
    """JSON whose every name stands once, without numbers that languages read differently. Raises ValueError."""

    def refuse(text: str) -> None:
        raise ValueError(f"{text[:30]} is no number that every language reads alike")

    def integer(text: str) -> int:
        if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
            refuse(text)
        return int(text)

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs) or not all(name.isascii() for name in found):
            raise ValueError("a name stands twice, or is not ASCII")
        return found

    try:
        return json.loads(data, parse_float=refuse, parse_constant=refuse, parse_int=integer, object_pairs_hook=fields)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_record(payload: bytes) -> dict[str, Any]:
    """The record in a payload. Raises Broken unless it is one, in its canonical form."""
    try:
        record = read_json(payload)
        is_canonical = canonical(record).encode() == payload
    except (ValueError, RecursionError):
        raise Broken("payload", "is no record: its payload is not JSON") from None
    if not is_canonical:
        raise Broken("payload", "is not written in the canonical form")
    if not isinstance(record, dict) or set(record) != FIELDS or record["v"] != 1 or record["v"] is True:
        raise Broken("payload", "is no record of this version")
    promised = record["detail"]
    if promised is not None and not (isinstance(promised, str) and HEX.fullmatch(promised)):
        raise Broken("payload", "is no record: its detail is not a hash")
    return record


def unescape(text: bytes) -> bytes:
    """What the inside of a JSON string stands for, when it is written as Remit writes it. Raises Broken."""
    plain = text.translate(None, NOT_PLAIN)
    escaped = len(text) - len(plain)
    if text.count(b'\\"') == escaped and plain.count(b'"') == escaped:
        return plain  # nothing but escaped quotes
    try:
        quoted = text.decode("ascii") + '"'
        found, end = scanstring(quoted, 0, True)
        if end != len(quoted) or encode_basestring_ascii(found) != '"' + quoted:
            raise ValueError
        return found.encode()
    except ValueError:
        raise Broken("line", "a text on it is not written as Remit writes it") from None


def read_line(raw: bytes, shapes: Shapes, complain: Complain) -> Line | None:
    """The event on a line, its record and its detail checked; None when the line is none."""
    try:
        return _read_line(raw, shapes, complain)
    except Broken as error:
        complain(error.code, str(error))
        return None


def _read_line(raw: bytes, shapes: Shapes, complain: Complain) -> Line:
    found = LINE.fullmatch(raw)
    if not found:
        raise Broken("line", _why_no_line(raw))
    salt, text, erased_at, entry, escaped, leaf, payload_hash, previous, number = found.groups()
    for digest in (entry, previous, *(each for each in (salt, leaf, payload_hash) if each is not None)):
        if not HEX_BYTES.fullmatch(digest):
            raise Broken("line", "holds a hash that is not 64 hexadecimal digits")
    if int(number) > MAX_SIZE:
        raise Broken("line", "holds a number that is too large")
    facts = int(number), previous.decode(), entry.decode()
    if escaped is None:
        if text is not None or erased_at is not None:
            complain("detail", "was retired, but has a detail")
        return Line(*facts, bytes.fromhex(payload_hash.decode()), bytes.fromhex(leaf.decode()), "", True)
    payload, state = unescape(escaped), ""
    try:
        state = _detail_state(shapes.promised(payload), salt, text, erased_at)
    except Broken as error:
        complain(error.code, str(error))
    return Line(*facts, sha256(payload).digest(), sha256(b"\0" + payload).digest(), state)


def _detail_state(promised: bytes | None, salt: bytes | None, text: bytes | None, erased_at: bytes | None) -> str:
    has_detail = text is not None or erased_at is not None
    if promised is None:
        if has_detail:
            raise Broken("detail", "has a detail that it never had")
        return ""
    if not has_detail:
        raise Broken("detail", "has lost its detail: it was deleted, not erased")
    if text is None or salt is None:
        if not TIME.fullmatch(erased_at or b""):
            raise Broken("detail", "has a detail that was erased at no time")
        return "erased"
    if sha256(bytes.fromhex(salt.decode()) + unescape(text)).hexdigest().encode() != promised:
        raise Broken("detail", "has a detail that was changed")
    return "kept"


def _why_no_line(raw: bytes) -> str:
    if not raw.endswith(b"\n"):
        return "is cut off"
    try:
        value = read_json(raw)
    except ValueError:
        return "is not JSON"
    if not isinstance(value, dict) or not {"detail", "entry_hash", "payload", "prev_hash", "seq"} <= set(value):
        return "is no event of a trail: a field is missing"
    return "is not written as Remit writes it: keys in order, no spaces, ASCII"


def entry_of(previous: str, seq: int, payload_hash: bytes) -> str:
    return sha256(CHAIN + bytes.fromhex(previous) + seq.to_bytes(8, "big") + payload_hash).hexdigest()


def blocks_of(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time. Raises Broken for a line that no event is as long as."""
    rest = b""
    while True:
        data = read(BLOCK)
        if not data:
            break
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest += data
        if len(rest) > MAX_LINE:
            raise Broken("line", f"is longer than {MAX_LINE:,} bytes; reading stopped there")
    if rest:
        yield rest


def lines_of(block: bytes) -> list[bytes]:
    """The lines, each with its end; only a line feed ends one."""
    return io.BytesIO(block).readlines()


# --- a whole trail ---------------------------------------------------------------------------------------------------

NO_DETAIL = b'{"detail":null,"entry_hash":"'
DETAIL = re.compile(
    rb'\{"detail":\{(?:"salt":"([0-9a-f]{64})","text":"([^\n]*)"|"erased_at":"('
    + TIME.pattern
    + rb')")\},"entry_hash":"'
)
BEFORE_ENTRY, AFTER_ENTRY = b'"entry_hash":"', b'","payload":"'
STEP = struct.Struct(">9s32sQ32s")  # what is hashed into the chain
FEW = 64  # so many lines are tried together when something on a megabyte of them is unusual


class Batch(NamedTuple):
    """Events that are in every way as expected: the last one's entry hash, the leaves, the numbers of details."""

    entry: bytes
    leaves: list[bytes]
    kept: int
    erased: int


def read_batch(lines: list[bytes], seq: int, previous: bytes, shapes: Shapes) -> Batch | None:
    """The events on these lines, if they continue event `seq` with its entry hash and nothing at all is unusual.

    None means: look at each line, with `read_line`. This says the same of what is as it should be, three times as
    fast, because each step is done for all lines before the next. All hashes on the lines are compared with computed
    ones: those of the entries at the end, those of the predecessors by writing the ends of the lines anew.
    """
    numbers = range(seq + 1, seq + 1 + len(lines))
    starts = [line.find(BEFORE_ENTRY) + 14 for line in lines]
    claimed = [line[start : start + 64] for line, start in zip(lines, starts)]
    before = [previous.hex().encode(), *claimed]
    ends = [b'","prev_hash":"%b","seq":%d}\n' % pair for pair in zip(before, numbers)]
    texts = [line[start + 77 : -len(end)] for line, start, end in zip(lines, starts, ends)]
    try:
        entries = [bytes.fromhex(entry.decode()) for entry in claimed]
        payloads, promises = _payloads(texts, shapes)
        kept, erased = _details(lines, starts, promises)
        if not all(map(bytes.endswith, lines, ends)):
            return None
    except (Broken, ValueError):
        return None
    steps = zip([previous, *entries], numbers, payloads)
    pack = STEP.pack
    computed = [
        sha256(pack(CHAIN, old, number, sha256(payload).digest())).hexdigest() for old, number, payload in steps
    ]
    if b"".join(claimed).decode() != "".join(computed):
        return None
    leaves = [sha256(b"\0" + payload).digest() for payload in payloads]
    return Batch(entries[-1], leaves, kept, erased)


def _payloads(texts: list[bytes], shapes: Shapes) -> tuple[list[bytes], list[bytes | None]]:
    """The records in these texts of lines, and what they promise about details. Raises Broken."""
    payloads, promises, quick, end = [], [], shapes.quick, -Shapes.END
    for text in texts:
        payload = text.translate(None, NOT_PLAIN)
        escapes = len(text) - len(payload)
        match = quick.get(text[end:])
        found = match(text) if match else None
        # What was dropped is a backslash each time, and as many quotes are left: nothing but quotes was escaped.
        if found and text.count(b"\\") == escapes == payload.count(b'"'):
            promises.append(found[1])
        else:
            payload = unescape(text)
            promises.append(shapes.promised(payload))
        payloads.append(payload)
    return payloads, promises


def _details(lines: list[bytes], starts: list[int], promises: list[bytes | None]) -> tuple[int, int]:
    """How many details are kept and erased, each the one that its record promises. Raises Broken for anything else."""
    kept = erased = 0
    for line, start, promised in zip(lines, starts, promises):
        if not line.startswith(AFTER_ENTRY, start + 64):
            raise Broken("line", "is unusual")
        if promised is None:
            if start != 29 or not line.startswith(NO_DETAIL):
                raise Broken("line", "is unusual")
            continue
        detail = DETAIL.fullmatch(line, 0, start)
        if detail and detail[3]:
            erased += 1
        elif (
            detail and sha256(bytes.fromhex(detail[1].decode()) + unescape(detail[2])).hexdigest().encode() == promised
        ):
            kept += 1
        else:
            raise Broken("detail", "is unusual")
    return kept, erased


# What other processes do: the shapes that each has learned, and the file that it reads.
_shapes = Shapes()


def read_block_elsewhere(path: str, offset: int, length: int, seq: int, previous: bytes) -> Batch | None:
    """`read_batch` for a part of the file, in a process of its own."""
    with open(path, "rb") as file:
        file.seek(offset)
        return read_batch(lines_of(file.read(length)), seq, previous, _shapes)


class Claim(NamedTuple):
    """Where a block should continue, by what the end of the block before says of itself."""

    seq: int
    entry: bytes


def claim_of(block: bytes) -> Claim | None:
    """What the last line of a block says that it is; None when it says nothing that can be read."""
    last = block[block.rfind(b"\n", 0, -1) + 1 :]
    entry = re.search(rb'"entry_hash":"([0-9a-f]{64})","', last)
    seq = re.search(rb',"seq":([1-9][0-9]{0,17})\}\n\Z', last)
    return Claim(int(seq[1]), bytes.fromhex(entry[1].decode())) if entry and seq else None


class Walk:
    """The way along a whole trail, from its first event to its last."""

    def __init__(self, report: Report, checkpoints: dict[int, Checkpoint], file: str) -> None:
        self.report = report
        self.checkpoints = checkpoints
        self.file = file
        self.shapes = Shapes()
        self.tree = Tree()
        self.seq = 0
        self.lines = 0
        self.previous: bytes | None = bytes(32)  # None: the line before was none, so nothing is known
        self.details = {"": 0, "kept": 0, "erased": 0}
        self.retired: list[list[int]] = []
        self.awaited = sorted(checkpoints, reverse=True)
        self.matched: list[int] = []

    def follow(self, path: Path, jobs: int) -> None:
        """Read to the end; large files in several processes at once."""
        with path.open("rb") as file, _pool(path, jobs) as pool:
            self._compare_reached()
            begun: deque[tuple[bytes, Claim | None, Any]] = deque()
            offset, claim = 0, Claim(0, bytes(32))  # type: int, Claim | None
            for block in blocks_of(file.read):
                place = (str(path), offset, len(block))
                ahead = pool.submit(read_block_elsewhere, *place, *claim) if pool and claim else None
                begun.append((block, claim, ahead))
                offset, claim = offset + len(block), claim_of(block)
                if len(begun) > 2 * jobs or not pool:
                    self._take(*begun.popleft())
            while begun:
                self._take(*begun.popleft())

    def _take(self, block: bytes, claim: Claim | None, ahead: Any) -> None:
        """Go on by one block. What was read ahead counts if the block begins where that reading supposed."""
        batch, lines = None, lines_of(block)
        if ahead is not None and claim == (self.seq, self.previous):
            batch = ahead.result()
        elif ahead is None and self.previous is not None:
            batch = read_batch(lines, self.seq, self.previous, self.shapes)
        if batch:
            self._accept(batch)
            return
        for first in range(0, len(lines), FEW):
            few = lines[first : first + FEW]
            batch = None if self.previous is None else read_batch(few, self.seq, self.previous, self.shapes)
            if batch:
                self._accept(batch)
            else:
                for raw in few:
                    self._look_closer(raw)

    def _accept(self, batch: Batch) -> None:
        start, taken = self.seq, 0
        self.lines += len(batch.leaves)
        self.details["kept"] += batch.kept
        self.details["erased"] += batch.erased
        self.seq, self.previous = start + len(batch.leaves), batch.entry
        while self.awaited and self.awaited[-1] <= self.seq:
            upto = self.awaited[-1] - start
            self.tree.leaves += batch.leaves[taken:upto]
            taken = max(taken, upto)
            self._compare(self.checkpoints[self.awaited.pop()])
        self.tree.leaves += batch.leaves[taken:]
        self.tree.take()

    def _compare_reached(self) -> None:
        while self.awaited and self.awaited[-1] <= self.seq:
            self._compare(self.checkpoints[self.awaited.pop()])

    def _look_closer(self, raw: bytes) -> None:
        self.lines += 1
        expected, number = self.seq + 1, self.lines
        complaints: list[tuple[str, str]] = []
        line = read_line(raw, self.shapes, lambda code, message: complaints.append((code, message)))
        seq = line.seq if line else expected
        for code, message in complaints:
            subject = f"Event {seq}" if line else f"Line {number}"
            self._add(code, f"{subject} {message}.", seq)
        if line is None:
            self.seq, self.previous = expected, None
            self._grow(bytes(32))
            return
        if seq > expected:
            self._add("gap", f"Events {expected} to {seq - 1} are missing.", expected)
        elif seq < expected:
            self._add("order", f"Event {seq} stands behind event {expected - 1}.", seq)
        if self.previous is not None and line.previous != self.previous.hex():
            self._add("chain", f"Event {seq} does not continue the event before it.", seq)
        if entry_of(line.previous, seq, line.payload_hash) != line.entry:
            self._add("entry", f"Event {seq}, or its link, was changed after it was sealed.", seq)
        self.seq, self.previous = seq, bytes.fromhex(line.entry)
        self._grow(line.leaf)
        self.details[line.state] += 1
        if line.is_retired:
            self._note_retired(seq)

    def _grow(self, leaf: bytes) -> None:
        self.tree.leaves.append(leaf)
        self.tree.take()
        self._compare_reached()

    def _note_retired(self, seq: int) -> None:
        if self.retired and self.retired[-1][1] == seq - 1:
            self.retired[-1][1] = seq
        else:
            self.retired.append([seq, seq])

    def _add(self, code: str, message: str, seq: int) -> None:
        self.report.add(code, message, file=self.file, line=self.lines, seq=seq)

    def _compare(self, checkpoint: Checkpoint) -> None:
        self.tree.take()
        size = self.tree.size + len(self.tree.leaves)
        if size == checkpoint.size and self.tree.root() == checkpoint.root:
            self.matched.append(size)
        else:
            self.report.add(
                "root",
                f"The first {checkpoint.size} events are not the ones that were signed.",
                file=self.file,
                seq=checkpoint.size,
            )


def read_checkpoints(folder: Path, keys: Sequence[Key], report: Report) -> dict[int, Checkpoint]:
    """The checkpoints in a folder (or the one in a file) by size. Bad ones are problems."""
    inside = sorted([*folder.glob("*.checkpoint"), *folder.glob("latest")])
    paths = inside if folder.is_dir() else [folder]
    found: dict[int, Checkpoint] = {}
    for path in paths:
        try:
            checkpoint = open_checkpoint(read_small(path, "The checkpoint"), keys)
            if path.suffix == ".checkpoint" and path.stem.isdigit() and path.stem != str(checkpoint.size):
                raise Broken("checkpoint", f"it speaks of size {checkpoint.size}")
            if found.setdefault(checkpoint.size, checkpoint).root != checkpoint.root:
                raise Broken("checkpoint", "another one of the same size has another root: two histories of one log")
        except Broken as error:
            report.add("checkpoint", f"The checkpoint {path.name} cannot be trusted: {error}.", file=path.name)
    if len({checkpoint.origin for checkpoint in found.values()}) > 1:
        report.add("checkpoint", "The checkpoints are of different logs. Give those of one log.")
    return found


@contextmanager
def _pool(path: Path, jobs: int) -> Iterator[Any]:
    """Other processes for a file that is worth it, where the system lets us have some; None otherwise."""
    pool = None
    if jobs > 1 and path.stat().st_size >= WORTH_OTHER_PROCESSES:
        try:
            pool = ProcessPoolExecutor(jobs)
        except (ImportError, OSError, NotImplementedError):
            pool = None
    try:
        yield pool
    finally:
        if pool:
            pool.shutdown()


def verify_trail(path: Path, report: Report, keys: Sequence[Key], folder: Path | None, jobs: int) -> None:
    """Check an exported trail that begins with its first event."""
    checkpoints = read_checkpoints(folder, keys, report) if folder else {}
    walk = Walk(report, checkpoints, path.name)
    try:
        walk.follow(path, jobs)
    except Broken as error:
        report.add(error.code, f"Line {walk.lines + 1} {error}.", file=path.name, line=walk.lines + 1)
    except OSError as error:
        raise NotChecked(f"{path} cannot be read: {error.strerror}.") from None
    for size in sorted(size for size in checkpoints if size > walk.seq):
        report.add("cut", f"A checkpoint of {size} events was signed; only {walk.seq} are here.", seq=walk.seq)
    report.facts.update(
        origin=next(iter(checkpoints.values())).origin if checkpoints else keys[0].name,
        events=walk.lines,
        size=walk.seq,
        root=walk.tree.root().hex(),
        head=walk.previous.hex() if walk.previous else "",
        details_kept=walk.details["kept"],
        details_erased=walk.details["erased"],
        retired=walk.retired,
        checkpoints_matched=len(walk.matched),
        newest_checkpoint=max(walk.matched, default=None),
    )
    _say_what_it_means(report, walk, folder)


def _say_what_it_means(report: Report, walk: Walk, folder: Path | None) -> None:
    newest = max(walk.matched, default=0)
    if walk.details["erased"]:
        report.notices.append(f"{walk.details['erased']} details were erased; their events are proved all the same.")
    for first, last in walk.retired:
        report.notices.append(
            f"Events {first} to {last} were retired: their hashes are proved here, their contents by the archive."
        )
    if not walk.lines:
        report.not_checked = "The file holds no event."
    elif folder and not walk.matched:
        report.not_checked = "No checkpoint fits into this trail, so a rewritten trail would not be noticed."
    elif not folder:
        report.notices.append("No checkpoint was given, so a trail that was rewritten as a whole would not be noticed.")
    elif newest < walk.seq:
        report.notices.append(f"Events {newest + 1} to {walk.seq} are newer than the newest checkpoint.")


# --- an evidence pack ------------------------------------------------------------------------------------------------

MANIFEST, MANIFEST_NOTE, CHECKPOINT = "manifest.json", "manifest.note", "checkpoint.txt"
LOG, INCLUSION, CONSISTENCY = "audit-log.jsonl", "proofs/inclusion.json", "proofs/consistency.json"
FORMATS = {"remit-evidence/1", "remit-archive/1"}
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\\:]")
TLOG_PROOF = re.compile(r"proofs/([1-9][0-9]{0,18})\.tlog-proof")
TLOG_START = "c2sp.org/tlog-proof@v1\nindex "
PIECE = 2**18


class Pack:
    """A ZIP file and what its signed manifest says about each entry."""

    def __init__(self, archive: zipfile.ZipFile, report: Report, keys: Sequence[Key]) -> None:
        self.archive = archive
        self.report = report
        self.keys = keys
        self.entries: dict[str, zipfile.ZipInfo] = {}
        self.manifest: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.good: set[str] = set()

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a small entry. Raises Broken."""
        with self.open(name) as file:
            return b"".join(self.pieces(name, file, limit))

    def open(self, name: str) -> Any:
        try:
            return self.archive.open(self.entries[name])
        except KeyError:
            raise Broken("missing", "is not in the pack", name) from None
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
            raise Broken("zip", f"cannot be unpacked: {_plainly(error)}", name) from None

    def pieces(self, name: str, file: Any, limit: int) -> Iterator[bytes]:
        """The entry's bytes, and no more of them than `limit`: a small file may unpack to a full disk."""
        seen = 0
        try:
            while True:
                piece = file.read(PIECE)
                if not piece:
                    return
                seen += len(piece)
                if seen > limit:
                    raise Broken("size", f"unpacks to more than the {limit:,} bytes that it may have", name)
                yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            if isinstance(error, Broken):
                raise
            raise Broken("zip", f"cannot be unpacked: {_plainly(error)}", name) from None

    def text(self, name: str, limit: int = MAX_SMALL_FILE) -> str:
        try:
            return self.read(name, limit).decode()
        except UnicodeDecodeError:
            raise Broken("text", "is not text", name) from None

    def json(self, name: str, limit: int = MAX_JSON) -> Any:
        try:
            return read_json(self.text(name, limit))
        except Broken:
            raise
        except ValueError as error:
            raise Broken("json", f"is not JSON that can be read: {error}", name) from None


def _plainly(error: Exception) -> str:
    return str(error) or type(error).__name__


def verify_pack(path: Path, report: Report, keys: Sequence[Key], older: Path | None, proof: Path | None) -> None:
    """Check an evidence pack, or the archive of retired events."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise NotChecked(f"{path} is not a ZIP file that can be read: {_plainly(error)}.") from None
    except OSError as error:
        raise NotChecked(f"{path} cannot be read: {error.strerror or error}.") from None
    with archive:
        pack = Pack(archive, report, keys)
        if not archive.infolist():
            raise NotChecked(f"{path} is an empty ZIP file.")
        _read_entries(pack)
        if not _step(pack, _read_manifest):
            return  # nothing in the pack is worth more than the list that names it
        _read_files(pack)
        checkpoint = _step(pack, _read_checkpoint)
        if checkpoint:
            _read_events(pack, checkpoint)
            if older:
                _compare_older(pack, checkpoint, older, proof)


def _step(pack: Pack, check: Callable[[Pack], Any]) -> Any:
    try:
        return check(pack)
    except Broken as error:
        pack.report.add(error.code, f"{error.file} {error}.", file=error.file)
        return None


def _read_entries(pack: Pack) -> None:
    """Names that could be written elsewhere, twice, or as something else than a file are refused."""
    infos = pack.archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise NotChecked(f"The pack has {len(infos):,} entries; none has more than {MAX_ENTRIES:,}.")
    folded: set[str] = set()
    for info in infos:
        name = info.filename
        shown = name[:MAX_PATH].encode("unicode_escape").decode()
        parts = name.split("/")
        if UNSAFE.search(name) or len(name) > MAX_PATH or {"", ".", ".."} & set(parts) or info.orig_filename != name:
            pack.report.add("name", f"The entry {shown!r} has a name that no pack has.", file=shown)
        elif info.external_attr >> 28 not in (0, 8) or info.flag_bits & 1:
            pack.report.add("name", f"The entry {shown} is not an ordinary file.", file=shown)
        elif name.casefold() in folded:
            pack.report.add("duplicate", f"The entry {shown} is there twice.", file=shown)
        else:
            folded.add(name.casefold())
            pack.entries[name] = info


def _read_manifest(pack: Pack) -> bool:
    data = pack.read(MANIFEST, MAX_MANIFEST)
    digest = sha256(data).hexdigest()
    body = pack.text(MANIFEST_NOTE)
    kind, _, rest = body.partition("\n")
    origin, _, rest = rest.partition("\n")
    if kind not in FORMATS:
        raise Broken("manifest", "is of a format that this verifier does not know", MANIFEST_NOTE)
    try:
        open_note(body, pack.keys, origin)
    except Broken as error:
        raise Broken("manifest", f"cannot be trusted: {error}", MANIFEST_NOTE) from None
    if not rest.startswith(f"{digest}\n\n"):
        raise Broken("manifest", "is not the one that was signed", MANIFEST)
    pack.manifest = _checked_manifest(data, kind)
    pack.sizes = {each["path"]: each["size"] for each in pack.manifest["files"]}
    pack.report.facts.update(format=kind, origin=origin, manifest=digest)
    return True


def _checked_manifest(data: bytes, kind: str) -> dict[str, Any]:
    try:
        manifest = read_json(data)
        is_canonical = canonical(manifest).encode() == data
    except (ValueError, RecursionError) as error:
        raise Broken("manifest", f"is not JSON that can be read: {error}", MANIFEST) from None
    if not is_canonical or not isinstance(manifest, dict) or manifest.get("format") != kind:
        raise Broken("manifest", "is not written in the canonical form of its format", MANIFEST)
    files = manifest.get("files")
    if not isinstance(files, list) or not all(_is_listed_file(each) for each in files):
        raise Broken("manifest", "has no proper list of files", MANIFEST)
    if len({each["path"] for each in files}) != len(files):
        raise Broken("manifest", "lists a file twice", MANIFEST)
    said = manifest.get("checkpoint")
    if not isinstance(said, dict) or not {"origin", "size", "root"} <= set(said):
        raise Broken("manifest", "names no checkpoint", MANIFEST)
    return manifest


def _is_listed_file(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("path"), str)
        and isinstance(entry.get("sha256"), str)
        and HEX.fullmatch(entry["sha256"]) is not None
        and type(entry.get("size")) is int
        and entry["size"] >= 0
    )


def _read_files(pack: Pack) -> None:
    """Every listed file is there with its hash and size, and nothing else is."""
    for name in sorted(set(pack.entries) - set(pack.sizes) - {MANIFEST, MANIFEST_NOTE}):
        pack.report.add("extra", f"{name} is in the pack, but not in its manifest.", file=name)
    for listed in pack.manifest["files"]:
        _step(pack, partial(_read_file, listed=listed))
    pack.report.facts["files"] = len(pack.good)


def _read_file(pack: Pack, listed: dict[str, Any]) -> None:
    name, digest, size = listed["path"], sha256(), 0
    with pack.open(name) as file:
        for piece in pack.pieces(name, file, listed["size"]):
            digest.update(piece)
            size += len(piece)
    if size != listed["size"]:
        raise Broken("size", f"has {size:,} bytes, not {listed['size']:,}", name)
    if digest.hexdigest() != listed["sha256"]:
        raise Broken("hash", "is not the file that was packed", name)
    pack.good.add(name)


def _read_checkpoint(pack: Pack) -> Checkpoint:
    text = pack.text(CHECKPOINT)
    try:
        checkpoint = open_checkpoint(text, pack.keys)
    except Broken as error:
        raise Broken("checkpoint", f"cannot be trusted: {error}", CHECKPOINT) from None
    said = pack.manifest["checkpoint"]
    if (said["origin"], said["size"], said["root"]) not in _forms(checkpoint):
        raise Broken("checkpoint", "is not the checkpoint that the manifest names", CHECKPOINT)
    pack.report.facts["checkpoint"] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
    }
    return checkpoint


def _forms(checkpoint: Checkpoint) -> list[tuple[str, int, str]]:
    roots = checkpoint.root.hex(), base64.b64encode(checkpoint.root).decode()
    return [(checkpoint.origin, checkpoint.size, root) for root in roots]


class Excerpt:
    """The chosen events of a pack: each whole in itself, in order, and all of them under the checkpoint."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.shapes = Shapes()
        self.indices: list[int] = []
        self.leaves: list[bytes] = []
        self.details = {"": 0, "kept": 0, "erased": 0}
        self.lines = 0
        self.last: Line | None = None

    def read(self, lines: list[bytes]) -> None:
        for raw in lines:
            self.lines += 1
            complaints: list[tuple[str, str]] = []
            line = read_line(raw, self.shapes, lambda code, message: complaints.append((code, message)))  # noqa: B023
            for code, message in complaints:
                subject = f"Event {line.seq}" if line else f"Line {self.lines}"
                self._add(code, f"{subject} {message}.", line.seq if line else None)
            if line:
                self._check(line)

    def _check(self, line: Line) -> None:
        last, seq = self.last, line.seq
        if last and seq <= last.seq:
            self._add("order", f"Event {seq} stands behind event {last.seq}.", seq)
        elif last and seq == last.seq + 1 and line.previous != last.entry:
            self._add("chain", f"Event {seq} does not continue the event before it.", seq)
        elif seq == 1 and line.previous != START:
            self._add("chain", "Event 1 is not the beginning of a trail.", seq)
        if entry_of(line.previous, seq, line.payload_hash) != line.entry:
            self._add("entry", f"Event {seq}, or its link, was changed after it was sealed.", seq)
        self.details[line.state] += 1
        self.indices.append(seq - 1)
        self.leaves.append(line.leaf)
        self.last = line

    def _add(self, code: str, message: str, seq: int | None) -> None:
        self.report.add(code, message, file=LOG, line=self.lines, seq=seq)


def _read_events(pack: Pack, checkpoint: Checkpoint) -> None:
    excerpt = Excerpt(pack.report)
    _step(pack, partial(_read_log, excerpt=excerpt))
    _step(pack, partial(_check_inclusion, excerpt=excerpt, checkpoint=checkpoint))
    proofs = [name for name in pack.sizes if TLOG_PROOF.fullmatch(name)]
    proved = [_step(pack, partial(_check_tlog_proof, name=name, excerpt=excerpt)) for name in proofs]
    _step(pack, partial(_check_counts, excerpt=excerpt))
    pack.report.facts.update(
        events=excerpt.lines,
        details_kept=excerpt.details["kept"],
        details_erased=excerpt.details["erased"],
        single_proofs=sum(map(bool, proved)),
    )
    if excerpt.details["erased"]:
        pack.report.notices.append(
            f"{excerpt.details['erased']} details were erased; their events are proved all the same."
        )


def _read_log(pack: Pack, excerpt: Excerpt) -> None:
    with pack.open(LOG) as file:
        pieces = pack.pieces(LOG, file, pack.sizes.get(LOG, 0))
        try:
            for block in blocks_of(lambda _: next(pieces, b"")):
                excerpt.read(lines_of(block))
        except Broken as error:
            if error.file:
                raise
            raise Broken(error.code, f"line {excerpt.lines + 1} {error}", LOG) from None


def _check_inclusion(pack: Pack, excerpt: Excerpt, checkpoint: Checkpoint) -> None:
    proof = pack.json(INCLUSION)
    nodes = _hashes(proof.get("nodes")) if isinstance(proof, dict) else None
    if nodes is None or proof.get("size") != checkpoint.size:
        raise Broken("inclusion", f"is no proof for a log of {checkpoint.size} events", INCLUSION)
    if proof.get("indices") != excerpt.indices:
        raise Broken("inclusion", f"is not about the events of {LOG}", INCLUSION)
    if root_of_multiproof(checkpoint.size, excerpt.indices, excerpt.leaves, nodes) != checkpoint.root:
        raise Broken("inclusion", f"does not prove that all events of {LOG} are under the checkpoint", INCLUSION)
    pack.report.facts["proved"] = len(excerpt.indices)


def _hashes(values: Any) -> list[bytes] | None:
    if not isinstance(values, list) or not all(isinstance(each, str) and HEX.fullmatch(each) for each in values):
        return None
    return [bytes.fromhex(each) for each in values]


def _check_tlog_proof(pack: Pack, name: str, excerpt: Excerpt) -> bool:
    proof, _, note = pack.text(name).partition("\n\n")
    if not proof.startswith(TLOG_START):
        raise Broken("proof", "is not a proof of c2sp.org/tlog-proof", name)
    number, *path = proof[len(TLOG_START) :].split("\n")
    seq = int(name[len("proofs/") : -len(".tlog-proof")])
    try:
        hashes = [from_base64(each) for each in path]
        checkpoint = open_checkpoint(note, pack.keys)
    except Broken as error:
        raise Broken("proof", f"cannot be trusted: {error}", name) from None
    if number != str(seq - 1) or any(len(each) != 32 for each in hashes):
        raise Broken("proof", f"is not about event {seq}", name)
    where = _place(excerpt.indices, seq - 1)
    if where is None:
        raise Broken("proof", f"is about an event that {LOG} does not hold", name)
    if not proves_inclusion(excerpt.leaves[where], seq - 1, checkpoint.size, hashes, checkpoint.root):
        raise Broken("proof", f"does not prove that event {seq} is under its checkpoint", name)
    return True


def _place(indices: list[int], index: int) -> int | None:
    found = bisect_left(indices, index)
    return found if found < len(indices) and indices[found] == index else None


def _check_counts(pack: Pack, excerpt: Excerpt) -> None:
    """What the manifest says about the number of events and lines."""
    said = pack.manifest.get("events")
    if said is not None and said != excerpt.lines:
        raise Broken("count", f"holds {excerpt.lines} events; the manifest says {said}", LOG)


def _compare_older(pack: Pack, checkpoint: Checkpoint, path: Path, proof_path: Path | None) -> None:
    """Whether the log of a checkpoint that somebody kept only grew until this pack."""
    try:
        kept = open_checkpoint(read_small(path, "The older checkpoint"), pack.keys)
    except Broken as error:
        raise NotChecked(f"The older checkpoint {path} cannot be used: {error}.") from None
    if kept.origin != checkpoint.origin:
        raise NotChecked(f"The older checkpoint is of another log, {kept.origin}; the pack is of {checkpoint.origin}.")
    older, newer = sorted((kept, checkpoint), key=lambda each: each.size)
    nodes = _consistency_nodes(pack, older.size, newer.size, proof_path)
    if nodes is None:
        pack.report.not_checked = (
            f"The pack holds no proof between {older.size} and {newer.size} events. "
            "Ask for one and give it with --consistency."
        )
    elif proves_consistency(older, newer, nodes):
        pack.report.facts["consistent_with"] = kept.size
    else:
        pack.report.add(
            "consistency",
            f"The log of {older.size} events that was signed earlier is not the beginning of that of {newer.size}.",
            file=str(path),
            seq=older.size,
        )


def _consistency_nodes(pack: Pack, old: int, new: int, path: Path | None) -> list[bytes] | None:
    """The proof from the file that was given, or from the pack; None when neither has it."""
    if old in (new, 0):
        return []
    if path:
        try:
            found = read_json(read_small(path, "The proof"))
        except ValueError:
            raise NotChecked(f"The proof {path} is not JSON.") from None
    elif CONSISTENCY in pack.good:
        found = _step(pack, lambda pack: pack.json(CONSISTENCY))
    else:
        return None
    for proof in found if isinstance(found, list) else [found]:
        if isinstance(proof, dict) and (proof.get("old_size"), proof.get("new_size")) == (old, new):
            return _hashes(proof.get("nodes"))
    return None


# --- the command line ------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(
        prog="remit_verify.py",
        description="Check evidence of Remit without Remit. Exit code 0: intact, 1: not intact, "
        "2: could not be checked.",
    )
    described.add_argument("--version", action="version", version=f"remit_verify {VERSION}")
    commands = described.add_subparsers(dest="command", required=True, metavar="COMMAND")
    trail = commands.add_parser("verify-trail", help="check an exported trail, from its first event on")
    trail.add_argument("file", type=Path, help="the trail, one event a line")
    trail.add_argument(
        "--checkpoints", type=Path, metavar="PATH", help="a folder of checkpoints kept elsewhere, or one of them"
    )
    trail.add_argument(
        "--jobs", type=int, default=_processors(), metavar="N", help="processes that read (default: one per processor)"
    )
    pack = commands.add_parser("verify-pack", help="check an evidence pack, or an archive of retired events")
    pack.add_argument("file", type=Path, help="the ZIP file")
    pack.add_argument(
        "--older-checkpoint", type=Path, metavar="FILE", help="one that you kept: has the log only grown since?"
    )
    pack.add_argument("--consistency", type=Path, metavar="FILE", help="the proof for it, if the pack holds none")
    for each in (trail, pack):
        each.add_argument(
            "--key",
            action="append",
            required=True,
            metavar="KEY",
            help="the verifier key, a file or the line itself; take it from a place that you trust, not from the pack",
        )
        each.add_argument("--json", action="store_true", help="print the report as JSON")
    return described


def _processors() -> int:
    try:
        return min(len(os.sched_getaffinity(0)), 8)
    except AttributeError:
        return min(os.cpu_count() or 1, 8)


def check(options: argparse.Namespace) -> Report:
    """Do what the command line asks for; whatever happens ends in the report."""
    report = Report(options.command, str(options.file))
    try:
        keys = read_keys(options.key)
        if options.command == "verify-trail":
            verify_trail(options.file, report, keys, options.checkpoints, max(1, options.jobs))
        else:
            verify_pack(options.file, report, keys, options.older_checkpoint, options.consistency)
    except NotChecked as error:
        report.not_checked = str(error)
    except (MemoryError, RecursionError):
        report.not_checked = "It asks for more memory than this process may use."
    return report


def describe(report: Report) -> str:
    """The report for a person."""
    said = [
        f"{name.replace('_', ' '):20} {_said(value)}" for name, value in report.facts.items() if value not in ("", [])
    ]
    said += [f"{'note':20} {notice}" for notice in report.notices]
    for problem in report.problems:
        place = problem["file"] + (f", line {problem['line']}" if problem["line"] else "")
        said.append(f"{'BROKEN':20} {problem['message']}{place and f' [{place}]'}")
    if report.problem_count > len(report.problems):
        said.append(f"... and {report.problem_count - len(report.problems)} more.")
    if report.not_checked:
        said.append(f"{'NOT CHECKED':20} {report.not_checked}")
    said.append(
        (
            "Intact.",
            f"NOT intact: {report.problem_count} problem{'s' * (report.problem_count != 1)}.",
            "Could not be checked.",
        )[report.exit_code]
    )
    return "\n".join(said) + "\n"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    report = check(options)
    text = json.dumps(report.as_dict(), indent=2) + "\n" if options.json else describe(report)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
