"""The live schedule, on APScheduler: https://apscheduler.readthedocs.io/en/3.x/userguide.html#missed-job-executions-and-coalescing

Its default `misfire_grace_time` of one second drops a run after a short stall of the loop; None runs it late. Missed
and overrunning jobs are announced by events only, so we listen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from keeper.ports.log import EventLog
from keeper.ports.schedule import Announce

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class ApschedulerSchedule:
    log: EventLog
    scheduler: AsyncIOScheduler = field(default_factory=lambda: AsyncIOScheduler(timezone=UTC))

    def every(self, name: str, interval_s: int, announce: Announce) -> None:
        trigger = IntervalTrigger(seconds=interval_s, start_date=_EPOCH, timezone=UTC)
        self.scheduler.add_job(
            announce, trigger, id=name, misfire_grace_time=None, coalesce=True, max_instances=1, replace_existing=True
        )

    def cancel(self, name: str) -> None:
        if self.scheduler.get_job(name) is not None:
            self.scheduler.remove_job(name)

    def start(self) -> None:
        self.scheduler.add_listener(self._heard, EVENT_JOB_MISSED | EVENT_JOB_ERROR | EVENT_JOB_MAX_INSTANCES)
        self.scheduler.start()

    def stop(self) -> None:
        if self.scheduler.running:
            self.scheduler.shutdown(wait=False)

    def _heard(self, event: Any) -> None:
        self.log.warning("schedule.slipped", job=event.job_id, code=event.code)
