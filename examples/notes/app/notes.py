"""A page of notes kept in PostgreSQL; it shows which pod answered.

DATABASE_URL comes from a ConfigMap, DATABASE_PASSWORD from a Secret. Every request is reported to the side-car on
localhost, which keeps the access log in a volume that both containers share.
"""

import html
import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import psycopg2
from psycopg2.pool import ThreadedConnectionPool

POD = os.environ.get("POD_NAME", socket.gethostname())
NODE = os.environ.get("NODE_NAME", "")
ACCESS_LOG = Path("/var/log/notes/access.log")
SIDECAR = ("127.0.0.1", 5140)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Notes</title>
<style>body{{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1d2733}}
li{{border-bottom:1px solid #dde3ea;padding:.4rem 0;list-style:none}}ul{{padding:0}}small{{color:#66788a}}
input{{font:inherit;padding:.4rem;width:70%}}button{{font:inherit;padding:.4rem 1rem}}
code{{background:#eef2f6;padding:.1rem .4rem;border-radius:.3rem}}</style>
<h1>Notes</h1><p>Answered by <code id="pod">{pod}</code> on <code id="node">{node}</code></p>
<form method="post" action="/notes">
<input name="text" placeholder="A note" autofocus required> <button>Keep</button></form>
<ul>{notes}</ul><p><small>{count} requests in this pod's access log</small></p></html>"""

_log_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
_pool_lock = threading.Lock()
_pool: ThreadedConnectionPool | None = None


def pool() -> ThreadedConnectionPool:
    """The connections to the database, made when it first answers."""
    global _pool  # noqa: PLW0603 - one program, one pool
    with _pool_lock:
        if _pool is None:
            made = ThreadedConnectionPool(
                1, 8, os.environ["DATABASE_URL"], password=os.environ["DATABASE_PASSWORD"], connect_timeout=3
            )
            connection = made.getconn()
            with connection, connection.cursor() as cursor:
                # Several replicas start at once; only one may create the table.
                cursor.execute("SELECT pg_advisory_xact_lock(1)")
                cursor.execute(
                    "CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, body text NOT NULL,"
                    " pod text NOT NULL, written timestamptz NOT NULL DEFAULT now())"
                )
            made.putconn(connection)
            _pool = made
        return _pool


def query(sql: str, values: tuple[str, ...] = ()) -> list[tuple[int, str, str]]:
    """Run one statement in one transaction; a connection that the database has closed is replaced once."""
    connections = pool()
    for attempt in (1, 2):
        connection = connections.getconn()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        except psycopg2.OperationalError:
            if attempt == 2:
                raise
        finally:
            connections.putconn(connection, close=bool(connection.closed))
    return []


class Handler(BaseHTTPRequestHandler):
    """The page, a small JSON interface, and the probes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        routes = {"/": self.page, "/api/notes": self.notes, "/healthz": self.alive, "/ready": self.ready}
        self.route(routes.get(self.path.partition("?")[0], self.missing))

    def do_POST(self) -> None:
        self.route(self.keep if self.path in ("/notes", "/api/notes") else self.missing)

    def route(self, answer) -> None:
        try:
            answer()
        except (psycopg2.Error, KeyError) as error:
            self.send(503, "text/plain", f"the database does not answer: {error}\n")

    def page(self) -> None:
        rows = query("SELECT id, body, pod FROM notes ORDER BY id DESC LIMIT 50")
        notes = "".join(f"<li>{html.escape(body)} <small>by {html.escape(pod)}</small></li>" for _, body, pod in rows)
        count = len(ACCESS_LOG.read_text().splitlines()) if ACCESS_LOG.exists() else 0
        self.send(200, "text/html; charset=utf-8", PAGE.format(pod=POD, node=NODE, notes=notes, count=count))

    def notes(self) -> None:
        rows = query("SELECT id, body, pod FROM notes ORDER BY id")
        listed = [{"id": number, "text": body, "pod": pod} for number, body, pod in rows]
        self.send(200, "application/json", json.dumps({"pod": POD, "notes": listed}) + "\n")

    def keep(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        text = parse_qs(body).get("text", [""])[0]
        if not text:
            self.send(400, "text/plain", "a note needs a text\n")
            return
        query("INSERT INTO notes (body, pod) VALUES (%s, %s) RETURNING id, body, pod", (text, POD))
        self.send_response(303)
        self.send_header("location", "/")
        self.send_header("content-length", "0")
        self.end_headers()

    def alive(self) -> None:
        self.send(200, "text/plain", "ok\n")

    def ready(self) -> None:
        query("SELECT 1, '', ''")
        self.send(200, "text/plain", "ok\n")

    def missing(self) -> None:
        self.send(404, "text/plain", "no such page\n")

    def send(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-pod", POD)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: object) -> None:
        if self.path in ("/healthz", "/ready"):
            return
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {self.client_address[0]} {format % values}"
        _log_socket.sendto(line.encode(), SIDECAR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    server = Server(("", 8080), Handler)

    def end(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    print(f"serving notes on :8080 as {POD}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
