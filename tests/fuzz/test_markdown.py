"""Whatever an answer consists of: what is shown of it mentions nobody, has no image and no HTML.

A parser of CommonMark reads it as GitHub would, with tables and crossed-out text; a mention is what GitHub's own filter
takes for one.
"""

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from eventroute_worker.sinks.markdown import Harmless, harmless
from support.fuzz import bounded

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
FRAME = Harmless()

MENTION = re.compile(r"(?:^|\W)@[a-z0-9][a-z0-9-]*(?!/)(?=\.+[ \t\W]|\.+$|[^0-9a-zA-Z_.]|$)", re.IGNORECASE)

PIECES = (
    *("```", "````", "~~~", "`", "``", "```js", "\n", "\n\n", "\r\n", "\r", " ", "    ", "\t", "> ", "- ", "1. ", "# "),
    *(
        "@ada",
        "ada@",
        "a@b.co",
        "@",
        "&#64;ada",
        "&commat;ada",
        "&",
        "#64;",
        "\\",
        "*",
        "_",
        "~~",
        "ada",
        ".",
        "-",
        "/",
    ),
    *("<b>", "<img src=x>", "<!--", "-->", "<", "<?", "<![CDATA[", "</p>", "<div>\n", "<a@b.co>", "<https://e.x/@ada>"),
    *("![x](y)", "![", "!", "[x]", "[x]: /y 'z", "](y)", "[^1]: ", "https://e.x/@ada", "https://_/&commat;ada"),
    *("|a|b|\n|-|-|\n|", "===", "---", "$$", "\u200b", "\u2028", "\x00", "\xa0"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def said_and_done(text: str) -> Iterator[str]:
    """Find what a text does beside being shown."""
    yield from _done(PARSER.parse(text))


def _done(tokens: list[Token]) -> Iterator[str]:
    links = 0
    for token in tokens:
        links += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type in {"image", "html_inline", "html_block"}:
            yield f"{token.type} {token.content!r}"
        elif token.type == "inline":
            yield from _done(_joined(token.children or []))
        elif token.type == "text" and not links and MENTION.search(token.content):
            yield f"mention {token.content!r}"


def _joined(tokens: list[Token]) -> list[Token]:
    """Join texts that stand beside each other, as their reader sees them."""
    joined: list[Token] = []
    for token in tokens:
        if joined and token.type == joined[-1].type == "text":
            joined[-1] = joined[-1].copy(content=joined[-1].content + token.content)
        else:
            joined.append(token)
    return joined


@bounded(300)
@given(text=TEXTS)
def test_an_answer_does_nothing(text: str) -> None:
    assert list(said_and_done(harmless(text))) == []


@bounded(300)
@given(one=TEXTS, other=TEXTS)
def test_values_do_nothing_wherever_a_template_has_them(one: str, other: str) -> None:
    values = [FRAME.value(value, is_alone=True) for value in (one, other)]
    assert list(said_and_done(f"> Done!{values[0]}{values[1]} [x](y) {values[1]}")) == []


def test_the_parser_finds_what_is_not_broken_up() -> None:
    for text in ("@ada", "![x](y)", "a <b>", "<div>\nx", "~~~\n```\n~~~\n@ada", "&#64;ada", "_@ada_"):
        assert list(said_and_done(text)), text
    for text in ("```\n@ada\n```", "`@ada`", "a@ada.co", "[@ada](y)"):
        assert not list(said_and_done(text)), text
