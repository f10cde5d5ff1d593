"""A token bucket never lets more through than its rate allows, and never less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.rpc_bucket import Bucket


@given(st.floats(min_value=0.5, max_value=100), st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=60))
def test_take__in_turn__never_more_than_the_rate_in_any_stretch(per_s: float, pauses: list[float]) -> None:
    bucket, now, sent = Bucket(per_s), 0.0, list[float]()
    for pause in pauses:
        now += pause
        now += bucket.wait_s(now, 1)
        bucket.take(now, 1)
        sent.append(now)
    for start, first in enumerate(sent):
        for end in range(start, len(sent)):
            assert end - start + 1 <= max(per_s, 1) + (sent[end] - first) * per_s + 1e-6


def test_take__after_a_pause__is_full_again() -> None:
    bucket = Bucket(2)
    bucket.take(0.0, 2)
    assert bucket.wait_s(0.0, 1) == 0.5
    assert bucket.wait_s(0.5, 1) == 0
    assert bucket.wait_s(10.0, 2) == 0


def test_take__more_than_a_second_holds__goes_out_when_nothing_else_is_due() -> None:
    assert Bucket(2).wait_s(0.0, 50) == 0


def test_no_limit__never_waits() -> None:
    bucket = Bucket()
    bucket.take(0.0, 10**6)
    assert bucket.wait_s(0.0, 10**6) == 0
