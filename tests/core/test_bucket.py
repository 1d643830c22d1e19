"""Buckets: what is saved up has a brim, what is owed is waited off."""

from pulse.core.bucket import Bucket


def test_a_bucket_fills_up_to_its_brim_and_its_debt_is_waited_off() -> None:
    bucket = Bucket(rate=2.0, most=10.0, now=0.0)
    bucket.spend(14.0, 0.0)
    assert bucket.level(1.0) == -2.0
    assert bucket.ready_at(1.0, 1.0) == 2.5
    assert bucket.level(100.0) == 10.0
    assert bucket.ready_at(1.0, 100.0) == 100.0
