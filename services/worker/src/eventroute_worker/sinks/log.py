"""The `log` sink: the answer as one log line.

It is marked afterwards, so a crash in between repeats the line, with the same idempotency key; the other way round
would lose it.
"""

import logging
from typing import Final

import structlog

from eventroute_worker.record import Records
from eventroute_worker.sinks.model import Result

LOGGER: Final = "eventroute.answers"


class LogSinkWriter:
    """Writes answers to the log, whatever the level of the other lines is: they were asked for."""

    def __init__(self, records: Records) -> None:
        """Take where sinks are marked."""
        self._records = records
        logging.getLogger(LOGGER).setLevel(logging.INFO)
        self._log = structlog.get_logger(LOGGER)

    async def send(self, result: Result, position: int) -> None:
        """Write the line, then mark the sink."""
        delivery, answer = result.delivery, result.answer
        self._log.info(
            "answer",
            delivery=delivery.id,
            idempotency_key=result.idempotency_key(position),
            route=delivery.route,
            provider_event=delivery.event,
            outcome=answer.outcome,
            model=answer.model,
            text=answer.text,
            cost_usd=None if answer.cost_usd is None else str(answer.cost_usd),
        )
        await self._records.mark_sink(delivery.id, position)
