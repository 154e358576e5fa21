"""Make a web process ready before its first request, and keep the garbage collector away from what never changes.

A process that has loaded Django, forms and templates holds some hundred thousand objects for good. The cyclic garbage
collector looks through all of them again and again, and requests that meet such a moment wait for it. So everything
that requests would load lazily is loaded first, put out of the collector's sight, and the collector called less often.
The figures are in docs/speed.md.
"""

import gc
import io
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import connections
from django.forms.renderers import get_default_renderer
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.urls import get_resolver

logger = structlog.get_logger(__name__)
# New objects before a young collection, young ones before a middle one, middle ones before a full one. The young stay
# small, as Python has it: with 25,000 a single young collection took up to 50 ms. Only the full one becomes rarer.
THRESHOLD = (700, 10, 50)
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def warm_up(application: Application, *, pages: Iterable[str] = ()) -> None:
    """Load what requests need, ask for `pages` once without anybody signed in, and freeze what is there then.

    Nothing here may keep a process from starting: what fails (a database that is not up yet) is logged and left to
    the first request.
    """
    _try("addresses", _load_addresses)
    _try("templates", _compile_templates)
    _try("widgets", _compile_widgets)
    for page in pages:
        _try(page, partial(_ask, application, page))
    # Threads that answer requests open connections of their own.
    connections.close_all()
    freeze()


def freeze() -> None:
    """Put everything that lives now out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLD)


def _try(what: str, load: Callable[[], Any]) -> None:
    try:
        load()
    except Exception as error:
        logger.warning("warm_up.failed", what=what, error=f"{type(error).__name__}: {error}".partition("\n")[0])


def _load_addresses() -> None:
    """Import every view module and build the tables for both directions."""
    assert get_resolver().reverse_dict is not None  # noqa: S101 - reading it builds them


def _compile_templates() -> None:
    """All of ours. One that cannot be compiled is found by the tests; here it is left to whoever asks for it."""
    folders: Any = settings.TEMPLATES[0]["DIRS"]
    for folder in map(Path, folders):
        for file in sorted(folder.rglob("*.html")):
            try:
                get_template(str(file.relative_to(folder)))
            except (TemplateDoesNotExist, TemplateSyntaxError) as error:
                logger.warning("warm_up.template", template=file.name, error=str(error))


def _compile_widgets() -> None:
    """Django's own, for the fields of forms."""
    renderer: Any = get_default_renderer()
    templates = renderer.engine.env
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)


def _ask(application: Application, path: str) -> None:
    """One request from nobody, as the server would pass it on."""
    public = urlsplit(settings.PUBLIC_URL)
    host = public.hostname or "localhost"
    if host not in settings.ALLOWED_HOSTS and settings.ALLOWED_HOSTS:
        host = settings.ALLOWED_HOSTS[0].lstrip(".*") or host
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": host,
        "SERVER_PORT": "443" if settings.HTTPS else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if settings.HTTPS else "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    answer = application(environ, lambda *_: None)
    try:
        for _ in answer:
            pass
    finally:
        close = getattr(answer, "close", None)
        if close:
            close()
