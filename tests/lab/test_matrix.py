"""The matrix covers every pair of classes once; that pairs meet as they should is e2e/test_nat_matrix.py."""

from pulse.lab.matrix import PAIRS
from pulse.lab.plan import Nat


def test_every_pair_of_classes_is_there_once() -> None:
    assert {frozenset(each) for each in PAIRS} == {frozenset((one, other)) for one in Nat for other in Nat}
    assert len(PAIRS) == 10
