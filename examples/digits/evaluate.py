"""Measure weights on the test images, whatever made them; prints one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from network import DigitsError, load, parameter_count
from train import DATA, accuracy, moved_copies, read_samples


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="weights file")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with test.csv")
    parser.add_argument("--at-least", type=float, default=0.0, help="end with 1 where the test accuracy is below")
    args = parser.parse_args()
    try:
        weights, test = load(args.weights), read_samples(args.data / "test.csv")
    except DigitsError as error:
        print(error.line(), file=sys.stderr)
        return 1
    metrics = {
        "test_accuracy": round(accuracy(weights.layers, test), 6),
        "shifted_accuracy": round(accuracy(weights.layers, moved_copies(test)), 6),
        "parameters": parameter_count(weights.layers),
    }
    print(json.dumps(metrics))
    return 1 if metrics["test_accuracy"] < args.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
