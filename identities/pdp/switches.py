"""Kill switches and definitions of tools, as a guard: what is cut off, or is not the tool that was accepted, is denied.

Whoever asks is answered so, the gateway and every other enforcement point. The tables carry triggers that note every
change (`identities.models.note_triggers.SWITCHES`), so it holds at the next request of every process.
"""

from collections.abc import Mapping

from identities.models import GatewayTool
from identities.pdp.index import Principal
from identities.pdp.reasons import Reason
from identities.pdp.requests import Request
from identities.selectors.gateway import Cuts, standing_cuts

SERVER = "server"
# The definition that an enforcement point has before it, as a property of the resource.
DEFINITION = "definition"
TYPES = frozenset({SERVER, "mcp_server"})


class Switches:
    """pins: of each tool that a server was seen to offer, the accepted definition, or why there is none that counts."""

    __slots__ = ("cuts", "pins")

    def __init__(self, cuts: Cuts, pins: Mapping[tuple[str, str], str | Reason]) -> None:
        self.cuts = cuts
        self.pins = pins

    def __call__(self, principal: Principal, request: Request) -> Reason | None:
        server = server_of(request)
        if principal.id in self.cuts.agents or (server and self.cuts.hits(principal.id, server, request.action)):
            return Reason.KILLED
        return self._definition(server, request) if server else None

    def _definition(self, server: str, request: Request) -> Reason | None:
        """Why the tool is not the one that was accepted; None where it is, or where nobody knows of it."""
        pin = self.pins.get((server, request.action))
        shown = request.resource_properties.get(DEFINITION)
        if isinstance(pin, Reason):
            return pin
        if shown is None or shown == pin:
            return None
        return Reason.TOOL_DRIFTED if pin else Reason.TOOL_NOT_PINNED


def server_of(request: Request) -> str | None:
    """The MCP server that a request is about, None where it is about something else."""
    if request.resource_id.startswith(f"{SERVER}:"):
        return request.resource_id.removeprefix(f"{SERVER}:")
    return request.resource_id if request.resource_type in TYPES else None


def load_switches() -> Switches | None:
    """None where nothing is cut off and no tool is known."""
    rows = GatewayTool.objects.values_list("server__name", "name", "accepted_hash", "seen_hash", "gone_at")
    pins = {(server, tool): _pin(accepted, seen) for server, tool, accepted, seen, gone in rows if gone is None}
    cuts = standing_cuts()
    return Switches(cuts, pins) if pins or cuts.agents or cuts.servers or cuts.tools else None


def _pin(accepted: str, seen: str) -> str | Reason:
    if not accepted:
        return Reason.TOOL_NOT_PINNED
    return accepted if accepted == seen else Reason.TOOL_DRIFTED
