"""Files that other systems write: exports of an inventory, and logs that show use.

A format turns one file into the records of a reading (docs/api.md, "Record types"). What it cannot or must not take
over (a secret, a kind of object that Remit does not know) it counts in its notes: nothing is dropped in silence.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, Protocol

from governance.kernel.errors import DomainError
from identities.connectors.contract import Record


class FileRefused(DomainError):
    """The file is not what it should be: another format, cut off, empty. The message says where and why."""

    code = "file-refused"
    status = 422
    title = "The file can't be read"


class Holds(StrEnum):
    """INVENTORY: everything that its source holds, so what it lacks is gone. PART: what it holds is there, and what it
    lacks may be there too, so it retires nothing unless whoever imports it says that it is everything. USAGE: what was
    seen in use, no more.
    """

    INVENTORY = "inventory"
    PART = "part"
    USAGE = "usage"


@dataclass(slots=True)
class Notes:
    """What a format has to say beside its records: `counts` by what was counted, and sentences.

    line: where in the file the record stands that is being yielded. A format that knows sets it, and whatever is wrong
    with the record is then said of that line.
    """

    counts: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)
    line: int = 0

    def count(self, what: str, number: int = 1) -> None:
        """For instance `notes.count("secrets dropped")`."""
        self.counts[what] += number

    def say(self, sentence: str) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)


class FileFormat(Protocol):
    """One format. name: as `--format` takes it. kind: the kind of source it is an export of; "push" is any."""

    name: str
    title: str
    kind: str
    holds: Holds

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins like this (some 64 kB) is of this format."""
        ...

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        """The records of a whole file, ending with an `end` record. Raises FileRefused."""
        ...


def read_whole(file: BinaryIO, most: int, advice: str = "") -> bytes:
    """Everything in a file of at most so many bytes, which must be something. Raises FileRefused."""
    data = file.read(most + 1)
    if len(data) > most:
        raise FileRefused(f"The file is larger than {most // 1024**2} MB.{advice}")
    if not data.strip():
        raise FileRefused("The file is empty.")
    return data
