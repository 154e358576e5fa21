"""How long proofs and right-sizing take: over all managed policies of AWS where their export is beside the checkout,
otherwise over policies made up here in their likeness.
"""

import gzip
import json
import time
from pathlib import Path
from random import Random

from governance.kernel import decisions, patterns
from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.permissions import (
    Condition,
    CounterExample,
    PatternSet,
    Permission,
    Statement,
    includes,
    sample_requests,
)
from governance.kernel.rightsizing import NotNarrowable, replay, right_size
from tests.bench import report
from tests.bench.measures import Bench
from tests.bench.narrowings import narrowings
from tests.bench.report import Row

EXPORT = Path(__file__).parents[3] / "shared/data/iann0036_iam-dataset/aws_managed_policies_compact.json.gz"
MADE_UP = 1_200
SEED = 20_261_126
USED = 12
"""So many different requests stand for what a log showed of one policy."""


def measure_proofs(bench: Bench) -> list[Row]:
    """Narrowings and their reverse: milliseconds per answer. Right-sizing to a few requests: policies per second."""
    policies, whose = _policies()
    middle, slowest, rates = [], [], []
    used = [(held, sample_requests(held, USED)) for held in policies]
    used = [(held, pairs) for held, pairs in used if pairs]
    for number in range(bench.size.rounds):
        durations = _answers(policies, Random(SEED + number))
        middle.append(report.percentile(durations, 0.5))
        slowest.append(report.percentile(durations, 0.99))
        rates.append(_right_sized(used))
    note = (
        f"{len(policies):,} {whose}; each narrowed at random, both directions, nothing remembered from before the round"
    )
    return [
        bench.row("proof_p50_ms", middle, unit="ms", note=note),
        bench.row("proof_p99_ms", slowest, unit="ms", note=note),
        bench.row("right_size_per_s", rates, unit="policies/s", note=f"{len(used):,} {whose}, {USED} requests each, style exact, with its proof"),
    ]  # fmt: skip


def _answers(policies: list[Permission], random: Random) -> list[float]:
    pairs = [(held, found[0][1]) for held in policies if (found := narrowings(held, random))]
    _forget()
    durations, refuted = [], 0
    for held, narrow in pairs:
        started = time.perf_counter()
        proved = includes(held, narrow)
        between = time.perf_counter()
        back = includes(narrow, held)
        ended = time.perf_counter()
        durations += [(between - started) * 1000, (ended - between) * 1000]
        if not proved.holds:
            raise RuntimeError(f"a narrowing was not proved: {proved.explain()}")
        refuted += isinstance(back, CounterExample)
    if refuted < len(pairs) * 0.9:
        raise RuntimeError(f"only {refuted} of {len(pairs)} ways back were refuted")
    return durations


def _right_sized(used: list[tuple[Permission, list[tuple[str, str]]]]) -> float:
    _forget()
    started = time.perf_counter()
    found = [_target(held, pairs) for held, pairs in used]
    seconds = time.perf_counter() - started
    if any(
        target is not None and replay(pairs, target).refused for (_, pairs), target in zip(used, found, strict=True)
    ):
        raise RuntimeError("a right-sized permission refuses what was used")
    return len(used) / seconds


def _target(held: Permission, pairs: list[tuple[str, str]]) -> Permission | None:
    try:
        return right_size(held, pairs)
    except NotNarrowable:
        return None


def _forget() -> None:
    """Each round compiles anew, as a console does that sees a permission for the first time."""
    for remembered in (
        decisions.compile_permission, decisions.compile_statement, decisions._compile_actions,
        decisions._compile_resources, patterns.glob,
    ):  # fmt: skip
        remembered.cache_clear()


def _policies() -> tuple[list[Permission], str]:
    if not EXPORT.exists():
        return made_up(MADE_UP), "made-up policies"
    documents = json.loads(gzip.decompress(EXPORT.read_bytes()))
    return [
        Permission("aws", from_policy_document(each["document"])) for each in documents.values()
    ], "AWS managed policies"


_SERVICES = (
    "s3",
    "ec2",
    "sqs",
    "sns",
    "iam",
    "kms",
    "dynamodb",
    "lambda",
    "logs",
    "rds",
    "ssm",
    "ecr",
    "glue",
    "events",
)
_VERBS = ("Get", "List", "Describe", "Create", "Put", "Update", "Delete", "Tag", "Start", "Stop")
_NOUNS = ("Object", "Bucket", "Queue", "Table", "Function", "Key", "Role", "Item", "Stream", "Rule", "Policy", "Image")


def made_up(number: int, seed: int = SEED) -> list[Permission]:
    """Policies of one to eight statements: names and patterns, some denies, some conditions. The same for each seed."""
    random = Random(seed)
    return [
        Permission("aws", tuple(_statement(random, place) for place in range(random.choice((1, 1, 2, 3, 5, 8)))))
        for _ in range(number)
    ]


def _statement(random: Random, place: int) -> Statement:
    service = random.choice(_SERVICES)
    names = [f"{service}:{random.choice(_VERBS)}{random.choice(_NOUNS)}" for _ in range(random.choice((1, 3, 8, 20)))]
    if random.random() < 0.3:
        names.append(f"{service}:{random.choice(_VERBS)}*")
    places = [
        f"arn:aws:{service}:*:*:{random.choice(_NOUNS).lower()}/{random.randrange(50)}*"
        for _ in range(random.choice((1, 2, 4)))
    ]
    return Statement(
        actions=PatternSet(tuple(dict.fromkeys(names))),
        resources=PatternSet(("*",) if random.random() < 0.5 else tuple(dict.fromkeys(places))),
        effect="deny" if place and random.random() < 0.1 else "allow",
        conditions=(Condition("StringEquals", "aws:ResourceTag/team", ("ledger",)),) if random.random() < 0.2 else (),
    )
