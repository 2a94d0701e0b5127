"""A slow reading of the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", to hold the parser against.

It takes a complete stream and does what the standard says, sentence by sentence and in its order; the quotations are
the standard's. It shares nothing with the parser but the class of the events.

The standard keeps the reconnection time with the stream only. An event's `retry` is this library's: the time set within
the event's own block, up to its blank line. The standard ignores comments; here they are kept, where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from clientele.streaming.sse import Comment, ServerSentEvent


@dataclass(frozen=True)
class Interpretation:
    """What a whole stream means."""

    frames: list[ServerSentEvent[str] | Comment]
    last_event_id: str
    retry: int | None


def interpret(stream: bytes) -> Interpretation:
    # "Streams must be decoded using the UTF-8 decode algorithm", which "strips one leading UTF-8 Byte Order Mark (BOM),
    # if any".
    if stream[:3] == b"\xef\xbb\xbf":
        stream = stream[3:]
    text = stream.decode("utf-8", errors="replace")

    # "When a stream is parsed, a data buffer, an event type buffer, and a last event ID buffer must be associated with
    # it. They must be initialized to the empty string."
    data_buffer = ""
    event_type_buffer = ""
    last_event_id_buffer = ""

    last_event_id_string = ""
    reconnection_time = None
    reconnection_time_of_the_block = None
    frames: list[ServerSentEvent[str] | Comment] = []

    # "Lines must be processed, in the order they are received, as follows:"
    for line in lines_of(text):
        # "If the line is empty (a blank line): Dispatch the event, as defined below."
        if line == "":
            # "Set the last event ID string of the event source to the value of the last event ID buffer. The buffer
            # does not get reset [...]"
            last_event_id_string = last_event_id_buffer

            # The time ends with its block, whether the block makes an event or not.
            retry = reconnection_time_of_the_block
            reconnection_time_of_the_block = None

            # "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string
            # and return."
            if data_buffer == "":
                event_type_buffer = ""
                continue

            # "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove the last character
            # from the data buffer."
            if data_buffer[-1] == "\n":
                data_buffer = data_buffer[:-1]

            # "Initialize event's type attribute to "message", its data attribute to data, [...] and its lastEventId
            # attribute to the last event ID string of the event source."
            event_type = "message"

            # "If the event type buffer has a value other than the empty string, change the type of the newly created
            # event to equal the value of the event type buffer."
            if event_type_buffer != "":
                event_type = event_type_buffer
            event = ServerSentEvent(data=data_buffer, event=event_type, id=last_event_id_string, retry=retry)

            # "Set the data buffer and the event type buffer to the empty string."
            data_buffer = ""
            event_type_buffer = ""

            # "Queue a task which [...] dispatches the newly created event"
            frames.append(event)
            continue

        # "If the line starts with a U+003A COLON character (:): Ignore the line."
        if line[0] == ":":
            frames.append(Comment(line[2:] if line[1:2] == " " else line[1:]))
            continue

        # "If the line contains a U+003A COLON character (:): Collect the characters on the line before the first U+003A
        # COLON character (:), and let field be that string. Collect the characters on the line after the first U+003A
        # COLON character (:), and let value be that string."
        if ":" in line:
            colon = line.index(":")
            field = line[:colon]
            value = line[colon + 1 :]

            # "If value starts with a U+0020 SPACE character, remove it from value."
            if value[:1] == " ":
                value = value[1:]

        # "Otherwise, the string is not empty but does not contain a U+003A COLON character (:): Process the field [...]
        # using the whole line as the field name, and the empty string as the field value."
        else:
            field = line
            value = ""

        # "Field names must be compared literally, with no case folding performed."
        # "If the field name is "event": Set the event type buffer to field value."
        if field == "event":
            event_type_buffer = value

        # "If the field name is "data": Append the field value to the data buffer, then append a single U+000A LINE FEED
        # (LF) character to the data buffer."
        elif field == "data":
            data_buffer = data_buffer + value
            data_buffer = data_buffer + "\n"

        # "If the field name is "id": If the field value does not contain U+0000 NULL, then set the last event ID buffer
        # to the field value. Otherwise, ignore the field."
        elif field == "id":
            if "\u0000" not in value:
                last_event_id_buffer = value

        # "If the field name is "retry": If the field value consists of only ASCII digits, then interpret the field
        # value as an integer in base ten, and set the event stream's reconnection time to that integer. Otherwise,
        # ignore the field."
        elif field == "retry" and consists_of_only_ascii_digits(value):
            reconnection_time = integer_in_base_ten(value)
            reconnection_time_of_the_block = reconnection_time

        # "Otherwise: The field is ignored."

    # "Once the end of the file is reached, any pending data must be discarded. (If the file ends in the middle of an
    # event, before the final empty line, the incomplete event is not dispatched.)"
    return Interpretation(frames, last_event_id_string, reconnection_time)


def lines_of(text: str) -> list[str]:
    # "The stream must then be parsed by reading everything line by line, with a U+000D CARRIAGE RETURN U+000A LINE FEED
    # (CRLF) character pair, a single U+000A LINE FEED (LF) character not preceded by a U+000D CARRIAGE RETURN (CR)
    # character, and a single U+000D CARRIAGE RETURN (CR) character not followed by a U+000A LINE FEED (LF) character
    # being the ways in which a line can end."
    lines = []
    line = ""
    position = 0
    while position < len(text):
        if text[position : position + 2] == "\r\n":
            lines.append(line)
            line = ""
            position += 2
        elif text[position] == "\n" or text[position] == "\r":
            lines.append(line)
            line = ""
            position += 1
        else:
            line += text[position]
            position += 1
    # The end of the file is not among the ways in which a line can end: what is left over is not a line.
    return lines


def consists_of_only_ascii_digits(value: str) -> bool:
    return value != "" and all(character in "0123456789" for character in value)


def integer_in_base_ten(digits: str) -> int:
    integer = 0
    for digit in digits:
        integer = integer * 10 + "0123456789".index(digit)
    return integer
