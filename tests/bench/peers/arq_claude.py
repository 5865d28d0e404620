"""The careful stack, working end, with the job that asks Claude: official SDK on aiohttp, one client per process.

Started as `python -m bench.peers.arq_claude SLOTS [tuned]`.
"""

import sys

import anthropic
import uvloop

from bench.peers.arq_worker import serve

_MODEL = "claude-haiku-5-5"


async def main(slots: int, options: list[str]) -> None:
    async with anthropic.AsyncAnthropic(max_retries=0, http_client=anthropic.DefaultAioHttpClient()) as claude:

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

        await serve(ask, slots, options)


if __name__ == "__main__":
    slot_count, *rest = sys.argv[1:]
    uvloop.run(main(int(slot_count), rest))
