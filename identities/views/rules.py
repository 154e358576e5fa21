"""One rule explained: what it judges, from what, what it cannot see, and how it stands now."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.errors import NotFound
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.posture_policy import label_of
from identities.posture.policy import Policy, policy_in_force
from identities.posture.rules import catalogue
from identities.views.requests import PageRequest
from identities.views.rollup_lines import findings_url, rollup_lines

FIX_WORDS = {
    "assign_owner": "Name somebody who answers for it",
    "declare_use": "Say that it is needed rarely",
    "narrow": "Narrow what it holds",
    "revoke": "Take the access away",
    "rotate": "Rotate the credential",
    "deactivate": "Switch it off",
    "quarantine": "Lock it out",
    "limit_in_time": "Give the access an end",
    "move_to_federation": "Sign in by federation instead of a secret",
    "tighten_trust": "Pin whom the trust accepts",
    "record_trust": "Record the trust",
    "separate": "Give each its own identity",
    "record_vendor": "Record the vendor and its assessment",
    "change_application": "Change how the application decides",
    "change_pipeline": "Change the pipeline",
    "read_source": "Read the source",
    "merge": "Merge what is one",
    "review": "Review it",
}


@require_safe
@page()
def posture_rule(request: PageRequest, rule_id: str) -> HttpResponse:
    """The rule with its thresholds in force and its numbers."""
    rule: Any = catalogue.BY_ID.get(rule_id)
    if rule is None:
        raise NotFound("There is no such rule.")
    policy = policy_in_force()
    standing = {line.rule: line for line in rollup_lines(actor=request.actor, now=timezone.now())}
    context = {
        "rule": rule,
        "category": catalogue.CATEGORIES.get(rule.owasp, ""),
        "base": rule.base.value if rule.base else "",
        "thresholds": _thresholds(rule.thresholds, policy),
        "inputs": [path.replace(".", " › ").replace("_", " ") for path in rule.inputs],
        "fix": FIX_WORDS.get(rule.fix, rule.fix.replace("_", " ")),
        "line": standing.get(rule_id),
        "findings_url": findings_url(rule_id),
        "policy": policy,
    }
    return render_page(request, "identities/posture_rule.html", context)


def _thresholds(names: Sequence[str], policy: Policy) -> list[tuple[str, str]]:
    return [
        (label_of(f"thresholds/{name}"), f"{policy.thresholds[name]} {_unit(name)}".strip())
        for name in names
        if name in policy.thresholds
    ]


def _unit(name: str) -> str:
    """The unit that a threshold's name ends with."""
    last = name.rpartition("_")[2]
    return {"percent": "%", "bits": "bits"}.get(last, last if last in ("days", "hours", "minutes") else "")
