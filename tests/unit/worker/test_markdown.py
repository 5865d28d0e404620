"""An answer's Markdown shows what it says and does nothing; code in it can be copied."""

import re

import pytest

from eventroute_worker.sinks.markdown import Harmless, harmless
from support.growth import is_linear

BREAK = "\u200b"
FRAME = Harmless()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ask @ada-lopez", f"ask @{BREAK}ada-lopez"),
        ("@northwind/payments", f"@{BREAK}northwind/payments"),
        ("_@ada_ **@ada** (@ada) abc1234@ada", f"_@{BREAK}ada_ **@{BREAK}ada** (@{BREAK}ada) abc1234@{BREAK}ada"),
        ("&#64;ada &#x40;ada &commat;ada", f"&{BREAK}#64;ada &{BREAK}#x40;ada &{BREAK}commat;ada"),
        ("`@ada`", f"`@{BREAK}ada`"),
        ("![seen](https://x.example/?who=1)", f"!{BREAK}[seen](https://x.example/?who=1)"),
        ("![seen][1]", f"!{BREAK}[seen][1]"),
        ("<img src=x>", f"<{BREAK}img src=x>"),
        ("<!-- hidden -->", f"<{BREAK}!-- hidden -->"),
        ("</details>", f"<{BREAK}/details>"),
        ("Duplicate of #3", f"Duplicate{BREAK} of #3"),
        ("duplicate\nof #3", f"duplicate{BREAK}\nof #3"),
        ("/approve", f"/{BREAK}approve"),
        ("  /lgtm cancel", f"  /{BREAK}lgtm cancel"),
        ("see https://medium.example/@ada/x", "see https://medium.example/%40ada/x"),
        ("https://_/&commat;ada", "https://_/%26commat;ada"),
    ],
)
def test_what_would_do_something_is_broken_up(text: str, written: str) -> None:
    assert harmless(text) == written
    assert FRAME.value(text, is_alone=True) == written


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n\n- *one*\n- **two** `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted",
        "[a link](https://example.com/a?b=1&c=2#d) and <https://example.com>",
        "Fixes #12, a < b && c > d, AT & T, 5 <= 6, wow! [x]",
        "mail ada@example.com, see /etc/passwd and src/a.py",
        "```html\n<img src=x> &amp; @ada ![x](y)\n```",
        "````\n```\n@ada\n```\n````\nend",
        "a\n```\n@Override\nList<String>\n   ```  \nb",
    ],
)
def test_what_only_shows_something_stays(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "~~~\n```\n~~~\n@ada",
        "> ```\n@ada",
        "> ```\n```\n@ada",
        "- ```\n```\n@ada",
        "1. ~~~\n\n```\n   ~~~\n@ada",
        "``` a`b\n@ada",
        "```\n```\n@ada",
        "```\n   ````\t\n@ada",
        "````\n```\n````\n@ada",
        "```\r```\r@ada",
        "``\n@ada",
        " ```\n```\n@ada",
    ],
)
def test_only_what_surely_is_code_is_left_alone(text: str) -> None:
    assert "@ada" not in harmless(text)


@pytest.mark.parametrize("text", ["```\n    ```\n@ada", "```\n``\n@ada", "```\n``` js\n@ada", "```\n\u00a0```\n@ada"])
def test_code_ends_where_github_ends_it(text: str) -> None:
    assert "@ada" in harmless(text)


def test_other_programs_find_no_command_in_code_either() -> None:
    assert harmless("```\n/approve\n```") == f"```\n/{BREAK}approve\n```"


def test_what_nobody_sees_is_taken_out() -> None:
    assert harmless("a\u200b\u202eb\x00c\U000e0041") == "abc"


@pytest.mark.parametrize("parts", [("<", "img src=x>"), ("!", "[x](//e.example)"), ("&", "#64;ada"), ("@", "ada")])
def test_two_values_beside_each_other_make_nothing_together(parts: tuple[str, str]) -> None:
    written = "".join(FRAME.value(part, is_alone=True) for part in parts)
    assert "".join(parts) not in written
    assert written.replace(BREAK, "") == "".join(parts)


def test_a_value_makes_no_image_of_a_templates_exclamation_mark() -> None:
    assert not re.search(r"!\[", "Done!" + FRAME.value("[x](https://e.example)", is_alone=True))


def test_values_have_no_code_of_their_own() -> None:
    assert "@ada" not in FRAME.value("```\n@ada\n```", is_alone=True)
    assert "@ada" not in FRAME.block('{"who":"@ada"}')


PIECES = ("@", "<a", "![", "&#", "```\n", "``", "duplicate   ", "> ", "/a-", "https://a@", "a@a.")


@pytest.mark.parametrize("piece", PIECES)
def test_its_cost_grows_with_the_text_alone(piece: str) -> None:
    assert is_linear(lambda length: harmless(piece * (length // len(piece))), length=100_000)
