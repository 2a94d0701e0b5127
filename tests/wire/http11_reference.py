"""A slow reading of RFC 9112 (HTTP/1.1), sections 2 to 9, to hold `http11.py` against.

It takes everything that a connection has brought, from the first byte of the response, and does what the RFC says,
sentence by sentence; the quotations are the RFC's. It shares nothing with the reader.

Where the reader differs from the letter on purpose, `DIFFERENCES` names it, and the code below says `# Laxer` or
`# Stricter`, with the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DIFFERENCES = {
    # Laxer
    "short status line": "The space behind the status code may be missing where there is no reason phrase.",
    "any reason": "A reason phrase may have control characters in it, as the value of a field may.",
    "any status": "A status code is any three digits; none is taken for a 5xx.",
    "any version": "The version is any two digits.",
    "padded chunk size": "Spaces and tabs may stand behind the size of a chunk.",
    "nameless extension": "A chunk extension may lack its name or its value, or have a token before the quotes.",
    # Stricter
    "limits": "A head has a largest size, and a largest number of fields.",
    "later versions": "A connection serves another request with HTTP/1.1, not with a later version.",
    "framed twice": "A response with both Transfer-Encoding and Content-Length is refused; the RFC allows the first.",
    "unknown codings": "No transfer coding but chunked is read, not even up to the end of the connection.",
    "empty elements": "The list of Content-Length has no empty elements.",
    "spelling of lengths": "A repeated Content-Length is spelled alike each time, and has 18 digits at the most.",
    "no spaces in extensions": "No white space stands within the extensions of a chunk, except before the first.",
    "strict trailers": "The lines of a trailer end with CRLF; none is folded, and no value has control characters.",
    "no trailing length": "A trailer does not have the field Content-Length.",
    "end of trailers": "A chunked body ends with the empty line, not with its last chunk.",
    "size of chunks": "A chunk has less than 2 to the 64th bytes.",
}


class Unfinished(Exception):
    """The message goes on."""


class Refused(Exception):
    """The message is invalid."""


@dataclass
class Reading:
    """What has been read of a response."""

    head: tuple[bytes, int, bytes, list[tuple[bytes, bytes]]] | None = None
    body: bytes = b""
    is_complete: bool = False
    is_upgraded: bool = False
    is_reusable: bool = False
    is_refused: bool = False


class Connection:
    """What a connection has brought."""

    def __init__(self, data: bytes, *, is_ended: bool) -> None:
        self.data = data
        self.position = 0
        self.is_ended = is_ended

    def rest(self) -> bytes:
        return self.data[self.position :]

    def take(self, size: int) -> bytes:
        data = self.data[self.position : self.position + size]
        self.position += len(data)
        return data

    def line(self, end: bytes) -> bytes:
        """The next line, without its end."""
        size = self.rest().find(end)
        if size < 0:
            raise Unfinished
        return self.take(size + len(end))[:size]


def read_response(
    method: bytes, data: bytes, *, is_ended: bool, is_last: bool = False, max_head_size: int, max_fields: int
) -> Reading:
    reading = Reading()
    connection = Connection(data, is_ended=is_ended)
    try:
        read_message(reading, connection, method, max_head_size, max_fields)
    except Unfinished:
        # Section 8: "A client that receives an incomplete response message [...] MUST record the message as
        # incomplete."
        reading.is_refused = is_ended
    except Refused:
        reading.is_refused = True
    else:
        reading.is_complete = True
        reading.is_reusable = (
            not is_last
            and not is_ended
            and persists(reading)
            # "If a client receives data on a connection that doesn't have outstanding requests, the client MUST NOT
            # consider that data to be a valid response" (9.2)
            and not connection.rest()
        )
    return reading


def read_message(reading: Reading, connection: Connection, method: bytes, max_head_size: int, max_fields: int) -> None:
    # RFC 9110, section 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
    # response, even if the client does not expect one." "A 1xx response is terminated by the end of the header
    # section". Section 15.2.2: behind 101 the connection speaks another protocol.
    while True:
        head = read_head(connection, max_head_size, max_fields)
        if not 100 <= head[1] <= 199 or head[1] == 101:
            break
    _, status, _, fields = head
    codings = [coding.lower() for coding in listed(fields, b"transfer-encoding")]
    lengths = listed(fields, b"content-length")

    # Section 6.3: "The length of a message body is determined by one of the following (in order of precedence):"
    # "1. Any response to a HEAD request and any response with a 1xx (Informational), 204 (No Content), or 304 (Not
    # Modified) status code is always terminated by the first empty line after the header fields, regardless of the
    # header fields present in the message, and thus cannot contain a message body or trailer section."
    # "2. Any 2xx (Successful) response to a CONNECT request implies that the connection will become a tunnel
    # immediately after the empty line that concludes the header fields. A client MUST ignore any Content-Length or
    # Transfer-Encoding header fields received in such a message."
    if status == 101 or (method == b"CONNECT" and 200 <= status <= 299):
        reading.head = head
        reading.is_upgraded = True
        read_to_the_end(reading, connection)
        return
    if method == b"HEAD" or status in (204, 304):
        reading.head = head
        return
    # "3. If a message is received with both a Transfer-Encoding and a Content-Length header field, the
    # Transfer-Encoding overrides the Content-Length. Such a message might indicate an attempt to perform request
    # smuggling or response splitting and ought to be handled as an error."
    if codings and lengths:
        raise Refused  # Stricter: framed twice
    # "4. If a Transfer-Encoding header field is present and the chunked transfer coding is the final encoding, the
    # message body length is determined by reading and decoding the chunked data until the transfer coding indicates the
    # data is complete. If a Transfer-Encoding header field is present in a response and the chunked transfer coding is
    # not the final encoding, the message body length is determined by reading the connection until it is closed by the
    # server."
    if codings:
        if [*filter(None, codings)] != [b"chunked"]:  # "a recipient MUST parse and ignore [...] empty list elements"
            raise Refused  # Stricter: unknown codings
        reading.head = head
        read_chunked(reading, connection)
        return
    # "5. If a message is received without Transfer-Encoding and with an invalid Content-Length header field, then the
    # message framing is invalid and the recipient MUST treat it as an unrecoverable error, unless the field value can
    # be successfully parsed as a comma-separated list, all values in the list are valid, and all values in the list are
    # the same (in which case, the message is processed with that single value used as the Content-Length field value)."
    # "6. If a valid Content-Length header field is present without Transfer-Encoding, its decimal value defines the
    # expected message body length in octets. If the sender closes the connection or the recipient times out before the
    # indicated number of octets are received, the recipient MUST consider the message to be incomplete and close the
    # connection."
    if lengths:
        for length in lengths:
            if re.fullmatch(b"[0-9]+", length) is None:
                raise Refused  # Stricter: empty elements
            if length != lengths[0] or len(length) > 18:
                raise Refused  # Stricter: spelling of lengths
        reading.head = head
        size = int(lengths[0])
        reading.body = connection.take(size)
        if len(reading.body) < size:
            raise Unfinished
        return
    # "8. Otherwise, this is a response message without a declared message body length, so the message body length is
    # determined by the number of octets received prior to the server closing the connection."
    reading.head = head
    read_to_the_end(reading, connection)


def read_to_the_end(reading: Reading, connection: Connection) -> None:
    reading.body = connection.rest()
    connection.take(len(reading.body))
    if not connection.is_ended:
        raise Unfinished


def read_head(
    connection: Connection, max_head_size: int, max_fields: int
) -> tuple[bytes, int, bytes, list[tuple[bytes, bytes]]]:
    # Section 2.1: "HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]"
    # Section 2.2: "Although the line terminator for the start-line and fields is the sequence CRLF, a recipient MAY
    # recognize a single LF as a line terminator and ignore any preceding CR."
    lines = []
    try:
        while len(lines) < 2 or lines[-1]:
            lines.append(connection.line(b"\n").removesuffix(b"\r"))
    except Unfinished:
        if len(connection.data) > max_head_size:
            raise Refused from None  # Stricter: limits
        raise
    # Heads of informational responses count: the connection begins with them.
    if connection.position > max_head_size:
        raise Refused  # Stricter: limits

    # "A sender MUST NOT generate a bare CR [...]. A recipient of such a bare CR MUST consider that element to be
    # invalid or replace each bare CR with SP". RFC 9110, section 5.5: "Field values containing CR, LF, or NUL
    # characters are invalid and dangerous".
    if any(b"\r" in line or b"\0" in line for line in lines):
        raise Refused

    # Section 4: "status-line = HTTP-version SP status-code SP [ reason-phrase ]", "status-code = 3DIGIT"
    # Section 2.3: "HTTP-version = HTTP-name "/" DIGIT "." DIGIT". "HTTP-version is case-sensitive."
    # Laxer: short status line, any reason, any status, any version
    status_line = re.fullmatch(rb"(HTTP/[0-9]\.[0-9]) ([0-9]{3})( .*)?", lines[0], re.DOTALL)
    if status_line is None:
        raise Refused
    version, status, reason = status_line.groups()

    # Section 2.2: "A recipient that receives whitespace between the start-line and the first header field MUST either
    # reject the message as invalid or consume each whitespace-preceded line without further processing of it".
    if lines[1][:1] in (b" ", b"\t"):
        raise Refused

    # Section 5.2: "obs-fold = OWS CRLF RWS". "A user agent that receives an obs-fold in a response message that is not
    # within a "message/http" container MUST replace each received obs-fold with one or more SP octets prior to
    # interpreting the field value."
    unfolded: list[list[bytes]] = []
    for line in lines[1:-1]:
        if line[:1] in (b" ", b"\t"):
            unfolded[-1].append(line)
        else:
            unfolded.append([line])
    fields = []
    for folded in unfolded:
        first, *others = folded
        field_line = b" ".join([first.rstrip(b" \t") if others else first, *(line.strip(b" \t") for line in others)])
        # Section 5: "field-line = field-name ":" OWS field-value OWS". Section 5.1: "No whitespace is allowed between
        # the field name and colon."
        name, colon, value = field_line.partition(b":")
        if not colon or not is_token(name):
            raise Refused
        # "a field line value might be preceded and/or followed by optional whitespace (OWS)"; "The field line value
        # does not include that leading or trailing whitespace".
        fields.append((name, value.strip(b" \t")))
    if len(fields) > max_fields:
        raise Refused  # Stricter: limits
    return version, int(status), (reason or b" ")[1:], fields


def read_chunked(reading: Reading, connection: Connection) -> None:
    # Section 7.1: "chunked-body = *chunk last-chunk trailer-section CRLF"
    while True:
        # "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF", "chunk-size = 1*HEXDIG", "last-chunk = 1*("0")
        # [ chunk-ext ] CRLF". The LF of section 2.2 is for the start-line and the fields.
        match = re.fullmatch(rb"([0-9A-Fa-f]+)[ \t]*(.*)", connection.line(b"\r\n"), re.DOTALL)
        if match is None or not are_chunk_extensions(match[2]):  # Laxer: padded chunk size
            raise Refused
        # "recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to integer
        # conversion overflows"
        size = int(match[1], 16)
        if size >= 2**64:
            raise Refused  # Stricter: size of chunks
        if size == 0:
            break
        # "chunk-data = 1*OCTET ; a sequence of chunk-size octets"
        data = connection.take(size)
        reading.body += data
        if len(data) < size:
            raise Unfinished
        end = connection.take(2)
        if end != b"\r\n":
            raise Unfinished if end in (b"", b"\r") else Refused
    # Section 7.1.2: "trailer-section = *( field-line CRLF )"
    # Section 8: "A message body that uses the chunked transfer coding is incomplete if the zero-sized chunk that
    # terminates the encoding has not been received." Stricter: end of trailers
    while line := connection.line(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not is_token(name):
            raise Refused
        if re.search(rb"[\x00-\x08\n-\x1f\x7f]", value):
            raise Refused  # Stricter: strict trailers
        if name.lower() == b"content-length":
            raise Refused  # Stricter: no trailing length


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
QUOTED_STRING = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'


def are_chunk_extensions(data: bytes) -> bool:
    # Section 7.1.1: "chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )", "chunk-ext-name =
    # token", "chunk-ext-val = token / quoted-string"
    # Stricter: no spaces in extensions. Laxer: nameless extension
    extension = b";" + TOKEN + b"*(?:=" + TOKEN + b"*(?:" + QUOTED_STRING + b")?)?"
    return re.fullmatch(b"(?:" + extension + b")*", data) is not None and not data.endswith(b";")


def persists(reading: Reading) -> bool:
    assert reading.head is not None
    version, _, _, fields = reading.head
    # Section 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field
    # MUST treat the message as if the framing is faulty, even if a Content-Length is present, and close the connection
    # after processing the message."
    if version == b"HTTP/1.0" and listed(fields, b"transfer-encoding"):
        return False
    options = [option.lower() for option in listed(fields, b"connection")]
    # Section 9.3: "If the "close" connection option is present [...], the connection will not persist after the current
    # response; else,"
    if b"close" in options:
        return False
    # "If the received protocol is HTTP/1.1 (or later), the connection will persist after the current response; else,"
    if version == b"HTTP/1.1":  # Stricter: later versions
        return True
    # "If the received protocol is HTTP/1.0, the "keep-alive" connection option is present, either the recipient is not
    # a proxy or the message is a response, and the recipient wishes to honor the HTTP/1.0 "keep-alive" mechanism, the
    # connection will persist after the current response; otherwise, The connection will close after the current
    # response."
    return version == b"HTTP/1.0" and b"keep-alive" in options


def listed(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """What the fields of this name list: RFC 9110, sections 5.2 and 5.6.1."""
    values = [value for key, value in fields if key.lower() == name]
    return [element.strip(b" \t") for value in values for element in value.split(b",")]


def is_token(data: bytes) -> bool:
    return re.fullmatch(TOKEN + b"+", data) is not None


def may_be_sent(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether this is the head of a request."""
    # Section 3: "request-line = method SP request-target SP HTTP-version", "method = token". RFC 3986: a URI is made of
    # visible characters of ASCII.
    if not is_token(method) or not target or not all(0x21 <= byte <= 0x7E for byte in target):
        return False
    # RFC 9110, section 5.5: "field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]", "field-vchar =
    # VCHAR / obs-text". Laxer: spaces around a value are sent as they are.
    for name, value in headers:
        if not is_token(name) or not all(byte in b"\t " or 0x21 <= byte <= 0x7E or byte >= 0x80 for byte in value):
            return False
    # Section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
    # lacks a Host header field and to any request message that contains more than one Host header field line".
    return [name.lower() for name, _ in headers].count(b"host") == 1
