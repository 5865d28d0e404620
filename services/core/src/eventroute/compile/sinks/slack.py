"""The `slack` sink: who posts, and where."""

import re
from collections.abc import Iterator
from typing import Final

from eventroute.compile.gathered import value_of
from eventroute.compile.secrets import lint_text
from eventroute.compile.sinks.judged import Judged, Kind, Written
from eventroute.compile.verdict import Problem, Reason
from eventroute.crd import v1alpha1 as crd
from eventroute.route_table import SLACK as API
from eventroute.route_table import SlackApp, SlackSink, SlackWebhook
from eventroute.secret import Secret

_TOKEN: Final = (re.compile(rb"xox[!-~]+"), "a token that posts, `xoxb-…`: see OAuth & Permissions of the app")
_URL: Final = (
    re.compile(rb"https://hooks\.slack(-gov)?\.com/services/[!-~]+|http://(localhost|127\.0\.0\.1):[0-9]+/[!-~]*"),
    "the URL of an incoming webhook, `https://hooks.slack.com/services/…`: see Incoming Webhooks of the app",
)
"""What a Secret has to hold, and what it is called; on this machine stands in for Slack what a developer runs there."""


def _check(judged: Judged[crd.SlackSink]) -> Iterator[Problem]:
    for field, found in judged.secrets.items():
        is_url = field == "urlRef"
        problems = list(lint_text(judged.gathered, found, "the webhook's URL" if is_url else "the token"))
        yield from problems
        if isinstance(found.value, Secret) and not problems:
            form, meant = _URL if is_url else _TOKEN
            if not form.fullmatch(found.value.reveal()):
                yield judged.problem(Reason.SECRET_WRONG_TYPE, field, f"this is not {meant}")
    provider = judged.gathered.spec.provider
    if judged.own.token_ref and not judged.own.channel and provider != "slack":
        message = f"events of {provider} come from no channel of Slack; set channel to the id of one"
        yield judged.problem(Reason.CHANNEL_MISSING, "channel", message)
    if judged.own.update and not judged.gathered.spec.entity:
        message = "set spec.entity, which names whom a message is about"
        yield judged.problem(Reason.ENTITY_MISSING, "update", message)


def _templates(own: crd.SlackSink) -> Iterator[Written]:
    for index, block in enumerate(own.blocks):
        yield from _texts(block, f"blocks[{index}]")


def _texts(value: object, field: str) -> Iterator[Written]:
    if isinstance(value, str):
        yield Written(field, value)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, f"{field}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, f"{field}[{index}]")


def _urls(judged: Judged[crd.SlackSink]) -> Iterator[tuple[str, str]]:
    for field, found in judged.secrets.items():
        if field == "tokenRef":
            yield found.field, API
        elif isinstance(found.value, Secret) and _URL[0].fullmatch(found.value.reveal()):
            yield found.field, found.value.reveal().decode()


def _entry(judged: Judged[crd.SlackSink]) -> SlackSink:
    (secret,) = map(value_of, judged.secrets.values())
    by = SlackApp(token=secret, channel=judged.own.channel) if judged.own.token_ref else SlackWebhook(url=secret)
    return SlackSink(
        name=judged.name,
        when=judged.sink.when,
        message=judged.sink.message,
        by=by,
        update=judged.own.update,
        blocks=judged.own.blocks,
    )


SLACK: Final = Kind(_entry, _check, _urls, _templates)
