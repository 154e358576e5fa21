"""What commands print about a reading: how far it is, and what it changed, in words."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from identities.models import Change, ChangeAction, SyncRun, SyncState
from identities.selectors.history import names_of
from identities.sync.preview import Preview, preview_of
from identities.views.change_lines import line_of
from identities.views.run_lines import COUNT_NAMES, PHASES

ERRORS_SHOWN = 20
SHOWN_OF_EACH = 10
# Exit codes beside 0 (applied, or nothing stood in the way of a dry run) and 1 (refused, failed).
HELD = 3
MARKS = {ChangeAction.ADDED: "+", ChangeAction.CHANGED: "~", ChangeAction.RETIRED: "-"}
HELD_CODE = "too-many-retired"


def teller(stderr: OutputWrapper, *, is_wanted: bool) -> Callable[[dict[str, Any]], None] | None:
    """Tells how far a run is: one line that renews itself on a terminal, single lines elsewhere."""
    if not (stderr.isatty() or is_wanted):
        return None
    is_terminal = stderr.isatty()

    def tell(said: dict[str, Any]) -> None:
        share = f", {100 * said['bytes'] // said['of_bytes']} % of the file" if said["of_bytes"] else ""
        text = f"{PHASES.get(said['phase'], said['phase'])}: {said['records']:,} records{share}"
        if is_terminal:
            stderr.write(f"\r\x1b[K{text}", ending="")
        else:
            stderr.write(text)

    return tell


def end_line(stderr: OutputWrapper) -> None:
    """Clear what a teller left on the terminal."""
    if stderr.isatty():
        stderr.write("\r\x1b[K", ending="")


def report(run: SyncRun, stdout: OutputWrapper, stderr: OutputWrapper, *, first: int) -> None:
    """Say how a run ended and what it changed. Raises `CommandError` with the exit code for what isn't applied."""
    if run.state in (SyncState.APPLIED, SyncState.DRY_RUN, SyncState.HELD):
        _write_counts(run, stdout)
        _write_notes(run, stdout)
        for line in _changes(run, first):
            stdout.write(line)
    if run.is_partial:
        stderr.write(f"{run.refused:,} records were refused; the run keeps them with their reasons.")
    if run.problem is None:
        stdout.write(f"Run {run.pk}: {run.get_state_display().lower()}.")
        return
    for error in run.row_errors.order_by("line", "pk")[:ERRORS_SHOWN]:
        stderr.write(f"line {error.line} {error.pointer}: {error.reason} ({error.code})")
    is_held = run.problem["code"] == HELD_CODE
    told = f"{run.problem['title']}: {run.problem['detail']} (run {run.pk})"
    raise CommandError(told, returncode=HELD if is_held else 1)


def _write_counts(run: SyncRun, stdout: OutputWrapper) -> None:
    for kind, name in COUNT_NAMES.items():
        counts = run.counts.get(kind, {})
        told = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number)
        stdout.write(f"{name.lower():>14}: {told or 'none'}")


def _write_notes(run: SyncRun, stdout: OutputWrapper) -> None:
    for what, number in sorted(run.notes.get("counts", {}).items()):
        stdout.write(f"{number:>14,}: {what}")
    for sentence in run.notes.get("sentences", []):
        stdout.write(sentence)


def _changes(run: SyncRun, first: int) -> Iterable[str]:
    if first == 0:
        return
    if run.state == SyncState.APPLIED:
        shown = list(Change.objects.filter(run=run).order_by("pk")[:first])
    else:
        preview = preview_of(run=run, now=run.started_at, limit=first)
        yield from _losers(preview)
        shown = preview.changes[:first]
    if not shown:
        yield "Nothing would change." if run.state == SyncState.DRY_RUN else "Nothing changed."
        return
    names = names_of(shown)
    for change in shown:
        line = line_of(change, names)
        detail = f" ({line.detail})" if line.detail else ""
        yield f"  {MARKS[ChangeAction(change.action)]} {line.kind.lower()} {line.name}{detail}"
        for mark, text in line.lines:
            if mark != "kept":
                yield f"      {'-' if mark == 'removed' else '+'} {text}"
    total = sum(run.counts.get(kind, {}).get(action, 0) for kind in run.counts for action in ChangeAction.values)
    if total > len(shown):
        yield f"  … and {total - len(shown):,} more; the run's page lists them."


def _losers(preview: Preview) -> Iterable[str]:
    if preview.losers:
        yield "Who would lose most:"
    for loser in preview.losers[:SHOWN_OF_EACH]:
        privileged = f", {loser.privileged:,} of them privileged" if loser.privileged else ""
        credentials = f", and {loser.credentials:,} credentials" if loser.credentials else ""
        gone = "; would be gone itself" if loser.is_retired else ""
        yield f"  {loser.name}: {loser.grants:,} of {loser.of_grants:,} grants{privileged}{credentials}{gone}"
