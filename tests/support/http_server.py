"""A web server on this machine whose files a test sets, changes, denies and takes away."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Serves `files` by path; `status` says what else it answers, such as 403; with or without ETags."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.has_etags = True
        self.requests: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(send=True)

            def do_HEAD(self) -> None:
                self.answer(send=False)

            def answer(self, *, send: bool) -> None:
                server.requests[f"{self.command} {self.path}"] += 1
                content = server.files.get(self.path)
                status = server.status.get(self.path, 404 if content is None else 200)
                body = content if status == 200 and content is not None else b"no"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if server.has_etags:
                    self.send_header("ETag", hashlib.md5(body).hexdigest())
                self.end_headers()
                if send:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
