"""A call's arguments as conditions of grants can compare them. Pure.

A path is compared as a server would understand its text: control characters gone, `.`, `..` and doubled slashes
resolved, in addresses also what is written by its code. So `/srv/app/../../etc` does not lie under `/srv/app/`,
whatever a pattern over the raw text would say. What is forwarded is what the agent sent. Links inside a file system are
not seen here; a server's own root is for that.

Conditions compare one value at a time, and know no case in names. So a list is taken apart into one reading per value,
all of which must be allowed, and a name that could be taken for another one is refused.
"""

import posixpath
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any
from urllib.parse import unquote

from identities.gateway.messages import INVALID_PARAMS, Refused

MOST_ARGUMENTS = 200
MOST_LEVELS = 4
MOST_READINGS = 32

Reading = dict[str, str]


def readings(arguments: Mapping[str, Any], known: Iterable[str] = ()) -> list[Reading]:
    """Every argument by its dotted name as one text; more than one reading where lists have several values.

    known: the names that the tool itself says it takes. Raises Refused for what can't be judged.
    """
    lists = _flat(arguments, {name.casefold(): name for name in known})
    names = sorted(lists)
    number = 1
    for name in names:
        number *= len(lists[name])
    if number > MOST_READINGS:
        raise _refused("These arguments hold too many values at once to be judged; make several calls.")
    return [dict(zip(names, values, strict=True)) for values in product(*(lists[name] for name in names))]


def _flat(arguments: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    folded: set[str] = set()
    waiting = [(name, _plain(name, known), value, 1) for name, value in arguments.items()]
    while waiting:
        name, path, value, level = waiting.pop()
        if len(folded) >= MOST_ARGUMENTS or level > MOST_LEVELS:
            raise _refused("The arguments are too many or too deep to be judged.")
        if isinstance(value, Mapping):
            waiting += [(key, f"{path}.{_plain(key, {})}", each, level + 1) for key, each in value.items()]
            continue
        if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
            waiting += [(name, f"{path}.{index}", each, level + 1) for index, each in enumerate(value)]
            continue
        if path.casefold() in folded:
            raise _refused(f"Two arguments can be taken for each other: {path[:80]}.")
        folded.add(path.casefold())
        texts = [_text(each) for each in (value if isinstance(value, list) else [value]) if each is not None]
        if texts:
            found[path] = list(dict.fromkeys(texts))
    return found


def _plain(name: str, known: Mapping[str, str]) -> str:
    if "." in name or not name.isprintable():
        raise _refused("An argument's name has a dot or a control character in it, so it could be taken for another.")
    meant = known.get(name.casefold(), name)
    if meant != name:
        raise _refused(f"The argument {name[:80]} could be taken for {meant[:80]}.")
    return name


def _refused(sentence: str) -> Refused:
    return Refused(INVALID_PARAMS, sentence, reason="not_comparable")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    text = "".join(char for char in value if char.isprintable())
    scheme, is_address, rest = text.partition("://")
    if is_address:
        host, _, path = rest.partition("/")
        return f"{scheme}://{host}{_resolved('/' + unquote(path))}" if path else text
    return _resolved(text) if "/" in text or "\\" in text else text


def _resolved(path: str) -> str:
    """The path by its text. A backslash counts as a slash: to some servers it is one."""
    resolved = posixpath.normpath(path.replace("\\", "/"))
    # POSIX leaves two slashes at the beginning alone, and no server means anything by them.
    return f"/{resolved.lstrip('/')}" if resolved.startswith("//") else resolved
