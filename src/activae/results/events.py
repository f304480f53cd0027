"""TensorBoard's event files, written without torch: figures, texts, pictures, charts of several."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

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
            self._add({"tag": tag, "simple_value": value}, int(step))

    def text(self, tag: str, markdown: str) -> None:
        """A text, in Markdown."""
        self._add(_string(tag, markdown.encode(), "text"))

    def picture(self, tag: str, png: bytes) -> None:
        """A picture: the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])  # of its first chunk, IHDR
        image = {"width": width, "height": height, "colorspace": 4, "encoded_image_string": png}
        self._add({"tag": tag, "image": image})

    def bands(self, category: str, charts: Mapping[str, tuple[str, str, str]]) -> None:
        """Charts under CUSTOM SCALARS: title -> the tags of a curve and its band's two ends."""
        from tensorboard.plugins.custom_scalar import layout_pb2

        margins = [
            {"title": title, "margin": {"series": [{"value": curve, "lower": low, "upper": high}]}}
            for title, (curve, low, high) in charts.items()
        ]
        layout = layout_pb2.Layout(category=[{"title": category, "chart": margins}])
        self._add(_string(_LAYOUT_TAG, layout.SerializeToString(), "custom_scalars"))

    def _add(self, value: dict[str, Any], step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, summary={"value": [value]})
        self._writer.add_event(event)


def _string(tag: str, content: bytes, plugin: str) -> dict[str, Any]:
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
