"""Where the decision point of one domain is, and what it offers (AuthZEN 1.0, section 9)."""

from typing import Any

WELL_KNOWN = "/.well-known/authzen-configuration"


def base_path(domain: str) -> str:
    """The path of a domain's decision point: nothing for the default domain."""
    return f"/d/{domain}" if domain else ""


def metadata(public_url: str, domain: str) -> dict[str, Any]:
    """The document. public_url: scheme and host as callers use them, without a slash at the end."""
    base = f"{public_url.rstrip('/')}{base_path(domain)}"
    return {
        "policy_decision_point": base,
        "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
        "search_subject_endpoint": f"{base}/access/v1/search/subject",
        "search_resource_endpoint": f"{base}/access/v1/search/resource",
        "search_action_endpoint": f"{base}/access/v1/search/action",
    }
