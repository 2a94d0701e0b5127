"""A stream that outlives its server, which is killed in the middle of it and started again."""

import subprocess
import sys
from typing import Iterator

from clientele import api

SERVER = r"""
import http.server, socketserver, sys, time

class Ticks(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        last = int(self.headers.get("Last-Event-ID", 0))
        self.send_response(200 if last < 6 else 204)  # 204: there is nothing more to come
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(last + 1, 7):
            self.wfile.write(f"id: {number}\ndata: {number}\n\n".encode())
            time.sleep(0.1)

    def log_message(self, *args):
        pass

socketserver.TCPServer.allow_reuse_address = True
server = socketserver.TCPServer(("127.0.0.1", int(sys.argv[1])), Ticks)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def start_server(port: int = 0) -> tuple[subprocess.Popen[str], int]:
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, int(server.stdout.readline())


def kill(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.communicate()


server, port = start_server()
client = api.APIClient(base_url=f"http://127.0.0.1:{port}")


def tell(attempt: api.ReconnectAttempt) -> None:
    print(f"-- attempt {attempt.number} in {attempt.delay} s, from event {attempt.last_event_id} on")


@client.get("/ticks", streaming_response=True, reconnect=api.Reconnect(initial_delay=0.2, on_reconnect=tell))
def ticks(*, result: Iterator[int]) -> Iterator[int]:
    return result


for number in ticks():
    print(f"tick {number}")
    if number == 3:
        print("-- the server is killed, and started again")
        kill(server)
        server, _ = start_server(port)
kill(server)
