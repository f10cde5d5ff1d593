from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.pulse import Pulse
from keeper.runtime.supervisor import Supervisor
from keeper.runtime.virtual import VirtualClock, run_virtual


@dataclass(frozen=True)
class Fails:
    name: str
    after_s: float

    async def run(self) -> None:
        await asyncio.sleep(self.after_s)
        raise RuntimeError(self.name)


@dataclass(frozen=True)
class Runs:
    name: str
    seen: list[str]

    async def run(self) -> None:
        try:
            await asyncio.sleep(10_000)
        finally:
            self.seen.append(self.name)


@dataclass(frozen=True)
class Beats:
    name: str
    pulse: Pulse
    rounds: int = 10_000

    async def run(self) -> None:
        self.pulse.expect(self.name, 10)
        for _ in range(self.rounds):
            self.pulse.beat(self.name)
            await asyncio.sleep(1)


def test_watch__when_a_shared_service_fails__then_the_failure_ends_the_program() -> None:
    async def scenario() -> None:
        supervisor = Supervisor()
        supervisor.start("heads", Fails("heads", 1))
        await supervisor.watch(asyncio.Event().wait)

    with pytest.raises(RuntimeError, match="heads"):
        run_virtual(scenario)


def test_watch__when_the_failure_came_before__then_it_is_not_lost() -> None:
    async def scenario() -> None:
        supervisor = Supervisor()
        supervisor.start("heads", Fails("heads", 0))
        await asyncio.sleep(1)
        await supervisor.watch(asyncio.Event().wait)

    with pytest.raises(RuntimeError, match="heads"):
        run_virtual(scenario)


def test_watch__when_one_market_fails__then_only_that_market_halts() -> None:
    async def scenario() -> tuple[list[str], tuple[str, ...]]:
        supervisor, halted, stop = Supervisor(), [], asyncio.Event()
        supervisor.start("pricing:ETH", Fails("ETH", 1), lambda key, error: halted.append(f"{key}:{error}"))
        supervisor.start("pricing:BTC", Runs("BTC", []))
        asyncio.get_running_loop().call_later(5, stop.set)
        await supervisor.watch(stop.wait)
        running = supervisor.keys
        await supervisor.stop_all()
        return halted, running

    assert run_virtual(scenario) == (["pricing:ETH:ETH"], ("pricing:BTC",))


@dataclass(frozen=True)
class FailsTwice:
    name: str
    began: list[float]

    async def run(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        if len(self.began) < 3:
            raise RuntimeError(self.name)
        await asyncio.sleep(10_000)


def test_start__again_after_a_failure__waits_and_goes_on_under_its_key() -> None:
    async def scenario() -> tuple[list[float], list[str], tuple[str, ...]]:
        supervisor, began, told, stop = Supervisor(), [], [], asyncio.Event()
        service = FailsTwice("feed", began)
        supervisor.start("feed", service, lambda key, error: told.append(f"{key}:{error}"), again_s=5)
        asyncio.get_running_loop().call_later(60, stop.set)
        await supervisor.watch(stop.wait)
        running = supervisor.keys
        await supervisor.stop_all()
        return began, told, running

    assert run_virtual(scenario) == ([0.0, 5.0, 10.0], ["feed:feed"] * 2, ("feed",))


def test_stop__while_a_failed_service_waits__it_does_not_come_back() -> None:
    async def scenario() -> list[float]:
        supervisor, began = Supervisor(), []
        supervisor.start("feed", FailsTwice("feed", began), lambda _key, _error: None, again_s=5)
        await asyncio.sleep(1)
        await supervisor.stop("feed")
        await asyncio.sleep(60)
        assert supervisor.keys == ()
        return began

    assert run_virtual(scenario) == [0.0]


def test_stop__when_one_key_stops__then_it_ends_before_the_call_returns_and_can_start_again() -> None:
    async def scenario() -> list[str]:
        supervisor = Supervisor()
        seen: list[str] = []
        supervisor.start("feed", Runs("first", seen))
        await asyncio.sleep(0)
        await supervisor.stop("feed")
        supervisor.start("feed", Runs("second", seen))
        with pytest.raises(ValueError, match="already runs"):
            supervisor.start("feed", Runs("third", seen))
        await asyncio.sleep(0)
        await supervisor.stop_all()
        return seen

    assert run_virtual(scenario) == ["first", "second"]


def test_stop__when_a_loop_is_stopped_on_purpose__then_nobody_waits_for_its_beat() -> None:
    """A reload without its market, or the end of deciding before what was sent is mined."""

    async def scenario() -> dict[str, float]:
        pulse = Pulse(VirtualClock(Timestamp(SECOND)))
        supervisor = Supervisor(pulse.forget)
        supervisor.start("pricing", Beats("pricing", pulse))
        supervisor.start("publishing", Beats("publishing", pulse))
        await asyncio.sleep(1)
        await supervisor.stop("pricing")
        await asyncio.sleep(60)
        late = dict(pulse.late())
        await supervisor.stop_all()
        return late

    assert run_virtual(scenario) == {}


def test_stop__when_a_loop_has_ended_by_itself__then_it_is_missed() -> None:
    async def scenario() -> list[str]:
        pulse = Pulse(VirtualClock(Timestamp(SECOND)))
        supervisor = Supervisor(pulse.forget)
        supervisor.start("pricing", Beats("pricing", pulse, rounds=2))
        await asyncio.sleep(60)
        return list(pulse.late())

    assert run_virtual(scenario) == ["pricing"]


class Set(VirtualClock):
    """Wall time that somebody sets."""

    ahead_s = 0

    def now(self) -> Timestamp:
        return Timestamp(super().now() + self.ahead_s * SECOND)


def test_pulse__when_the_clock_is_set_ahead__then_nobody_is_late() -> None:
    async def scenario() -> dict[str, float]:
        clock = Set(Timestamp(10_000 * SECOND))
        pulse = Pulse(clock)
        pulse.expect("accounts", 120)
        await asyncio.sleep(5)
        clock.ahead_s = 3600
        return dict(pulse.late())

    assert run_virtual(scenario) == {}


def test_pulse__when_the_clock_is_set_back__then_who_hangs_is_named() -> None:
    async def scenario() -> dict[str, float]:
        clock = Set(Timestamp(10_000 * SECOND))
        pulse = Pulse(clock)
        pulse.expect("accounts", 120)
        pulse.beat("accounts")
        clock.ahead_s = -3600
        await asyncio.sleep(121)
        return dict(pulse.late())

    assert run_virtual(scenario) == {"accounts": pytest.approx(121.0)}


def test_pulse__tells_the_last_beat_by_the_wall_clock() -> None:
    async def scenario() -> Timestamp:
        pulse = Pulse(VirtualClock(Timestamp(10_000 * SECOND)))
        pulse.expect("accounts", 120)
        await asyncio.sleep(5)
        pulse.beat("accounts")
        await asyncio.sleep(5)
        return pulse.beats["accounts"]

    assert run_virtual(scenario) == 10_005 * SECOND


def test_pulse__when_a_loop_stops_beating__then_it_is_named_with_its_age() -> None:
    async def scenario() -> dict[str, float]:
        pulse = Pulse(VirtualClock(Timestamp(SECOND)))
        pulse.expect("pricing", 2)
        pulse.expect("heads", 60)
        await asyncio.sleep(5)
        return dict(pulse.late())

    assert run_virtual(scenario) == {"pricing": pytest.approx(5.0)}
