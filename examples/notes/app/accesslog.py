"""The side-car: receives access lines on localhost, keeps them in the shared volume, and prints them."""

import signal
import socket
import sys
from pathlib import Path

log = Path("/var/log/notes/access.log")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox, log.open("a", buffering=1) as file:
    inbox.bind(("127.0.0.1", 5140))
    while True:
        line = inbox.recv(4096).decode("utf-8", "replace")
        file.write(line + "\n")
        print(line, flush=True)
