"""Secrets in a file of `NAMESPACE/NAME/KEY=value` lines."""

from eventroute.crd.envfile import parse_env_file
from eventroute.crd.objects import ObjectKey


def test_lines_become_secrets() -> None:
    text = """
# a comment
team-a/hook/secret=hunter2
export team-a/hook/previous = 'hunter 3'
team-b/hook/secret="a=b#c"
team-b/hook/empty=
team-a/hook/secret=hunter4
"""
    parsed = parse_env_file(text)
    values = {key: {name: value.reveal() for name, value in data.items()} for key, data in parsed.secrets.items()}
    assert values == {
        ObjectKey("team-a", "hook"): {"secret": b"hunter4", "previous": b"hunter 3"},
        ObjectKey("team-b", "hook"): {"secret": b"a=b#c", "empty": b""},
    }
    assert parsed.mistakes == ()


def test_other_lines_are_mistakes_that_quote_nothing() -> None:
    parsed = parse_env_file("HOOK_SECRET=hunter2\n\nteam-a//secret=hunter2\nhunter2\na/b/c/d=hunter2")
    assert [mistake.line for mistake in parsed.mistakes] == [1, 3, 4, 5]
    assert parsed.secrets == {}
    assert "hunter" not in repr(parsed)
