"""Posture of the exports beside the checkout: taken in through the product's importers, judged by its engine, printed.

`WRITE_POSTURE_SAMPLE=1 .venv/bin/python -m pytest tests/real/test_posture_sample.py` writes docs/posture-sample.md anew.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from governance.kernel.actors import system_actor
from identities.models import Finding, FindingSeverity, Identity, IdentityPosture, Source, SyncState
from identities.posture.evaluate import evaluate_changes
from identities.posture.report import RuleLine, report_rules
from identities.sync.importing import Import, import_file

DATA = Path(__file__).parents[3] / "shared/data"
PAGE = Path(__file__).parents[2] / "docs/posture-sample.md"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ACTOR = system_actor("sample")
MOST_NAMED = 3


@dataclass(frozen=True)
class Export:
    """One export as one source. holds: what its files tell at all, in the words of `Rule.inputs` and of coverage.

    is_whole: whether they vouch for holding everything; a part says nothing about what it lacks.
    """

    slug: str
    title: str
    files: tuple[str, ...]
    holds: frozenset[str]
    is_whole: bool
    joined: bool = False

    def bodies(self) -> Iterator[bytes]:
        """Each file, or all of them as the documents of one."""
        found = [(DATA / name).read_bytes() for name in self.files]
        yield from [b"\n---\n".join(found)] if self.joined else found


GRANTS = frozenset({"grants", "grants.is_parsed", "grants.condition_sorts", "grants.ends_at"})
AWS = GRANTS | {"created_at", "trust", "trusts.subject", "trusts.audience", "trusts.are_conditions_known", "hops"}
_CLOUDMAPPER = "duo-labs_cloudmapper/account-data/demo/us-east-1/iam-get"
_KUBERNETES = "kubernetes_kubernetes/bootstrappolicy-testdata-v1.20.2/"
_MCP = ("PostHog_posthog__mcp", "microsoft_vscode__vscode_mcp", "supabase_supabase__mcp", "0FL01_Oxide-Agent__mcp",
        "dotnet_aspnetcore__vscode_mcp")  # fmt: skip
_WEBHOOKS = "octokit_webhooks/payload-examples/api.github.com/"
_BROKERS = (1, 2, 3, 4, 5, 6, 13, 15, 16, 18, 22, 23, 24, 25, 26)  # the others hold no user

EXPORTS: tuple[Export, ...] = (
    Export(
        "cloudmapper",
        "CloudMapper's demo account: authorization details and credential report (AWS)",
        (f"{_CLOUDMAPPER}-account-authorization-details.json", f"{_CLOUDMAPPER}-credential-report.json"),
        AWS
        | {"credentials.created_at", "credentials.last_rotated_at", "use.last_used_at"}  # of some users, not of all
        | {"has_interactive_login"},
        is_whole=True,
    ),
    Export(
        "cloudsplaining",
        "Cloudsplaining's example account: authorization details (AWS)",
        ("salesforce_cloudsplaining/test/files/example-authz-details.json",),
        AWS | {"use.last_used_at"},
        is_whole=True,
    ),
    Export(
        "kubernetes-bootstrap",
        "What a Kubernetes cluster starts with: RBAC objects",
        (
            *(f"{_KUBERNETES}{name}.yaml" for name in ("cluster-roles", "cluster-role-bindings", "namespace-roles")),
            *(f"{_KUBERNETES}{name}.yaml" for name in ("namespace-role-bindings", "controller-roles")),
            f"{_KUBERNETES}controller-role-bindings.yaml",
        ),
        GRANTS,
        is_whole=False,
        joined=True,
    ),
    Export(
        "kube-prometheus",
        "kube-prometheus: RBAC objects of a monitoring stack",
        ("prometheus-operator_kube-prometheus/rbac_objects.yaml",),
        GRANTS,
        is_whole=False,
    ),
    *(
        Export(
            f"rabbitmq-{number}",
            f"RabbitMQ definitions, case {number}",
            (f"rabbitmq_rabbitmq-server/case{number}.json",),
            GRANTS | {"credentials", "credentials.expires_at"},
            is_whole=True,
        )
        for number in _BROKERS
    ),
    Export(
        "mcp-agents",
        "Five agents' MCP configurations",
        tuple(f"mcp-agent-configs/{name}.json" for name in _MCP),
        GRANTS | {"credentials", "credentials.storage"},
        is_whole=False,
    ),
    Export(
        "mcp-tools",
        "Tool lists of three MCP servers",
        tuple(f"mcp-tools-list/{name}.json" for name in ("mcp_git", "mcp_time", "mcp_filesystem")),
        GRANTS,
        is_whole=False,
    ),
    Export(
        "github-app",
        "A GitHub App's installation and a deploy key",
        (f"{_WEBHOOKS}installation/created.payload.json", f"{_WEBHOOKS}deploy_key/created.payload.json"),
        GRANTS | {"created_at", "credentials", "credentials.created_at"},
        is_whole=False,
    ),
    Export(
        "audit2rbac",
        "audit2rbac: Kubernetes audit events, without any inventory",
        ("liggitt_audit2rbac/testdata/demo.audit.jsonl",),
        frozenset(),
        is_whole=False,
    ),
)


def take_in(export: Export) -> Source:
    """The export as a source of its own, as somebody would import it who knows nothing more about it."""
    source = Source.objects.create(slug=export.slug, name=export.title[:120], kind="push", max_retire_percent=100)
    for body in export.bodies():
        run = import_file(source=source, file=BytesIO(body), wish=Import(), actor=ACTOR, now=NOW)
        assert run.state == SyncState.APPLIED, (export.slug, run.problem)
        source.refresh_from_db()
    return source


def judge_everything() -> None:
    evaluate_changes(now=NOW)


def lines_of(source: Source) -> Sequence[RuleLine]:
    return report_rules(actor=ACTOR, now=NOW, source=source)


def page(sources: Sequence[tuple[Export, Source]]) -> str:
    """docs/posture-sample.md."""
    parts = [_HEAD, _overview(sources)]
    parts += [_section(export, source) for export, source in sources if not export.slug.startswith("rabbitmq-")]
    brokers = [(export, source) for export, source in sources if export.slug.startswith("rabbitmq-")]
    parts.append(_of_brokers(brokers))
    return "\n".join(parts)


_HEAD = """# Posture of a sample

What the rules ([rules.md](rules.md)) say of exports that others published, taken in by `manage.py import` into sources of kind
`push` and judged by the engine, with nobody's word added: no owners, no environments, no logs. Made by
`tests/real/posture_sample.py`; a test compares this page with a new run wherever the exports are beside the checkout, and sees
that no rule is *passed* whose input the export does not contain.

So most of it is *not assessable*, and says why. That is the point: an export of policies says nothing about credentials, a list
of bindings says nothing about use, and a part of an inventory does not say what it lacks.

The first rules to fail everywhere are NHI1-B (nobody answers for it) and, for files that hold a part, POP-2.
"""


def _overview(sources: Sequence[tuple[Export, Source]]) -> str:
    rows = [
        "## All exports\n",
        "| export | identities | findings | rules that assessed something | passed (of assessed) |",
        "|---|---|---|---|---|",
    ]
    for export, source in sources:
        lines = [line for line in lines_of(source) if line.counts.assessed]
        assessed = sum(line.counts.assessed for line in lines)
        passed = sum(line.counts.passed for line in lines)
        identities = Identity.objects.filter(source=source, retired_at=None).count()
        findings = Finding.objects.filter(source=source).exclude(state="fixed").count()
        rows.append(f"| {export.title} | {identities} | {findings} | {len(lines)} | {passed} of {assessed} |")
    return "\n".join(rows) + "\n"


def _section(export: Export, source: Source) -> str:
    rows = [f"## {export.title}\n", _boxes(source), "### Findings by rule\n", *_findings([source])]
    rows += ["\n### Assessed, passed, not assessable\n", *_counts(lines_of(source))]
    return "\n".join(rows) + "\n"


def _of_brokers(brokers: Sequence[tuple[Export, Source]]) -> str:
    rows = [f"## RabbitMQ definitions, {len(brokers)} brokers together\n", "### Findings by rule\n"]
    rows += _findings([source for _, source in brokers])
    rows += [
        "\n### Assessed, passed, not assessable\n",
        *_counts(_together([lines_of(source) for _, source in brokers])),
    ]
    return "\n".join(rows) + "\n"


def _boxes(source: Source) -> str:
    boxes = Counter(IdentityPosture.objects.filter(identity__source=source).values_list("box", flat=True))
    named = ", ".join(f"{count} {box.replace('_', ' ')}" for box, count in sorted(boxes.items()))
    return f"In the picture: {named or 'nothing'}.\n"


def _findings(sources: Sequence[Source]) -> list[str]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in (
        Finding.objects.filter(source__in=sources).exclude(state="fixed").select_related("identity", "source")
    ):
        found[finding.rule].append(finding)
    if not found:
        return ["None: nothing could be assessed."]
    rows = ["| rule | findings | worst | on, for instance |", "|---|---|---|---|"]
    for rule in sorted(found, key=_as_read):
        worst = FindingSeverity(max(finding.severity for finding in found[rule])).word
        names = sorted({_name(finding) for finding in found[rule]})
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMED])
        rows.append(f"| {rule} | {len(found[rule])} | {worst} | {shown}{more} |")
    return rows


def _name(finding: Finding) -> str:
    return finding.identity.name[:60] if finding.identity else f"the source {finding.source.slug}"


def _as_read(rule: str) -> tuple[int, str]:
    number = "".join(character for character in rule.partition("-")[0] if character.isdigit())
    return int(number or 99), rule


def _counts(lines: Sequence[RuleLine]) -> list[str]:
    rows = [
        "| rule | passed of assessed | failed | not assessable, mostly because | not applicable |",
        "|---|---|---|---|---|",
    ]
    for line in lines:
        counts = line.counts
        if not (counts.concerned or counts.not_applicable):
            continue
        why = f" {line.reasons[0].sentence}" if line.reasons else ""
        rows.append(
            f"| {line.rule.id} {line.rule.title} | {counts.passed} of {counts.assessed} | {counts.failed} "
            f"| {counts.not_assessable}{why} | {counts.not_applicable} |"
        )
    return rows


def _together(reports: Sequence[Sequence[RuleLine]]) -> list[RuleLine]:
    summed = []
    for lines in zip(*reports, strict=True):
        reasons: Counter[str] = Counter()
        for line in lines:
            reasons.update(dict(line.counts.reasons))
        numbers = {
            name: sum(getattr(line.counts, name) for line in lines)
            for name in ("passed", "failed", "not_assessable", "not_applicable")
        }
        first = lines[0]
        summed.append(
            RuleLine(first.rule, type(first.counts)(first.rule.id, **numbers, reasons=tuple(reasons.most_common(3))))
        )
    return summed
