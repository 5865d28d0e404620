"""Which headers a route looks at, and so which ones are kept of a request."""

import pytest

from eventroute.expression import compile_expression
from eventroute.template import compile_template


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("payload.headers.x == 1", set()),
        ('headers["X-Account"] == "a" && headers.host != ""', {"x-account", "host"}),
        ("has(headers.account)", {"account"}),
        ('"x-account" in headers', None),
        ("headers[payload.name] == 'a'", None),
        ("headers == payload", None),
        ("headers.exists(name, name == 'x')", None),
        ("size(headers) > 3", None),
    ],
)
def test_an_expression_tells_which_headers_it_names(source: str, named: set[str] | None) -> None:
    assert compile_expression(source).headers == named


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ payload.headers.x }}", set()),
        ('{{ headers["X-Account"] | upcase }}{% if headers.host %}1{% endif %}', {"x-account", "host"}),
        ("{% for label in headers.labels %}{{ label }}{% endfor %}", {"labels"}),
        ("{% if false %}{% assign headers = payload %}{% endif %}{{ headers.late }}{% assign headers = 1 %}", {"late"}),
        ("{{ headers[payload.name] }}", None),
        ("{{ headers | json }}", None),
        ("{% assign all = headers %}{{ all.x }}", None),
        ("{% for pair in headers %}{{ pair }}{% endfor %}", None),
        ("{{ headers.size }}{{ headers.first }}", None),
    ],
)
def test_a_template_tells_which_headers_it_names(source: str, named: set[str] | None) -> None:
    assert compile_template(source).headers == named
