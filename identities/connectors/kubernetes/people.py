"""Which users and groups are machines. Kubernetes does not know: a user is whatever name the sign-in yields.

The rule, in this order: a name that the operator listed is a machine; `system:` is Kubernetes' own; a name that has
the form of a cloud's service account is a machine; an e-mail address is a person; a name of letters only (or
first.last) is a person unless it is a word for machinery; every other name is a machine. Groups without `system:` are
taken for people, because their members come from the sign-in.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from identities.connectors.kubernetes.objects import GROUP_OF_USERS, SERVICE_ACCOUNT, Subject

_CLOUD_ACCOUNT = re.compile(r"gserviceaccount\.com$|^arn:aws[\w-]*:(?:iam|sts):|^(?:spiffe|app|repo):", re.I)
_EMAIL = re.compile(r"[^@\s/]+@[^@\s/]+\.[^@\s/.]+$")
_NAME = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+){0,2}$")
_MACHINERY = re.compile(
    r"\b(?:api|auto|bot|cd|ci|cron|git|job|node|root|svc)\b|admin|agent|backup|build|cluster|control|daemon|deploy|exporter"
    r"|gateway|jenkins|kube|machine|monitor|operator|pipeline|prometheus|proxy|robot|runner|scheduler|server|service"
    r"|system|terraform|worker",
    re.I,
)


def is_machine(subject: Subject, listed: Sequence[str] = ()) -> bool:
    """Whether this subject is reviewed as a non-human identity. listed: names or globs that are machines."""
    if subject.kind == SERVICE_ACCOUNT or any(fnmatchcase(subject.name, pattern) for pattern in listed):
        return True
    if subject.name.startswith("system:"):
        return True
    if subject.kind == GROUP_OF_USERS:
        return False
    return is_machine_name(subject.name)


def is_machine_name(name: str) -> bool:
    """The rule for a user's name that nobody listed."""
    if name.startswith("system:") or _CLOUD_ACCOUNT.search(name):
        return True
    # A sign-in with OpenID Connect puts a prefix before the name: `oidc:jane@example.org`, `https://issuer#jane`.
    own = re.split(r"[:#]", name)[-1]
    if _EMAIL.fullmatch(own):
        return False
    return _NAME.fullmatch(own) is None or _MACHINERY.search(own) is not None
