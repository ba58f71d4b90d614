#!/usr/bin/env python3
"""Reads the event files of a run with TensorBoard's own reader and prints what it found.

    pip install tensorboard
    python benches/tensorboard_reads.py runs/latest/tensorboard

Exits with 1 when there is nothing to read.
"""

import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import (
    IMAGES,
    SCALARS,
    TENSORS,
    EventAccumulator,
)


def scalar_line(reader, tag):
    events = reader.Scalars(tag)
    first, last = events[0], events[-1]
    return f"{len(events)} points, steps {first.step} to {last.step}, last {last.value:.6g}"


def image_line(reader, tag):
    sizes = sorted({f"{event.width}x{event.height}" for event in reader.Images(tag)})
    return f"{len(reader.Images(tag))} images, {', '.join(sizes)} pixels"


def text_line(reader, tag):
    plugin = reader.SummaryMetadata(tag).plugin_data.plugin_name
    event = reader.Tensors(tag)[-1]
    texts = [value.decode() for value in event.tensor_proto.string_val]
    start = " ".join(texts[0].split())[:60] if texts else ""
    return f"plugin {plugin}, step {event.step}, {sum(map(len, texts))} characters: {start}"


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    files = sorted(folder.glob("*tfevents*"))
    if not files:
        print(f"{folder}: no event files there", file=sys.stderr)
        return 1
    print(f"{folder}: {len(files)} event files")
    reader = EventAccumulator(str(folder), size_guidance={SCALARS: 0, IMAGES: 0, TENSORS: 0})
    reader.Reload()
    tags = reader.Tags()
    found = 0
    for kind, line in ((SCALARS, scalar_line), (IMAGES, image_line), (TENSORS, text_line)):
        for tag in sorted(tags[kind]):
            found += 1
            print(f"  {kind[:-1]:<7} {tag:<28} {line(reader, tag)}")
    if not found:
        print(f"{folder}: TensorBoard finds nothing in them", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
