"""What can be done with a source beside reading it: try its connection, see what would change, take a file in."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from governance.kernel.actors import Role
from governance.kernel.errors import DomainError
from governance.web.access import page
from governance.web.htmx import is_fragment, render_page
from identities.connectors.files import Holds
from identities.connectors.registry import formats
from identities.forms.sources import LARGEST_UPLOAD, ImportForm
from identities.models import SyncRun
from identities.selectors.inventory import access_source
from identities.services.checking import check_connection
from identities.services.sources import PUSH, request_preview
from identities.sync.importing import Import, import_file
from identities.views.check_lines import check_context
from identities.views.requests import PageRequest
from identities.views.sources import READERS_OF_SOURCES, show_source

HOLDS_WORDS = {
    Holds.INVENTORY: "the whole inventory: what it lacks is gone",
    Holds.PART: "part of an inventory: nothing is gone",
    Holds.USAGE: "what was used: added to what is known",
}


@require_POST
@page(roles=[Role.ADMINISTRATOR])
def source_check(request: PageRequest, slug: str) -> HttpResponse:
    """Try the connection of a source as it is stored."""
    source = access_source(actor=request.actor, slug=slug)
    try:
        checks = check_connection(
            kind=source.kind, settings=source.settings, source=source, actor=request.actor, now=timezone.now()
        )
    except DomainError as refusal:
        return show_source(request, source, refusal=refusal)
    return show_source(request, source, **check_context(checks))


@require_POST
@page(roles=READERS_OF_SOURCES)
def source_preview(request: PageRequest, slug: str) -> HttpResponse:
    """Have the source read to see what would change."""
    source = access_source(actor=request.actor, slug=slug)
    try:
        run_id = request_preview(source=source, actor=request.actor, now=timezone.now())
    except DomainError as refusal:
        return show_source(request, source, refusal=refusal)
    return redirect("identities:source_previewing", source.slug, run_id)


@require_safe
@page(roles=READERS_OF_SOURCES)
def source_previewing(request: PageRequest, slug: str, run_id: UUID) -> HttpResponse:
    """Waits until a worker has begun the dry run, then goes to its page."""
    source = access_source(actor=request.actor, slug=slug)
    if SyncRun.objects.filter(pk=run_id, source=source).exists():
        url = reverse("identities:sync_run_detail", args=[run_id])
        return HttpResponseClientRedirect(url) if is_fragment(request) else redirect(url)
    context = {"source": source, "here": request.path}
    return render_page(
        request, "identities/source_previewing.html", context, fragment="identities/_source_previewing.html"
    )


@page(roles=[Role.ADMINISTRATOR])
def source_import(request: PageRequest, slug: str) -> HttpResponse:
    """Take a file in: what it would change is shown first, and applied from there."""
    source = access_source(actor=request.actor, slug=slug)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        # Records do not say whether they are everything: without the tick, they are.
        is_part = form.cleaned_data["is_part"]
        wish = Import(
            format=form.cleaned_data["format"], is_part=is_part, is_complete=not is_part, dry_run=True, keep=True
        )
        try:
            run = import_file(
                source=source, file=form.cleaned_data["file"], wish=wish, actor=request.actor, now=timezone.now()
            )
        except DomainError as refusal:
            form.add_error("file", refusal.message)
        else:
            messages.success(request, "The file was read. Nothing is changed yet.")
            return redirect("identities:sync_run_detail", run.pk)
    is_push = source.kind == PUSH
    context = {
        "source": source,
        "form": form,
        "is_push": is_push,
        "most": LARGEST_UPLOAD // 1024**2,
        "formats": [
            {"name": each.name, "title": each.title, "holds": HOLDS_WORDS[each.holds]}
            for each in formats()
            if is_push or (each.holds is Holds.USAGE and each.kind == source.kind)
        ],
    }
    return render_page(request, "identities/source_import.html", context, status=422 if form.errors else 200)
