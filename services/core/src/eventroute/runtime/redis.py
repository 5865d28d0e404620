"""The Redis client that every program uses, set up to fail within a second and to come back by itself."""

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, TimeoutError  # noqa: A004

CONNECTION_ERRORS = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError)
"""Redis is away, starting, or no longer the primary: worth a later try, whatever the command was."""

_CONNECT_S = 1.0
_COMMAND_S = 5.0  # longer than any blocking read here waits
_RETRIES = 2  # of one command, within a fraction of a second; longer outages are the caller's loop's business


def connect(url: str) -> redis.asyncio.Redis:
    """Make a client with its own pool; it connects at its first command.

    url  `redis://[user:password@]host:port/db`, `rediss://…` for TLS, or `unix://path`
    """
    return redis.asyncio.from_url(
        url,
        socket_connect_timeout=_CONNECT_S,
        socket_timeout=_COMMAND_S,
        health_check_interval=30,
        # redis-py's connect() lets OSError through, which its default retry does not cover.
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), _RETRIES),
        retry_on_error=list(CONNECTION_ERRORS),
    )
