"""Who there is, what each of them runs when, and what they hold. Seeded, and independent of how Remit recommends.

Work is a list of jobs with a period: most run daily, many have a weekly, monthly or quarterly part, some a yearly one
that no ninety days of logs need to show. Objects are often named by their date, as real ones are, so that tomorrow's
call is not literally yesterday's. What is held comes from templates that people copy, not from what is needed; a few
were given exactly what they need.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

ACCOUNT = "417390025518"
OWNERS = 40
OBSERVED_DAYS = 90
LATER_DAYS = 365
NOT_OBSERVABLE = 0.15
HOLDS_WHAT_IT_NEEDS = 0.03
# The share of those with more than daily work that have a job of this period, in days, beside it.
SELDOM = {7: 0.5, 30: 0.4, 91: 0.25, 365: 0.08}

AWS_ACTIONS = {
    "s3": ["GetObject", "ListBucket", "PutObject", "DeleteObject", "PutBucketPolicy", "PutObjectAcl"],
    "sqs": ["ReceiveMessage", "DeleteMessage", "SendMessage", "PurgeQueue", "SetQueueAttributes", "DeleteQueue"],
    "dynamodb": ["GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "Scan", "DeleteTable"],
    "lambda": ["InvokeFunction", "UpdateFunctionCode", "GetFunction", "DeleteFunction", "AddPermission"],
    "rds": ["CreateDBSnapshot", "DeleteDBSnapshot", "ModifyDBInstance", "DeleteDBInstance"],
    "secretsmanager": ["GetSecretValue", "PutSecretValue", "DeleteSecret", "DescribeSecret"],
}  # fmt: skip
TABLE_ACTIONS = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
DAILY_ACTIONS = {
    "s3": ["GetObject", "PutObject"], "sqs": ["ReceiveMessage", "DeleteMessage"], "dynamodb": ["GetItem", "PutItem", "Query"],
    "lambda": ["InvokeFunction", "GetFunction"], "rds": ["CreateDBSnapshot"], "secretsmanager": ["GetSecretValue"],
    "table": ["SELECT", "INSERT"],
}  # fmt: skip
SELDOM_ACTIONS = {
    "s3": ["DeleteObject", "ListBucket"], "sqs": ["PurgeQueue", "SendMessage"], "dynamodb": ["Scan", "DeleteItem"],
    "lambda": ["UpdateFunctionCode"], "rds": ["DeleteDBSnapshot", "ModifyDBInstance"], "secretsmanager": ["PutSecretValue"],
    "table": ["DELETE", "UPDATE"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Something that can be acted on. is_dated: what lies there is named by its day. bucket: for listing it."""

    service: str
    name: str
    is_dated: bool = False

    def on(self, day: date) -> str:
        """The resource that a call of that day names."""
        return f"{self.name}{day:%Y/%m/%d}.json" if self.is_dated else self.name

    @property
    def pattern(self) -> str:
        return f"{self.name}*" if self.is_dated else self.name


@dataclass(frozen=True, slots=True)
class Job:
    """Runs every so many days, from `phase` on, and makes each of its calls `times` over."""

    every: int
    phase: int
    times: int
    calls: tuple[tuple[str, Place], ...]

    def days(self, first: date, until: date) -> Iterator[date]:
        """When it runs, `until` not included."""
        skip = (self.phase - first.toordinal()) % self.every
        for ordinal in range(first.toordinal() + skip, until.toordinal(), self.every):
            yield date.fromordinal(ordinal)


Statements = list[dict[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Held:
    key: str
    label: str
    dialect: str
    statements: Statements


@dataclass(frozen=True, slots=True)
class Nhi:
    """part: of which source it is. places: what an outsider would try, whether it is used or not."""

    name: str
    part: str
    kind: str
    owner: int
    is_observable: bool
    jobs: tuple[Job, ...]
    held: tuple[Held, ...]
    places: tuple[Place, ...] = field(default=())


def make_estate(number: int, seed: int) -> list[Nhi]:
    """So many identities; the same arguments give the same ones."""
    return [_nhi(index, random.Random(f"{seed}/{index}")) for index in range(number)]


def _nhi(index: int, luck: random.Random) -> Nhi:
    is_observable = luck.random() >= NOT_OBSERVABLE
    is_modest = luck.random() < HOLDS_WHAT_IT_NEEDS
    service = luck.choice(["s3", "s3", "sqs", "dynamodb", "lambda", "rds", "secretsmanager", "table", "table", "table"])
    name = f"{luck.choice(['ledger', 'payouts', 'kyc', 'fx', 'risk', 'search'])}-{service}-{index:05d}"
    places = _places(service, index, luck)
    jobs = _jobs(service, places, luck, is_modest=is_modest)
    held = _exact(name, jobs) if is_modest else _template(name, service, places, luck)
    is_table = service == "table"
    return Nhi(
        name=name,
        part=("ledger" if is_table else "cloud") + ("" if is_observable else "-dark"),
        kind="database_user" if is_table else luck.choice(["service_account", "workload", "ci_job"]),
        owner=luck.randrange(OWNERS),
        is_observable=is_observable,
        jobs=tuple(jobs),
        held=tuple(held),
        places=(*places, *_foreign(service)),
    )


def _places(service: str, index: int, luck: random.Random) -> list[Place]:
    home = f"eu-central-1:{ACCOUNT}"
    if service == "table":
        return [Place("table", f"table:app{index % 50}/public/t{index}_{n}") for n in range(4)]
    many = range(luck.choice([1, 1, 2, 3]))
    match service:
        case "s3":
            return [Place("s3", f"arn:aws:s3:::acme-{index}/part{n}/", is_dated=luck.random() < 0.6) for n in many]
        case "sqs":
            return [Place("sqs", f"arn:aws:sqs:{home}:queue-{index}-{n}") for n in many]
        case "dynamodb":
            return [Place("dynamodb", f"arn:aws:dynamodb:{home}:table/t{index}-{n}") for n in many]
        case "lambda":
            return [Place("lambda", f"arn:aws:lambda:{home}:function:f{index}-{n}") for n in many]
        case "rds":
            return [Place("rds", f"arn:aws:rds:{home}:db:db{index}-{n}") for n in many]
    return [Place("secretsmanager", f"arn:aws:secretsmanager:{home}:secret:s{index}-{n}") for n in many]


def _foreign(service: str) -> tuple[Place, ...]:
    """What belongs to somebody else; whoever can reach it holds too much."""
    home = f"eu-central-1:{ACCOUNT}"
    names = {
        "table": "table:other/public/salaries",
        "s3": "arn:aws:s3:::somebody-else/data/",
        "sqs": f"arn:aws:sqs:{home}:somebody-else",
        "dynamodb": f"arn:aws:dynamodb:{home}:table/somebody-else",
        "lambda": f"arn:aws:lambda:{home}:function:somebody-else",
        "rds": f"arn:aws:rds:{home}:db:somebody-else",
        "secretsmanager": f"arn:aws:secretsmanager:{home}:secret:somebody-else",
    }
    return (Place(service, names[service]),)


def _named(service: str, action: str) -> str:
    return action if service == "table" else f"{service}:{action}"


def _jobs(service: str, places: Sequence[Place], luck: random.Random, *, is_modest: bool) -> list[Job]:
    daily = luck.sample(DAILY_ACTIONS[service], k=luck.randint(1, len(DAILY_ACTIONS[service])))
    worked = places if service != "table" else places[: luck.randint(1, len(places))]
    calls = tuple((_named(service, action), place) for action in daily for place in worked)
    jobs = [Job(every=1, phase=0, times=luck.choice([1, 4, 24]), calls=calls)]
    for every, share in SELDOM.items():
        # Those who were given exactly what they need are simple ones.
        if luck.random() < share and not (is_modest and every > 7):
            action = luck.choice(SELDOM_ACTIONS[service])
            call = (_named(service, action), luck.choice(places))
            jobs.append(Job(every=every, phase=luck.randrange(every), times=luck.choice([1, 5]), calls=(call,)))
    return jobs


def _exact(name: str, jobs: Sequence[Job]) -> list[Held]:
    statements: dict[str, set[str]] = {}
    for job in jobs:
        for action, place in job.calls:
            statements.setdefault(place.pattern, set()).add(action)
    dialect = "aws" if ":" in next(iter(jobs[0].calls))[0] else "postgresql"
    listed = [{"actions": sorted(actions), "resources": [pattern]} for pattern, actions in sorted(statements.items())]
    return [Held(f"{name}/exact", "made for it", dialect, listed)]


def _template(name: str, service: str, places: Sequence[Place], luck: random.Random) -> list[Held]:
    if service == "table":
        held = [
            Held(
                f"{name}/{place.name}",
                place.name,
                "postgresql",
                [{"actions": TABLE_ACTIONS, "resources": [place.name]}],
            )
            for place in places
        ]
        if luck.random() < 0.3:
            other = "table:other/public/salaries"
            held.append(
                Held(f"{name}/old", "an old project", "postgresql", [{"actions": ["SELECT"], "resources": [other]}])
            )
        return held
    actions = [f"{service}:*"] if luck.random() < 0.7 else [f"{service}:{each}" for each in AWS_ACTIONS[service]]
    own = sorted({f"{place.name.rsplit('/', 2)[0]}/*" if service == "s3" else place.name for place in places})
    resources = ["*"] if luck.random() < 0.5 else own
    held = [Held(f"{name}/main", "from a template", "aws", [{"actions": actions, "resources": resources}])]
    if luck.random() < 0.4:
        other = luck.choice([each for each in AWS_ACTIONS if each != service])
        held.append(Held(f"{name}/old", "an old project", "aws", [{"actions": [f"{other}:*"], "resources": ["*"]}]))
    return held


def probes(nhi: Nhi) -> Iterator[tuple[str, Place]]:
    """Every (action, place) that is tried to find out what this identity may do: all of its service, and others' places."""
    services = sorted(
        {place.service for place in nhi.places} | ({"s3", "rds"} if nhi.part.startswith("cloud") else set())
    )
    for service in services:
        actions = TABLE_ACTIONS if service == "table" else AWS_ACTIONS[service]
        places = [place for place in nhi.places if place.service == service] or list(_foreign(service))
        for place in places:
            for action in actions:
                yield _named(service, action), place


def span(last: date, days: int) -> tuple[date, date]:
    """The half-open span of so many days that ends with the day before `last`."""
    return last - timedelta(days=days), last
