"""Makes reader.tfevents, which the tests of finetuned-report compare with.

Run with the peers' Python: .peers/bin/python daemon/report/tests/data/make_fixtures.py
"""

import math
import pathlib

import tensorboard
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = pathlib.Path(__file__).parent


def events():
    """The bytes of TensorBoard's own writer for a few scalars."""
    path = HERE / "reader.tfevents"
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1700000000.5, file_version="brain.Event:2").SerializeToString())
        for step, tag, value in [(1, "train/loss", 1.25), (1, "train/lr", 5e-4), (300, "validation/accuracy", 0.0), (300, "validation/loss", math.pi)]:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=1700000000.5 + step, step=step, summary=summary).SerializeToString())
        writer.flush()


events()
print(tensorboard.__version__)
