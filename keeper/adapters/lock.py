"""One process per state directory: flock(2) on a file that names the holder. The kernel frees it when the holder dies.

Who waits for it may end a holder that has fallen silent: what is dead sends nothing, what is only stopped may.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keeper.errors import AlreadyRunning

_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Holder:
    """A process by its own word. `beats` goes up while it is well and is 0 before it works; `birth` tells it from a later
    process of the same number, and from one of another container: empty where the system does not say.
    """

    pid: int
    beats: int = 0
    birth: str = ""


class StateLock:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._beats = 0

    def acquire(self) -> None:
        """Raises AlreadyRunning naming the process that holds the lock. Whoever has it already keeps it.

        A disk that refuses our name leaves the last one's, which is dead or done.
        """
        if self._descriptor is not None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            holder = self.holder()
            raise AlreadyRunning(f"{self.path} is held by process {holder.pid if holder else '(unknown)'}") from None
        self._descriptor, self._beats = descriptor, 0
        with suppress(OSError):
            self._write()

    def beat(self) -> None:
        """Tells who waits that the holder is well. A disk that refuses it keeps nobody from working."""
        self._beats += 1
        with suppress(OSError):
            self._write()

    def holder(self) -> Holder | None:
        """Who wrote its name last, holding the lock or not. None: nobody, or in no way that we know."""
        try:
            with self.path.open(encoding="ascii", errors="replace") as file:
                pid, beats, birth, *_ = [*file.read(_LONGEST).split(), "0", ""]
            return Holder(int(pid), int(beats), birth)
        except (OSError, ValueError):
            return None

    def kill(self, holder: Holder) -> bool:
        """SIGKILL to the holder, which ends it though it is stopped. False: it is not the one any more, or not ours to end."""
        try:
            process = os.pidfd_open(holder.pid)
        except (OSError, AttributeError):
            return False
        try:  # nobody else can get the number of a process that we hold
            if not holder.birth or _birth(holder.pid) != holder.birth or self.holder() != holder:
                return False
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError:
            return False
        finally:
            os.close(process)
        return True

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self) -> None:
        """Always as long, and over what was there, so that a full disk need not find room for it."""
        if self._descriptor is not None:
            words = f"{os.getpid():>10} {self._beats:012} {_birth(os.getpid())}\n".encode()
            os.pwrite(self._descriptor, words, 0)
            os.ftruncate(self._descriptor, len(words))


def _birth(pid: int) -> str:
    """The namespace of process numbers and the start of the process in ticks after the machine's: proc_pid_stat(5)."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{Path('/proc/self/ns/pid').stat().st_ino}:{words[19]}"
    except (OSError, IndexError):
        return ""
