"""Use the network the way honest libraries do, and abuse the connection that was granted."""

import asyncio
import ctypes
import http.client
import socket
import ssl
import struct
import urllib.request

from hostile_kernel import call


def attack(what: str, **params: object) -> object:
    """Do ``what``."""
    return globals()[what](**params)


def fetch(url: str, authority: str = "") -> str:
    """Fetch a page with urllib, over TLS where the address says so."""
    context = ssl.create_default_context(cafile=authority) if authority else None
    with urllib.request.urlopen(url, timeout=5, context=context) as page:
        body: bytes = page.read()
    return body.decode()


def fetch_low(host: str, port: int) -> str:
    """Fetch a page with http.client and look at the socket."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer = connection.sock.getpeername()[1]
    connection.request("GET", "/")
    return f"{peer} {connection.getresponse().read().decode()}"


def fetch_asynchronously(host: str, port: int) -> str:
    """Fetch a page with asyncio streams."""

    async def talk() -> str:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        page = await reader.read()
        writer.close()
        return page.decode().rpartition("\r\n\r\n")[2]

    return asyncio.run(talk())


def look_up(host: str) -> str:
    """Resolve a name without connecting, as a tunnel over DNS would."""
    return socket.gethostbyname(host)


def reuse_connection(host: str, port: int, forbidden: int) -> list[str]:
    """Turn the granted connection towards another port in every known way; return the ways that work."""
    granted = socket.create_connection((host, port), 5)
    address = (
        struct.pack("=H", socket.AF_INET)
        + struct.pack(">H", forbidden)
        + socket.inet_aton("127.0.0.1")
        + bytes(8)
    )
    nowhere = bytes(16)
    descriptor, pointer, empty = granted.fileno(), ctypes.c_char_p(address), ctypes.c_char_p(nowhere)
    fast_open = 0x20000000
    ways = {
        "unconnect": lambda: call("connect", descriptor, empty, 16),
        "reconnect": lambda: call("connect", descriptor, pointer, 16),
        "sendto": lambda: call("sendto", descriptor, ctypes.c_char_p(b"x"), 1, 0, pointer, 16),
        "fast-open": lambda: call("sendto", descriptor, ctypes.c_char_p(b"x"), 1, fast_open, 0, 0),
        "sendmsg": lambda: granted.sendmsg([b"x"], [], fast_open, ("127.0.0.1", forbidden)),
        "bind": lambda: call("bind", descriptor, pointer, 16),
        "listen": lambda: call("listen", descriptor, 1),
        "accept": lambda: call("accept4", descriptor, 0, 0, 0),
        "multicast": lambda: call("setsockopt", descriptor, 0, 35, ctypes.c_char_p(bytes(8)), 8),
        "again": lambda: granted.connect(("127.0.0.1", forbidden)),
    }
    return [name for name, way in ways.items() if _works(way)]


def _works(way: object) -> bool:
    try:
        way()  # type: ignore[operator]
    except OSError:
        return False
    return True
