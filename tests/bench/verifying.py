"""How fast the stand-alone verifier reads an exported trail, beside a loop that does nothing but compute its digests."""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from governance.audit.canonical import canonical
from governance.audit.notes import sign_checkpoint, verifier_key
from governance.audit.standalone import remit_verify
from tests.bench.measures import Bench
from tests.bench.report import Row

ORIGIN = "bench.example/audit/1"
QUICK, FULL = 50_000, 1_000_000
PIECE = 10_000
START = bytes(32)
VERBS = ("item.decided", "item.assigned", "order.planned", "order.verified", "user.signed_in", "sync.applied")


def measure_verifying(bench: Bench) -> list[Row]:
    """Events per second of the verifier, and of the bare digests over the same bytes, taking turns."""
    events = FULL if bench.size.is_full else QUICK
    folder = bench.place.folder / "verifying"
    folder.mkdir(parents=True, exist_ok=True)
    key, root, size = write_trail(folder, events)
    options = remit_verify.parser().parse_args(
        ["verify-trail", str(folder / "trail.jsonl"), "--checkpoints", str(folder / "checkpoints"), "--key", key]
    )
    ours, bare = [], []
    for _ in range(bench.size.rounds):
        started = time.perf_counter()
        report = remit_verify.check(options)
        ours.append(events / (time.perf_counter() - started))
        if report.exit_code or report.facts["root"] != root.hex():
            raise RuntimeError(f"the verifier did not find the trail intact: {report.as_dict()}")
        seconds, computed = bare_digests(folder / "payloads")
        bare.append(events / seconds)
        if computed != root:
            raise RuntimeError("the bare loop computed another root")
    note = f"{events:,} events, {size / events:.0f} bytes a line, every fourth with a detail; file to report; several processes from 16 MB on"
    return [bench.row("audit_verify_over_sha256", ours, bare, unit="events/s", note=note)]


def bare_digests(path: Path) -> tuple[float, bytes]:
    """Seconds for the digests alone (payload, chain, leaf, detail, tree), reading left out; and the root."""
    seconds, seq, previous, groups = 0.0, 0, START, []
    with path.open("rb") as file:
        while lines := list(islice(file, PIECE)):
            pairs = [line[:-1].split(b"\t") for line in lines]
            started = time.perf_counter()
            leaves = []
            for payload, detail in pairs:
                seq += 1
                digest = sha256(payload).digest()
                previous = sha256(b"chain.v1\0" + previous + seq.to_bytes(8, "big") + digest).digest()
                leaves.append(sha256(b"\0" + payload).digest())
                if detail:
                    sha256(detail).digest()
            groups.append(leaves)
            seconds += time.perf_counter() - started
    started = time.perf_counter()
    level = [leaf for leaves in groups for leaf in leaves]
    while len(level) > 1:
        pairs_of_level = iter(level)
        above = [
            sha256(b"\1" + left + right).digest() for left, right in zip(pairs_of_level, pairs_of_level, strict=False)
        ]
        level = above + level[-1:] if len(level) & 1 else above
    return seconds + time.perf_counter() - started, level[0]


def write_trail(folder: Path, events: int) -> tuple[str, bytes, int]:
    """An exported trail with a checkpoint over all of it, and its bare payloads; the key, the root, the file's size."""
    previous, leaves = START, []
    with (folder / "trail.jsonl").open("w") as trail, (folder / "payloads").open("wb") as payloads:
        for seq, (payload, detail) in enumerate(made_up(events), start=1):
            digest = sha256(payload).digest()
            entry = sha256(b"chain.v1\0" + previous + seq.to_bytes(8, "big") + digest).digest()
            said = {"salt": SALT.hex(), "text": detail.decode()} if detail else None
            facts = {"detail": said, "entry_hash": entry.hex(), "payload": payload.decode()}
            facts |= {"prev_hash": previous.hex(), "seq": seq}
            trail.write(json.dumps(facts, sort_keys=True, separators=(",", ":")) + "\n")
            payloads.write(payload + b"\t" + (SALT + detail if detail else b"") + b"\n")
            leaves.append(sha256(b"\0" + payload).digest())
            previous = entry
    tree = remit_verify.Tree()
    tree.leaves += leaves
    key = Ed25519PrivateKey.generate()
    (folder / "checkpoints").mkdir(exist_ok=True)
    note = sign_checkpoint(origin=ORIGIN, size=events, root=tree.root(), key=key).note
    (folder / "checkpoints" / f"{events}.checkpoint").write_text(note)
    return verifier_key(ORIGIN, key.public_key()), tree.root(), (folder / "trail.jsonl").stat().st_size


SALT = bytes(range(100, 132))  # no byte that ends a line or a field of the bare file


def made_up(events: int) -> Iterator[tuple[bytes, bytes]]:
    """Payloads like those of a review, with the detail of every fourth; the same each time."""
    random = Random(20_261_126)
    for number in range(events):
        verb = VERBS[0] if number % 2 else random.choice(VERBS[1:])
        detail = canonical({"reason": f"Needed for the nightly export of team {number % 90}"}).encode()
        detail = detail if number % 4 == 1 else b""
        item = f"{random.getrandbits(128):032x}"
        yield (
            canonical(
                {
                    "v": 1,
                    "id": f"0189{number:028x}",
                    "at": f"2026-03-02T09:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1_000_000:06d}Z",
                    "verb": verb,
                    "actor": {
                        "kind": "person",
                        "id": f"{number % 40:032x}",
                        "label": "a person",
                        "auth": "password+totp",
                    },
                    "subject": {"kind": verb.partition(".")[0], "id": item, "label": f"Question {number}"},
                    "request": f"{random.getrandbits(64):016x}",
                    "outcome": "success",
                    "old": {"state": "open", "version": number % 7} if number % 3 else None,
                    "new": {"decision": "narrow", "state": "decided", "version": number % 7 + 1},
                    "context": {"bulk": number % 5 == 0, "campaign": f"{number % 3:032x}", "evidence": item},
                    "detail": sha256(SALT + detail).hexdigest() if detail else None,
                }
            ).encode(),
            detail,
        )
