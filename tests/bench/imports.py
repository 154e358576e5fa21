"""A file of 100,000 policy statements taken in, beside decoding the same file and doing nothing with it."""

import json
import time
from pathlib import Path

from tests.bench.measures import Bench
from tests.bench.report import Row

STATEMENTS, IN_A_GRANT, GRANTS_OF_ONE = 100_000, 5, 10
IMPORT_DB = "bench_import"
SERVICES = ("s3", "sqs", "sns", "dynamodb", "kms", "lambda", "ecr", "logs", "ec2", "secretsmanager")


def measure_import(bench: Bench) -> list[Row]:
    """Seconds of `manage.py import` into an empty inventory; the ratio says how many times decoding that is.

    Remit's own records of the dialect aws: what exports of other formats become before they are taken in.
    """
    file = bench.place.folder / "statements.ndjson"
    write_statements(file, statements=STATEMENTS)
    ours, alone = [], []
    for _ in range(bench.size.sync_rounds):
        result = bench.place.inside(bench.place.fresh(IMPORT_DB), "import_file", file=str(file))
        if result["state"] != "applied" or result["counts"]["grant"]["added"] != STATEMENTS // IN_A_GRANT:
            raise RuntimeError(f"the import ended as {result['state']}: {result['counts']} {result['problem']}")
        ours.append(result["seconds"])
        alone.append(_decode(file))
        bench.say(f"  import: {ours[-1]:.1f} s, {result['peak_mb']:.0f} MB; decoding alone {alone[-1]:.2f} s")
    note = f"{STATEMENTS:,} statements in {STATEMENTS // IN_A_GRANT:,} grants; beside json.loads of each line"
    return [bench.row("import_100k_statements_s", ours, alone, unit="s", note=note)]


def write_statements(file: Path, *, statements: int) -> None:
    """Records of dialect aws, `IN_A_GRANT` different statements a grant; the same bytes every time."""
    records = 0
    with file.open("w") as out:
        for grant in range(statements // IN_A_GRANT):
            identity = f"arn:aws:iam::417390025518:role/role-{grant // GRANTS_OF_ONE}"
            if grant % GRANTS_OF_ONE == 0:
                out.write(json.dumps({"type": "identity", "id": identity, "kind": "workload"}) + "\n")
                records += 1
            said = {"dialect": "aws", "statements": [_statement(grant, each) for each in range(IN_A_GRANT)]}
            record = {"type": "grant", "id": f"{identity}/p{grant % GRANTS_OF_ONE}", "identity": identity}
            out.write(json.dumps(record | {"permission": said}) + "\n")
            records += 1
        out.write(json.dumps({"type": "end", "records": records}) + "\n")


def _statement(grant: int, number: int) -> dict[str, object]:
    service = SERVICES[(grant + number) % len(SERVICES)]
    written: dict[str, object] = {
        "actions": [f"{service}:Get*", f"{service}:List*", f"{service}:Put{grant % 40}"],
        "resources": [f"arn:aws:{service}:eu-central-1:417390025518:thing-{grant}-{number}/*"],
    }
    if number == 0:
        written["conditions"] = [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}]
    return written


def _decode(file: Path) -> float:
    began = time.perf_counter()
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)
    return time.perf_counter() - began
