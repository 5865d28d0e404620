"""A port of this machine, taken before the server that uses it is built."""

import socket

from eventroute.errors import Refused


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any free one; raises `Refused` where it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Refused(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error


def url_of(listener: socket.socket) -> str:
    """Name the base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
