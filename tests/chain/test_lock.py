"""Who may be ended to take its place: a keeper that has worked and has fallen silent, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.adapters.lock import Holder, StateLock
from keeper.app.standby import _Wait
from keeper.app.systemd import Notifier
from keeper.errors import AlreadyRunning
from tests.chain.stage import Log

HOLD = """
import pathlib, sys
from keeper.adapters.lock import StateLock
lock = StateLock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
for _ in sys.stdin:
    lock.beat()
    print("beaten", flush=True)
"""


class Holding:
    """Another process with the lock, that beats when it is told to."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reads("held")

    def beat(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._reads("beaten")

    def _reads(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def is_alive(self) -> bool:
        return self.process.poll() is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.lock"


@pytest.fixture
def other(path: Path) -> Iterator[Holding]:
    found = Holding(path)
    yield found
    found.process.kill()
    found.process.communicate()


def waiting(path: Path, silence_s: float = 0.0) -> tuple[_Wait, Log]:
    log = Log()
    return _Wait(StateLock(path), silence_s, log, Notifier(None)), log


def test_holder__is_named_with_its_beats(path: Path, other: Holding) -> None:
    lock = StateLock(path)
    for beats in (0, 1, 2):
        found = lock.holder()
        assert found is not None
        assert (found.pid, found.beats) == (other.process.pid, beats)
        other.beat()
    with pytest.raises(AlreadyRunning, match=f"held by process {other.process.pid}$"):
        lock.acquire()


@pytest.mark.parametrize("text", ["", "no number", "-", "1 x y", "\xff\xfe"])
def test_holder__of_a_file_that_says_nothing__is_nobody(path: Path, text: str) -> None:
    path.write_text(text)
    assert StateLock(path).holder() is None


def test_holder__of_a_keeper_that_knew_no_beats__has_none(path: Path) -> None:
    path.write_text("4711\n")
    found = StateLock(path).holder()
    assert found is not None
    assert (found.pid, found.beats) == (4711, 0)


FULL = """
import pathlib, resource, signal, sys
from keeper.adapters.lock import StateLock
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
StateLock(pathlib.Path(sys.argv[1])).acquire()
print("held")
"""


def test_acquire__on_a_disk_that_refuses_its_name__holds_all_the_same(path: Path) -> None:
    found = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("held\n", 0), found.stderr


def test_acquire__after_a_longer_line__leaves_its_own_alone(path: Path) -> None:
    path.write_text("4711 " + "9" * 200 + "\n")
    lock = StateLock(path)
    lock.acquire()
    assert path.read_text().split()[:2] == [str(os.getpid()), "0" * 12]
    assert len(path.read_text().splitlines()) == 1
    lock.release()


def test_kill__a_stopped_holder__ends_it_and_the_lock_is_free(path: Path, other: Holding) -> None:
    other.process.send_signal(signal.SIGSTOP)
    lock = StateLock(path)
    holder = lock.holder()
    assert holder is not None
    assert lock.kill(holder)
    assert other.process.wait(10) == -signal.SIGKILL
    lock.acquire()
    assert lock.holder() == Holder(os.getpid(), 0, lock.holder().birth)  # type: ignore[union-attr]


def test_kill__a_holder_that_has_beaten_since__ends_nobody(path: Path, other: Holding) -> None:
    lock = StateLock(path)
    seen = lock.holder()
    assert seen is not None
    other.beat()
    assert not lock.kill(seen)
    assert other.is_alive()


def test_kill__a_number_that_another_process_has_now__ends_nobody(path: Path, other: Holding) -> None:
    """Such as one of another container, which has its own numbers."""
    words = path.read_text().split()
    for birth in ("", "1:1", words[2] + "0"):
        path.write_text(f"{other.process.pid} 5 {birth}\n")
        found = StateLock(path).holder()
        assert found is not None
        assert not StateLock(path).kill(found)
    assert other.is_alive()


def test_wait__for_one_that_has_not_beaten_yet__ends_nobody(path: Path, other: Holding) -> None:
    wait, log = waiting(path)
    for _ in range(3):
        wait._look(time.monotonic())
    assert [each["holder"] for each in log.named("standby.waiting")] == [other.process.pid]
    assert other.is_alive()


def test_wait__for_one_that_beats_between_looks__ends_nobody(path: Path, other: Holding) -> None:
    wait, log = waiting(path)
    for _ in range(5):
        other.beat()
        wait._look(time.monotonic())
    assert other.is_alive()
    assert not log.named("standby.killed")


def test_wait__for_one_that_is_silent__ends_it_and_goes_on(path: Path, other: Holding) -> None:
    wait, log = waiting(path, silence_s=0.3)
    other.beat()
    wait.over()
    assert other.process.wait(10) == -signal.SIGKILL
    assert [event for _, event, _ in log.events] == ["standby.waiting", "standby.killed", "standby.takes_over"]
    with pytest.raises(AlreadyRunning):
        StateLock(path).acquire()


def test_wait__that_was_stopped_itself__does_not_take_its_own_absence_for_silence(path: Path, other: Holding) -> None:
    """A machine that stood still for a while: who waits may be the first to wake up."""
    wait, log = waiting(path, silence_s=1.5)
    other.beat()
    now_s = time.monotonic()
    wait._look(now_s)
    wait._look(now_s + 2)
    assert other.is_alive()
    assert not log.named("standby.killed")


def test_wait__for_one_that_cannot_be_seen__says_so_and_ends_nobody(path: Path, other: Holding) -> None:
    other.beat()
    path.write_text(f"{other.process.pid} 5 1:1\n")
    wait, log = waiting(path)
    for _ in range(2):
        wait._look(time.monotonic())
    assert len(log.named("standby.powerless")) == 1
    assert other.is_alive()


def test_wait__for_nobody__is_over_at_once_without_a_word(path: Path) -> None:
    wait, log = waiting(path)
    wait.over()
    assert not log.events
