"""Optimistic locking over HTTP."""

import pytest
from django.test import RequestFactory

from governance.web.etag import VersionChanged, VersionNeeded, etag_for, require_match


@pytest.mark.parametrize("header", ['"v7"', '"v6", "v7"', "*"])
def test_the_version_that_was_read_may_be_changed(rf: RequestFactory, header: str) -> None:
    require_match(rf.post("/", headers={"If-Match": header}), 7)


@pytest.mark.parametrize("header", ['"v6"', 'W/"v7"', "v7", '"v77"'])
def test_another_version_is_refused_and_the_current_one_named(rf: RequestFactory, header: str) -> None:
    with pytest.raises(VersionChanged) as refused:
        require_match(rf.post("/", headers={"If-Match": header}), 7)

    assert refused.value.details == {"current": etag_for(7)}
    assert refused.value.status == 412


def test_a_change_that_names_no_version_is_refused(rf: RequestFactory) -> None:
    with pytest.raises(VersionNeeded):
        require_match(rf.post("/"), 7)
