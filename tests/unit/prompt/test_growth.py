"""What fences a text, cleans it and takes markers out of it works in proportion to its length, whatever it holds."""

import pytest

from eventroute.fence import Fence, clean
from eventroute.hops import unmarked
from support.growth import is_linear

FENCE = Fence("data-0123456789abcdef")
PIECES = [
    "<",
    "< ",
    "</",
    "</ ",
    "<data-",
    "<data-0123456789abcdef ",
    "</data-0123456789abcdef",
    ">",
    " ",
    "\n",
    "\u200b",
]


@pytest.mark.parametrize("piece", [*PIECES, "<!-- eventroute-hop-", "eventroute-hop-02-", "eventroute-hop-02-aaaa"])
@pytest.mark.parametrize("start", ["", "<"])
def test_what_stands_around_a_text_costs_no_more_than_its_length(start: str, piece: str) -> None:
    def run(length: int) -> None:
        text = (start + piece * (length // len(piece) + 1))[:length]
        FENCE.value(text)
        FENCE.block(text)
        clean(text)
        unmarked(text)

    assert is_linear(run, length=4_000)
