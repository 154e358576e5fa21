"""Settings: bring people in from a CSV file. First a preview, then all of it or nothing."""

import io
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from governance.console.people.forms import ImportForm
from governance.console.people.requests import PageRequest
from governance.kernel.actors import Role
from governance.kernel.errors import DomainError, NotFound
from governance.people.importer import ImportReport, import_people
from governance.people.models import PeopleFile
from governance.web.access import page
from governance.web.htmx import render_page

KEEP = timedelta(hours=1)


@page(roles=[Role.ADMINISTRATOR])
def upload(request: PageRequest) -> HttpResponse:
    """Take a file, and keep it when it can be read."""
    now = timezone.now()
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        content = file.read()
        try:
            import_people(file=io.BytesIO(content), actor=request.actor, now=now, dry_run=True)
        except DomainError as error:
            form.add_error("file", error.message)
        else:
            PeopleFile.objects.filter(uploaded_at__lt=now - KEEP).delete()
            kept = PeopleFile.objects.create(
                name=file.name[:200], content=content, uploaded_by=request.user, uploaded_at=now
            )
            return redirect("people:import_preview", kept.pk)
    return render_page(request, "people/import.html", {"form": form}, status=422 if form.errors else 200)


@page(roles=[Role.ADMINISTRATOR])
def preview(request: PageRequest, file_id: UUID) -> HttpResponse:
    """What the file would change; POST applies exactly this file."""
    file = PeopleFile.objects.filter(pk=file_id, uploaded_by=request.user).first()
    if file is None:
        raise NotFound("This upload is gone. Choose the file again.")
    report = _run(request, file, dry_run=request.method != "POST")
    if report.is_applied:
        file.delete()
        messages.success(request, f"{report.created} added, {report.changed} changed, {report.left} left.")
        return redirect("people:user_list")
    status = 422 if request.method == "POST" else 200
    return render_page(request, "people/import_preview.html", {"file": file, "report": report}, status=status)


def _run(request: PageRequest, file: PeopleFile, *, dry_run: bool) -> ImportReport:
    content = io.BytesIO(bytes(file.content))
    return import_people(file=content, actor=request.actor, now=timezone.now(), dry_run=dry_run)
