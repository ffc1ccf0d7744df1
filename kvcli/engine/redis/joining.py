"""Joining: a socket to a server, plain or over TLS, and what is said first. The context of TLS is Python's own default.

By hand, since the client library for Python gives no socket to read very many answers from, and takes 180 ms to load.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from kvcli.engine.redis import certificates
from kvcli.engine.redis.translation import not_connected

if TYPE_CHECKING:
    from kvcli.engine.redis.address import Address
    from kvcli.engine.redis.link import Command


def joined(address: Address, host: str, port: int) -> socket.socket:
    """Connect, and wait for so long for whatever is asked. Raises Lost where nobody answers, and what is ours."""
    context = None if address.tls is None else certificates.context(address.tls)
    try:
        sock = socket.create_connection((host, port), address.seconds)
    except (OSError, ValueError) as error:  # ValueError: of what cannot even be looked for as a host.
        raise not_connected(error, f"{host}:{port}", address) from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if context is not None:
            # Not shaken hands on by the way: what is interrupted then has no name, and stays open.
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            sock.do_handshake()
    except OSError as error:
        sock.close()
        raise not_connected(error, f"{host}:{port}", address) from error
    except BaseException:
        sock.close()
        raise
    return sock


def first_words(address: Address) -> list[Command]:
    """Give what opens a session: who asks, and of which database; often that is nothing."""
    words: list[Command] = []
    if address.username or address.password:
        words.append(("AUTH", *([address.username] if address.username else []), address.password or b""))
    if address.database:
        words.append(("SELECT", address.database))
    return words
