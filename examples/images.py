#!/usr/bin/env python3
"""Make the images of a folder grey and half as large with a pool of processes.

    python images.py photos --output small --workers 4

Every image of the folder and of the folders in it is decoded, made grey,
halved and written under the same name below the output folder. A file that is
broken or cannot be read is reported and does not stop the others; then the
exit status is 1. Ctrl-C finishes the images that have been begun and drops
the rest.

It is an ordinary program over Pillow and a pool of processes, and it does not
know which module the pool comes from: ``--module`` names ``futures_c`` or
``concurrent.futures``, and everything else stays the same.

How to read it: `convert_folder` is the heart. It submits one call per file
and handles the calls with ``as_completed`` in the order in which they end.
`convert_file` is such a call; it runs in the pool's processes, which read and
write the files themselves, so that only names and a few numbers travel. What
it raises there, ``result()`` raises here. `shrink` does to an image what is to
be done; ``image_pipeline.py`` uses it, too, and the `Report`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import io
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from commands import Progress, peak_memory, positive
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# Pillow calls the photos of some telephones so: JPEG with further pictures
# behind the first.
FORMATS = {"MPO": "JPEG"}
QUALITY = 85  # of formats that know one, in per cent


@dataclasses.dataclass
class Done:
    """What a call returns: an image that is done, and what it took."""

    bytes_before: int
    bytes_after: int
    cpu: float  # seconds for this image
    worker: int  # the process that did it
    worker_cpu: float  # seconds that this process has used since it began
    worker_memory: int  # the most it has had, in bytes


# What runs in the pool's processes. Functions travel by name, so they have to
# stand at the top of a module.


def shrink(data: bytes) -> bytes:
    """Return an image in grey and half its size, in the format it had."""
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        # Its text is about the buffer, which says nothing to anybody.
        raise ValueError("no image, or of an unknown format") from None
    with image:
        form = FORMATS.get(image.format or "", image.format)
        upright = ImageOps.exif_transpose(image)
        grey = upright.convert("LA" if upright.has_transparency_data else "L")
    size = max(1, grey.width // 2), max(1, grey.height // 2)
    small = io.BytesIO()
    grey.resize(size, Image.Resampling.LANCZOS).save(small, form, quality=QUALITY)
    return small.getvalue()


def write_whole(target: Path, data: bytes) -> None:
    """Write a file: under its name there is all of it or nothing."""
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(data)
    part.replace(target)


def done(data: bytes, small: bytes, began: float) -> Done:
    """Note what an image has taken since the CPU clock stood at *began*."""
    now = time.process_time()
    return Done(len(data), len(small), now - began, os.getpid(), now, peak_memory())


def convert_file(source: Path, target: Path) -> Done:
    """Shrink the image in one file into another."""
    began = time.process_time()
    data = source.read_bytes()
    small = shrink(data)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, small)
    return done(data, small, began)


# What runs in the parent.


class Report:
    """Counts images, shows progress and errors, and sums up."""

    def __init__(self, futures: ModuleType, workers: int) -> None:
        """Report on a run of *workers* processes with the pool of *futures*."""
        self.module = futures.__name__
        self.workers = workers
        self.started = time.perf_counter()
        self.cpu = time.process_time()
        self.images = self.bytes_before = self.bytes_after = 0
        self.image_cpu = 0.0
        self.failed: dict[str, str] = {}
        self.used: dict[int, tuple[float, int]] = {}  # CPU and memory by worker
        self.broken = self.interrupted = False
        self.progress: Progress | None = None

    def begin(self, total: int) -> None:
        """Show progress from here on; there are so many images."""
        self.progress = Progress("images", total)

    def add(self, result: Done) -> None:
        """Count an image that is done."""
        self.images += 1
        self.bytes_before += result.bytes_before
        self.bytes_after += result.bytes_after
        self.image_cpu += result.cpu
        cpu, memory = self.used.get(result.worker, (0.0, 0))
        self.used[result.worker] = (
            max(cpu, result.worker_cpu),
            max(memory, result.worker_memory),
        )
        self._advance()

    def fail(self, name: str, error: Exception) -> None:
        """Count an image of which nothing became, and say why."""
        self.failed[name] = describe(error)
        self.say(f"{name}: {self.failed[name]}")
        self._advance()

    def end(self, error: BaseException) -> None:
        """Note what ended the run early: Ctrl-C, or a pool that is broken."""
        if isinstance(error, KeyboardInterrupt):
            self.interrupted = True
            return
        self.broken = True
        self.say(f"The pool of processes is broken: {describe(error)}")
        if error.__cause__ is not None:
            self.say(str(error.__cause__).strip(" \n\"'"))

    def say(self, text: str) -> None:
        """Print a line for people without breaking the progress bar."""
        if self.progress is not None:
            self.progress.say(text)
        else:
            print(text, file=sys.stderr)

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance(len(self.failed))

    def close(self) -> dict[str, Any]:
        """End the progress bar, print the summary and return its figures."""
        if self.progress is not None:
            self.progress.close()
        seconds = time.perf_counter() - self.started
        cpu = time.process_time() - self.cpu
        cpu += sum(cpu for cpu, _ in self.used.values())
        verb = "Converted"
        if self.interrupted or self.broken:
            verb = "Interrupted after" if self.interrupted else "Broken after"
        print(
            f"{verb} {self.images} images, {self.bytes_before:,} bytes to"
            f" {self.bytes_after:,}, {len(self.failed)} errors in {seconds:.2f} s"
            f" ({self.images / seconds:.1f} images/s)",
            file=sys.stderr,
        )
        return {
            "module": self.module,
            "workers": self.workers,
            "processes": len(self.used),
            "images": self.images,
            "failed": self.failed,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "seconds": seconds,
            "cpu": cpu,
            # What the pool, the start of its processes and this report cost,
            # as opposed to reading, shrinking and writing images.
            "cpu_outside_images": max(0.0, cpu - self.image_cpu),
            # What processes share counts for each of them.
            "peak_memory": peak_memory() + sum(most for _, most in self.used.values()),
            "interrupted": self.interrupted,
            "broken": self.broken,
        }

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if self.interrupted:
            return 128 + signal.SIGINT
        return 1 if self.failed or self.broken or not self.images else 0


def describe(error: BaseException) -> str:
    """Say in a few words what went wrong with an image."""
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or type(error).__name__


def start_processes(pool: Any, workers: int) -> None:
    """Start the processes of a pool, which are not to be disturbed by Ctrl-C.

    It reaches all processes of a terminal. Those that begin while it is ignored
    go on ignoring it, so what becomes of their work is decided here alone.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in range(workers):
        pool.submit(os.getpid)
    signal.signal(signal.SIGINT, before)


def convert_folder(
    futures: ModuleType,
    files: dict[Path, Path],
    workers: int,
    method: str | None,
    report: Report,
) -> None:
    """Shrink the *files*, each into its target, and report on each.

    *method* is how processes are started, None the way the running version of
    Python does it. What ends the run early goes to the report, too.
    """
    context = multiprocessing.get_context(method)
    with futures.ProcessPoolExecutor(workers, context) as pool:
        try:
            start_processes(pool, workers)
            tasks = {
                pool.submit(convert_file, source, target): source
                for source, target in files.items()
            }
            report.begin(len(tasks))
            for task in futures.as_completed(tasks):
                try:
                    report.add(task.result())
                except futures.BrokenExecutor:
                    raise  # That is not about this file.
                except Exception as error:  # One bad file must not end the run.
                    report.fail(str(tasks[task]), error)
        except (KeyboardInterrupt, futures.BrokenExecutor) as error:
            # What has begun is finished, the rest is dropped.
            pool.shutdown(cancel_futures=True)
            report.end(error)


def images_below(folder: Path, output: Path) -> dict[Path, Path]:
    """Return the images of a folder, each with the path to write it to."""
    return {
        source: output / source.relative_to(folder)
        for source in sorted(folder.rglob("*"))
        if source.suffix.lower() in SUFFIXES and output not in source.parents
    }


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what both programs about images can be told."""
    add = parser.add_argument
    add("--module", default="futures_c", help="or concurrent.futures")
    add("--workers", type=positive, default=os.cpu_count() or 1, help="processes")
    add(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        help="of the processes; default: as the running version of Python does",
    )
    add("--output", type=Path, required=True, help="folder to write to")
    add("--stats", type=Path, help="file for the figures of the run, as JSON")


def read_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; load the module and make the output folder."""
    options = parser.parse_args()
    try:
        options.futures = importlib.import_module(options.module)
    except ImportError as error:
        parser.error(f"--module: {error}")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output: {options.output}: {error.strerror}")
    return options


def finish(report: Report, stats: Path | None) -> int:
    """Sum up; return the exit status."""
    figures = report.close()
    if stats:
        stats.write_text(json.dumps(figures), encoding="utf-8")
    return report.status


def folder(text: str) -> Path:
    """Argument type: a folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return Path(text)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description="Make the images of a folder grey and half as large."
    )
    parser.add_argument("folder", type=folder, metavar="FOLDER")
    add_common_options(parser)
    options = read_options(parser)
    if options.output.samefile(options.folder):
        parser.error("--output: the images would be written over themselves")
    files = images_below(options.folder, options.output)
    if not files:
        print(f"There are no images in {options.folder}.", file=sys.stderr)
        return 1
    report = Report(options.futures, options.workers)
    convert_folder(
        options.futures, files, options.workers, options.start_method, report
    )
    return finish(report, options.stats)


# Processes that are started afresh import this file. Without the guard each
# of them would run `main` as well.
if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:  # So early that there is nothing to report.
        status = 128 + signal.SIGINT
    sys.exit(status)
