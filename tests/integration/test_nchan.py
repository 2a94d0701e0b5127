"""A broker as it is found in the wild: nginx with nchan, which keeps messages and serves them from `Last-Event-ID` on.

Reloading nginx cuts every stream. nchan keeps its messages in memory, and a reload drops what was published before it;
so each message must have arrived before the next reload, and nothing else is waited for.
"""

from __future__ import annotations

import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from tests.servers import WAIT
from tests.sides import Side

from clientele import api

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MODULES = "/usr/lib/nginx/modules"
NCHAN = next((path for path in [pathlib.Path(MODULES, "ngx_nchan_module.so")] if path.exists()), None)
CONFIGURATION = """
load_module {nchan};
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{
            nchan_publisher;
            nchan_channel_id $arg_channel;
        }}
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id $arg_channel;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""

pytestmark = pytest.mark.skipif(
    NGINX is None or NCHAN is None, reason="needs nginx with nchan: apt-get install nginx-light libnginx-mod-nchan"
)


class Broker:
    """A running nginx.

    Attributes:
        url: Its URL.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(nchan=NCHAN, folder=folder, port=port))
        self.url = f"http://127.0.0.1:{port}"
        assert NGINX is not None
        self._process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_log, daemon=True).start()
        self._wait_for("start worker process ")

    def reload(self) -> None:
        """Start new workers, and stop the old ones, which ends their streams."""
        time.sleep(1 - time.time() % 1)  # the ids count seconds, and the messages within each; a reload forgets these
        self._process.send_signal(signal.SIGHUP)
        self._wait_for("start worker process ")
        self._wait_for("exited with code 0")

    def publish(self, channel: str, *messages: str) -> None:
        with httpx2.Client(timeout=WAIT) as client:
            for message in messages:
                client.post(f"{self.url}/publish", params={"channel": channel}, content=message).raise_for_status()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(WAIT)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for line in log:
                self._lines.put(line)

    def _wait_for(self, words: str) -> None:
        seen = []
        while not seen or words not in seen[-1]:
            try:
                seen.append(self._lines.get(timeout=WAIT))
            except queue.Empty:
                raise AssertionError(f"nginx did not say {words!r} but {''.join(seen)!r}") from None


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("nginx"))
    yield broker
    broker.stop()


class Reader:
    """Reads a channel in a thread of its own, until the message `end`."""

    def __init__(self, side: Side, broker: Broker, channel: str) -> None:
        self._arrived = threading.Condition()
        self.items: list[api.ServerSentEvent[str]] = []
        self.attempts: list[api.ReconnectAttempt] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, args=(side, broker, channel), daemon=True)
        self._thread.start()

    def wait_for(self, number: int) -> None:
        """Wait until so many messages have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.items) >= number or self.error is not None, WAIT)

    def join(self) -> None:
        self._thread.join(WAIT)
        assert not self._thread.is_alive()

    def _read(self, side: Side, broker: Broker, channel: str) -> None:
        options = {
            "reconnect": api.Reconnect(initial_delay=0.01, on_reconnect=self.attempts.append),
            "until": lambda event: event.data == "end",
            "query": {"channel": channel},
        }
        client = api.APIClient(broker.url)
        try:
            if side.is_sync:
                with client, client.stream("GET", "/events", api.ServerSentEvent, **options) as stream:
                    for item in stream:
                        self._take(item)
            else:
                side.run(lambda: self._aread(client, options))
        except BaseException as error:
            self.error = error

    async def _aread(self, client: api.APIClient, options: dict[str, object]) -> None:
        async with client, client.astream("GET", "/events", api.ServerSentEvent, **options) as stream:
            async for item in stream:
                self._take(item)

    def _take(self, item: api.ServerSentEvent[str]) -> None:
        with self._arrived:
            self.items.append(item)
            self._arrived.notify_all()


RELOADS = 3
EACH_TIME = 5


def test_nothing_is_lost_when_the_broker_is_reloaded(side, broker):
    channel = side.name
    messages = [f"message {number}" for number in range((RELOADS + 1) * EACH_TIME)]
    broker.publish(channel, *messages[:EACH_TIME])
    reader = Reader(side, broker, channel)
    for reload in range(1, RELOADS + 1):
        reader.wait_for(reload * EACH_TIME)
        broker.reload()
        broker.publish(channel, *messages[reload * EACH_TIME : (reload + 1) * EACH_TIME])
    reader.wait_for(len(messages))
    broker.publish(channel, "end")
    reader.join()
    assert reader.error is None
    assert [event.data for event in reader.items] == messages
    assert len({event.id for event in reader.items}) == len(messages)
    assert len(reader.attempts) >= RELOADS
    assert [attempt.last_event_id for attempt in reader.attempts if attempt.number == 1] == [
        reader.items[reload * EACH_TIME - 1].id for reload in range(1, RELOADS + 1)
    ]
