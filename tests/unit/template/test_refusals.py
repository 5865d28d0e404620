"""A template is refused when its route is compiled, with line and column, rather than fail for every event."""

import pytest

from eventroute.template import MAX_LENGTH, VARIABLES, TemplateRefused, compile_template
from support.templates import render


@pytest.mark.parametrize(
    ("source", "message", "line", "column"),
    [
        ("{{ isue.title }}", 'unknown variable "isue"', 1, 4),
        ("a\nb {{ paylod.x }}", 'unknown variable "paylod"; did you mean "payload"?', 2, 6),
        ("{% for x in payload.l %}{{ x }}{% endfor %}{{ x }}", 'unknown variable "x"', 1, 47),
        ("{% if nope == 1 %}{% endif %}", 'unknown variable "nope"', 1, 7),
        ("{{ payload[nope] }}", 'unknown variable "nope"', 1, 12),
        ("\n\n{{ payload.x | upcas }}", 'unknown filter "upcas"; did you mean "upcase"?', 3, 16),
        ("{{ payload.x | base64_decode }}", 'unknown filter "base64_decode"', 1, 16),
        ("{{ payload.x", "expected '}}'", 1, 1),
        ("{% for x in payload.l %}", "expected tag endfor", 1, 1),
        ("{% if %}{% endif %}", "missing expression", 1, 4),
        ("\n {% include 'x' %}", "unexpected tag 'include'", 2, 5),
        ("{% render 'x' %}", "unexpected tag 'render'", 1, 4),
        ("{% tablerow x in payload.l %}{% endtablerow %}", "unexpected tag 'tablerow'", 1, 4),
        ("{% liquid echo payload %}", "unexpected tag 'liquid'", 1, 4),
        ("{{ ''.__class__ }}", "expected end of expression", 1, 6),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_its_place(source: str, message: str, line: int, column: int) -> None:
    with pytest.raises(TemplateRefused) as refused:
        compile_template(source)
    assert message in str(refused.value)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert refused.value.unknown_variable == ("variable" in message)


@pytest.mark.parametrize(
    "source",
    [
        "x" * (MAX_LENGTH + 1),
        "{% if payload %}" * 40 + "{% endif %}" * 40,
        "{% if " + "payload and " * 2_500 + "payload %}{% endif %}",
    ],
)
def test_a_template_that_is_too_long_or_too_deep_is_refused(source: str) -> None:
    with pytest.raises(TemplateRefused):
        compile_template(source)


def test_every_variable_is_known() -> None:
    every = render("".join(f"[{{{{ {name} }}}}]" for name in VARIABLES), {})
    assert every.text.count("[") == len(VARIABLES)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% assign a = payload.x %}{% capture b %}{{ a }}{% endcapture %}{{ b }}", "7"),
        ("{% for x in payload.l %}{{ forloop.index }} {{ x.y }};{% endfor %}", "1 5;2 6;"),
        ("{% raw %}{{ nope }}{% endraw %}{% comment %}{{ nope }}{% endcomment %}", "{{ nope }}"),
    ],
)
def test_local_names_are_known_and_what_is_no_code_may_name_anything(source: str, text: str) -> None:
    assert render(source, {"x": 7, "l": [{"y": 5}, {"y": 6}]}).text == text
