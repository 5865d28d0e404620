"""The tools that run on the API's side: what is judged of them, and their table entries."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from eventroute.compile.gathered import Found, Gathered, value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.models import undated
from eventroute.outbound import Blocked, OutboundRules, Rule, read_url
from eventroute.route_table import ServedTool
from eventroute.secret import Secret
from eventroute.served import McpServer, Served, kinds, serve, serve_mcp


class PlacedServed(NamedTuple):
    """One of them, and where it stands in the manifest."""

    field: str
    kind: str
    """As the manifest calls it."""
    when: str | None
    offer: Served

    @property
    def name(self) -> str:
        """What it is called: by the API, or by the manifest."""
        return self.offer.server.name if self.offer.server else self.offer.kind

    def token(self, gathered: Gathered) -> Found[Secret] | None:
        """Find what its server is shown."""
        return gathered.tool_secrets.get(f"{self.field}.tokenRef")


def placed_served(gathered: Gathered, position: int) -> Iterator[PlacedServed]:
    """Go through those of a prompt."""
    prompt = gathered.spec.prompts[position]
    for number, tool in enumerate(prompt.tools):
        field = f"spec.prompts[{position}].tools[{number}]"
        for kind, offer in _offers(tool):
            yield PlacedServed(field, kind, tool.when, offer)
    for number, server in enumerate(prompt.mcp_servers):
        field = f"spec.prompts[{position}].mcpServers[{number}]"
        yield PlacedServed(
            field, "mcpServers", server.when, serve_mcp(McpServer(server.name, server.url), server.tools)
        )


def _offers(tool: crd.Tool) -> Iterator[tuple[str, Served]]:
    if search := tool.web_search:
        yield (
            "webSearch",
            serve(
                "web_search",
                max_uses=search.max_uses,
                allowed_domains=list(search.allowed_domains),
                blocked_domains=list(search.blocked_domains),
            ),
        )
    if fetch := tool.web_fetch:
        yield (
            "webFetch",
            serve(
                "web_fetch",
                max_uses=fetch.max_uses,
                tokens_per_use=fetch.max_content_tokens,
                max_content_tokens=fetch.max_content_tokens,
                allowed_domains=list(fetch.allowed_domains),
            ),
        )
    if tool.code_execution:
        yield "codeExecution", serve("code_execution")


def check_served(gathered: Gathered) -> Iterator[Problem]:
    """Find what is wrong with them, but for their conditions."""
    yield from _out_of_reach(gathered)
    for position, prompt in enumerate(gathered.spec.prompts):
        names = {("", tool.name) for tool in prompt.tools if tool.name}
        for placed in placed_served(gathered, position):
            scope = "server" if placed.offer.server else ""
            if (scope, placed.name) in names:
                what = "server" if scope else "tool"
                message = f'another {what} of this prompt is called "{placed.name}" too; one of them has to go'
                yield gathered.problem(Reason.DUPLICATE_TOOL, placed.field, message)
            names.add((scope, placed.name))
            yield from _refused(gathered, position, placed)
            yield from _unguarded(gathered, placed)
            if found := placed.token(gathered):
                yield from lint_text(gathered, found, "the token")


def _refused(gathered: Gathered, position: int, placed: PlacedServed) -> Iterator[Problem]:
    """Say which of the models that may be asked would refuse the whole call."""
    asked = gathered.asked[position]
    refused_by = kinds()[placed.offer.kind].refused_by
    for candidate in filter(None, (asked.first, asked.fallback)):
        if undated(candidate.name) in refused_by:
            message = f"{candidate.name} takes no {placed.kind}; name another model, or leave it out"
            yield gathered.problem(Reason.MODEL_REFUSES, f"{placed.field}.{placed.kind}", message)


def _unguarded(gathered: Gathered, placed: PlacedServed) -> Iterator[Problem]:
    """Warn of what any event's text may talk Claude into."""
    if placed.kind == "webFetch" and "allowed_domains" not in placed.offer.definition:
        field = f"{placed.field}.webFetch.allowedDomains"
        allowed = gathered.at_hand.policy.of(gathered.route.metadata.namespace).allowed_hosts
        if allowed:
            message = f"pages may be from anywhere; name domains of those that are allowed: {', '.join(allowed)}"
            yield gathered.problem(Reason.POLICY_VIOLATION, field, message)
            return
        message = (
            "any event may name a URL, and have Claude send there what it has read; say which domains it may fetch"
        )
        yield gathered.problem(Reason.TOOL_UNGUARDED, field, message, severity=Severity.WARNING)
    if placed.offer.server and not placed.when:
        message = (
            f"nobody knows what the tools of {placed.name} change, and any event's text may talk Claude into them; say "
            "in when whose events may"
        )
        yield gathered.problem(Reason.TOOL_UNGUARDED, f"{placed.field}.when", message, severity=Severity.WARNING)


def _out_of_reach(gathered: Gathered) -> Iterator[Problem]:
    """Find what is not on the public internet, or not allowed: what this cluster can reach is nothing to the API."""
    allowance = gathered.at_hand.policy.of(gathered.route.metadata.namespace)
    for field, url in _named_places(gathered):
        try:
            read_url(url, allowance.narrow(OutboundRules(ports=(443, _port(url)))))
        except Blocked as blocked:
            message = str(blocked) if blocked.rule is Rule.HOST else "the API calls it, and reaches public hosts only"
            yield gathered.problem(Reason.TOOL_OUT_OF_REACH, field, message)


def _port(url: str) -> int:
    try:
        return urlsplit(url).port or 443
    except ValueError:
        return 443


def _named_places(gathered: Gathered) -> Iterator[tuple[str, str]]:
    """List the places on the internet that manifests name for them, as URLs, with their fields."""
    for position, prompt in enumerate(gathered.spec.prompts):
        for number, tool in enumerate(prompt.tools):
            for index, domain in enumerate(tool.web_fetch.allowed_domains if tool.web_fetch else ()):
                field = f"spec.prompts[{position}].tools[{number}].webFetch.allowedDomains[{index}]"
                yield field, f"https://{domain}/"
        for number, server in enumerate(prompt.mcp_servers):
            yield f"spec.prompts[{position}].mcpServers[{number}].url", server.url


def list_served(gathered: Gathered, position: int) -> tuple[ServedTool, ...]:
    """Write the table entries of those of a prompt."""
    return tuple(
        ServedTool(when=placed.when, offer=placed.offer, token=value_of(found) if found else None)
        for placed in placed_served(gathered, position)
        for found in (placed.token(gathered),)
    )
