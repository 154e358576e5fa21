"""A server at an address (streamable HTTP): a real one, made with the official SDK, whose tools change while it runs."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from identities.gateway.conversations import Address, ServerRefused, Unreachable
from tests.identities.gateway.conftest import aside
from tests.plugins.brokers import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    """An SDK server with two tools that notes the headers it gets."""
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    made = MCPServer("letters")
    headers: list[dict[str, str]] = []

    @made.tool()
    def shout(text: str) -> str:
        """Make a text loud."""
        return text.upper()

    @made.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("it broke")

    app = made.streamable_http_app()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    port = free_port()
    running = uvicorn.Server(uvicorn.Config(noting, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}/mcp", made=made, headers=headers)
    running.should_exit = True
    thread.join(10)


def test_tools_are_listed_and_called_with_the_gateways_own_token(server: Any) -> None:
    async def go() -> Any:
        talk = Address("letters", server.url, "upstream-word")
        await talk.open()
        tools = {tool["name"] for tool in await talk.list_tools()}
        loud = await talk.ask("tools/call", {"name": "shout", "arguments": {"text": "hey"}})
        broken = await talk.ask("tools/call", {"name": "fail", "arguments": {}})
        try:
            await talk.ask("no/such", {})
        except ServerRefused as refusal:
            code = refusal.code
        await talk.close()
        return tools, loud["content"][0]["text"], broken["isError"], code

    assert aside(go) == ({"shout", "fail"}, "HEY", True, -32601)
    assert {each["authorization"] for each in server.headers} == {"Bearer upstream-word"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/mcp", "{url}/nowhere"])
def test_a_server_that_is_not_there_is_unreachable(server: Any, url: str) -> None:
    with pytest.raises(Unreachable):
        aside(Address("letters", url.format(url=server.url), "").open)
