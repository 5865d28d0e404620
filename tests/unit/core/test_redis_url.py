"""Redis URLs: what each part means, and that a wrong one is named without showing any of it."""

from pathlib import Path
from typing import Any

import pytest

from eventroute.errors import Refused
from eventroute.runtime.redis_url import Address, Login, RedisUrl, Tls, parse_redis_url
from eventroute.secret import Secret


def url(*addresses: Address, **parts: Any) -> RedisUrl:
    nothing: dict[str, Any] = {
        "socket": None,
        "master": None,
        "login": None,
        "sentinel_login": None,
        "database": 0,
        "tls": None,
    }
    return RedisUrl(addresses=addresses, **{**nothing, **parts})


def login(username: str, password: str) -> Login:
    return Login(username, Secret(password.encode()))


SYSTEM = Tls(None, None, None)

ACCEPTED = {
    "redis://r": url(Address("r", 6379)),
    "redis://r/": url(Address("r", 6379)),
    "redis://r:7000/3": url(Address("r", 7000), database=3),
    "redis://[::1]:7000/15": url(Address("::1", 7000), database=15),
    "redis://:s3cr3t@r": url(Address("r", 6379), login=login("default", "s3cr3t")),
    "redis://someone:p%3A%2F%3F%23%40+%25@r": url(Address("r", 6379), login=login("someone", "p:/?#@+%")),
    "redis://someone:a@b@r": url(Address("r", 6379), login=login("someone", "a@b")),
    "redis://someone:a:b@r": url(Address("r", 6379), login=login("someone", "a:b")),
    "redis://someone:@r": url(Address("r", 6379), login=login("someone", "")),
    "rediss://r": url(Address("r", 6379), tls=SYSTEM),
    "rediss://r?ssl_ca_certs=/tls/ca.crt": url(Address("r", 6379), tls=Tls(Path("/tls/ca.crt"), None, None)),
    "rediss://r/2?ssl_keyfile=/k%20ey&ssl_certfile=/c+rt": url(
        Address("r", 6379), database=2, tls=Tls(None, Path("/c+rt"), Path("/k ey"))
    ),
    "unix:///run/redis.sock": url(socket="/run/redis.sock"),
    "unix://:s3cr3t@/run/a%20b.sock?db=4": url(socket="/run/a b.sock", login=login("default", "s3cr3t"), database=4),
    "redis+sentinel://s1,s2:7000,[::1]/main": url(
        Address("s1", 26379), Address("s2", 7000), Address("::1", 26379), master="main"
    ),
    "redis+sentinel://someone:pass@s1/my%20main/2?sentinel_password=other": url(
        Address("s1", 26379),
        master="my main",
        database=2,
        login=login("someone", "pass"),
        sentinel_login=login("default", "other"),
    ),
    "rediss+sentinel://s1/main?sentinel_username=s&sentinel_password=p&ssl_ca_certs=/ca": url(
        Address("s1", 26379), master="main", sentinel_login=login("s", "p"), tls=Tls(Path("/ca"), None, None)
    ),
}

HIDDEN = "hidd3n"
REFUSED = {
    HIDDEN: "scheme",
    "": "scheme",
    f"http://{HIDDEN}": "scheme",
    f"REDIS://:{HIDDEN}@r": "scheme",
    f"redis:/{HIDDEN}": "scheme",
    f"redis:///{HIDDEN}": "host",
    f"redis://:{HIDDEN}/x@r": "host",
    f"redis://:{HIDDEN}#x@r": "host",
    f"redis://:{HIDDEN}?x@r": "host",
    f"redis://someone:12?{HIDDEN}@r": "options",
    f"redis://someone:12/{HIDDEN}@r": "database",
    f"redis://r#{HIDDEN}": "fragment",
    f"redis://:{HIDDEN}@": "host",
    f"redis://:{HIDDEN}@:6379": "host",
    f"redis://:{HIDDEN}@r:65536": "host",
    f"redis://:{HIDDEN}@r:0": "host",
    f"redis://:{HIDDEN}@r:-1": "host",
    f"redis://:{HIDDEN}@r:": "host",
    f"redis://:{HIDDEN}@[::1": "host",
    f"redis://:{HIDDEN}@r r": "host",
    f"redis://:{HIDDEN}@r\n": "host",
    f"redis://:{HIDDEN}@r,s": "host",
    f"redis://{HIDDEN}@r": "password",
    f"redis://r/{HIDDEN}": "database",
    "redis://r/-1": "database",
    "redis://r/1/2": "database",
    "redis://r/²": "database",
    f"redis://r?password={HIDDEN}": "options",
    "redis://r?db=1": "options",
    "redis://r?ssl_ca_certs=/ca": "options",
    "rediss://r?ssl_cert_reqs=none": "options",
    "rediss://r?ssl_check_hostname=false": "options",
    "rediss://r?ssl_ca_certs=": "options",
    "rediss://r?ssl_ca_certs=/a&ssl_ca_certs=/b": "options",
    "rediss://r?ssl_certfile=/c": "options",
    "rediss://r?ssl_keyfile=/k": "options",
    "unix://run/redis.sock": "host",
    "unix://": "path",
    "unix:///": "path",
    "unix:///run/redis.sock?db=x": "database",
    f"redis+sentinel://:{HIDDEN}@s1": "master",
    f"redis+sentinel://:{HIDDEN}@s1/": "master",
    f"redis+sentinel://:{HIDDEN}@s1,/main": "host",
    "redis+sentinel://s1/main/x": "database",
    f"redis+sentinel://s1/main?sentinel_username={HIDDEN}": "options",
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_each_part_is_read(text: str) -> None:
    assert parse_redis_url(text) == ACCEPTED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_part_is_named_and_nothing_of_the_url_is_shown(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_redis_url(text)
    assert str(refused.value).startswith(f"Redis URL: {REFUSED[text]}: ")
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_url_that_was_read_prints_no_password(text: str) -> None:
    shown = repr(parse_redis_url(text))
    assert not any(password in shown for password in ("s3cr3t", "p:/", "a@b", "a:b", "other", "pass'"))
