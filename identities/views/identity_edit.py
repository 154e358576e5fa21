"""What people say about identities: editing one, and owners for many from a file."""

import csv
import io
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core import signing
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from governance.kernel.errors import DomainError, Forbidden
from governance.web.access import page
from governance.web.htmx import render_page
from identities.forms.inventory import IdentityForm, OwnersFileForm, show_refusal
from identities.models import Identity
from identities.selectors.inventory import access_identity
from identities.services.identities import (
    EDITORS,
    OwnerImport,
    OwnerRow,
    edit_identity,
    import_owners,
    require_editor,
    take_source_value,
)
from identities.views.requests import PageRequest

EDITED = ("owner", "backup_owner", "sponsor", "team", "purpose", "environment", "tags")
COLUMNS = ("source", "identity", "owner")
SHOWN_ERRORS = 100
_SALT = "remit.owners-file"
PREVIEW_SECONDS = 1_800


class UnreadableFile(DomainError):
    """The file is no CSV with the columns source, identity and owner."""

    code = "unreadable-file"
    title = "The file cannot be read"


@page()
def identity_edit(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Owner, purpose and environment of one identity, beside what the source says."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    require_editor(identity, request.actor)
    form = IdentityForm(request.POST or None, initial=_initial(identity))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            edit_identity(
                identity=identity,
                version=data["version"],
                changes={name: data[name] for name in EDITED if name in form.changed_data},
                actor=request.actor,
                now=timezone.now(),
                reason=data["reason"],
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
            return _edit_page(request, identity, form, refusal.status)
        messages.success(request, "Saved. The next reading of the source leaves it as it is.")
        return redirect("identities:identity_detail", identity.pk)
    return _edit_page(request, identity, form, 422 if form.errors else 200)


@require_POST
@page()
def identity_take_source(request: PageRequest, identity_id: UUID) -> HttpResponse:
    """Let what the source says about one fact hold again."""
    identity = access_identity(actor=request.actor, identity_id=identity_id)
    version = request.POST.get("version", "")
    try:
        take_source_value(
            identity=identity,
            version=int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0,
            name=request.POST.get("name", ""),
            actor=request.actor,
            now=timezone.now(),
        )
    except Forbidden:
        raise
    except DomainError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "The source's value holds again.")
    return redirect("identities:identity_detail", identity.pk)


@page(roles=EDITORS)
def identity_owners_import(request: PageRequest) -> HttpResponse:
    """Owners from a CSV file: upload, preview, apply exactly what was previewed."""
    if "rows" in request.POST:
        return _apply(request)
    form = OwnersFileForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            rows = read_owners(file.read())
            report = import_owners(rows=rows, actor=request.actor, now=timezone.now(), dry_run=True)
        except DomainError as refusal:
            form.add_error("file", refusal.message)
        else:
            return _preview(request, rows, report, name=file.name)
    return render_page(request, "identities/owners_import.html", {"form": form}, status=422 if form.errors else 200)


def read_owners(content: bytes) -> list[OwnerRow]:
    """The rows of an owners file (UTF-8 CSV with a header; a byte order mark is fine). Raises UnreadableFile."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile("The file is not UTF-8 text. Save it as CSV UTF-8 and try again.") from error
    if "\x00" in text:
        raise UnreadableFile("The file holds NUL characters, so it is not a CSV file.")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if absent := [name for name in COLUMNS if name not in names]:
            raise UnreadableFile(f"The header lacks {', '.join(absent)}. It must name source, identity and owner.")
        return [
            OwnerRow(reader.line_num, *((row[names[name]] or "").strip() for name in COLUMNS))
            for row in reader
            if any(row.values())
        ]
    except csv.Error as error:
        raise UnreadableFile(f"The file cannot be read as CSV in line {reader.line_num}: {error}.") from error


def _apply(request: PageRequest) -> HttpResponse:
    try:
        kept = signing.loads(request.POST["rows"], salt=_SALT, max_age=PREVIEW_SECONDS)
    except signing.BadSignature:
        messages.error(request, "The preview is too old. Choose the file again.")
        return redirect("identities:identity_owners_import")
    rows = [OwnerRow(*row) for row in kept]
    report = import_owners(rows=rows, actor=request.actor, now=timezone.now())
    if not report.is_applied:
        return _preview(request, rows, report, name="Owners", status=422)
    messages.success(request, f"{report.assigned} assigned, {report.unchanged} unchanged.")
    return redirect("identities:identity_list")


def _preview(
    request: PageRequest, rows: list[OwnerRow], report: OwnerImport, *, name: str, status: int = 200
) -> HttpResponse:
    context = {
        "name": name,
        "report": report,
        "errors": report.errors[:SHOWN_ERRORS],
        "error_count": len(report.errors),
        "rows": signing.dumps(
            [[row.line, row.source, row.identity, row.owner] for row in rows], salt=_SALT, compress=True
        ),
    }
    return render_page(request, "identities/owners_preview.html", context, status=422 if report.errors else status)


def _edit_page(request: PageRequest, identity: Identity, form: IdentityForm, status: int) -> HttpResponse:
    context = {"identity": identity, "form": form}
    return render_page(request, "identities/identity_edit.html", context, status=status)


def _initial(identity: Identity) -> dict[str, Any]:
    people = {"owner": identity.owner, "backup_owner": identity.backup_owner, "sponsor": identity.sponsor}
    return {
        **{name: person.email if person else "" for name, person in people.items()},
        "team": identity.team_id,
        "purpose": identity.purpose_edited,
        "environment": identity.environment_edited,
        "tags": identity.tags,
        "version": identity.version,
    }
