"""Arguments are compared as a server would understand them, and refused where they could be taken for others."""

from typing import Any

import pytest

from identities.gateway.arguments import readings
from identities.gateway.messages import Refused


@pytest.mark.parametrize(
    ("sent", "compared"),
    [
        ("/srv/app/a.txt", "/srv/app/a.txt"),
        ("/srv/app/../../etc/passwd", "/etc/passwd"),
        ("/srv/app/./b//c/", "/srv/app/b/c"),
        ("//srv/app", "/srv/app"),
        ("///srv/app", "/srv/app"),
        ("/srv/app/..\\..\\etc", "/etc"),
        ("/srv/app\x00/../../../etc", "/etc"),
        ("/srv/app/.\u200b./secret", "/srv/secret"),
        ("../up", "../up"),
        ("file:///srv/app/../../etc/passwd", "file:///etc/passwd"),
        ("https://ok.example/a/%2e%2e/%2E%2e/b", "https://ok.example/b"),
        ("plain words, no path", "plain words, no path"),
        (7, "7"),
        (True, "true"),
    ],
)
def test_a_text_is_compared_as_what_it_means(sent: Any, compared: str) -> None:
    assert readings({"path": sent}) == [{"path": compared}]


def test_members_of_objects_are_named_with_dots_and_nothing_is_left_out() -> None:
    assert readings({"options": {"root": "/srv"}, "nothing": None}) == [{"options.root": "/srv"}]


def test_every_value_of_a_list_is_a_reading_of_its_own() -> None:
    found = readings({"paths": ["/srv/a", "/etc/passwd"], "mode": ["r", "w"]})

    assert len(found) == 4
    assert {"paths": "/etc/passwd", "mode": "w"} in found


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/srv", "Path": "/etc"},
        {"PATH": "/srv"},  # the tool knows `path`, so this is not it, and a condition would take it for it
        {"options.root": "/srv"},
        {"a\nb": "x"},
        {"a": {"b": {"c": {"d": {"e": 1}}}}},
        {str(number): 1 for number in range(300)},
        {"paths": [str(number) for number in range(40)]},
    ],
)
def test_what_could_be_taken_for_something_else_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        readings(arguments, known=["path"])
