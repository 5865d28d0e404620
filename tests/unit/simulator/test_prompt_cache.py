"""Tokens are billed as fresh, written or read, by the prefixes that a client asked to cache."""

from collections.abc import Sequence

import pytest

from eventroute_cli.simulator.tokens import Block, CacheUse, PromptCache, estimate_tokens

NOW = 1_800_000_000.0
LONG = "x" * 8000  # 2,000 tokens


def use(
    cache: PromptCache,
    blocks: Sequence[Block],
    now: float = NOW,
    *,
    space: str = "key model",
    at_least: int = 1024,
    takes_s: float = 0.0,
) -> CacheUse:
    return cache.use(space, blocks, cacheable_from=at_least, now=now, begins_at=now + takes_s)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("€€", 2), ("\ud800", 1)])
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_without_a_breakpoint_everything_is_fresh() -> None:
    assert use(PromptCache(), [Block("user", LONG, None)]) == CacheUse(2000, 0, 0, 0)


def test_an_empty_prompt_is_nothing() -> None:
    assert use(PromptCache(), []) == CacheUse(0, 0, 0, 0)


def test_a_prefix_is_written_once_and_read_afterwards() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 300), Block("user", "hello", None)]
    assert use(cache, prompt) == CacheUse(2, 2000, 0, 0)
    assert use(cache, prompt, NOW + 299) == CacheUse(2, 0, 0, 2000)


def test_a_prefix_is_not_known_before_the_first_answer_begins() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 300)]
    assert [use(cache, prompt, NOW + second, takes_s=5).read for second in (0, 1, 4.9)] == [0, 0, 0]
    assert use(cache, prompt, NOW + 10, takes_s=5).read == 2000
    assert use(cache, prompt, NOW + 11, takes_s=5).read == 2000


def test_reading_renews_the_life_of_a_prefix_and_silence_ends_it() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 300)]
    use(cache, prompt)
    use(cache, prompt, NOW + 200)
    assert use(cache, prompt, NOW + 450).read == 2000
    assert use(cache, prompt, NOW + 750).read == 0


def test_one_hour_is_its_own_price_and_both_may_stand_in_one_prompt() -> None:
    cache = PromptCache()
    prompt = [Block("system", LONG, 3600), Block("user", LONG, 300)]
    assert use(cache, prompt) == CacheUse(0, 2000, 2000, 0)
    assert use(cache, prompt, NOW + 301) == CacheUse(0, 2000, 0, 2000)


@pytest.mark.parametrize(
    ("space", "text"), [("key other", LONG), ("key model", "y" + LONG[1:])], ids=["another model", "another text"]
)
def test_another_prompt_or_space_reads_nothing(space: str, text: str) -> None:
    cache = PromptCache()
    use(cache, [Block("system", LONG, 300)])
    assert use(cache, [Block("system", text, 300)], space=space).read == 0


def test_a_longer_prompt_reads_the_known_part_and_writes_the_rest() -> None:
    cache = PromptCache()
    use(cache, [Block("system", LONG, 300)])
    longer = [Block("system", LONG, 300), Block("user", LONG, 300), Block("user", "hello", None)]
    assert use(cache, longer) == CacheUse(2, 2000, 0, 2000)


@pytest.mark.parametrize(("between", "read"), [(19, 2000), (20, 0)])
def test_a_breakpoint_finds_what_is_known_up_to_twenty_blocks_before_it(between: int, read: int) -> None:
    cache = PromptCache()
    use(cache, [Block("system", LONG, 300)])
    later = [Block("system", LONG, None), *[Block("user", "word", None)] * between, Block("user", "end", 300)]
    assert use(cache, later).read == read


@pytest.mark.parametrize(("at_least", "written"), [(1023, 1023), (1024, 0)])
def test_a_prefix_below_the_minimum_is_not_cached(at_least: int, written: int) -> None:
    cache = PromptCache()
    short = [Block("system", "x" * 4092, 300)]
    assert use(cache, short, at_least=at_least) == CacheUse(1023 - written, written, 0, 0)
    assert use(cache, short, at_least=at_least) == CacheUse(1023 - written, 0, 0, written)
