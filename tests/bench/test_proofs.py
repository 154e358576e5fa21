from random import Random

from governance.kernel.permissions import includes
from tests.bench.narrowings import narrowings
from tests.bench.proofs import made_up


def test_made_up_policies_are_the_same_each_time_and_can_be_narrowed() -> None:
    first, second = made_up(30), made_up(30)

    assert first == second
    for held in first:
        for kind, narrow in narrowings(held, Random(1)):
            assert includes(held, narrow).holds, (kind, held)
