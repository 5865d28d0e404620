"""URLs as the rules read them: what is allowed, what is refused, by which rule, and what the refusal shows."""

import pytest

from eventroute.outbound import Blocked, OutboundRules, Rule, Target, check_address, read_endpoint, read_url

CLUSTER = OutboundRules()
DEV = OutboundRules(mode="dev")


def rule_of(url: str, rules: OutboundRules = CLUSTER) -> Rule:
    with pytest.raises(Blocked) as caught:
        read_url(url, rules)
    return caught.value.rule


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("HTTPS://Example.COM/A?b=C", "example.com", 443, "/A?b=C", "example.com"),
        ("https://example.com:443/", "example.com", 443, "/", "example.com"),
        ("https://example.com:8443/x", "example.com", 8443, "/x", "example.com:8443"),
        ("https://example.com?x=1", "example.com", 443, "/?x=1", "example.com"),
        ("https://xn--bcher-kva.example/%C3%A4//b/../c", "xn--bcher-kva.example", 443, "/%C3%A4//b/../c", None),
        ("https://example.com/x?", "example.com", 443, "/x", "example.com"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2606:4700:0::1111]/", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, "/", "[2606:4700::1111]:8443"),
        ("https://example.com/@user:x@y/?redirect=http://10.0.0.1/", "example.com", 443, None, "example.com"),
    ],
)
def test_what_is_plainly_written_is_read_as_it_stands(
    url: str, host: str, port: int, path: str | None, authority: str | None
) -> None:
    target = read_url(url, OutboundRules(ports=(443, 8443)))
    assert (target.scheme, target.endpoint.host, target.endpoint.port) == ("https", host, port)
    assert path is None or target.path == path
    assert authority is None or target.authority == authority


SPELLINGS = (
    # one address, written so that some programs read it and others don't
    *("https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://127.1/", "https://127.0.1/"),
    *("https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://0x7f.1/", "https://127.0.0.01/", "https://127.0.0.1./"),
    *("https://127.0.0.256/", "https://1.2.3.4.5/", "https://169.254.169.254.", "https://0/", "https://0x/"),
    *("https://::1/", "https://[::1/", "https://::1]/", "https://[]/", "https://[[::1]]/", "https://[1.2.3.4]/"),
    *("https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%25lo]/", "https://[example.com]/"),
    *("https://[::ffff:127.1]/", "https://[v1.fe]/", "https://[::1]x/", "https://x[::1]/", "https://[::1]:/"),
    # dots and digits of other scripts, which some programs fold
    *(
        "https://127。0。0。1/",
        "https://①②⑦.0.0.1/",
        "https://１２７.0.0.1/",
        "https://example。com/",
        "https://exa\u00admple.com/",
    ),
    *("https://bücher.example/", "https://ⓔxample.com/", "https://loc\u200balhost/", "https://ｌocalhost/"),
    # dots where none belong
    *("https://example.com./", "https://.example.com/", "https://example..com/", "https://./", "https://localhost./"),
    # another host for whoever decodes, or splits elsewhere
    *("https://ex%61mple.com/", "https://127.0.0.1%2f@example.com/", "https://example.com%00.evil.example/"),
    *("https://example.com\\@evil.example/", "https:\\\\example.com/", "https://example.com\\.evil.example/"),
    *("https:/example.com/", "https:example.com", "https:///example.com/", "//example.com/", "example.com", ""),
    *("https://", "https:///", "https://:443/", "https://?x", " https://example.com/", "https://example.com /"),
    *("https://example.com\t/", "ht\ntps://example.com/", "https://exam\nple.com/", "https://example.com/\r\nHost: x"),
    *("https://example.com\x00/", "https://example.com/a b", "https://example.com/ä", "https://example.com/%zz"),
    *("https://example.com/?a b", "https://example.com/?ä", "https://example.com/?a\r\nHost: x", "https://a.com?%zz"),
    *("https://example.com/#fragment", "https://example.com#", "https://example.com#@evil.example/", "https://a,b/"),
    *("https://example.com:/", "https://example.com:x/", "https://example.com:443:443/", "https://example.com:0443/"),
    *("https://example.com:0/", "https://example.com:+443/", "https://example.com:٤٤٣/", "https://example.com:999999/"),
    *("https://-example.com/", "https://example-.com/", "https://exa_mple.com/", f"https://{'a' * 64}.com/"),
    *(f"https://{'a.' * 130}com/", f"https://example.com/{'a' * 9000}", "https://*.example.com/", "https://ex!.com/"),
)


@pytest.mark.parametrize("url", SPELLINGS)
@pytest.mark.parametrize("rules", [CLUSTER, DEV, OutboundRules(private_hosts=("*.com",), ports=(1, 443))])
def test_what_programs_read_differently_is_refused(url: str, rules: OutboundRules) -> None:
    assert rule_of(url, rules) in {Rule.SPELLING, Rule.CREDENTIALS}


@pytest.mark.parametrize(
    "url", ["https://u:p@example.com/", "https://u@example.com/", "https://@example.com/", "https://:@[::1]/"]
)
def test_credentials_in_a_url_are_refused(url: str) -> None:
    assert rule_of(url, DEV) is Rule.CREDENTIALS


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "unix://x/",
        "ws://a.b/",
    ],
)
@pytest.mark.parametrize("rules", [OutboundRules(ports=(80, 443)), OutboundRules(mode="dev", ports=(80, 443))])
def test_only_https_goes_out(url: str, rules: OutboundRules) -> None:
    assert rule_of(url, rules) is Rule.SCHEME


def test_the_default_port_of_http_is_not_that_of_https() -> None:
    assert rule_of("http://example.com/") is Rule.PORT


def test_ports_are_those_of_the_owner() -> None:
    assert rule_of("https://example.com:22/") is Rule.PORT
    assert rule_of("https://example.com/", OutboundRules(ports=(8443,))) is Rule.PORT
    assert rule_of("https://example.com/", OutboundRules(ports=())) is Rule.PORT
    assert read_url("https://example.com:65535/", OutboundRules(ports=(65535,))).endpoint.port == 65535
    assert rule_of("https://example.com:65536/", OutboundRules(ports=(443,))) is Rule.PORT


NAMES = {
    **dict.fromkeys(["localhost", "LOCALHOST", "app.localhost"], Rule.LOOPBACK),
    **dict.fromkeys(
        [
            *("metadata.google.internal", "METADATA.google.INTERNAL", "metadata.goog", "metadata", "instance-data"),
            *("metadata.azure.internal", "metadata.tencentyun.com", "api.metadata.cloud.ibm.com"),
            *("instance-data.ec2.internal", "metadata.packet.net", "metadata.platformequinix.com"),
        ],
        Rule.METADATA,
    ),
    **dict.fromkeys(
        [
            *(
                "postgres",
                "kubernetes",
                "kubernetes.default.svc",
                "a.b.svc.cluster.local",
                "x.cluster.local",
                "printer.local",
            ),
            *(
                "ip-10-0-0-1.ec2.internal",
                "host.docker.internal",
                "nas.lan",
                "router.home.arpa",
                "vault.service.consul",
            ),
            *("wiki.intranet", "wiki.corp", "db.private", "localhost.localdomain", "tv.home"),
        ],
        Rule.INTERNAL_NAME,
    ),
}


@pytest.mark.parametrize(("name", "rule"), NAMES.items())
def test_names_of_the_inside_are_refused_before_anybody_looks_them_up(name: str, rule: Rule) -> None:
    assert rule_of(f"https://{name}/") is rule
    with pytest.raises(Blocked) as caught:
        read_endpoint(name, 5432, OutboundRules(ports=(5432,)))
    assert caught.value.rule is rule


@pytest.mark.parametrize(
    "name", ["svc.example.com", "internal.example.com", "localhost.example.com", "mylocalhost.com"]
)
def test_names_that_only_look_so_are_not(name: str) -> None:
    assert read_url(f"https://{name}/", CLUSTER).endpoint.host == name


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("127.0.0.1", Rule.LOOPBACK),
        ("[::1]", Rule.LOOPBACK),
        ("[::ffff:7f00:1]", Rule.LOOPBACK),
        ("10.1.2.3", Rule.PRIVATE),
        ("169.254.169.254", Rule.METADATA),
        ("[::ffff:a9fe:a9fe]", Rule.METADATA),
        ("[64:ff9b::a9fe:a9fe]", Rule.METADATA),
        ("[fe80::1]", Rule.LINK_LOCAL),
        ("0.0.0.0", Rule.UNSPECIFIED),
        ("[::]", Rule.UNSPECIFIED),
        ("255.255.255.255", Rule.BROADCAST),
        ("224.0.0.1", Rule.MULTICAST),
        ("100.64.0.1", Rule.SHARED),
        ("203.0.113.1", Rule.RESERVED),
    ],
)
def test_an_address_in_a_url_is_judged_with_it(host: str, rule: Rule) -> None:
    assert rule_of(f"https://{host}/") is rule


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/x", "http://a.localhost/", "http://127.0.0.1:1/", "http://[::1]:9/"]
)
def test_what_a_developer_runs_beside_the_programs_is_allowed_in_dev_only(url: str) -> None:
    assert read_url(url, DEV).scheme == "http"
    assert rule_of(url, OutboundRules(ports=(1, 9, 80, 8000))) is Rule.LOOPBACK


def test_dev_allows_loopback_and_nothing_else_that_is_private() -> None:
    for host in ("10.0.0.1", "169.254.169.254", "[fe80::1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "0.0.0.0"):
        assert rule_of(f"https://{host}/", DEV) in set(Rule) - {Rule.SPELLING, Rule.PORT, Rule.SCHEME}
    local = read_url("http://app.localhost/", DEV).endpoint
    assert check_address("127.0.0.1", local, DEV) == "127.0.0.1"
    with pytest.raises(Blocked, match=r"app\.localhost:80: leads to 8\.8\.8\.8, which is not this machine"):
        check_address("8.8.8.8", local, DEV)


def test_addresses_of_a_name_are_judged_one_by_one_and_written_as_they_are_connected_to() -> None:
    endpoint = read_url("https://example.com/", CLUSTER).endpoint
    assert check_address("8.8.8.8", endpoint, CLUSTER) == "8.8.8.8"
    assert check_address("::ffff:8.8.8.8", endpoint, CLUSTER) == "8.8.8.8"
    assert check_address("2606:4700:0::1", endpoint, CLUSTER) == "2606:4700::1"
    for text, rule in {
        "10.0.0.1": Rule.PRIVATE,
        "fe80::1%eth0": Rule.LINK_LOCAL,
        "2606::1%lo": Rule.LINK_LOCAL,
    }.items():
        with pytest.raises(Blocked) as caught:
            check_address(text, endpoint, CLUSTER)
        assert caught.value.rule is rule


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "https://hooks.corp/services/T0/B0/secret?token=hush",
            "https://hooks.corp/…: hooks.corp is a name within a private network; the platform's owner can list",
        ),
        (
            "https://me:hush@example.com/secret",
            "https://example.com/…: user and password in a URL are shown and logged",
        ),
        (
            "https://10.0.0.7/secret",
            "10.0.0.7:443: it is a private address; the platform's owner can list it under outbound.privateCIDRs",
        ),
        (
            "https://example.com:22/",
            "https://example.com:22: port 22 is not allowed; outbound.ports of the chart are: 443",
        ),
        ("http://example.com:443/secret", "https://"),
        ("https://me:hu/sh@example.com/secret#", "https://…: what follows # is never sent; leave it out, or write %23"),
        ("https://me:hush\\@example.com/secret", "https://…: user and password"),
        ("hush@secret", "URL: it is no URL; write https://host/path"),
    ],
)
def test_a_refusal_says_what_to_do_and_shows_nothing_secret(url: str, told: str) -> None:
    with pytest.raises(Blocked) as caught:
        read_url(url, CLUSTER)
    assert told in str(caught.value)
    assert not any(word in str(caught.value) for word in ("hush", "secret", "hu/sh"))


def test_a_target_that_is_printed_shows_no_path() -> None:
    target = read_url("https://hooks.slack.com/services/secret?token=hush", CLUSTER)
    assert str(target) == "https://hooks.slack.com/…"
    assert isinstance(target, Target)
    assert "secret" not in repr(target)
