"""Federated trust: whose word lets somebody in, and how closely the trust says whom it means.

A trust names an issuer and a pattern of subjects. How loose a pattern is depends on how the issuer writes its subjects
(documentation of GitHub Actions, GitLab, Kubernetes, SPIFFE, AWS); what is not known is read by its separators.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from governance.kernel.patterns import glob


class IssuerSort(StrEnum):
    """Who vouches.

    PUBLIC: one issuer for customers of all the world, so that only the subject tells them apart. TENANT: an issuer of
    one customer on such a platform. CLUSTER: of one Kubernetes cluster. ACCOUNT: another cloud account. PLATFORM: a
    service of the cloud itself. ANYBODY: no issuer is named. PRIVATE: any other.
    """

    PUBLIC = "public"
    TENANT = "tenant"
    CLUSTER = "cluster"
    ACCOUNT = "account"
    PLATFORM = "platform"
    ANYBODY = "anybody"
    PRIVATE = "private"


class Looseness(StrEnum):
    """How many a subject pattern lets in, from few to many.

    EXACT: one workload. WITHIN: one project, on any branch, in any environment. LOOSE: several projects or workloads.
    ANY: everybody whom the issuer vouches for.
    """

    EXACT = "exact"
    WITHIN = "within"
    LOOSE = "loose"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class SubjectJudgement:
    """What the subject pattern of a trust says.

    is_mutable: whether it hangs on names that can be given up and taken by others, although the issuer also tells ids
    that cannot. words: one sentence for people, without its full stop.
    """

    looseness: Looseness
    issuer: IssuerSort
    is_mutable: bool
    words: str

    @property
    def lets_in_strangers(self) -> bool:
        """Whether people who have nothing to do with this organisation may fit."""
        if self.issuer is IssuerSort.ANYBODY:
            return True
        return self.issuer is IssuerSort.PUBLIC and self.looseness in (Looseness.LOOSE, Looseness.ANY)


GITHUB = "token.actions.githubusercontent.com"
_PUBLIC = frozenset(
    [
        GITHUB,
        "gitlab.com",
        "accounts.google.com",
        "www.googleapis.com",
        "app.terraform.io",
        "agent.buildkite.com",
        "vstoken.dev.azure.com",
        "cognito-identity.amazonaws.com",
        "graph.facebook.com",
        "www.amazon.com",
        "appleid.apple.com",
        "oidc.vercel.com",
        "login.microsoftonline.com",
        "sts.windows.net",
    ]
)
_TENANT = re.compile(
    r"(sts\.windows\.net|login\.microsoftonline\.com)/[0-9a-f-]{36}"
    r"|oidc\.circleci\.com/org/|vstoken\.dev\.azure\.com/[0-9a-f-]{36}|oidc\.vercel\.com/[\w-]+"
    r"|api\.bitbucket\.org/2\.0/workspaces/[\w-]+|cognito-idp\.[\w-]+\.amazonaws\.com/[\w-]+|[\w.-]+\.okta\.com"
)
_CLUSTER = re.compile(
    r"oidc\.eks\.[\w-]+\.amazonaws\.com/|container\.googleapis\.com/v1/projects/|[\w.-]+\.oic\.prod-aks\.azure\.com/"
    r"|kubernetes\.default\.svc"
)
_ACCOUNT = re.compile(r"AWS account |\d{12}$|arn:aws[a-z-]*:(iam|sts)::\d{12}:(root|user|role|assumed-role)")
_PLATFORM = re.compile(r"[\w.-]+\.(amazonaws\.com(\.cn)?|googleapis\.com)$")
_NAMES = ("repo:", "project_path:", "organization:", "repository:")


@lru_cache(maxsize=4_096)
def sort_of_issuer(issuer: str) -> IssuerSort:
    """What kind of issuer this is, from its name or URL alone."""
    name = issuer.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    if name in ("", "*", "any AWS account"):
        return IssuerSort.ANYBODY
    if _ACCOUNT.match(name):
        return IssuerSort.ACCOUNT
    for sort, pattern in ((IssuerSort.TENANT, _TENANT), (IssuerSort.CLUSTER, _CLUSTER)):
        if pattern.match(name):
            return sort
    if name.partition("/")[0] in _PUBLIC:
        return IssuerSort.PUBLIC
    return IssuerSort.PLATFORM if "://" not in issuer and _PLATFORM.fullmatch(name) else IssuerSort.PRIVATE


@lru_cache(maxsize=16_384)
def subject_looseness(issuer: str, subject: str) -> SubjectJudgement:
    """How closely a trust says whom it means. issuer and subject as the inventory holds them (`TrustRelation`)."""
    sort = sort_of_issuer(issuer)
    found = _looseness(sort, subject.strip())
    is_mutable = subject.startswith(_NAMES) and "@" not in subject and found is not Looseness.ANY
    return SubjectJudgement(found, sort, is_mutable, _words(sort, found, subject))


def _looseness(sort: IssuerSort, subject: str) -> Looseness:  # noqa: PLR0911 - one per way of writing subjects
    if sort is IssuerSort.PLATFORM and not subject:
        return Looseness.EXACT
    if not subject.strip("*?"):
        return Looseness.ANY
    if sort is IssuerSort.ACCOUNT and (subject.isdigit() or subject.endswith(":root")):
        return Looseness.LOOSE
    if "*" not in subject and "?" not in subject:
        return Looseness.EXACT
    if subject.startswith(_NAMES):
        return _of_project(subject)
    if subject.startswith("system:serviceaccount"):
        rest = subject.removeprefix("system:serviceaccount")
        return Looseness.LOOSE if rest.strip(":*?") else Looseness.ANY
    return _by_separators(subject)


def _of_project(subject: str) -> Looseness:
    """`repo:owner/name:ref:…`: the owner and the name, and then what of it."""
    _, project, *rest = subject.split(":", 2)
    owner, slash, name = project.partition("/")
    if not owner.strip("*?"):
        return Looseness.ANY
    if _is_wild(owner) or not slash or _is_wild(name):
        return Looseness.LOOSE
    return Looseness.WITHIN if rest and _is_wild(rest[0]) else Looseness.EXACT


def _by_separators(subject: str) -> Looseness:
    """Two fixed steps before the first open one are taken for one project."""
    steps = [step for step in re.split(r"[:/|]+", subject) if step]
    fixed = next((number for number, step in enumerate(steps) if _is_wild(step)), len(steps))
    return Looseness.WITHIN if fixed >= 3 else Looseness.LOOSE


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _words(sort: IssuerSort, looseness: Looseness, subject: str) -> str:
    if sort is IssuerSort.ANYBODY:
        return "anybody at all may present itself"
    if sort is IssuerSort.PLATFORM and not subject:
        return "the platform itself vouches for what it runs"
    if sort is IssuerSort.ACCOUNT and looseness is Looseness.LOOSE:
        return "everything in that account that the account itself allows"
    return {
        Looseness.EXACT: "one workload is named",
        Looseness.WITHIN: "one project is named, and any branch, environment or job of it fits",
        Looseness.LOOSE: "several projects or workloads fit",
        Looseness.ANY: "everybody fits whom the issuer vouches for"
        + (", and it vouches for customers of all the world" if sort is IssuerSort.PUBLIC else ""),
    }[looseness]


def audience_is_open(audience: str) -> bool:
    """Whether tokens made for others are taken too: no audience is named, or any fits."""
    return not audience.strip("* ?")


def lies_within(subject: str, audience: str, *, subjects: Sequence[str], audiences: Sequence[str]) -> bool:
    """Whether a trust accepts nothing that was not registered.

    subject: its pattern, empty for everybody. audience: one or several, separated by commas, empty for any. subjects,
    audiences: the registered patterns; no audience registered means that any is accepted.
    """
    if not any(glob(pattern).covers(glob(subject or "*")) for pattern in subjects):
        return False
    named = [each for part in audience.split(",") if (each := part.strip())]
    return not audiences or all(any(glob(own).covers(glob(each)) for own in audiences) for each in named or ["*"])
