"""The `log` sink: the answer as one log line.

It is marked afterwards, so a crash in between repeats the line, with the same idempotency key; the other way round
would lose it.
"""

import logging
from typing import Final

import structlog

from eventroute.queue import Work
from eventroute_worker.sinks.model import Result

LOGGER: Final = "eventroute.answers"


class LogSinkWriter:
    """Writes answers to the log, whatever the level of the other lines is: they were asked for."""

    def __init__(self, work: Work) -> None:
        """Take the calls to the queue, where sinks are marked."""
        self._work = work
        logging.getLogger(LOGGER).setLevel(logging.INFO)
        self._log = structlog.get_logger(LOGGER)

    async def send(self, sink: str, result: Result) -> None:
        """Write the line, then mark the sink."""
        delivery, answer = result.delivery, result.answer
        self._log.info(
            "answer",
            delivery=delivery.id,
            idempotency_key=result.idempotency_key(sink),
            route=delivery.route,
            provider_event=delivery.event,
            outcome=answer.outcome,
            model=answer.model,
            text=answer.text,
            cost_usd=None if answer.cost_usd is None else str(answer.cost_usd),
        )
        await self._work.mark_sink(result.lease, sink)
