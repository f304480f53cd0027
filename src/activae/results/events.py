"""TensorBoard's event files, written without torch: figures, texts, pictures, charts of several.

And what is done to whole files: their records, and the files of a run as one.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

Value = dict[str, Any]  # of a summary
SUMMARY = "summary"  # a sweep's folder of events beside its runs'
_FILES = "events.out.tfevents.*"
_LAYOUT_TAG = "custom_scalars__config__"  # the tag that TensorBoard looks for


def without_tensorflow() -> None:
    """TensorBoard's own switch against importing it: it takes seconds, and files don't need it.

    To be called before anything of TensorBoard, or `torch.utils.tensorboard`, is imported.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def load_writers() -> None:
    """Import what the first event and picture would, so that processes forked later need not."""
    without_tensorflow()
    import PIL.PngImagePlugin  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401


class Events:
    """Writes one event file in a folder; TensorBoard shows the folder as a run.

    ending: of the file's name, by which those who wrote it know it again. Raises OSError.
    """

    def __init__(self, folder: Path, ending: str) -> None:
        without_tensorflow()
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder), filename_suffix=ending)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def scalars(self, tag: str, steps: Sequence[float], values: Sequence[float]) -> None:
        """A curve."""
        for step, value in zip(steps, values, strict=True):
            self.add({"tag": tag, "simple_value": value}, int(step))

    def text(self, tag: str, markdown: str) -> None:
        """A text, in Markdown."""
        self.add(_string(tag, markdown.encode(), "text"))

    def picture(self, tag: str, png: bytes) -> None:
        """A picture: the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])  # of its first chunk, IHDR
        image = {"width": width, "height": height, "colorspace": 4, "encoded_image_string": png}
        self.add({"tag": tag, "image": image})

    def bands(self, category: str, charts: Mapping[str, tuple[str, str, str]]) -> None:
        """Charts under CUSTOM SCALARS: title -> the tags of a curve and its band's two ends."""
        from tensorboard.plugins.custom_scalar import layout_pb2

        margins = [
            {"title": title, "margin": {"series": [{"value": curve, "lower": low, "upper": high}]}}
            for title, (curve, low, high) in charts.items()
        ]
        layout = layout_pb2.Layout(category=[{"title": category, "chart": margins}])
        self.add(_string(_LAYOUT_TAG, layout.SerializeToString(), "custom_scalars"))

    def add(self, value: Value, step: int = 0) -> None:
        """What a summary may hold."""
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, summary={"value": [value]})
        self._writer.add_event(event)


def _string(tag: str, content: bytes, plugin: str) -> Value:
    """A value of the summary that the plugin shows."""
    return {
        "tag": tag,
        "metadata": {"plugin_data": {"plugin_name": plugin}},
        "tensor": {
            "dtype": "DT_STRING",
            "string_val": [content],
            "tensor_shape": {"dim": [{"size": 1}]},
        },
    }


def records(content: bytes) -> Iterator[bytes]:
    """The whole records of an event file: length (8 bytes), checksum (4), data, checksum (4)."""
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        start, at = at + 12, at + 16 + length
        if at <= len(content):
            yield content[start : start + length]


def join_events(folder: Path) -> None:
    """Make the event files of a run one, in which TensorBoard finds what it found in all of them.

    Behind a record that a killed process left torn it would find nothing: such a file is left
    alone, and so are those before it.
    """
    from natsort import natsorted  # here, because a run starts sooner without

    first: Path | None = None
    # By second, host, process and number of the file, whose tenth comes after its ninth.
    for file in natsorted(folder.glob(_FILES)):
        if first is None or not _whole(first):
            first = file
            continue
        with first.open("ab") as joined:
            joined.write(file.read_bytes())
        file.unlink()


def _whole(file: Path) -> bool:
    content = file.read_bytes()
    return sum(16 + len(record) for record in records(content)) == len(content)
