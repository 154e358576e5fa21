"""OpenID AuthZEN Authorization API 1.0: bodies read strictly into requests, decisions written as the standard says.

`wire` (bytes to JSON), `entities` (JSON to requests), `evaluation`, `search`, `paging`, `metadata`. HTTP itself stands
in `identities/api/authzen.py`; what is decided, in `identities/pdp/deciding.py`.
"""
