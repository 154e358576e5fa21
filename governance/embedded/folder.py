"""The data folder of one embedded start: everything it keeps, and the lock that makes the start its only user."""

import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from governance.embedded.binaries import StartError
from governance.embedded.postgres import substitute_home

LOG_LIMIT = 20 * 1024 * 1024
MADE_BY_US = (
    "postgres",
    "logs",
    "mail",
    "checkpoints",
    "keys",
    "static",
    "metrics",
    "demo.state",
    "demo-signin.txt",
    "settings.env",
)


class AlreadyRunning(StartError):
    """Another start is using the folder."""


class DataFolder:
    """A folder that can be written and is locked for this process until it ends."""

    def __init__(self, path: Path) -> None:
        """Raises `StartError` when the folder cannot be written, `AlreadyRunning` when another start is using it."""
        self.path = path.expanduser().absolute()
        _make_writable(self.path)
        self._lock = _lock(self.path / "run.lock")
        self.database = self.path / "postgres"
        self.logs = self.path / "logs"
        self.logs.mkdir(exist_ok=True)
        self.demo_state = self.path / "demo.state"
        self.demo_sign_in = self.path / "demo-signin.txt"

    def log(self, name: str) -> Path:
        """A log file; what grew past the limit is kept as `.1` and a new one begun."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        return path

    def read_settings(self) -> dict[str, str]:
        """What an earlier start wrote, with secrets made now where there are none yet."""
        path = self.path / "settings.env"
        lines = path.read_text().splitlines() if path.exists() else []
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        settings.setdefault("SECRET_KEY", secrets.token_urlsafe(64))
        settings.setdefault("EMBEDDED_DATABASE_PASSWORD", secrets.token_urlsafe(32))
        return settings

    def write_settings(self, settings: dict[str, str]) -> None:
        """Keep the settings for the next start and for `manage.py`; readable by us alone."""
        head = "# Written by `make run`. Holds secrets; `manage.py` reads it where DATABASE_URL is not set.\n"
        text = head + "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))
        partial = self.path / "settings.env.partial"
        partial.touch(mode=0o600)
        partial.write_text(text)
        partial.replace(self.path / "settings.env")

    def wipe(self) -> None:
        """Remove what Remit made here; files of others in the same folder stay."""
        for path in (*(self.path / name for name in MADE_BY_US), substitute_home(self.database)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _make_writable(path: Path) -> None:
    try:
        if not path.exists():
            path.mkdir(parents=True)
            # Root's database runs under another account, which must be able to pass through.
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"x")
    except OSError as error:
        raise StartError(
            f"Cannot write to the data folder {path} ({error.strerror}).\n"
            "Choose a folder of your own: make run DATA=/some/folder"
        ) from error


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
        raise AlreadyRunning(
            f"Remit is already running with the data folder {path.parent} (process {owner}).\n"
            f"Use that one, end it with Ctrl-C in its terminal or `kill {owner}`, "
            "or start a second one beside it: make run PORT=8001 DATA=/some/other/folder"
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
