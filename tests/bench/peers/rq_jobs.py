"""The tutorials' stack, the job: asks Claude by the official SDK's synchronous client, made at import."""

import json

import anthropic

from bench.peers.stamps import STARTED, Stamps

_MODEL = "claude-haiku-5-5"

stamps = Stamps()
claude = anthropic.Anthropic(max_retries=0)


def answer(event: str, body: str) -> str:
    stamps.add(STARTED, json.loads(body)["pull_request"]["node_id"])
    prompt = f"Analyze this {event} event and summarize what happened.\n{body}"
    message = claude.messages.create(
        model=_MODEL,
        max_tokens=1024,
        thinking={"type": "disabled"},
        output_config={"effort": "low"},
        messages=[{"role": "user", "content": prompt}],
        timeout=120,
    )
    return "".join(block.text for block in message.content if block.type == "text")
