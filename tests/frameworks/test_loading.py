"""Framework files are complete, consistent, and in our own words; a file that is not is refused with its place."""

import pytest

from governance.frameworks.loading import (
    ORDER,
    InvalidFramework,
    get_framework,
    load_frameworks,
    read_framework,
)
from governance.kernel.errors import NotFound

GOOD = """
id = "sample"
title = "Sample"
short = "S"
edition = "1"
source = "https://example.org"
note = "A note."
[[section]]
id = "one"
title = "One"
[[control]]
id = "A.1"
section = "one"
title = "Something"
evidences = "This."
cannot = "That."
places = ["identities"]
"""


def test_every_file_loads_in_its_order() -> None:
    assert tuple(framework.id for framework in load_frameworks()) == ORDER
    assert sum(len(framework.controls) for framework in load_frameworks()) > 80


def test_every_control_says_what_it_shows_and_what_it_cannot() -> None:
    for framework in load_frameworks():
        for control in framework.controls:
            assert control.evidences.endswith(".") and control.cannot.endswith("."), (framework.id, control.id)
            assert control.rules or control.verbs or control.places, (framework.id, control.id)


def test_the_split_of_authentication_and_authorization_is_the_framework_s_own() -> None:
    csf = get_framework("csf_2_0")

    assert [control.id for control in csf.of_section("authentication")] == [
        f"PR.AA-0{number}" for number in range(1, 5)
    ]
    assert [control.id for control in csf.of_section("authorization")] == ["PR.AA-05"]
    assert next(iter(csf.sections)) == "authentication"


def test_names_of_the_earlier_edition_intersect_and_are_never_called_equal() -> None:
    csf = get_framework("csf_2_0")
    (control,) = csf.of_section("authorization")

    assert "PR.AC-4" in control.former
    assert csf.former_relation == "intersects"
    broken = GOOD.replace('places = ["identities"]', 'places = ["identities"]\nformer = ["X.1"]')
    with pytest.raises(InvalidFramework, match="intersects"):
        read_framework("sample", broken.replace('note = "A note."', 'note = "A note."\nformer_relation = "equals"'))


def test_protected_texts_are_marked_so_that_their_page_says_it() -> None:
    protected = {framework.id for framework in load_frameworks() if framework.is_protected}

    assert protected == {"pci_dss_4_0_1", "soc2_tsc_2017", "iso_27001_2022"}
    assert all("our own words" in get_framework(each).note for each in protected)


def test_what_no_console_of_access_can_show_is_left_out() -> None:
    assert "MAP 3.4" not in {control.id for control in get_framework("ai_rmf_1_0").controls}


def test_an_unknown_framework_is_not_found() -> None:
    with pytest.raises(NotFound):
        get_framework("nothing")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "sample"', 'id = "other"', "calls itself"),
        ('title = "Sample"', "", "does not say its title"),
        ('cannot = "That."', "", "control 1 does not say its cannot"),
        ('section = "one"', 'section = "two"', "does not have"),
        ('places = ["identities"]', "", "claims evidence and names none"),
        ('places = ["identities"]', 'places = ["a", "a"]', "twice"),
        ('places = ["identities"]', 'places = "a"', "list of names"),
        ('places = ["identities"]', 'places = ["a"]\nfoo = 1', "foo, which nobody reads"),
        ('note = "A note."', 'note = "A note."\nbar = 1', "bar, which nobody reads"),
        ('evidences = "This."', f'evidences = "{"x" * 500}."', "too long"),
        ("[[section]]", "[[section]]\nid = 'empty'\ntitle = 'Empty'\n[[section]]", "nothing in empty"),
        ('id = "sample"', 'id = "sample', "is not TOML"),
    ],
)
def test_a_file_that_is_not_complete_is_refused_with_its_place(old: str, new: str, says: str) -> None:
    assert read_framework("sample", GOOD).controls[0].id == "A.1"
    with pytest.raises(InvalidFramework, match=says):
        read_framework("sample", GOOD.replace(old, new, 1))


def test_a_control_stands_once() -> None:
    control = GOOD[GOOD.index("[[control]]") :]
    with pytest.raises(InvalidFramework, match=r"A\.1 twice"):
        read_framework("sample", GOOD + control)
