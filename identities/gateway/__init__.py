"""The MCP gateway: an edge, like pages and API, in front of the servers whose tools agents call.

It translates MCP into questions to the decision point and holds no rule of its own. `http` speaks to agents,
`upstreams` to servers; `asking` is the only module that touches the database, in threads (`threads`); `messages` and
`arguments` are pure. docs/gateway.md says what agents see, and ADR 0034 why it is built like this.
"""
