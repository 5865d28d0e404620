"""What scripts share stands in front of each, without what it does not use."""

from eventroute.runtime.scripts import _needed

LIBRARY = """-- Shared, `third` too.
local first, second = 1, 2
local clock = redis.call('TIME')

local function third() return first end

-- uses what stands before it
local function fourth()
  return third()
end
"""


def test_nothing_that_is_not_used_is_made() -> None:
    assert _needed(LIBRARY, "return 7 -- not fourth\n") == "-- Shared, `third` too.\n"


def test_what_is_used_comes_with_what_it_uses_itself() -> None:
    needed = _needed(LIBRARY, "return fourth()\n")
    assert "clock" not in needed
    assert [needed.index(part) for part in ("first, second", "third()", "fourth()")] == sorted(
        needed.index(part) for part in ("first, second", "third()", "fourth()")
    )


def test_one_of_several_names_of_a_line_is_enough() -> None:
    assert "local first, second = 1, 2" in _needed(LIBRARY, "return second\n")
