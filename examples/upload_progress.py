"""An upload that tells how far it has come: files are read as they are sent, and anything with `read` is a file."""

import io
import tempfile
from pathlib import Path
from typing import Annotated, BinaryIO, Callable

from pydantic import BaseModel

from clientele import api

client = api.APIClient(base_url="http://localhost:8000")


class Upload(BaseModel):
    title: str
    size: int


class Progress(io.FileIO):
    """A file that reports how many bytes of it have been read."""

    def __init__(self, path: Path, report: Callable[[int, int], None]) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._report = report

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if data:
            self._report(self.tell(), self._size)
        return data


@client.post("/uploads")
def upload(result: Upload, title: Annotated[str, api.Form()], file: Annotated[Path | BinaryIO, api.File()]) -> Upload:
    return result


with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "photo.png")
    path.write_bytes(b"\x89PNG" * 40_000)
    print(upload("from a path", path))

    with Progress(path, lambda sent, size: print(f"{sent} of {size} bytes")) as file:
        print(upload("with a progress report", file))
