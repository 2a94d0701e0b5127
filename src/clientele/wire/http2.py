"""HTTP/2, sans-I/O, around h2: requests become frames, and frames become the responses of many streams at once.

h2 keeps the state of the connection and its streams, and reads and writes their frames. What it leaves open is here:

- A stream that is left is reset at once. What arrives for it afterwards goes back to the connection's window.
- Each stream has a window of its own, which opens as its data is taken; so a slow consumer holds up nobody else. The
  connection's window opens as data arrives.
- `GOAWAY` ends the streams that the server has not processed, and no others. (h2 takes it for the end of them all, so
  it never sees one.)
- To open a stream costs the same however many are open. (h2 would count them each time.)
- Frames of data take a short way past h2, which would spend most of an event's time on them.
- A server that sends nothing but frames that carry nothing is given up.

`receive` never raises. A stream that breaks off gives what came before, then its error.
"""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hpack
import httpx2

from ..exceptions import UnwritableRequest
from .http11 import MAX_FIELDS, MAX_HEAD_SIZE, Head, RawHeaders, RequestWriter

CONNECTION_WINDOW = 16 * 1024 * 1024
"""How much it may send on all streams before the next round trip, in bytes."""

MAX_IDLE_FRAMES = 10_000
"""How many frames in a row may carry nothing for any stream."""

_MAX_FRAME_SIZE = 16 * 1024  # bytes; the largest that a peer may send unless told otherwise
_FRAME_HEAD_SIZE = 9
_DATA, _HEADERS, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x7, 0x8, 0x9
_END_HEADERS = 0x4
_OF_HTTP11 = frozenset((b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
"""Headers that a request over HTTP/2 does not have (RFC 9113, section 8.2.2); the authority stands in for `Host`."""


class NotProcessed(httpx2.RemoteProtocolError):
    """The server says that it has not processed the request, so it can be sent again (RFC 9113, section 8.7)."""


class HTTP2Response:
    """The response of one stream. Its interface is that of `http11.ResponseReader`.

    Attributes:
        head: The head; `None` before it has come.
        size: The bytes of the body that have arrived and are not taken yet.
        is_ready: Whether there is something to go on with: a head, bytes of the body, its end, or an error.
        is_complete: Whether the response has ended. Its last bytes may not have been taken yet.
        error: Why the response cannot be read any further; to be raised when what came before has been taken.
        is_direct: Whether its data need not go through h2, which compares it with a length.
        request: The request; it holds the length of its body to what its headers say.
        is_request_sent: Whether all of the request has been sent.
        wake: Called when the response becomes ready, and when more of the request's body can be sent.
    """

    is_upgraded = is_direct = False

    def __init__(self, connection: HTTP2Connection, stream_id: int, request: RequestWriter) -> None:
        self.head: Head | None = None
        self.size = 0
        self.is_ready = self.is_complete = False
        self.error: Exception | None = None
        self.wake: Callable[[], object] = bool
        self.stream_id = stream_id
        self._connection = connection
        self._pieces: list[bytes] = []
        self._taken = 0  # bytes that the server does not know to be taken
        self.unacknowledged = 0  # these, and those that have not been taken, as far as they came directly
        self.request = request
        self.is_request_sent = not request.is_framed

    def take_head(self) -> Head:
        """The head, once it has arrived. Raises the error that prevents it."""
        if self.head is not None:
            self.is_ready = bool(self._pieces) or self.is_complete or self.error is not None
            return self.head
        assert self.error is not None
        raise self.error

    def take(self) -> bytes:
        """Take the bytes of the body that have arrived. The connection may have frames to send after it."""
        size, self.size = self.size, 0
        self.is_ready = self.is_complete or self.error is not None
        pieces, self._pieces = self._pieces, []
        self._taken += size
        if self._taken >= self._connection.stream_window // 2:
            self._connection.open_window(self, self._taken)
            self._taken = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def fail(self, error: Exception) -> None:
        """Note that nothing more arrives, for this reason."""
        if not self.is_complete and self.error is None:
            self.error = error
            self._change()

    def receive_head(self, fields: RawHeaders) -> None:
        """Take the fields of the head."""
        status = next((value for name, value in fields if name == b":status"), b"")
        if len(fields) > MAX_FIELDS:
            what = f"the head of the response has more than {MAX_FIELDS} headers"
            raise httpx2.RemoteProtocolError(what)
        if len(status) != 3 or not status.isdigit():
            raise httpx2.RemoteProtocolError(
                f"the status of the response is {status[:20]!r}, no number of three digits"
            )
        self.head = Head(b"HTTP/2", int(status), b"", [field for field in fields if not field[0].startswith(b":")])
        self.is_direct = all(name != b"content-length" for name, _ in fields)
        self._change()

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._pieces.append(data)
        self.size += len(data)
        self._change()

    def complete(self) -> None:
        """Note that the response has ended."""
        if self.head is None:
            self.fail(httpx2.RemoteProtocolError("the server ended the stream without a response"))
        elif self.error is None:
            self.is_complete = True
            self._change()

    def _change(self) -> None:
        self.is_ready = True
        self.wake()


class _H2Connection(h2.connection.H2Connection):
    """h2's connection, with a cheap count of open streams: h2 would look at all of them for each request."""

    live = 0

    @property
    def open_outbound_streams(self) -> int:
        """How many streams are open. Ended ones are cleared away now and then."""
        if len(self.streams) > 2 * self.live + 64:
            return super().open_outbound_streams
        return self.live


class HTTP2Connection:
    """One connection, over which a client sends requests and reads their responses.

    Whoever moves the bytes sends what `take_outgoing` gives, after each call of any other method.

    Parameters:
        stream_window: How much the server may send on one stream before its data is taken, in bytes.

    Attributes:
        is_draining: Whether it takes no more requests: it has failed, the server has said so, or all ids are used up.
        error: Why nothing can be sent or received any more; `None` as long as it can.
        pings_unanswered: How many pings have been sent since the last byte arrived.
        arrivals: How often bytes have arrived.
        on_capacity: Called when `limit` or `is_draining` has changed.
    """

    def __init__(self, stream_window: int) -> None:
        self.stream_window = stream_window
        self._h2 = _H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: stream_window,
                codes.MAX_HEADER_LIST_SIZE: MAX_HEAD_SIZE,
            }
        )
        self._h2.decoder.max_header_list_size = MAX_HEAD_SIZE
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - self._h2.inbound_flow_control_window)
        self._responses: dict[int, HTTP2Response] = {}
        self._received = bytearray()  # of a frame that has not come whole
        self._is_at_start = True
        self._is_within_head = False  # where no other frame may come
        self._arrived = 0  # bytes that the connection's window has not been opened for again, by h2
        self._arrived_directly = 0  # the same of those that h2 does not know of
        self._window_updates = b""
        self._idle_frames = 0
        self.is_draining = False
        self.error: Exception | None = None
        self.pings_unanswered = self.arrivals = 0
        self.on_capacity: Callable[[], object] = bool

    @property
    def live(self) -> int:
        """How many streams are open."""
        return self._h2.live

    @property
    def limit(self) -> int:
        """How many streams may be open at once."""
        return 0 if self.is_draining else self._h2.remote_settings.max_concurrent_streams

    @property
    def is_done(self) -> bool:
        """Whether the connection is of no more use."""
        return self.error is not None or (self.is_draining and not self._h2.live)

    def take_outgoing(self) -> bytes:
        """The frames to send."""
        updates, self._window_updates = self._window_updates, b""
        return self._h2.data_to_send() + updates

    def open(self, request: RequestWriter, scheme: bytes, authority: bytes) -> HTTP2Response:
        """Begin a request; its body follows, if its headers announce one.

        Raises:
            NotProcessed: The connection takes no more requests.
            UnwritableRequest: It cannot be sent.
        """
        if self._h2.live >= self.limit:
            raise NotProcessed("the connection takes no more requests")
        fields = [(b":method", request.method), (b":scheme", scheme), (b":authority", authority)]
        fields.append((b":path", request.target))
        own = [(name.lower(), value.strip(b" \t")) for name, value in request.headers]
        fields += [
            field for field in own if field[0] not in _OF_HTTP11 and (field[0] != b"te" or field[1] == b"trailers")
        ]
        try:
            stream_id = self._h2.get_next_available_stream_id()
        except h2.exceptions.NoAvailableStreamIDError as error:
            self.is_draining = True
            raise NotProcessed("all ids of the connection's streams are used up") from error
        try:
            self._h2.send_headers(stream_id, fields, end_stream=not request.is_framed)
        except h2.exceptions.ProtocolError as error:
            raise UnwritableRequest("HTTP/2 does not allow one of its headers") from error
        self._h2.live += 1
        response = self._responses[stream_id] = HTTP2Response(self, stream_id, request)
        return response

    def send(self, response: HTTP2Response, data: bytes) -> int:
        """Send as many bytes of the request's body as the windows allow. Returns how many.

        If the response has ended, or failed, they count as sent: nobody reads the rest of the body.
        """
        if not self._takes_body(response):
            return len(data)
        sent, view = 0, memoryview(data)
        while sent < len(data):
            size = min(len(data) - sent, self._h2.local_flow_control_window(response.stream_id))
            if size <= 0:
                break
            size = min(size, self._h2.max_outbound_frame_size)
            response.request.count(size)
            self._h2.send_data(response.stream_id, bytes(view[sent : sent + size]))
            sent += size
        return sent

    def can_send(self, response: HTTP2Response) -> bool:
        """Whether `send` would take something."""
        return not self._takes_body(response) or self._h2.local_flow_control_window(response.stream_id) > 0

    def end(self, response: HTTP2Response) -> None:
        """End the request's body."""
        if self._takes_body(response):
            response.request.end()
            self._h2.end_stream(response.stream_id)
            response.is_request_sent = True
        elif self._is_open(response):
            self.reset(response)

    def reset(self, response: HTTP2Response) -> None:
        """Leave a stream: reset it, unless it has ended. Its response fails, unless it is complete."""
        if self._responses.get(response.stream_id) is response:
            if self.error is None:
                self._h2.reset_stream(response.stream_id, h2.errors.ErrorCodes.CANCEL)
            self._forget(response)
        response.fail(httpx2.ReadError("the response has been closed"))

    def ping(self) -> None:
        """Ask whether the server is there."""
        if self.error is None:
            self.pings_unanswered += 1
            self._h2.ping(b"clientel")

    def close(self) -> None:
        """Tell the server that the connection ends."""
        if self.error is None:
            self._h2.close_connection()
        self.fail(httpx2.ReadError("the connection has been closed"))

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        if self.error is not None:
            return
        self.pings_unanswered = 0
        self.arrivals += 1
        whole = memoryview(data)
        if self._received:
            self._received += data
            whole, self._received = memoryview(self._received), bytearray()
        try:
            self._receive_frames(whole)
        except h2.exceptions.ProtocolError as error:
            # What hpack says of a head that it cannot decode names a place in memory, and can quote the fields.
            is_undecodable = isinstance(error.__cause__, hpack.HPACKError)
            what = "a head cannot be decoded (HPACK)" if is_undecodable else str(error) or type(error).__name__
            self.fail(httpx2.RemoteProtocolError(f"the server broke the rules of HTTP/2: {what}"))
        except httpx2.RemoteProtocolError as error:
            self._h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            self.fail(error)
        if self._arrived >= CONNECTION_WINDOW // 2 and self.error is None:
            self._h2.increment_flow_control_window(self._arrived)
            self._arrived = 0
        if self._arrived_directly >= CONNECTION_WINDOW // 2:
            self._window_updates += _window_update(0, self._arrived_directly)
            self._arrived_directly = 0

    def receive_end(self) -> None:
        """The server has ended the connection."""
        self.fail(httpx2.RemoteProtocolError("the server closed the connection before the response had ended"))

    def fail(self, error: Exception) -> None:
        """Note that the connection is gone, for this reason."""
        if self.error is None:
            self.error = error
            self.is_draining = True
            for response in [*self._responses.values()]:
                self._forget(response)
                response.fail(error)
            self.on_capacity()

    def open_window(self, response: HTTP2Response, size: int) -> None:
        """Allow the server so many more bytes on a stream."""
        if not self._is_open(response) or response.is_complete:
            return
        if response.is_direct:
            response.unacknowledged -= size
            self._window_updates += _window_update(response.stream_id, size)
        else:
            self._h2.increment_flow_control_window(size, response.stream_id)

    def _receive_frames(self, data: memoryview) -> None:
        """Take the frames that have come whole: most data directly, `GOAWAY` here, and all others by h2."""
        if self._is_at_start and bytes(data[:5]) == b"HTTP/":
            raise httpx2.RemoteProtocolError("the server does not speak HTTP/2, but HTTP/1.1")
        position = 0
        while len(data) - position >= _FRAME_HEAD_SIZE:
            size = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if size > _MAX_FRAME_SIZE:
                raise httpx2.RemoteProtocolError(f"the server sent a frame of {size} bytes, or does not speak HTTP/2")
            start, end = position, position + _FRAME_HEAD_SIZE + size
            if len(data) < end:
                break
            position = end
            kind, flags = data[start + 3], data[start + 4]
            response = None
            if kind == _DATA and not flags and size and not self._is_within_head:
                response = self._responses.get(int.from_bytes(data[start + 5 : start + 9], "big"))
            self._idle_frames += 1
            if response is not None and response.is_direct:
                self._receive_directly(response, bytes(data[start + _FRAME_HEAD_SIZE : end]))
            elif kind == _GOAWAY and not self._is_within_head:
                self._receive_goaway(bytes(data[start:end]))
            else:
                self._is_within_head = kind in (_HEADERS, _CONTINUATION) and not flags & _END_HEADERS
                for event in self._h2.receive_data(data[start:end]):
                    self._handle(event)
            self._is_at_start = False
            if self._idle_frames > MAX_IDLE_FRAMES:
                raise httpx2.RemoteProtocolError(f"{MAX_IDLE_FRAMES} frames in a row carried nothing")
        self._received += data[position:]

    def _receive_directly(self, response: HTTP2Response, data: bytes) -> None:
        """Take a frame of data that h2 need not know of: it neither ends the stream nor counts to its length."""
        self._idle_frames = 0
        self._arrived_directly += len(data)
        if response.unacknowledged + len(data) > self.stream_window:
            raise httpx2.RemoteProtocolError("the server sent more on a stream than its window allows")
        response.unacknowledged += len(data)
        response.receive(data)

    def _receive_goaway(self, frame: bytes) -> None:
        """The server takes no more requests, and says which was the last that it has processed (section 6.8)."""
        if len(frame) < _FRAME_HEAD_SIZE + 8:
            raise httpx2.RemoteProtocolError("the server sent a GOAWAY frame that is too short")
        last = int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF
        self.is_draining = True
        for response in [each for each in self._responses.values() if each.stream_id > last]:
            self._forget(response)
            response.fail(NotProcessed("the server goes away, and has not processed the request"))
        self.on_capacity()

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self._arrived += event.flow_controlled_length or 0
                response = self._responses.get(event.stream_id or 0)
                if response is not None and event.data:
                    self._idle_frames = 0
                    response.receive(event.data)
            case h2.events.ResponseReceived():
                self._idle_frames = 0
                if (response := self._responses.get(event.stream_id or 0)) is not None:
                    response.receive_head([(bytes(name), bytes(value)) for name, value in event.headers or ()])
            case h2.events.StreamEnded():
                self._idle_frames = 0
                if (response := self._responses.get(event.stream_id or 0)) is not None:
                    response.complete()
                    if response.is_request_sent:
                        self._forget(response)
            case h2.events.StreamReset():
                if (response := self._responses.get(event.stream_id or 0)) is not None:
                    self._forget(response)
                    response.fail(_error_of_reset(event))
            case h2.events.WindowUpdated() if event.stream_id:
                if (response := self._responses.get(event.stream_id)) is not None:
                    response.wake()
            case h2.events.WindowUpdated():
                self._wake_senders()
            case h2.events.RemoteSettingsChanged():
                self._wake_senders()
                self.on_capacity()

    def _wake_senders(self) -> None:
        for response in [each for each in self._responses.values() if not each.is_request_sent]:
            response.wake()

    def _is_open(self, response: HTTP2Response) -> bool:
        return self._responses.get(response.stream_id) is response and self.error is None

    def _takes_body(self, response: HTTP2Response) -> bool:
        return self._is_open(response) and not response.is_complete

    def _forget(self, response: HTTP2Response) -> None:
        del self._responses[response.stream_id]
        self._h2.live -= 1


def _window_update(stream_id: int, size: int) -> bytes:
    return b"\0\0\4" + bytes([_WINDOW_UPDATE, 0]) + stream_id.to_bytes(4, "big") + size.to_bytes(4, "big")


def _error_of_reset(event: h2.events.StreamReset) -> httpx2.RemoteProtocolError:
    code = event.error_code
    if code == h2.errors.ErrorCodes.REFUSED_STREAM:
        return NotProcessed("the server refused the stream, and has not processed the request")
    name = code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)
    return httpx2.RemoteProtocolError(f"the server reset the stream, with {name}")
