"""Events that were retired: their archives are named, and compared with the links that stay."""

from typing import Protocol

from django.conf import settings
from django.db import connection

from governance.audit.archive import is_unchanged
from governance.audit.models import AuditArchive
from governance.audit.retention import list_archives


class Findings(Protocol):
    """The part of a report that this fills in."""

    notices: list[str]

    def add(self, code: str, message: str, seq: int | None = None) -> None: ...


def check_archives(report: Findings) -> None:
    """Say which events went where; an archive of other events than the links speak of is a problem."""
    for archive, retirement in list_archives():
        if retirement is None:
            continue
        report.notices.append(
            f"{archive.events} events, {archive.first_seq} to {archive.last_seq}, were retired to archive "
            f"{archive.file}; their links are still proved here."
        )
        _check_file(report, archive)
        if _leaves(archive) != bytes(archive.leaves):
            report.add(
                "archive",
                f"Archive {archive.file} was made of other events than {archive.first_seq} to {archive.last_seq}.",
                archive.first_seq,
            )


def _check_file(report: Findings, archive: AuditArchive) -> None:
    match is_unchanged(settings.AUDIT_ARCHIVE_DIR / archive.file, bytes(archive.sha256)):
        case None:
            report.notices.append(f"Archive {archive.file} is not on this machine, so it was not looked at.")
        case False:
            report.add(
                "archive", f"Archive {archive.file} is not the file whose verification passed.", archive.first_seq
            )


def _leaves(archive: AuditArchive) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT sha256(string_agg(leaf_hash, ''::bytea ORDER BY seq))
            FROM audit_auditlink WHERE seq BETWEEN %s AND %s
            """,
            [archive.first_seq, archive.last_seq],
        )
        return bytes(cursor.fetchone()[0] or b"")
