"""Put a backup into an empty place, and see to it that the past does not act on the present.

In this order: the whole file is checked; the database is loaded in one transaction; it is migrated forward; the folders
outside get back what they lack; sources are held, links and tokens of the past are ended; the trail goes on as a new
epoch; everything is verified. Until the end a mark in the database keeps orders from being sent, so a restore that was
interrupted is dangerous for nobody; `finish_restore` takes it up again.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import F
from psycopg import sql

from governance.audit import log
from governance.audit.actions import Verb
from governance.audit.epochs import Begun, begin_epoch
from governance.audit.verify import Report, verify
from governance.kernel.actors import Actor, system_actor
from governance.kernel.errors import DomainError
from governance.kernel.keyfile import write_once
from governance.operations import archive, loading, sealed_keys
from governance.operations.archive import Backup
from governance.operations.backup import (
    KEYS,
    SECRET_KEY,
    Progress,
    Say,
    Written,
    check_file,
    product_version,
    write_backup,
)
from governance.operations.locks import maintenance
from governance.operations.problems import OperationFailed, explained
from governance.operations.programs import find_programs, server_version
from governance.people.models import ApiToken, MailLink, User
from reviews.remediation.restored import hold_everything

RESTORER = system_actor("restore")
_ONE_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Restored:
    """What a restore did. saved: the backup of what was replaced. notices: what a person should know, as sentences."""

    state_of: datetime
    migrated_from: str
    held_sources: int = 0
    interrupted_orders: int = 0
    epoch: Begun | None = None
    report: Report | None = None
    saved: Written | None = None
    notices: list[str] = field(default_factory=list)


def restore(
    *,
    path: Path,
    now: Callable[[], datetime],
    say: Say = lambda text: None,
    replace_after_backup: Path | None = None,
    passphrase: str = "",
    end_api_tokens: bool = False,
) -> Restored:
    """Restore the backup in `path`. now: the clock, because loading takes time.

    replace_after_backup: allows a database that is not empty to be replaced, after it was backed up to this file.
    passphrase: opens the backup's keys, which are then put where there are none. Raises OperationFailed.
    """
    path = path.expanduser().absolute()
    with explained(path), archive.opened(path) as backup, maintenance(say) as session:
        programs = find_programs()
        say("checking the whole file")
        check_file(path, programs)
        _require_fit(backup)
        keys = _keys(backup, passphrase)
        replace = not loading.is_empty()
        _require_place(replace, replace_after_backup)
        _require_alone({session.info.backend_pid})
        saved = None
        if replace and replace_after_backup is not None and loading.unfinished() is None:
            say("backing up what is there now")
            saved = write_backup(path=replace_after_backup, now=now(), say=say)
        say("loading the database, in one transaction")
        loading.load(backup, programs, replace=replace, progress=Progress(say, "read"))
        connection.close()  # what it knew of the old tables is void
        _require_counts(backup)
        done = _finish(backup, now=now, say=say, keys=keys, end_api_tokens=end_api_tokens)
    done.saved = saved
    return done


def finish_restore(
    *, path: Path, now: Callable[[], datetime], say: Say = lambda text: None, end_api_tokens: bool = False
) -> Restored:
    """Take up a restore that loaded the database and was interrupted afterwards. Raises OperationFailed."""
    path = path.expanduser().absolute()
    with explained(path), archive.opened(path) as backup, maintenance(say):
        mark = loading.unfinished()
        if mark is None:
            raise OperationFailed("No restore is unfinished here.")
        if mark["state_of"] != datetime.fromisoformat(backup.manifest["taken_at"]):
            raise OperationFailed(f"The unfinished restore is of {mark['backup']}, not of {path.name}.")
        backup.check()
        return _finish(backup, now=now, say=say, keys={}, end_api_tokens=end_api_tokens)


def _finish(
    backup: Backup, *, now: Callable[[], datetime], say: Say, keys: dict[str, bytes], end_api_tokens: bool
) -> Restored:
    done = Restored(datetime.fromisoformat(backup.manifest["taken_at"]), backup.manifest["product"])
    say("migrating to this version")
    call_command("prepare", verbosity=0, unlocked=True)
    _put_back_files(backup, done)
    _put_back_keys(keys, done)
    say("holding all orders, ending links and sessions")
    complete_restore(done=done, backup=backup, end_api_tokens=end_api_tokens, actor=RESTORER, now=now())
    say("beginning a new epoch of the trail")
    done.epoch = _begin_epoch(done, now())
    loading.remove_mark()
    say("verifying the trail")
    done.report = verify()
    return done


def complete_restore(*, done: Restored, backup: Backup, end_api_tokens: bool, actor: Actor, now: datetime) -> None:
    """Make the restored state harmless: hold every source, end what was for one use, and record the restore."""
    with transaction.atomic(durable=True):
        state_of = min(done.state_of, now)
        done.held_sources, done.interrupted_orders = hold_everything(state_of=state_of, now=now)
        MailLink.objects.filter(revoked_at=None).update(revoked_at=now)
        # A link for setting a password is void once the person signed in later; this is what it compares.
        User.objects.filter(last_login__isnull=False).update(last_login=F("last_login") + _ONE_SECOND)
        User.objects.update(session_epoch=F("session_epoch") + 1)
        alive = ApiToken.objects.filter(revoked_at=None, expires_at__gt=now)
        ended = alive.update(revoked_at=now) if end_api_tokens else 0
        if not end_api_tokens and (count := alive.count()):
            done.notices.append(
                f"{count} API tokens are valid as they were then, also those revoked since. End them under Settings, "
                "or restore with --end-api-tokens."
            )
        trail = backup.manifest["trail"]
        log.record(
            verb=Verb.INSTALLATION_RESTORED,
            actor=actor,
            subject=log.Subject("installation", "remit", "This installation"),
            now=now,
            context={
                "state_of": state_of,
                "from_version": backup.manifest["product"],
                "to_version": product_version(),
                "events": trail["events"],
                "head": trail["head"],
                "dump_sha256": backup.entries["database.dump"].sha256,
                "held_sources": done.held_sources,
                "interrupted_orders": done.interrupted_orders,
                "ended_tokens": ended,
            },
        )


def _begin_epoch(done: Restored, now: datetime) -> Begun:
    reason = f"Restored from a backup of {done.state_of:%Y-%m-%d %H:%M:%S} UTC."
    try:
        return begin_epoch(actor=RESTORER, now=now, reason=reason)
    except DomainError as problem:
        raise OperationFailed(
            f"The data is in place, but the trail in it cannot be continued: {problem.message} Nothing is sent until "
            "this is settled; try another backup with --replace."
        ) from problem


def _require_fit(backup: Backup) -> None:
    manifest = backup.manifest
    if manifest["server_major"] > (here := server_version()):
        raise OperationFailed(
            f"The backup comes from PostgreSQL {manifest['server_major']}, the server here is PostgreSQL {here}."
        )
    known = {(app, name) for app, name in MigrationLoader(None).disk_migrations or {}}
    strange = [f"{app}.{name}" for app, name in manifest["migrations"] if (app, name) not in known]
    if strange:
        raise OperationFailed(
            f"The backup was made by a newer version ({manifest['product']}; this is {product_version()} and does not "
            f"know {strange[0]}). Install that version first, then restore."
        )


def _require_place(is_used: bool, replace_after_backup: Path | None) -> None:
    if is_used and replace_after_backup is None:
        if mark := loading.unfinished():
            raise OperationFailed(
                f"A restore of {mark['backup']} was interrupted here. Go on with --finish, or begin anew: --replace."
            )
        raise OperationFailed(
            "The database is not empty. Restore into an empty one, or say --replace: then it is backed up first."
        )


def _require_alone(own: set[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = "
            "'client backend' AND pid <> pg_backend_pid() AND NOT pid = ANY(%s)",
            [list(own)],
        )
        (others,) = cursor.fetchone()
    if others:
        raise OperationFailed(f"{others} other connections are open. End web, worker and beat first.")


def _require_counts(backup: Backup) -> None:
    """What was loaded is what was counted when it was dumped."""
    differing = []
    with connection.cursor() as cursor:
        for table, expected in backup.manifest["counts"].items():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            (found,) = cursor.fetchone()
            if found != expected:
                differing.append(f"{table}: {found} rows instead of {expected}")
    if differing:
        raise OperationFailed(f"The loaded data is not what was backed up: {'; '.join(differing)}.")


def _put_back_files(backup: Backup, done: Restored) -> None:
    """Give the folders outside what they lack; what is there stays, because it may be newer than the backup."""
    folders = {
        "checkpoints": Path(settings.AUDIT_CHECKPOINT_DIR),
        "evidence": Path(getattr(settings, "EVIDENCE_DIR", settings.DATA_DIR / "evidence")),
    }
    differing = 0
    for name in backup.entries:
        place, _, relative = name.partition("/")
        if place not in folders or not relative:
            continue
        target = folders[place] / relative
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, backup.chunks(name))
        elif target.suffix == ".checkpoint" and target.read_bytes() != b"".join(backup.chunks(name)):
            differing += 1
    if differing:
        done.notices.append(
            f"{differing} checkpoints in {folders['checkpoints']} differ from those in the backup; they were kept."
        )


def _write(target: Path, chunks: Any) -> None:
    partial = target.with_name(f".{target.name}.restoring")
    try:
        with partial.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def _keys(backup: Backup, passphrase: str) -> dict[str, bytes]:
    if not passphrase:
        return {}
    if KEYS not in backup.entries:
        raise OperationFailed("This backup holds no keys, so there is nothing that the passphrase could open.")
    return sealed_keys.unseal(b"".join(backup.chunks(KEYS)), passphrase)


def _put_back_keys(keys: dict[str, bytes], done: Restored) -> None:
    kept = Path(settings.AUDIT_KEY_FILE).parent / "secret-key"
    places = {"audit": Path(settings.AUDIT_KEY_FILE), "webhook": Path(settings.WEBHOOK_KEY_FILE), SECRET_KEY: kept}
    for name, value in keys.items():
        place = places[name]
        if place.exists() and place.read_bytes() != value:
            done.notices.append(f"{place} holds another key than the backup and was kept.")
        else:
            write_once(place, value)
    is_adopted = "REMIT_EMBEDDED_DATA" in os.environ  # `make restore` takes it over by itself
    if SECRET_KEY in keys and keys[SECRET_KEY] != settings.SECRET_KEY.encode() and not is_adopted:
        done.notices.append(
            f"Second factors need the SECRET_KEY of then. It stands in {kept}: set it, then remove the file."
        )
