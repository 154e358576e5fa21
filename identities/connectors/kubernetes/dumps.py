"""Dumps of objects: what `kubectl get … -o json` or `-o yaml` prints, and manifests, several documents in one file.

A dump shows what somebody asked for, not what there is: one namespace, some kinds. So by itself it never says that
something is gone (`Holds.PART`).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import yaml

from identities.connectors.contract import Record
from identities.connectors.files import FileRefused, Holds, Notes, read_whole
from identities.connectors.kubernetes import objects
from identities.connectors.kubernetes.estate import Estate
from identities.connectors.kubernetes.objects import GROUP, BadObject
from identities.connectors.kubernetes.records import inventory

LARGEST = 512 * 1024 * 1024
MOST_DOCUMENTS = 1_000_000
DEFAULT_NAMESPACE = "default"
_RBAC_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_CORE_KINDS = ("ServiceAccount", "Secret", "Pod")
_KIND = re.compile(rb"""(?:^|[\s{,"'-])kind["']?\s*:\s*["']?([A-Z][A-Za-z]+)""", re.M)
_API_VERSION = re.compile(rb"""(?:^|[\s{,"'-])apiVersion["']?\s*:\s*["']?([\w./-]+)""", re.M)
_SOMETHING = re.compile(r"\S")
_KNOWN = frozenset(kind.encode() for kind in (*_RBAC_KINDS, *_CORE_KINDS))


class Dump:
    """The format `kubernetes-objects`."""

    name = "kubernetes-objects"
    title = "Kubernetes objects (kubectl get -o json or yaml)"
    kind = "kubernetes"
    holds = Holds.PART

    def recognises(self, head: bytes) -> bool:
        """Objects with a kind and a version of the API; audit events have both too and are another format."""
        if b"audit.k8s.io/" in head:
            return False
        versions = set(_API_VERSION.findall(head))
        kinds = {kind.removesuffix(b"List") or b"List" for kind in _KIND.findall(head)}
        return bool(kinds & (_KNOWN | {b"List"})) and any(
            version == b"v1" or version.startswith(GROUP.encode()) for version in versions
        )

    def records(self, file: BinaryIO, notes: Notes) -> Iterator[Record]:
        """Raises FileRefused for anything that is no dump, before the first record."""
        shelf = _Shelf(notes)
        text = _text(file)
        if not text.endswith("\n"):
            # YAML that ends in mid-word is still YAML.
            notes.say("The file does not end with a line break: look whether it was cut off.")
        for document in _documents(text):
            shelf.put(document, at="")
        if not shelf.objects:
            raise FileRefused("The file holds no Kubernetes object.")
        count = 0
        for record in inventory(shelf.estate()):
            count += 1
            yield record
        yield {"type": "end", "records": count}


def _text(file: BinaryIO) -> str:
    data = read_whole(file, LARGEST, " Dump fewer kinds of objects at a time.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(f"The file is no text in UTF-8 (at byte {error.start}).") from error


def _documents(text: str) -> Iterator[Any]:
    """The documents of a file, JSON or YAML."""
    if text.lstrip()[:1] in ("{", "["):
        yield from _json_documents(text)
        return
    place = 0
    try:
        for number, document in enumerate(yaml.load_all(text, Loader=yaml.CSafeLoader)):
            if number >= MOST_DOCUMENTS:
                raise FileRefused(f"The file holds more than {MOST_DOCUMENTS:,} documents.")
            place = number
            _refuse_expansion(document, limit=len(text))
            if document is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}" if mark else f"document {place + 1}"
        raise FileRefused(f"The file is no YAML at {where}: {error.problem or 'it cannot be read'}.") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise FileRefused(f"Document {place + 1} of the file cannot be read as YAML.") from error


def _json_documents(text: str) -> Iterator[Any]:
    """One or several JSON values, one after the other."""
    decoder, start = json.JSONDecoder(), _SOMETHING.search(text)
    while start is not None:
        try:
            document, end = decoder.raw_decode(text, start.start())
        except json.JSONDecodeError as error:
            raise FileRefused(f"The file is no JSON at line {error.lineno}: {error.msg}. Was it cut off?") from error
        except RecursionError as error:
            raise FileRefused("The file is nested too deep.") from error
        yield document
        start = _SOMETHING.search(text, end)


def _refuse_expansion(document: Any, *, limit: int) -> None:
    """A document cannot hold more values than its text has characters, unless its aliases multiply them."""
    waiting, seen = [document], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > limit:
            raise FileRefused("The file's YAML aliases expand to far more than was written; kubectl writes none.")
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


class _Shelf:
    """The objects of a dump, by kind and name."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.objects = 0
        self.kept: dict[str, dict[tuple[str, str], Any]] = {kind: {} for kind in (*_RBAC_KINDS, *_CORE_KINDS)}

    def put(self, document: Any, *, at: str, kind: str = "") -> None:
        """Take over one document, lists of objects item by item. Raises FileRefused."""
        if isinstance(document, list):
            for number, each in enumerate(document):
                self.put(each, at=f"{at}/{number}")
            return
        if not isinstance(document, dict):
            raise FileRefused(f"There is something that is no Kubernetes object{_where(at)}.")
        kind = document.get("kind") or kind
        if not isinstance(kind, str) or not kind:
            raise FileRefused(f"There is an object without a kind{_where(at)}.")
        items = document.get("items")
        if kind.endswith("List") and isinstance(items, list | None):
            for number, each in enumerate(items or ()):
                self.put(each, at=f"{at}/items/{number}", kind=kind.removesuffix("List"))
            self.objects += not items  # an empty list is an answer too
            return
        self.objects += 1
        self._take(kind, document, at)

    def _take(self, kind: str, document: dict[str, Any], at: str) -> None:
        version = document.get("apiVersion")
        group = version.rpartition("/")[0] if isinstance(version, str) else None
        if kind not in self.kept or group not in (None, GROUP if kind in _RBAC_KINDS else ""):
            self.notes.count(f"objects of other kinds passed over ({kind})")
            return
        try:
            found = _read(kind, document)
        except BadObject as error:
            raise FileRefused(f"A {kind} in the file can't be read{_where(at)}: {error}.") from error
        if kind == "Secret":
            self._count_secret(document, is_kept=found is not None)
        if found is not None:
            self._keep(kind, document, found)

    def _keep(self, kind: str, document: dict[str, Any], found: Any) -> None:
        meta = document.get("metadata") or {}
        if kind not in ("ClusterRole", "ClusterRoleBinding") and not meta.get("namespace"):
            self.notes.count(f"objects without a namespace, taken to be in {DEFAULT_NAMESPACE!r}")
        if kind == "Pod":
            key = (str(meta.get("namespace") or DEFAULT_NAMESPACE), str(meta.get("name")))
        else:
            key = (found.meta.namespace, found.meta.name)
        if key in self.kept[kind]:
            same = self.kept[kind][key] == found
            self.notes.count(
                "objects that stand in the file twice" if same else "objects defined twice, the last counts"
            )
        self.kept[kind][key] = found

    def _count_secret(self, document: dict[str, Any], *, is_kept: bool) -> None:
        if document.get("data") or document.get("stringData"):
            self.notes.count("secrets whose content was dropped")
            self.notes.say("The file holds the contents of secrets; they were dropped, and the file should be too.")
        if not is_kept:
            self.notes.count("secrets that hold no token of a service account passed over")

    def estate(self) -> Estate:
        """What the file shows, after saying what it does not."""
        kept = {kind: list(found.values()) for kind, found in self.kept.items()}
        estate = Estate(
            accounts=kept["ServiceAccount"],
            roles=kept["Role"] + kept["ClusterRole"],
            bindings=kept["RoleBinding"] + kept["ClusterRoleBinding"],
            secrets=kept["Secret"],
            pods=dict(Counter(kept["Pod"])),
            is_whole=False,
        )
        for kind, found in kept.items():
            if found:
                self.notes.count(f"{kind} objects", len(found))
        self._say_what_is_missing(estate)
        return estate

    def _say_what_is_missing(self, estate: Estate) -> None:
        left_out = list(estate.left_out())
        counts = {
            "subjects that look like people left out": len(left_out),
            "subjects listed twice in a binding": sum(binding.repeated for binding in estate.bindings),
            "service accounts in bindings without a namespace, taken to be in the binding's": sum(
                binding.homeless for binding in estate.bindings
            ),
            "groups of service accounts none of which is in the file left out": sum(
                1 for _ in estate.without_members()
            ),
            "bindings to a role that is not in the file": sum(
                binding.role_key not in estate.role_of for binding in estate.bindings
            ),
            "token secrets of accounts that are not in the file passed over": sum(
                objects.username(*secret.owner) not in estate.account_of for secret in estate.secrets
            ),
        }
        for what, number in counts.items():
            if number:
                self.notes.count(what, number)
        if counts["bindings to a role that is not in the file"]:
            self.notes.say(
                "Some roles are not in the file, so what they give is unknown: dump roles and clusterroles too."
            )
        if not estate.identities:
            self.notes.say("Nobody in the file holds anything: it has no account, and no binding with a machine in it.")
        missing = [kind for kind in (*_RBAC_KINDS, "ServiceAccount") if not self.kept[kind]]
        if missing:
            self.notes.say(f"The file holds no object of kind {', '.join(missing)}.")


def _read(kind: str, document: dict[str, Any]) -> Any:
    if kind in _RBAC_KINDS:
        read = objects.read_binding if kind.endswith("Binding") else objects.read_role
        is_namespaced = not kind.startswith("Cluster")
        return read(document, is_namespaced=is_namespaced, default_namespace=DEFAULT_NAMESPACE)
    return _CORE_READERS[kind](document, default_namespace=DEFAULT_NAMESPACE)


_CORE_READERS: dict[str, Callable[..., Any]] = {
    "ServiceAccount": objects.read_account,
    "Secret": objects.read_secret,
    "Pod": objects.read_pod,
}


def _where(at: str) -> str:
    return f" (at {at})" if at else ""
