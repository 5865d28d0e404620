"""Tokens are billed as fresh, written or read, by the prefixes that a client asked to cache."""

import pytest

from eventroute_cli.simulator.tokens import Block, CacheUse, PromptCache, estimate_tokens

NOW = 1_800_000_000.0
LONG = "x" * 8000  # 2,000 tokens
MODEL = "claude-haiku-5-5"


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("€€", 2), ("\ud800", 1)])
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_without_a_breakpoint_everything_is_fresh() -> None:
    assert PromptCache().use(MODEL, [Block("user", LONG, None)], NOW) == CacheUse(2000, 0, 0, 0)


def test_a_prefix_is_written_once_and_read_afterwards() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 300), Block("user", "hello", None)]
    assert cache.use(MODEL, prompt, NOW) == CacheUse(2, 2000, 0, 0)
    assert cache.use(MODEL, prompt, NOW + 299) == CacheUse(2, 0, 0, 2000)


def test_reading_renews_the_life_of_a_prefix_and_silence_ends_it() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 300)]
    cache.use(MODEL, prompt, NOW)
    cache.use(MODEL, prompt, NOW + 200)
    assert cache.use(MODEL, prompt, NOW + 450).read == 2000
    assert cache.use(MODEL, prompt, NOW + 751).read == 0


def test_one_hour_is_its_own_price() -> None:
    assert PromptCache().use(MODEL, [Block("system", LONG, 3600)], NOW) == CacheUse(0, 0, 2000, 0)


@pytest.mark.parametrize(
    ("model", "text"), [("claude-sonnet-5-5", LONG), (MODEL, "y" + LONG[1:])], ids=["another model", "another text"]
)
def test_another_prompt_or_model_reads_nothing(model: str, text: str) -> None:
    cache = PromptCache()
    cache.use(MODEL, [Block("system", LONG, 300)], NOW)
    assert cache.use(model, [Block("system", text, 300)], NOW).read == 0


def test_a_longer_prompt_reads_the_known_part_and_writes_the_rest() -> None:
    cache = PromptCache()
    cache.use(MODEL, [Block("system", LONG, 300)], NOW)
    longer = [Block("system", LONG, 300), Block("user", LONG, 300), Block("user", "hello", None)]
    assert cache.use(MODEL, longer, NOW) == CacheUse(2, 2000, 0, 2000)


def test_a_prefix_below_the_minimum_is_not_cached() -> None:
    cache = PromptCache()
    short = [Block("system", "x" * 4092, 300)]
    assert cache.use(MODEL, short, NOW) == cache.use(MODEL, short, NOW) == CacheUse(1023, 0, 0, 0)
