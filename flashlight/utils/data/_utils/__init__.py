"""What the DataLoader does inside: fetching, collating, and its worker processes."""

from __future__ import annotations

from flashlight.utils.data._utils import collate, fetch, pin_memory, worker

#: Seconds after which a worker looks whether the program that started it still lives.
MP_STATUS_CHECK_INTERVAL = worker.STATUS_CHECK_INTERVAL
