"""ASGI entry point of the MCP gateway (`manage.py mcp_gateway`); pages and API are served by `governance.wsgi`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "governance.settings")
django.setup()

from identities.gateway.application import make_application  # noqa: E402 - needs the settings

application = make_application()
