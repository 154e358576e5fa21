"""A seeded estate of any size as NDJSON files, as a sync client would send them (docs/api.md, "Record types").

The same size and seed give the same bytes. N grants lie over about N/12 identities, with four to twenty each; most
identities name an owner, some hold credentials, and a few thousand different permissions of six dialects repeat.
Written by string formatting, because a million records through `json.dumps` would cost more than the measurement.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ACCOUNT = "417390025518"
OWNERS = 40
FEWEST, MOST = 4, 20
SERVICES = (
    "payments", "ledger", "payouts", "refunds", "invoicing", "fx", "risk", "disputes", "kyc", "notifications",
    "webhooks", "search", "reporting", "settlement", "onboarding", "pricing", "statements", "support", "vault", "audit",
)  # fmt: skip
KINDS = (
    "service_account",
    "workload",
    "api_client",
    "oauth_app",
    "bot",
    "ci_job",
    "ai_agent",
    "machine",
    "database_user",
)
STAGES = ("production", "production", "staging", "development")
CREDENTIALS = ("access_key", "client_secret", "x509", "api_key", "password")
PATHS = (
    '[{"kind":"direct"}]',
    '[{"kind":"role","id":"writers","label":"Writers"}]',
    '[{"kind":"group","id":"platform","label":"Platform"},{"kind":"role","id":"operators","label":"Operators"}]',
)
REVOCABILITIES = ("here", "via_group", "shared_role")
LINES_AT_ONCE = 5_000


class Variant(StrEnum):
    """What a reading says: everything for the first time, or with a share changed, added and retired since."""

    FIRST = "first"
    ONE_PERCENT = "one_percent"
    HALF = "half"


# Of 10,000 grants: how many say something else, how many are gone, how many are new.
SHARES = {Variant.FIRST: (0, 0, 0), Variant.ONE_PERCENT: (80, 10, 10), Variant.HALF: (4_000, 500, 500)}


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in a file, by number. `records` counts all but the end record."""

    records: int
    identities: int
    credentials: int
    grants: int


def owner_email(number: int) -> str:
    """The addresses that the estate names as owners, from 0 to `OWNERS` - 1."""
    return f"owner-{number:02d}@bench.example.org"


def write_estate(
    path: Path, *, grants: int, variant: Variant = Variant.FIRST, seed: int = 1, prefix: str = "", end: bool = True
) -> Written:
    """Write one reading. prefix: goes before every id, so that several sources do not look alike. end: close it."""
    made = _Estate(grants, variant, seed, prefix)
    with path.open("w", encoding="ascii", newline="\n") as file:
        batch: list[str] = []
        for line in made.lines():
            batch.append(line)
            if len(batch) >= LINES_AT_ONCE:
                file.write("\n".join(batch) + "\n")
                batch.clear()
        if end:
            batch.append(f'{{"type":"end","records":{made.written.records}}}')
        if batch:
            file.write("\n".join(batch) + "\n")
    return made.written


def estate_lines(*, grants: int, variant: Variant = Variant.FIRST, seed: int = 1, prefix: str = "") -> list[str]:
    """A small estate in memory, without its end record."""
    return list(_Estate(grants, variant, seed, prefix).lines())


class _Estate:
    def __init__(self, grants: int, variant: Variant, seed: int, prefix: str) -> None:
        self._total, self._seed, self._prefix = grants, seed, prefix
        changed, retired, added = SHARES[variant]
        # Ranges of a number from 0 to 9,999 that is drawn for each grant.
        self._changed_below, self._retired_below, self._added_below = (
            changed,
            changed + retired,
            changed + retired + added,
        )
        self._mark = variant.value
        self._identities = self._credentials = self._grants = 0
        self._pools = _permissions()

    @property
    def written(self) -> Written:
        """So far."""
        records = self._identities + self._credentials + self._grants
        return Written(records, self._identities, self._credentials, self._grants)

    def lines(self) -> Iterator[str]:
        number, left = 0, self._total
        while left > 0:
            holds = min(left, FEWEST + self._draw(number, 1) % (MOST - FEWEST + 1))
            yield from self._identity(number, holds, self._total - left)
            number, left = number + 1, left - holds

    def _draw(self, number: int, salt: int) -> int:
        """A number below 2^32 that depends on nothing but its arguments and the seed."""
        mixed = (number * 2_654_435_761 + salt * 40_503_000_017 + self._seed * 97_003) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 15)) * 2_246_822_519) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 13)) * 3_266_489_917) & 0xFFFFFFFF
        return mixed ^ (mixed >> 16)

    def _identity(self, number: int, holds: int, first_grant: int) -> Iterator[str]:
        luck = self._draw(number, 2)
        service, stage = SERVICES[luck % 20], STAGES[luck // 20 % 4]
        identity = f"{self._prefix}{service}-{stage}-{number:06d}"
        kind = KINDS[luck // 80 % len(KINDS)]
        owner = f',"owner":"{owner_email(luck // 7 % OWNERS)}"' if luck % 8 else ""
        used = f',"last_used_at":"2026-0{1 + luck % 9}-{1 + luck // 9 % 28:02d}T07:30:00Z"' if luck % 5 else ""
        purpose = f',"purpose":"Runs the {service} service"' if luck % 3 else ""
        self._identities += 1
        yield (
            f'{{"type":"identity","id":"{identity}","kind":"{kind}","name":"{identity}","environment":"{stage}",'
            f'"custody":"self_held","created_at":"2024-{1 + luck % 12:02d}-11T09:00:00Z"{owner}{used}{purpose}}}'
        )
        if luck % 5 < 2:
            yield self._credential(identity, luck)
        for offset in range(holds):
            yield from self._grant(identity, service, first_grant + offset)

    def _credential(self, identity: str, luck: int) -> str:
        self._credentials += 1
        kind = CREDENTIALS[luck // 5 % len(CREDENTIALS)]
        end = '"never_expires":true' if luck % 2 else f'"expires_at":"2027-{1 + luck % 12:02d}-01T00:00:00Z"'
        return (
            f'{{"type":"credential","id":"{kind}/{identity}","identity":"{identity}","kind":"{kind}",'
            f'"created_at":"2025-03-01T09:30:00Z",{end}}}'
        )

    def _grant(self, identity: str, service: str, number: int) -> Iterator[str]:
        luck, fate = self._draw(number, 3), self._draw(number, 4) % 10_000
        pool = self._pools[luck % len(self._pools)]
        choice, noun, suffix = luck // 7 % len(pool), luck % 9_000, ""
        if fate < self._changed_below:
            # Half of the changes concern what is allowed, half only what people call it.
            choice, suffix = ((choice + 1) % len(pool), "") if fate % 2 else (choice, f" ({self._mark})")
        elif fate < self._retired_below:
            return
        yield self._grant_line(identity, f"g{number:07d}", f"{service} data {noun:04d}{suffix}", pool[choice], luck)
        if self._retired_below <= fate < self._added_below:
            name = f"g{number:07d}-{self._mark}"
            yield self._grant_line(identity, name, f"{service} extra {noun:04d}", pool[choice], luck)

    def _grant_line(self, identity: str, name: str, label: str, permission: str, luck: int) -> str:
        self._grants += 1
        shape = luck % 3
        return (
            f'{{"type":"grant","id":"{identity}/{name}","identity":"{identity}","label":"{label}",'
            f'"permission":{permission},"path":{PATHS[shape]},"revocability":"{REVOCABILITIES[shape]}",'
            f'"shared_with":{luck % 4 if shape else 0}}}'
        )


def _permissions() -> list[list[str]]:
    """Some 4,000 permissions as JSON texts, by dialect."""
    return [_aws(), _kubernetes(), _scopes(), _rabbitmq(), _postgresql(), _tools()]


def _allow(dialect: str, *pairs: tuple[list[str], list[str]]) -> str:
    statements = [{"actions": actions, "resources": resources} for actions, resources in pairs]
    return json.dumps({"dialect": dialect, "statements": statements}, separators=(",", ":"))


def _aws() -> list[str]:
    found = []
    for number in range(1_000):
        service = SERVICES[number % 20]
        queue = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:{service}-{number:04d}"
        bucket = f"arn:aws:s3:::acme-{service}-{number:04d}"
        wide = number % 40 == 0
        found.append(
            _allow(
                "aws",
                (["sqs:ReceiveMessage", "sqs:DeleteMessage"], [queue]),
                (["s3:*" if wide else "s3:GetObject"], ["*" if wide else f"{bucket}/*"]),
            )
        )
    return found


def _kubernetes() -> list[str]:
    return [
        _allow(
            "kubernetes",
            (["get", "list", "watch"], [f"api:{SERVICES[number % 20]}-{number // 20:02d}/core/configmaps/*/*"]),
            (["get", "update"], [f"api:{SERVICES[number % 20]}-{number // 20:02d}/apps/deployments/*/*"]),
        )
        for number in range(800)
    ]


def _scopes() -> list[str]:
    names = ("contents:read", "contents:write", "packages:write", "deployments:write", "administration:write")
    return [
        _allow("scopes", ([names[number % 5]], [f"acme/{SERVICES[number % 20]}-{number:03d}"])) for number in range(700)
    ]


def _rabbitmq() -> list[str]:
    return [
        _allow("rabbitmq", (["write", "read"], [f"vhost:%2F/^{SERVICES[number % 20]}\\.{number:03d}"]))
        for number in range(400)
    ]


def _postgresql() -> list[str]:
    rights = (["SELECT"], ["SELECT", "INSERT"], ["SELECT", "UPDATE"], ["SELECT", "INSERT", "UPDATE", "DELETE"])
    return [
        _allow("postgresql", (rights[number % 4], [f"table:ledger/{SERVICES[number % 20]}/t{number:04d}"]))
        for number in range(900)
    ]


def _tools() -> list[str]:
    names = ("search_customer", "read_customer", "update_customer", "delete_customer", "send_mail", "query")
    return [_allow("tools", ([names[number % 6]], [f"{SERVICES[number % 20]}-{number:03d}"])) for number in range(300)]


if __name__ == "__main__":
    print(write_estate(Path(sys.argv[1]), grants=int(sys.argv[2]), variant=Variant(sys.argv[3])))
