"""Names that lead elsewhere from one question to the next, or to several places: with a name server of the test."""

from pathlib import Path

import pytest

from eventroute.outbound import Blocked, Rule
from eventroute_worker.outbound import NoAnswer, Request
from support.certificates import Authority
from support.name_server import name_server
from support.odd_server import answer, odd_server
from support.outbound import NewOutbound

pytestmark = pytest.mark.real

NAME = "hooks.example.com"


async def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(
    new_outbound: NewOutbound, authority: Authority
) -> None:
    async with (
        name_server({NAME: [["127.0.0.1"], ["10.0.0.1"]]}) as names,
        odd_server(answer(), certified=authority.certify(NAME)) as server,
    ):
        outbound = await new_outbound(server.port, resolve=names.resolve)
        url = f"https://{NAME}:{server.port}/"
        assert (await outbound.send(Request("POST", url, body=b"first"))).status == 200
        assert names.asked == [NAME]
        assert [asked.body for asked in server.asked] == [b"first"]
        with pytest.raises(Blocked, match=r"leads to 10\.0\.0\.1, which is a private address") as caught:
            await outbound.send(Request("POST", url, body=b"second"))
        assert caught.value.rule is Rule.PRIVATE
        assert names.asked == [NAME, NAME]
        assert len(server.asked) == 1, "a kept connection is for the address that was judged"


@pytest.mark.parametrize(
    ("addresses", "rule"),
    [
        (["10.0.0.1"], Rule.PRIVATE),
        (["127.0.0.1", "10.0.0.1"], Rule.PRIVATE),
        (["10.0.0.1", "127.0.0.1"], Rule.PRIVATE),
        (["127.0.0.1", "169.254.169.254"], Rule.METADATA),
        (["127.0.0.1", "fd00:ec2::254"], Rule.METADATA),
        (["127.0.0.1", "fe80::1"], Rule.LINK_LOCAL),
        (["127.0.0.1", "::ffff:10.0.0.1"], Rule.PRIVATE),
        (["127.0.0.1", "64:ff9b::a00:1"], Rule.PRIVATE),
        (["127.0.0.1", "2002:a9fe:a9fe::"], Rule.METADATA),
        (["127.0.0.1", "0.0.0.0"], Rule.UNSPECIFIED),
    ],
)
async def test_one_bad_address_of_an_answer_speaks_against_the_name(
    new_outbound: NewOutbound, authority: Authority, addresses: list[str], rule: Rule
) -> None:
    async with (
        name_server({NAME: [addresses]}) as names,
        odd_server(answer(), certified=authority.certify(NAME)) as server,
    ):
        outbound = await new_outbound(server.port, resolve=names.resolve)
        with pytest.raises(Blocked) as caught:
            await outbound.send(Request("GET", f"https://{NAME}:{server.port}/"))
        assert caught.value.rule is rule
        with pytest.raises(Blocked):
            await outbound.checked_addresses(NAME, server.port)
        assert server.connections == 0


async def test_in_a_cluster_no_name_leads_to_loopback(new_outbound: NewOutbound, authority: Authority) -> None:
    async with (
        name_server({f"{NAME}.": [["127.0.0.1"]]}) as names,
        odd_server(answer(), certified=authority.certify(NAME)) as server,
    ):
        outbound = await new_outbound(server.port, resolve=names.resolve, mode="cluster")
        with pytest.raises(Blocked) as caught:
            await outbound.send(Request("GET", f"https://{NAME}:{server.port}/"))
        assert caught.value.rule is Rule.LOOPBACK
        assert server.connections == 0


async def test_in_a_cluster_names_are_asked_for_as_they_stand_and_only_the_owners_are_searched(
    new_outbound: NewOutbound,
) -> None:
    answers = {"pg.example.com.": [["8.8.8.8", "2606:4700::1"]], "pg.db.svc": [["10.0.0.9"]]}
    async with name_server(answers) as names:
        outbound = await new_outbound(5432, resolve=names.resolve, mode="cluster", privateHosts=["pg.db.svc"])
        assert await outbound.checked_addresses("pg.example.com", 5432) == ("8.8.8.8", "2606:4700::1")
        assert await outbound.checked_addresses("PG.db.svc", 5432) == ("10.0.0.9",)
        assert await outbound.checked_addresses("8.8.4.4", 5432) == ("8.8.4.4",)
        assert await outbound.checked_addresses("2606:4700::2", 5432) == ("2606:4700::2",)
        assert names.asked == ["pg.example.com.", "pg.db.svc"]
        with pytest.raises(Blocked):
            await outbound.checked_addresses("pg.example.com", 5433)


async def test_a_name_that_leads_nowhere_may_lead_somewhere_later(new_outbound: NewOutbound) -> None:
    async with name_server({"empty.example.com": [[]]}) as names:
        outbound = await new_outbound(resolve=names.resolve)
        for host, told in {"none.example.com": "Name or service not known", "empty.example.com": "no address"}.items():
            with pytest.raises(NoAnswer, match=told) as caught:
                await outbound.send(Request("GET", f"https://{host}/"))
            assert not caught.value.may_have_arrived


async def test_the_next_address_is_tried_where_nobody_listens(new_outbound: NewOutbound, authority: Authority) -> None:
    async with (
        name_server({NAME: [["127.0.0.9", "127.0.0.1"]]}) as names,
        odd_server(answer(), certified=authority.certify(NAME)) as server,
    ):
        outbound = await new_outbound(server.port, resolve=names.resolve)
        assert (await outbound.send(Request("GET", f"https://{NAME}:{server.port}/"))).status == 200
        assert names.asked == [NAME]


async def test_the_name_is_what_the_certificate_is_for_and_what_the_server_is_told(
    new_outbound: NewOutbound, authority: Authority
) -> None:
    async with odd_server(answer(), certified=authority.certify(NAME)) as server:
        outbound = await new_outbound(server.port)
        await outbound.send(Request("GET", f"https://{NAME}:{server.port}/a?b=c"))
        (asked,) = server.asked
        assert asked.server_name == NAME
        assert asked.headers["host"] == f"{NAME}:{server.port}"
        assert asked.line == "GET /a?b=c HTTP/1.1"
        with pytest.raises(NoAnswer, match="Hostname mismatch") as caught:
            await outbound.send(Request("GET", f"https://other.example.com:{server.port}/"))
        assert not caught.value.may_have_arrived
        assert len(server.asked) == 1


async def test_a_certificate_of_nobody_that_is_trusted_is_refused(new_outbound: NewOutbound, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with odd_server(answer(), certified=stranger.certify(NAME)) as server:
        outbound = await new_outbound(server.port)
        with pytest.raises(NoAnswer, match="unable to get local issuer certificate"):
            await outbound.send(Request("GET", f"https://{NAME}:{server.port}/secret"))
        assert not server.asked


async def test_a_certificate_of_an_address_counts_for_the_address(
    new_outbound: NewOutbound, authority: Authority
) -> None:
    async with odd_server(answer(), certified=authority.certify("127.0.0.1")) as server:
        outbound = await new_outbound(server.port)
        assert (await outbound.send(Request("GET", f"https://127.0.0.1:{server.port}/"))).status == 200
