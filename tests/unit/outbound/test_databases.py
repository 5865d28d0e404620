"""URLs of databases as the rules read them: what is taken of them, and what is refused by its name."""

import pytest

from eventroute.errors import Refused
from eventroute.outbound import Blocked, Database, OutboundRules, Rule, check_database, parse_database, ssl_mode_of

OPEN = OutboundRules(ports=(443, 5432), private_hosts=("postgres.db.svc",))
DEV = OutboundRules(mode="dev")


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("postgresql://u:p@db.example.com/x", Database("db.example.com", 5432, "u", "p", "x")),
        ("postgres://u@DB.example.com:6432/x", Database("db.example.com", 6432, "u", "", "x")),
        ("postgresql://u%40t:p%3A%2F:q@db.example.com/x%20y", Database("db.example.com", 5432, "u@t", "p:/:q", "x y")),
        ("postgresql://u:p@[2606:4700::1111]/x", Database("2606:4700::1111", 5432, "u", "p", "x")),
        (
            "postgresql://u:p@db.example.com/x?sslmode=require&channel_binding=require",
            Database("db.example.com", 5432, "u", "p", "x", "require", "require"),
        ),
        ("postgresql://u:p@db.example.com/host=10.0.0.1", Database("db.example.com", 5432, "u", "p", "host=10.0.0.1")),
    ],
)
def test_a_url_is_a_place_and_a_login(url: str, database: Database) -> None:
    assert parse_database(url) == database


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://u:p@db.example.com/x",
        "postgresql://db.example.com/x",
        "postgresql://u:p@db.example.com",
        "postgresql://u:p@db.example.com/",
        "postgresql:///x?host=db.example.com",
        "postgresql://u:p@/x",
        "postgresql://u:p@a.example.com,b.example.com/x",
        "postgresql://u:p@%2Fvar%2Frun/x",
        "postgresql://u:p@db.example.com/x#y",
        "postgresql://u:p@db.example.com/x/y",
        "postgresql://u:p@10.0.0.1@db.example.com/x",
        "host=db.example.com dbname=x",
    ],
)
def test_what_is_not_the_url_of_one_database_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(Refused, match="this is not the URL of one PostgreSQL database, `postgresql://user:password@"):
        parse_database(url)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("?options=-c%20x", "parameter `options` is not taken; only sslmode and channel_binding are"),
        ("?host=10.0.0.1", "parameter `host` is not taken"),
        ("?hostaddr=10.0.0.1", "parameter `hostaddr` is not taken"),
        ("?service=x", "parameter `service` is not taken"),
        ("?passfile=/etc/passwd", "parameter `passfile` is not taken"),
        ("?sslrootcert=/etc/passwd", "parameter `sslrootcert` is not taken"),
        ("?sslmode=require&sslmode=disable", "says sslmode twice"),
        ("?SSLMODE=disable", "parameter that it has is not taken"),
        ("?sslmode=off", "sslmode is none of PostgreSQL's"),
        ("?channel_binding=no", "channel_binding is none of PostgreSQL's"),
        ("%00", "holds a control character"),
        ("%0a", "holds a control character"),
        ("\n", "holds a control character"),
        ("%ff", "%-sequences are not UTF-8"),
        ("%", "a % that begins no %-sequence"),
    ],
)
def test_what_is_asked_beside_that_is_refused_by_its_name(rest: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        parse_database(f"postgresql://u:p@db.example.com/x{rest}")


@pytest.mark.parametrize("port", ["0", "05432", "123456"])
def test_a_port_is_a_number(port: str) -> None:
    with pytest.raises(Refused, match="the URL's port is no number from 1 to 65535"):
        parse_database(f"postgresql://u:p@db.example.com:{port}/x")


@pytest.mark.parametrize(
    ("host", "rules", "rule"),
    [
        ("db.example.com", OutboundRules(), Rule.PORT),
        ("10.0.0.1", OPEN, Rule.PRIVATE),
        ("0x0a000001", OPEN, Rule.SPELLING),
        ("postgres.other.svc", OPEN, Rule.INTERNAL_NAME),
        ("localhost", OPEN, Rule.LOOPBACK),
        ("169.254.169.254", DEV, Rule.PORT),
        ("169.254.169.254", OPEN, Rule.METADATA),
        ("db.example.com:99999", OPEN, Rule.PORT),
    ],
)
def test_a_database_is_where_the_rules_lead(host: str, rules: OutboundRules, rule: Rule) -> None:
    with pytest.raises(Blocked) as blocked:
        check_database(parse_database(f"postgresql://u:p@{host}/x"), rules)
    assert blocked.value.rule is rule


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_only_to_private_hosts_and_this_machine_one_goes_without_tls(mode: str) -> None:
    with pytest.raises(Blocked, match=f"sslmode={mode} may send everything in the clear; write `sslmode=verify-full`"):
        check_database(parse_database(f"postgresql://u:p@db.example.com/x?sslmode={mode}"), OPEN)
    for host, rules in (("postgres.db.svc", OPEN), ("localhost", DEV), ("127.0.0.1", DEV)):
        database = parse_database(f"postgresql://u:p@{host}/x?sslmode={mode}")
        assert ssl_mode_of(database, check_database(database, rules)) == mode


@pytest.mark.parametrize(
    ("host", "rules", "mode"),
    [("db.example.com", OPEN, "require"), ("postgres.db.svc", OPEN, "require"), ("localhost", DEV, "prefer")],
)
def test_a_url_that_does_not_say_has_tls(host: str, rules: OutboundRules, mode: str) -> None:
    database = parse_database(f"postgresql://u:p@{host}/x")
    assert ssl_mode_of(database, check_database(database, rules)) == mode
