"""The careful stack, working end, with the job that asks Claude: official SDK on aiohttp, one client per process.

Started as `python -m bench.peers.arq_claude SLOTS [tuned] [retries | backoff]`: what is refused is given up, tried
again by the SDK as it does by default, or tried again after pauses that grow, by each job for itself.
"""

import asyncio
import random
import sys

import anthropic
import uvloop

from bench.peers.arq_worker import serve

_MODEL = "claude-haiku-5-5"
_TRIES, _FIRST_S, _LONGEST_S = 20, 1.0, 30.0
_AGAIN = (anthropic.RateLimitError, anthropic.InternalServerError, anthropic.APIConnectionError)


async def main(slots: int, options: list[str]) -> None:
    retries = anthropic.DEFAULT_MAX_RETRIES if "retries" in options else 0
    async with anthropic.AsyncAnthropic(max_retries=retries, http_client=anthropic.DefaultAioHttpClient()) as claude:

        async def ask(event: str, body: str) -> None:
            prompt = f"Analyze this {event} event and summarize what happened.\n{body}"
            await claude.messages.create(
                model=_MODEL,
                max_tokens=1024,
                thinking={"type": "disabled"},
                output_config={"effort": "low"},
                messages=[{"role": "user", "content": prompt}],
                timeout=120,
            )

        async def ask_patiently(event: str, body: str) -> None:
            for number in range(_TRIES - 1):
                try:
                    await ask(event, body)
                except _AGAIN:
                    await asyncio.sleep(random.uniform(0, min(_LONGEST_S, _FIRST_S * 2**number)))
                else:
                    return
            await ask(event, body)

        await serve(ask_patiently if "backoff" in options else ask, slots, options)


if __name__ == "__main__":
    slot_count, *rest = sys.argv[1:]
    uvloop.run(main(int(slot_count), rest))
