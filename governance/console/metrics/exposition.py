"""Figures as the text that Prometheus and its relatives read (exposition format 0.0.4)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = re.compile(r"remit_[a-z][a-z0-9_]*")
LABEL = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(slots=True)
class Family:
    """One gauge with its samples. help: one sentence. Labels hold states and kinds, never anybody's name."""

    name: str
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> "Family":
        """Add a sample; what is not known (None) is left out, because 0 would say something else."""
        if value is not None:
            self.samples.append((labels, float(value)))
        return self


def render(families: Iterable[Family]) -> str:
    """The whole text. Raises ValueError for a name that the format does not allow."""
    lines = []
    for family in families:
        if not NAME.fullmatch(family.name):
            raise ValueError(f"{family.name} is no name of a metric")
        lines.append(f"# HELP {family.name} {_escape_help(family.help)}")
        lines.append(f"# TYPE {family.name} gauge")
        lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    for name in labels:
        if not LABEL.fullmatch(name):
            raise ValueError(f"{name} is no name of a label")
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
