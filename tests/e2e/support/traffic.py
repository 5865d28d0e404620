"""A provider that goes on sending while something happens to an installation, and the account of it afterwards.

It does as providers do: an event that was not answered with 2xx is sent again, unchanged, until it is. Every request
has a connection of its own, as from many senders, so that a Service spreads them over its pods.
"""

import contextlib
import itertools
import json
import re
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import httpx

from e2e.support.installation import GROUP, Installation, until
from eventroute.ids import DeliveryId
from eventroute.schemes import SCHEMES, Request, sign
from eventroute_cli.samples import build_request, load_sample
from eventroute_worker.answer import decode_answer

PROVIDER: Final = "github"
"""The provider of the routes that `Traffic` sends to."""

NO_ANSWER: Final = 0
"""Stands for a refused, cut or silent connection where a status would stand."""

_SENDERS: Final = 4
_AGAIN_S: Final = 0.2  # providers wait for minutes; a test that is to be over in seconds does not
_GIVE_UP_S: Final = 90.0
_JOURNAL: Final = 1000  # calls that the simulator remembers
_TIMEOUT_S: Final = 10.0
_SETTLED_S: Final = 90.0  # a killed worker's leases last 15 s; retries pause for seconds


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    at: float
    """Unix time in seconds."""
    status: int
    retry_after: str = ""


@dataclass
class Traffic:
    """Events for one route, each marked in its body, and so in what Claude is asked."""

    installation: Installation
    route: str
    per_second: float = 20.0
    size: int | None = None
    """How many events; None = until the block that they flow in ends."""
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Marker → the delivery id that came with the 2xx."""
    answers: list[Answer] = field(default_factory=list)
    """To all requests, repeated ones included, in about the order of their arrival."""
    word: str = field(default_factory=lambda: secrets.token_hex(4))
    """Begins all its markers, and nobody else's."""

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Send while the block runs; leaving it waits until all that was begun is acknowledged."""
        url = self.installation.hook_url(self.route)
        is_over = threading.Event()
        numbers = itertools.count() if self.size is None else iter(range(self.size))
        lock = threading.Lock()
        began = time.monotonic()

        def send_some() -> None:
            with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=_TIMEOUT_S) as client:
                while not is_over.is_set():
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    time.sleep(max(0.0, began + number / self.per_second - time.monotonic()))
                    self._deliver(client, url, f"{self.word}-{number:05d}.")

        with ThreadPoolExecutor(_SENDERS) as pool:
            senders = [pool.submit(send_some) for _ in range(_SENDERS)]
            try:
                yield
            finally:
                if self.size is None:
                    is_over.set()
        for sender in senders:
            sender.result()

    def until_acknowledged(self, more: int, timeout_s: float = 60.0) -> None:
        """Wait until so many more events are acknowledged."""
        wanted = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= wanted, f"{wanted} acknowledged events", timeout_s)

    def statuses(self) -> Counter[int]:
        """Count what was answered."""
        return Counter(answer.status for answer in self.answers)

    def _deliver(self, client: httpx.Client, url: str, marker: str) -> None:
        request = self._signed(marker)
        give_up = time.monotonic() + _GIVE_UP_S
        while marker not in self.acknowledged:
            assert time.monotonic() < give_up, f"{marker} was not acknowledged; answers: {self.statuses()}"
            try:
                answer = client.post(url, headers=list(request.headers), content=request.body)
            except httpx.TransportError:
                self.answers.append(Answer(time.time(), NO_ANSWER))
                time.sleep(_AGAIN_S)
                continue
            self.answers.append(Answer(time.time(), answer.status_code, answer.headers.get("retry-after", "")))
            if answer.is_success:
                self.acknowledged[marker] = answer.json()["delivery"]
            else:
                time.sleep(_AGAIN_S)

    def _signed(self, marker: str) -> Request:
        now = time.time()
        sample = load_sample(PROVIDER, now=now)
        payload = json.dumps({**json.loads(sample.payload), "marker": marker}).encode()
        key = self.installation.signing[self.route]
        return sign(SCHEMES[PROVIDER], build_request(sample._replace(payload=payload), url=None), secret=key, now=now)


def discrepancies(traffic: Traffic, *, streams: Sequence[str] = ("answers",)) -> list[str]:
    """Wait until every acknowledged delivery has ended, and say what is wrong; empty when all is well.

    Each has to be in the streams exactly once, and the answer there has to be that of Claude's last call for it: a call
    after an answer was saved would have been paid for nothing.
    """
    installation = traffic.installation
    ended = outcomes(traffic)
    streamed = Counter(entry["delivery"] for stream in streams for entry in installation.answers(stream))
    calls = calls_by_delivery(traffic)
    redis = installation.redis("worker")
    found = []
    if len({*traffic.acknowledged.values()}) != len(traffic.acknowledged):
        found.append("two events share a delivery")
    for delivery, outcome in ended.items():
        if outcome != "succeeded":
            found.append(f"{delivery}: {outcome}")
        if streamed[delivery] != 1:
            found.append(f"{delivery}: {streamed[delivery]} times in {' and '.join(streams)}")
        saved = redis.hget(GROUP.delivery(DeliveryId(delivery)), "answer")
        last = calls[delivery][-1] if calls[delivery] else ""
        if saved is None or decode_answer(saved.encode()).message_id.replace("msg_", "req_") != last:
            found.append(f"{delivery}: Claude was asked after the answer was saved")
    return found


def outcomes(traffic: Traffic) -> dict[str, str]:
    """Wait until every acknowledged delivery has ended; returns how."""
    redis = traffic.installation.redis("worker")
    ended: dict[str, str] = {}

    def all_ended() -> bool:
        for delivery in traffic.acknowledged.values():
            if delivery not in ended and (outcome := redis.hget(GROUP.delivery(DeliveryId(delivery)), "outcome")):
                ended[delivery] = outcome
        return len(ended) == len({*traffic.acknowledged.values()})

    until(all_ended, f"an end of all {len(traffic.acknowledged)} deliveries", _SETTLED_S)
    return ended


def calls_by_delivery(traffic: Traffic) -> dict[str, list[str]]:
    """List the ids of the calls of Claude for each delivery, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    calls = traffic.installation.calls()
    assert len(calls) < _JOURNAL, "the simulator forgets older calls, and so the account would be a guess"
    for call in calls:
        for marker in set(re.findall(rf"{traffic.word}-\d{{5}}\.", call["text"])):
            if delivery := traffic.acknowledged.get(marker):  # else the sender has not heard of it yet
                found[delivery].append(call["request_id"])
    return found
