"""One change of one configuration file: what it looks for, what it leaves, and its exact opposite.

An edit never carries what a server's definition holds, because secrets may stand there. A definition that is taken out
is set aside in a file beside the configuration, readable by the same people, and put back from there.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from identities.connectors.contract import NotPossible, SourceUnreachable, image_hash
from identities.connectors.mcp.clients import client_of
from identities.connectors.mcp.documents import ABSENT, Malformed, load, raw_at, value_at, with_value
from identities.connectors.mcp.settings import load_file, read_text

_NAMES_ONLY = ("env", "headers", "http_headers")


@dataclass(frozen=True, slots=True)
class Edit:
    """kind: take (a definition out), put (it back), set (a list or switch of a definition), entries (of a permission
    list). before/after: the state that `state_of` finds. aside: the file beside, where take and put keep the words.
    index: where among its siblings it stands.
    """

    kind: str
    file: str
    at: tuple[str, ...]
    before: Any
    after: Any
    aside: str = ""
    index: int = 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": list(self.at)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Edit":
        return cls(**{**data, "at": tuple(data["at"])})

    def reversed(self) -> "Edit":
        kind = {"take": "put", "put": "take"}.get(self.kind, self.kind)
        return Edit(kind, self.file, self.at, self.after, self.before, self.aside, self.index)

    def text(self) -> str:
        """What will be done, fit to be shown."""
        where = "/".join(self.at)
        match self.kind:
            case "take":
                return f"{self.file}: take {where} out (set aside in {self.aside})"
            case "put":
                return f"{self.file}: put {where} back from {self.aside}"
            case "set":
                return f"{self.file}: {where}\n- {_shown(self.before)}\n+ {_shown(self.after)}"
        lines = [*(f"- {each}" for each in self.before), *(f"+ {each}" for each in self.after)]
        return "\n".join([f"{self.file}: {where}", *lines])


def definition_hash(definition: Any) -> str | None:
    """A definition's sha256 with the values of its environment and headers left out; None where there is none."""
    if definition is ABSENT:
        return None
    if isinstance(definition, Mapping):
        definition = {
            key: sorted(value) if key in _NAMES_ONLY and isinstance(value, Mapping) else value
            for key, value in definition.items()
        }
    return image_hash(definition)


def state_of(edit: Edit, document: Mapping[str, Any]) -> Any:
    """What the file holds now where the edit is about."""
    value = value_at(document, edit.at)
    if edit.kind in ("take", "put"):
        return definition_hash(value)
    if edit.kind == "set":
        return None if value is ABSENT else value
    held = value if isinstance(value, list) else []
    return [each for each in sorted({*edit.before, *edit.after}) if each in held]


def states_hash(edits: Sequence[Edit], states: Sequence[Any]) -> str:
    return image_hash([[edit.file, list(edit.at), state] for edit, state in zip(edits, states, strict=True)])


def look(edits: Sequence[Edit]) -> str:
    """The hash of the state of all edits' places. Raises ReadIncomplete."""
    documents = {file: load_file(file, read_text(file)) for file in {edit.file for edit in edits}}
    return states_hash(edits, [state_of(edit, documents[edit.file]) for edit in edits])


def make(edits: Sequence[Edit]) -> None:
    """Carry out edits of one file in one replacement of it. Raises NotPossible, SourceUnreachable."""
    file = edits[0].file
    text = edited = read_text(file)
    try:
        for edit in edits:
            edited = _edited(edit, edited)
    except Malformed as error:
        raise NotPossible(f"{file} {error}.") from None
    for edit in edits:
        if edit.kind == "take":
            _set_aside(edit, text)
    replace_file(file, text, edited)


def replace_file(file: str, expected: str, text: str) -> None:
    """Put a whole new content in place of the expected one: readers see the old file or the new one, never a part."""
    # A link stays a link; what it leads to is replaced.
    target = Path(file).resolve()
    beside = target.with_name(f".{target.name}.remit-new")
    try:
        with _folder_locked(target.parent) as folder:
            try:
                _write_like(target, beside, text)
                if read_text(file) != expected:
                    raise NotPossible(f"{file} was changed by somebody else at this moment; nothing was written.")
                beside.replace(target)
                os.fsync(folder)
            finally:
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise NotPossible(f"{file} can't be written ({error.strerror}).") from error


@contextmanager
def _folder_locked(folder: Path) -> Iterator[int]:
    """Two workers of ours never replace files of one folder at once, so a name for the new file is enough, and one that
    a killed worker left behind is overwritten by the next.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write_like(target: Path, beside: Path, text: str) -> None:
    """The text in a file of the same owner and mode."""
    held = target.stat()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as new:
        new.write(text.encode())
        new.flush()
        if (held.st_uid, held.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(new.fileno(), held.st_uid, held.st_gid)
        os.fchmod(new.fileno(), held.st_mode & 0o7777)
        os.fsync(new.fileno())


def forget(edit: Edit) -> None:
    """Remove what was set aside, once it stands in its place again."""
    Path(edit.aside).unlink(missing_ok=True)


def _edited(edit: Edit, text: str) -> str:
    client = client_of(edit.file)
    form: dict[str, Any] = {"toml": client.toml, "comments": client.comments}
    if edit.kind == "take":
        return with_value(text, edit.at, ABSENT, **form)
    if edit.kind == "put":
        raw, index = _kept(edit)
        value = _value_of(raw, edit)
        if definition_hash(value) != edit.after:
            raise NotPossible(f"What was set aside in {edit.aside} is not what was taken out.")
        return with_value(text, edit.at, value, raw=raw, index=index, **form)
    if edit.kind == "set":
        value = ABSENT if edit.after is None else edit.after
        return with_value(text, edit.at, value, **form)
    document = load(text, **form)
    held = value_at(document, edit.at)
    kept = [each for each in held if each not in edit.before] if isinstance(held, list) else []
    added = [each for each in edit.after if each not in kept]
    place = sum(1 for each in held[: edit.index] if each not in edit.before) if isinstance(held, list) else 0
    return with_value(text, edit.at, [*kept[:place], *added, *kept[place:]], **form)


def _value_of(raw: str, edit: Edit) -> Any:
    client = client_of(edit.file)
    if client.toml:
        return value_at(load(raw, toml=True), edit.at)
    return load(f'{{"_": {raw}\n}}', comments=client.comments)["_"]


def _set_aside(edit: Edit, text: str) -> None:
    client = client_of(edit.file)
    raw, index = raw_at(text, edit.at, toml=client.toml, comments=client.comments)
    kept = json.dumps({"at": list(edit.at), "index": index, "words": raw}, ensure_ascii=False)
    place = Path(edit.aside)
    try:
        mode = Path(edit.file).stat().st_mode & 0o600
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as file:
            file.write(kept.encode())
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(place.parent)
    except OSError as error:
        raise NotPossible(f"{edit.aside} can't be written ({error.strerror}); nothing was changed.") from error


def _kept(edit: Edit) -> tuple[str, int]:
    try:
        kept = json.loads(Path(edit.aside).read_text())
        return str(kept["words"]), int(kept["index"])
    except FileNotFoundError as error:
        raise NotPossible(f"{edit.aside}, where the definition was set aside, is not there any more.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceUnreachable(f"{edit.aside} can't be read.") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(value: Any) -> str:
    return "(absent)" if value is None else json.dumps(value, ensure_ascii=False)
