"""Markdown of GitHub's that shows what it says and does nothing: for answers that may hold a stranger's words.

An answer keeps its headings, lists, links and code. What would do more than show something is broken up with a
zero-width space, which people do not see: a mention would notify, an image would tell its server who reads, a tag or an
entity could become either of them, "duplicate of" closes an issue, and other programs obey lines such as `/approve`.

A block of code between fences stays as it is, so that it can be copied: GitHub notifies nobody from there. Only one
that surely is such a block counts, so fences that are indented, quoted or listed end this for the rest of a text.
Sources: https://github.github.com/gfm/#fenced-code-blocks,
https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github
"""

import re
from typing import Final

from eventroute.fence import clean

_BREAK: Final = "\u200b"

_ACTIVE: Final = re.compile(
    r"""(?P<url>https?://[A-Za-z0-9/?#:.,;=&%@+~_$-]+)
    |(?P<mail>(?<=[A-Za-z0-9])@(?=[A-Za-z0-9-]+\.[A-Za-z0-9]))
    |@                        # a mention, wherever it stands
    |!(?=\[)                  # an image
    |<(?!https?://|[\s=0-9])  # a tag, a comment
    |&(?=[#a-zA-Z])           # an entity, which may stand for any of these
    |\bduplicate(?=\s+of\b)
    |^[ \t>]*/(?=[a-z][a-z-]*\b(?!/))""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE | re.ASCII,
)
_COMMAND: Final = re.compile(r"^[ \t>]*/(?=[a-z][a-z-]*\b(?!/))", re.MULTILINE | re.IGNORECASE | re.ASCII)
_IN_URL: Final = re.compile(r"@|&(?=#|[A-Za-z]+;)")

_OPENS: Final = re.compile(r"(`{3,})[^`]*")
_MAY_OPEN: Final = re.compile(r"```|~~~")


def harmless(text: str) -> str:
    """Break up what does something in a text that is all of a comment, or begins one."""
    written: list[str] = []
    prose: list[str] = []
    fence, is_sure = "", True
    for line in clean(text).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if fence:
            written.append(_COMMAND.sub(rf"\g<0>{_BREAK}", line))
            if _closes(line, fence):
                fence = ""
        elif is_sure and (opened := _OPENS.fullmatch(line)):
            written += [*_prose(prose), line]
            fence, prose = opened[1], []
        else:
            is_sure = is_sure and not _MAY_OPEN.search(line)
            prose.append(line)
    return "\n".join([*written, *_prose(prose)])


class Harmless:
    """The frame of a template in Markdown: values may look as they like, and do nothing, code in them included."""

    def value(self, text: str, *, is_alone: bool) -> str:
        """Break it up, also where the template's text would make something of its ends."""
        del is_alone
        before = _BREAK if text.startswith("[") else ""
        after = _BREAK if text.endswith(("!", "&")) else ""
        return f"{before}{_broken_up(text)}{after}"

    def block(self, text: str) -> str:
        """Break it up."""
        return self.value(text, is_alone=True)


def _prose(lines: list[str]) -> list[str]:
    return [_broken_up("\n".join(lines))] if lines else []


def _broken_up(text: str) -> str:
    return _ACTIVE.sub(_replace, text)


def _replace(found: re.Match[str]) -> str:
    if url := found["url"]:
        return _IN_URL.sub(lambda sign: "%40" if sign[0] == "@" else "%26", url)
    return found[0] if found["mail"] else f"{found[0]}{_BREAK}"


def _closes(line: str, fence: str) -> bool:
    """Tell whether a line ends a block of code: so many backticks or more, and nothing beside them."""
    bare = line.rstrip(" \t")
    ticks = bare.lstrip(" ")
    return len(bare) - len(ticks) < 4 and len(ticks) >= len(fence) and not ticks.strip("`")  # noqa: PLR2004
