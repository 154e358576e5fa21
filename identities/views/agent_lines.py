"""What the page of an AI agent says beside the four questions: its tools with what they do, its tokens, its switch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from governance.kernel.actors import Actor, Role
from governance.kernel.dialects import get
from governance.people.models import ApiToken
from identities.models import GrantVersion, Identity
from identities.selectors.gateway import list_agent_tokens, standing_cut_off_of
from identities.services.agent_tokens import SCOPE
from identities.services.cut_offs import Target, may_cut
from identities.views.gateway import cut_row
from identities.views.grant_lines import CLASS_WORDS

MOST_TOOLS = 60


@dataclass(frozen=True, slots=True)
class ToolLine:
    """One tool, or a pattern of tools, that the agent may call on a server. until: a condition stands on it."""

    name: str
    server: str
    classes: list[str]
    is_wild: bool
    is_conditional: bool


def agent_context(identity: Identity, versions: Iterable[GrantVersion], actor: Actor) -> dict[str, Any]:
    """What `_agent.html` prints. Three queries: the switch, the agent's tokens, and tokens that could be linked."""
    may_link = actor.has_role(Role.ADMINISTRATOR) and identity.retired_at is None
    tools = tool_lines(versions)
    standing = standing_cut_off_of(identity)
    now = timezone.now()
    links = list(list_agent_tokens(identity)[:20])
    free = ApiToken.objects.filter(scopes=[SCOPE], revoked_at=None, expires_at__gt=now, agent_link=None)
    return {
        "agent_tools": tools[:MOST_TOOLS],
        "agent_tools_more": max(0, len(tools) - MOST_TOOLS),
        "agent_cut": cut_row(standing, actor) if standing else None,
        "agent_tokens": [
            (
                link.token,
                "revoked" if link.token.revoked_at else "expired" if link.token.expires_at <= now else "active",
            )
            for link in links
        ],
        "agent_free_tokens": list(free.order_by("-created_at", "pk")[:50]) if may_link else [],
        "may_link_token": may_link,
        "may_cut_agent": identity.retired_at is None and may_cut(Target(identity=identity), actor),
        "gateway_url": settings.MCP_GATEWAY_URL,
    }


def tool_lines(versions: Iterable[GrantVersion]) -> list[ToolLine]:
    """The tools of all grants that speak of tools, once each."""
    dialect = get("tools")
    found: dict[tuple[str, str], ToolLine] = {}
    for version in versions:
        if version.permission.get("dialect") != "tools":
            continue
        for statement in version.permission.get("statements", ()):
            if statement.get("effect", "allow") != "allow":
                continue
            for action in _included(statement.get("actions")):
                for resource in _included(statement.get("resources")):
                    kinds = dialect.classes(action, resource)
                    line = ToolLine(
                        name=action,
                        server=resource.removeprefix("server:"),
                        classes=[text for name, text in CLASS_WORDS.items() if name in kinds],
                        is_wild="*" in action or "?" in action,
                        is_conditional=bool(statement.get("conditions")),
                    )
                    found.setdefault((line.server, line.name), line)
    return [found[key] for key in sorted(found)]


def _included(patterns: Any) -> list[str]:
    if isinstance(patterns, dict):
        patterns = patterns.get("include", [])
    return [str(each) for each in patterns or ()]
