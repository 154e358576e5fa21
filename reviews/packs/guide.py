"""VERIFY.md: what an auditor does with a pack, in three steps, and what it does not prove."""

from collections.abc import Iterator
from pathlib import Path

import governance.audit
from reviews.packs.content import Pin, Tally, when

VERIFIER = Path(governance.audit.__file__).parent / "standalone" / "remit_verify.py"

TEXT = """# How to check this pack

Evidence of the access review “{name}”, as it stood at checkpoint {size} of the audit trail `{origin}`,
pinned at {pinned}.

You need Python 3.11 or newer, this file, and two things that **must not come from whoever gave you the pack**: the
verifier key (one line) of this installation, which you were given when the log was started, and, if you have one, a
checkpoint of your own from an earlier date.

## Three steps

1. **The files are the signed ones, and every event is in the trail.**

       python3 remit_verify.py verify-pack PACK.zip --key verifier.key

   Exit code 0: intact. 1: something was changed; the report names it. 2: it could not be checked.
   Take `remit_verify.py` from a place that you trust; the copy in here is for convenience.

2. **The trail was not rewritten since you last looked.** Compare with a checkpoint that you kept:

       python3 remit_verify.py verify-pack PACK.zip --key verifier.key --older-checkpoint YOURS.checkpoint

   This pack stands on the checkpoint in `checkpoint.txt`: size {size}, root `{root}`. Ask for the checkpoint files of
   the installation (`AUDIT_CHECKPOINT_DIR`, or a copy kept elsewhere): a file `{size}.checkpoint` must hold the same
   text.

3. **The tables say what the events say.** Take any rows of `decisions.csv` and find their events in
   `audit-log.jsonl` (`context.decision` in the payload is the first column). `population.csv` gives back the digest in
   `completeness.json`: the sha256 over one line `kind object content_digest` per row, in the order of the file.

By hand, without our program: each line's `payload` is the text that was hashed. Its Merkle leaf is
SHA-256(0x00, payload), `proofs/inclusion.json` leads from all leaves to the root in `checkpoint.txt`, and
`proofs/*.tlog-proof` prove the milestones in the text form of c2sp.org/tlog-proof. `manifest.json` lists the sha256 of
every file; `manifest.note` signs it.

## The files

| Question | Files |
|---|---|
| What was in scope, and who decided that? | `scope.json` |
| Is the population complete, and of which reading? | `sources.csv`, `completeness.json` |
| Was it frozen before the first answer? | `population.csv`, `completeness.json`, `proofs/` |
| Who was asked, and were they independent? | `reviewers.csv` |
| What could they see? | `seen.jsonl` |
| What was decided, when, why, in time? | `decisions.csv`, `quality.json` |
| Was it carried out, and what proves it? | `remediation.csv` |
| What deviates, who accepted it, until when? | `exceptions.csv` |
| Who of management knows the result? | `acknowledgement.json` |
| What can this pack not vouch for? | `not_assessable.csv` |
| By which rules? | `policies/` |
| Can I trust it? | `audit-log.jsonl`, `checkpoint.txt`, `proofs/`, `manifest.json`, `manifest.note` |

A cell of a CSV file that a spreadsheet would run as a formula begins with `'`. Times are UTC.

## What this does not prove

- That what was recorded was true, or that a person judged well. It proves that it was recorded then, and not changed.
- Anything about a time before the checkpoint that you compare with: the trail is tamper-evident to whoever holds an
  older checkpoint, not tamper-proof.
- That a source answered completely and honestly. `completeness.json` says what it reported and what was kept of it.
- The tables are made from the installation's database. What the trail says is in `audit-log.jsonl`; where both
  disagree, the trail counts.
- Who was behind a sign-in. `decisions.csv` says how each session was proved.
{erased}
Built again at the same checkpoint this pack has the same content, byte for byte, with one exception: reasons and names
that are erased in between are missing in the later one, which then says so.
"""


def verify_md(pin: Pin, tally: Tally) -> Iterator[str]:
    """The guide, with the numbers of this pack."""
    lines = pin.review["name"].splitlines() or [""]
    erased = (
        f"- What {tally.erased} texts of this review said: they were erased. Their events are proved all the same.\n"
        if tally.erased
        else ""
    )
    yield TEXT.format(
        name=" ".join(lines).replace("`", "'"),
        size=pin.size,
        origin=pin.origin,
        pinned=when(pin.pinned_at),
        root=pin.root.hex(),
        erased=erased,
    )


def verifier_program() -> str | None:
    """The stand-alone verifier's text, where this version has one."""
    return VERIFIER.read_text(encoding="utf-8") if VERIFIER.is_file() else None
