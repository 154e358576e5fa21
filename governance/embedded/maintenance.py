"""`make backup`, `make restore` and `make upgrade`: management commands against the database of a data folder.

A backup works beside a running `make run`. The others want the folder for themselves, start its PostgreSQL, run the
command and end it again.
"""

import os
import subprocess
import sys
from pathlib import Path

from governance.embedded.binaries import StartError
from governance.embedded.folder import AlreadyRunning, DataFolder
from governance.embedded.run import ROOT, Start

# Written by a restore that opened the keys of a backup; becomes the folder's own (governance/operations/restore.py).
RESTORED_SECRET = Path("keys") / "secret-key"


def backup(path: Path, arguments: list[str]) -> int:
    """`manage.py backup` beside a running start, or with its database started for this. The command's exit code."""
    _require_installation(path)
    try:
        folder = DataFolder(path)
    except AlreadyRunning:
        environment = os.environ | {"DATA_DIR": str(path.absolute())}
        command = [sys.executable, "manage.py", "backup", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    return Start(folder, port=0, with_demo=False).run_command(["backup", *arguments])


def restore(path: Path, arguments: list[str]) -> int:
    """`manage.py restore` into the folder, which is made where there is none. The command's exit code."""
    folder = DataFolder(path)
    code = Start(folder, port=0, with_demo=False).run_command(["restore", *arguments])
    found = folder.path / RESTORED_SECRET
    if code == 0 and found.is_file():
        folder.write_settings(folder.read_settings() | {"SECRET_KEY": found.read_text()})
        found.unlink()
        print("  the SECRET_KEY of the backup is now this folder's", flush=True)
    return code


def upgrade(path: Path, arguments: list[str]) -> int:
    """`manage.py upgrade` of the folder's database. The command's exit code."""
    _require_installation(path)
    return Start(DataFolder(path), port=0, with_demo=False).run_command(["upgrade", *arguments])


def _require_installation(path: Path) -> None:
    if not (path / "settings.env").exists():
        raise StartError(f"There is no installation in {path.absolute()}. Name its folder: DATA=/some/folder")
