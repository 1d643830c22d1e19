"""The same as client.py without an event loop, and by a local port: `python sync_dial.py db-server 7777 hello`."""

import socket
import sys

from pulse.sdk.sync import Forwarder, dial


def say(connection: socket.socket, words: str) -> None:
    with connection:
        connection.sendall(words.encode())
        connection.shutdown(socket.SHUT_WR)
        print(connection.recv(4096).decode())


node, port, words = sys.argv[1], int(sys.argv[2]), sys.argv[3]
say(dial(node, port), words)
with Forwarder(node, port) as here:
    say(socket.create_connection(here), words)
