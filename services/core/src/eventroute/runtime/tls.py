"""TLS towards Redis: whom we believe, and who we are. Files that are replaced count from the next connection on."""

import functools
import ssl
from pathlib import Path

from eventroute.errors import Refused
from eventroute.runtime.redis_url import Tls


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Make what a new connection needs; the same object for as long as the files stay the same.

    raises  `Refused` naming the option and the file that cannot be used
    """
    files = {"ssl_ca_certs": tls.ca_certs, "ssl_certfile": tls.certfile, "ssl_keyfile": tls.keyfile}
    return _context(tls, tuple(_changed_ns(option, path) for option, path in files.items() if path is not None))


def _changed_ns(option: str, path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise Refused(f"Redis URL: {option}: {path}: {error.strerror}") from error


@functools.lru_cache(maxsize=4)
def _context(tls: Tls, _changed: tuple[int, ...]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_certs)  # checks certificate and host name
    except OSError as error:
        raise Refused(f"Redis URL: ssl_ca_certs: {tls.ca_certs}: {error}") from error
    if tls.certfile is not None:
        try:
            context.load_cert_chain(tls.certfile, tls.keyfile, password="")  # without one, it would ask a terminal
        except OSError as error:
            raise Refused(f"Redis URL: ssl_certfile, ssl_keyfile: {tls.certfile}, {tls.keyfile}: {error}") from error
    return context
