"""Train a network on handwritten digits, or fine-tune an existing one, and write its weights and its metrics.

Equal arguments give equal weights files, byte for byte, on one machine with one version of numpy; how long it
took is in the metrics only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

# With another number of threads a matrix product sums in another order and rounds differently. The libraries
# read these when numpy is imported.
os.environ.update(OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", VECLIB_MAXIMUM_THREADS="1")

import numpy as np
from network import (
    CLASSES,
    PIXEL_MAX,
    PIXELS,
    DigitsError,
    Floats,
    Layer,
    Layers,
    activations,
    load,
    parameter_count,
    probabilities,
    scale,
    to_bytes,
)
from numpy.typing import NDArray

HIDDEN = (1536, 1536)
MOMENTUM = 0.9
SIDE = 8
PARAMETERS = ("epochs", "lr", "batch_size", "seed", "shift", "noise")
DATA = Path(__file__).resolve().parent / "data"

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]


class Samples(NamedTuple):
    """Images as pixel values 0..16, uint8 (n, 64) row by row, and the digit of each, int64 (n,)."""

    pixels: Bytes
    digits: Whole


class Settings(NamedTuple):
    """How to train; in each epoch, images are moved by up to `shift` pixels and noised.

    `noise` is the standard deviation, in pixel values. `only` names the layers that change, empty for all.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    shift: int
    noise: float
    only: tuple[int, ...]


class TrainingError(DigitsError):
    """The data cannot be read, or training did not converge."""


def read_samples(path: Path) -> Samples:
    """Read a CSV file with a heading, 64 pixel columns and the digit; raises TrainingError."""
    hint = "restore the data folder or name another with --data"
    try:
        with path.open(encoding="ascii") as lines:
            rows = np.loadtxt(lines, delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
    except OSError as error:
        raise TrainingError(f"cannot read '{path}': {error.strerror}", hint) from error
    except ValueError as error:
        raise TrainingError(f"'{path}' is not a table of whole numbers", hint) from error
    if rows.shape[1] != PIXELS + 1 or not len(rows):
        shape = f"{len(rows)} rows of {rows.shape[1]} columns"
        raise TrainingError(f"'{path}' has {shape}, not {PIXELS + 1} columns", hint)
    pixels, digits = rows[:, :PIXELS], rows[:, PIXELS]
    if rows.min() < 0 or pixels.max() > PIXEL_MAX or digits.max() >= CLASSES:
        limits = f"pixels 0..{PIXEL_MAX} and digits 0..{CLASSES - 1}"
        raise TrainingError(f"'{path}' has values other than {limits}", hint)
    return Samples(pixels.astype(np.uint8), digits)


def new_layers(hidden: tuple[int, ...], rng: np.random.Generator) -> Layers:
    """Draw the layers of an untrained network (He initialisation, zero biases)."""
    sizes = (PIXELS, *hidden, CLASSES)
    return tuple(
        Layer(
            rng.standard_normal((outputs, inputs), dtype=np.float32) * np.float32(math.sqrt(2 / inputs)),
            np.zeros(outputs, dtype=np.float32),
        )
        for inputs, outputs in pairwise(sizes)
    )


def move(pixels: Bytes, down: Whole, right: Whole) -> Bytes:
    """Move image i of (n, 64) by `down[i]` and `right[i]` pixels, each in -8..8; what enters is 0."""
    padded = np.pad(pixels.reshape(-1, SIDE, SIDE), ((0, 0), (SIDE, SIDE), (SIDE, SIDE)))
    rows = SIDE + np.arange(SIDE) - down[:, None]
    columns = SIDE + np.arange(SIDE) - right[:, None]
    images = np.arange(len(pixels))[:, None, None]
    moved: Bytes = padded[images, rows[:, :, None], columns[:, None, :]]
    return moved.reshape(-1, PIXELS)


def distort(pixels: Bytes, settings: Settings, rng: np.random.Generator) -> Floats:
    """Return scaled images (n, 64), each moved at random and noised as the settings say."""
    if settings.shift:
        down, right = rng.integers(-settings.shift, settings.shift, size=(2, len(pixels)), endpoint=True)
        pixels = move(pixels, down, right)
    if not settings.noise:
        return scale(pixels)
    noised = pixels + settings.noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    return scale(np.clip(noised, 0, PIXEL_MAX))


def descend(values: Floats, speeds: Floats, slopes: Floats, rate: float) -> None:
    """Move values down the slopes with momentum; values and speeds change in place."""
    speeds *= MOMENTUM
    speeds -= rate * slopes
    values += speeds


def train_batch(layers: Layers, velocities: Layers, images: Floats, digits: Whole, rates: list[float]) -> float:
    """Take one step on scaled images (n, 64), in place, at the rate of each layer; one with rate 0 stays as it is.

    Returns the mean cross-entropy before it.
    """
    *inputs, error = activations(layers, images)
    each = np.arange(len(digits))
    loss = -np.log(np.maximum(error[each, digits], np.float32(1e-12))).mean()
    # The derivative of the loss by the scores, from here on: the probabilities minus the truth.
    error[each, digits] -= 1
    error /= len(digits)
    for layer, velocity, given, rate in reversed(list(zip(layers, velocities, inputs, rates, strict=True))):
        slopes = Layer(error.T @ given, error.sum(axis=0))
        error = (error @ layer.weight) * (given > 0)
        if rate:
            descend(layer.weight, velocity.weight, slopes.weight, rate)
            descend(layer.bias, velocity.bias, slopes.bias, rate)
    return float(loss)


def train(layers: Layers, samples: Samples, settings: Settings, rng: np.random.Generator) -> list[float]:
    """Train in place, at a rate that falls to 0; return the mean loss of each epoch.

    Prints one line per epoch on stderr. Raises TrainingError when loss or weights are no longer finite.
    """
    velocities = tuple(Layer(np.zeros_like(layer.weight), np.zeros_like(layer.bias)) for layer in layers)
    starts = range(0, len(samples.digits), settings.batch_size)
    history: list[float] = []
    for epoch in range(settings.epochs):
        order = rng.permutation(len(samples.digits))
        images, digits = distort(samples.pixels[order], settings, rng), samples.digits[order]
        losses = []
        for step, start in enumerate(starts):
            rate = settings.learning_rate * (1 - (epoch + step / len(starts)) / settings.epochs)
            rates = [rate * (not settings.only or index in settings.only) for index in range(len(layers))]
            batch = slice(start, start + settings.batch_size)
            losses.append(train_batch(layers, velocities, images[batch], digits[batch], rates))
        loss = float(np.mean(losses))
        history.append(loss)
        print(f"epoch {epoch + 1}/{settings.epochs}: loss {loss:.4f}", file=sys.stderr)
        if not math.isfinite(loss) or not all(np.isfinite(layer.weight).all() for layer in layers):
            hint = f"use an --lr below {settings.learning_rate:g}"
            raise TrainingError(f"training diverged in epoch {epoch + 1}", hint)
    return history


def accuracy(layers: Layers, samples: Samples) -> float:
    """Return the share of the images whose most probable digit is the right one, 0..1."""
    return float((probabilities(layers, scale(samples.pixels)).argmax(axis=1) == samples.digits).mean())


def moved_copies(samples: Samples) -> Samples:
    """Return the images moved by one pixel up, down, left and right: four times as many."""
    count = len(samples.digits)
    ways = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    copies = [move(samples.pixels, np.full(count, down), np.full(count, right)) for down, right in ways]
    return Samples(np.concatenate(copies), np.tile(samples.digits, len(ways)))


def evaluate(layers: Layers, loss: float, test: Samples) -> dict[str, float | int]:
    """Return the metrics that follow from the weights alone, so that they may stand in the weights file."""
    return {
        "train_loss": round(loss, 6),
        "test_accuracy": round(accuracy(layers, test), 6),
        "shifted_accuracy": round(accuracy(layers, moved_copies(test)), 6),
        "parameters": parameter_count(layers),
    }


def describe(settings: Settings, layers: Layers, parent: str | None, data: Path) -> dict[str, Any]:
    """Return what the weights came from; `parent` is the sha256 of the file that was fine-tuned."""
    return {
        **settings._asdict(),
        "framework": "numpy",
        "framework_version": np.__version__,
        "hidden": [len(layer.bias) for layer in layers[:-1]],
        "momentum": MOMENTUM,
        "init_sha256": parent,
        "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
    }


def write(path: Path, data: bytes) -> None:
    """Write a file so that under its name there is always a whole one, the old or the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        message = f"cannot write '{path}': {error.strerror}"
        raise TrainingError(message, "choose another path with --out or --metrics") from error


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks: read, train, evaluate, write."""
    if not args.out.parent.is_dir():
        raise TrainingError(f"folder '{args.out.parent}' does not exist", f"run 'mkdir -p {args.out.parent}'")
    begin = time.perf_counter()
    only = tuple(sorted(set(args.only)))
    settings = Settings(args.epochs, args.lr, args.batch_size, args.seed, args.shift, args.noise, only)
    rng = np.random.default_rng(args.seed)
    given, test = read_samples(args.data / "train.csv"), read_samples(args.data / "test.csv")
    parent = load(args.init) if args.init else None
    if parent:
        layers = tuple(Layer(layer.weight.copy(), layer.bias.copy()) for layer in parent.layers)
    else:
        layers = new_layers(tuple(args.hidden or HIDDEN), rng)
    if only and only[-1] >= len(layers):
        raise TrainingError(f"there is no layer {only[-1]}", f"name layers 0..{len(layers) - 1} with --only")
    with np.errstate(over="ignore", invalid="ignore"):
        history = train(layers, given, settings, rng)
    metrics = evaluate(layers, history[-1], test)
    training = describe(settings, layers, parent.sha256 if parent else None, args.data / "train.csv")
    write(args.out, to_bytes(layers, {**training, **metrics}))
    metrics["seconds"] = round(time.perf_counter() - begin, 3)
    write(args.metrics or args.out.with_name("metrics.json"), (json.dumps(metrics, indent=2) + "\n").encode())
    if args.history:
        lines = ({"step": epoch, "train_loss": round(loss, 6)} for epoch, loss in enumerate(history, 1))
        write(args.history, "".join(json.dumps(line) + "\n" for line in lines).encode())
    print(f"wrote '{args.out}': {json.dumps(metrics)}")


def number(kind: type[int | float], low: float, high: float) -> Any:
    """Return an argparse type for a number from low to high, both included."""

    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not between {low} and {high}")
        return value

    parse.__name__ = "number" if kind is float else "whole number"
    return parse


def read_parameters(path: Path) -> dict[str, str]:
    """Return the settings in a TOML file, as texts that the command line could have; raises TrainingError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"cannot read '{path}': {error}", "name another file with --params") from error
    unknown = sorted(set(found) - set(PARAMETERS))
    if unknown:
        raise TrainingError(f"'{path}' sets '{unknown[0]}'", f"what may be set is {', '.join(PARAMETERS)}")
    return {key: str(value) for key, value in found.items()}


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and the file that it names for what it does not say; exits with code 2 when it makes no sense.

    Raises TrainingError when that file cannot be read.
    """
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits, or fine-tune one.")
    add = parser.add_argument
    add("--out", type=Path, default=Path("model.safetensors"), help="weights file to write")
    add("--metrics", type=Path, help="metrics file to write (default: metrics.json beside the weights)")
    add("--history", type=Path, help="file to write with the loss of each epoch, one JSON object a line")
    add("--params", type=Path, help=f"TOML file with settings: {', '.join(PARAMETERS)}")
    add("--data", type=Path, default=DATA, help="folder with train.csv and test.csv")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--init", type=Path, help="weights file to fine-tune, instead of random weights")
    start.add_argument("--hidden", type=number(int, 1, 16384), nargs="+", help="hidden layer sizes")
    add(
        "--only",
        type=number(int, 0, 1000),
        nargs="+",
        default=[],
        help="layers to train, from 0; others stay as they are",
    )
    add("--seed", type=number(int, 0, 2**32 - 1), default=0)
    add("--epochs", type=number(int, 1, 10_000), default=8)
    add("--lr", type=number(float, 0, 1e6), default=0.05, help="learning rate at the start")
    add("--batch-size", type=number(int, 1, 1_000_000), default=128)
    add("--shift", type=number(int, 0, SIDE), default=0, help="move images by up to so many pixels")
    add("--noise", type=number(float, 0, PIXEL_MAX), default=0.0, help="noise to add, in pixel values")
    named = parser.parse_args().params
    if named:
        parser.set_defaults(**read_parameters(named))
    return parser.parse_args()


def main() -> int:
    """Run; return the exit code."""
    try:
        run(parse_arguments())
    except DigitsError as error:
        print(error.line(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
