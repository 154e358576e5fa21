"""WSGI entry point for granian and any other WSGI server. Every worker process loads it, and is warm afterwards."""

import os

from django.core.wsgi import get_wsgi_application

from governance.audit.checks import report_drift
from governance.web.warmup import warm_up

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "governance.settings")
application = get_wsgi_application()
report_drift()
warm_up(application, pages=["/accounts/login/"])
