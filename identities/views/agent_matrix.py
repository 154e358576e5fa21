"""Agents by tools: what the decision point would say to each pair now."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from governance.kernel.dialects import get
from governance.web.access import page
from governance.web.htmx import render_page
from governance.web.pagination import SortKey, paginate
from identities.models import Identity
from identities.pdp.deciding import decide_many
from identities.pdp.reasons import SENTENCES, Reason
from identities.pdp.requests import Decision
from identities.pdp.surroundings import request_about
from identities.selectors.agents import list_agents, servers_of, tools_of
from identities.views.grant_lines import CLASS_WORDS
from identities.views.requests import PageRequest

BY_NAME = (SortKey("name"), SortKey("pk"))
PER_PAGE = 40


@require_safe
@page()
def agent_matrix(request: PageRequest) -> HttpResponse:
    """One server's tools across the page, agents down; each cell is a decision of this moment."""
    found = paginate(list_agents(actor=request.actor), BY_NAME, cursor=request.GET.get("cursor", ""), size=PER_PAGE)
    agents = list(found.rows)
    servers = servers_of([agent.pk for agent in agents])
    asked = request.GET.get("server", "")
    server = asked if asked in servers else next(iter(servers), "")
    tools = tools_of(server) if server else None
    names = tools.names if tools else ()
    context: dict[str, Any] = {
        "page": found,
        "servers": [(each, each.removeprefix("server:"), each == server) for each in servers],
        "server": server,
        "tools": [(name, _classes(name, server)) for name in names],
        "rows": _rows(agents, names, server),
        "more": tools.more if tools else False,
    }
    return render_page(request, "identities/agent_matrix.html", context)


def _classes(tool: str, server: str) -> str:
    """What the tool does by our own catalogue, worst first, in the words of every other page."""
    found = {str(each) for each in get("tools").classes(tool, server)}
    return ", ".join(words for name, words in CLASS_WORDS.items() if name in found)


def _rows(agents: list[Identity], tools: tuple[str, ...], server: str) -> list[tuple[Identity, list[Any]]]:
    asked = [request_about(agent.pk, "tools", tool, server) for agent in agents for tool in tools]
    # A person looks, and no agent does anything: no use of the tools.
    answers = decide_many(asked, now=timezone.now(), is_search=True) if asked else []
    width = len(tools)
    return [
        (
            agent,
            [_cell(tool, answer) for tool, answer in zip(tools, answers[at * width : (at + 1) * width], strict=True)],
        )
        for at, agent in enumerate(agents)
    ]


def _cell(tool: str, answer: Decision) -> tuple[str, bool, str]:
    return tool, answer.permit, SENTENCES[Reason(answer.reason)]
