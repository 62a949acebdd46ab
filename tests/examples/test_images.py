"""A folder of images through a pool of processes, and what may be in its way."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, features
from running import EXAMPLES, IMAGES, WIDTH, finish, start_example
from support.subproc import Outcome

Example = Callable[..., Outcome]

METHODS = ("fork", "spawn", "forkserver")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their paths in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(folder: Path) -> set[str]:
    """Return the names of the images that can be read."""
    return {path.name for path in folder.iterdir()} - {"broken.jpg"}


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """Copy the images to where a test may add to them."""
    return Path(shutil.copytree(drawn, tmp_path / "photos"))


@pytest.fixture
def many(drawn: Path, tmp_path: Path) -> Path:
    """Make a folder of many images: more than are done while a test looks."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5000):
        os.link(drawn / "photo-000.jpg", folder / f"{number:04}.jpg")
    return folder


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the program as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "images", raising=False)
    return importlib.import_module("images")


# --- What becomes of the images ----------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
def test_folder(
    example: Example, drawn: Path, tmp_path: Path, method: str | None
) -> None:
    """Each image is there, grey and half as large; the broken one is named."""
    small = tmp_path / "new" / "small"
    chosen = [f"--start-method={method}"] if method else []
    outcome = example(
        "images.py", str(drawn), f"--output={small}", "--workers=2", *chosen
    ).check(1)
    assert names(small) == names(drawn)
    assert len(names(small)) == IMAGES
    for name in names(small):
        with Image.open(small / name) as image:
            assert image.format == ("PNG" if name.endswith("png") else "JPEG")
            assert image.mode == ("LA" if name.startswith("drawing") else "L")
            assert image.size == (WIDTH // 2, WIDTH * 3 // 8)
    broken, summary = outcome.stderr.splitlines()
    assert broken.startswith(f"{drawn}/broken.jpg: image file is truncated")
    assert summary.startswith(f"Converted {IMAGES} images, ")
    assert ", 1 errors in " in summary
    assert outcome.stdout == ""


def test_both_modules_write_the_same(drawn: Path, tmp_path: Path) -> None:
    """Byte for byte, whichever module has the pool, and however many work."""
    trees = []
    for module, workers in (("concurrent.futures", 2), ("futures_c", 1)) * 2:
        output = tmp_path / f"{module}-{len(trees)}"
        process = start_example(
            "images.py", str(drawn), f"--output={output}", f"--module={module}",
            f"--workers={workers + len(trees) // 2}",
        )  # fmt: skip
        finish(process).check(1)
        trees.append(tree(output))
    assert trees[0] == trees[1] == trees[2] == trees[3]
    assert len(trees[0]) == IMAGES


def test_folders_within(example: Example, photos: Path) -> None:
    """They are walked through; an output among them is not taken for input."""
    (photos / "broken.jpg").unlink()
    (photos / "notes.txt").write_text("no image")
    deep = photos / "a" / "b"
    deep.mkdir(parents=True)
    (photos / "photo-000.jpg").rename(deep / "GRÜN.JPG")
    for _ in range(2):
        outcome = example("images.py", str(photos), f"--output={photos / 'small'}")
        assert f"Converted {IMAGES} images" in outcome.check().stderr
        found = tree(photos / "small")
        assert len(found) == IMAGES
        assert "a/b/GRÜN.JPG" in found


@pytest.mark.parametrize(
    ("form", "mode", "after"),
    [
        ("JPEG", "RGB", "L"),
        ("JPEG", "CMYK", "L"),
        ("PNG", "RGBA", "LA"),
        ("PNG", "P", "L"),
        ("PNG", "1", "L"),
        ("BMP", "RGB", "L"),
        ("TIFF", "RGBA", "LA"),
        ("WEBP", "RGB", "RGB"),  # It knows no grey.
    ],
)
def test_formats(images: ModuleType, form: str, mode: str, after: str) -> None:
    """An image keeps its format, and its transparency if it has any."""
    if form == "WEBP" and not features.check("webp"):
        pytest.skip("Pillow has been built without WebP here")
    data = io.BytesIO()
    Image.new(mode, (9, 5)).save(data, form)
    with Image.open(io.BytesIO(images.shrink(data.getvalue()))) as small:
        assert (small.format, small.mode, small.size) == (form, after, (4, 2))


def test_smallest_image(images: ModuleType) -> None:
    """Half of one pixel is one pixel."""
    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, "PNG")
    with Image.open(io.BytesIO(images.shrink(data.getvalue()))) as small:
        assert small.size == (1, 1)


def test_photo_held_upright(images: ModuleType) -> None:
    """What the camera noted of its position is not lost, but done."""
    data = io.BytesIO()
    photo = Image.new("RGB", (40, 20))
    exif = photo.getexif()
    exif[0x0112] = 6  # Orientation: a quarter turn.
    photo.save(data, "JPEG", exif=exif)
    with Image.open(io.BytesIO(images.shrink(data.getvalue()))) as small:
        assert small.size == (10, 20)
        assert 0x0112 not in small.getexif()


# --- What is in the way ------------------------------------------------------


def test_each_error_is_its_own(example: Example, photos: Path) -> None:
    """What cannot be read is named with the reason, and the rest is done."""
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no image")
    (photos / "lost.png").symlink_to(photos / "nowhere")
    (photos / "folder.webp").mkdir()
    expected = {
        "broken.jpg": "image file is truncated (",
        "empty.png": "no image, or of an unknown format",
        "text.jpg": "no image, or of an unknown format",
        "lost.png": "No such file or directory",
        "folder.webp": "Is a directory",
    }
    if os.getuid():
        locked = photos / "photo-001.jpg"
        locked.chmod(0)
        expected[locked.name] = "Permission denied"
    output = photos.parent / "small"
    outcome = example("images.py", str(photos), f"--output={output}").check(1)
    *lines, summary = outcome.stderr.splitlines()
    found = dict(line.removeprefix(f"{photos}/").split(": ", 1) for line in lines)
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name].startswith(text)
    assert f", {len(expected)} errors in " in summary
    assert names(output) == names(photos) - expected.keys()


def test_target_that_cannot_be_written(example: Example, photos: Path) -> None:
    """That is an error of one image, too, and leaves nothing half done."""
    output = photos.parent / "small"
    (output / "photo-000.jpg").mkdir(parents=True)
    outcome = example("images.py", str(photos), f"--output={output}").check(1)
    assert "photo-000.jpg: Is a directory" in outcome.stderr
    assert f"Converted {IMAGES - 1} images" in outcome.stderr
    (output / "photo-000.jpg").rmdir()
    assert names(output) - {"photo-000.jpg.part"} == names(photos) - {"photo-000.jpg"}


def test_folder_without_images(example: Example, tmp_path: Path) -> None:
    """Nothing to do is said, and is no success."""
    (tmp_path / "notes.txt").touch()
    output = tmp_path / "small"
    outcome = example("images.py", str(tmp_path), f"--output={output}").check(1)
    assert outcome.stderr == f"There are no images in {tmp_path}.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("{}/missing", "--output={}/out"), "there is no folder {}/missing"),
        (("{}/file", "--output={}/out"), "there is no folder {}/file"),
        (("{}", "--output={}/file"), "--output: {}/file: File exists"),
        (("{}", "--output={}/file/out"), "--output: {}/file/out: Not a directory"),
        (("{}", "--output={}/."), "the images would be written over themselves"),
        (("{}",), "required: --output"),
        (("{}", "--output={}/out", "--workers=0"), "0 is not above zero"),
        (("{}", "--output={}/out", "--start-method=x"), "invalid choice: 'x'"),
    ],
)
def test_bad_arguments(
    example: Example, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    """They are refused with the usage and the reason."""
    (tmp_path / "file").touch()
    place = str(tmp_path)
    outcome = example("images.py", *(arg.replace("{}", place) for arg in args))
    assert "usage:" in outcome.check(2).stderr
    assert message.replace("{}", place) in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_module_that_is_not_there(tmp_path: Path) -> None:
    """A wrong --module is named in the usage, without a traceback."""
    process = start_example(
        "images.py", str(tmp_path), f"--output={tmp_path / 'out'}", "--module=no_such"
    )
    outcome = finish(process).check(2)
    assert "No module named 'no_such'" in outcome.stderr
    assert "Traceback" not in outcome.stderr


# --- Figures and progress ----------------------------------------------------


def test_figures_of_the_run(
    example: Example, futures: ModuleType, drawn: Path, tmp_path: Path
) -> None:
    """--stats writes what the run took, on which module."""
    stats = tmp_path / "stats.json"
    small = tmp_path / "small"
    example(
        "images.py", str(drawn), f"--output={small}", f"--stats={stats}", "--workers=2"
    ).check(1)
    figures = json.loads(stats.read_text())
    assert figures["module"] == futures.__name__
    assert (figures["images"], figures["workers"]) == (IMAGES, 2)
    assert 1 <= figures["processes"] <= 2
    (failed,) = figures["failed"]
    assert failed == str(drawn / "broken.jpg")
    whole = {name: data for name, data in tree(drawn).items() if name in names(small)}
    assert figures["bytes_before"] == sum(map(len, whole.values()))
    assert figures["bytes_after"] == sum(map(len, tree(small).values()))
    assert 0 < figures["cpu_outside_images"] < figures["cpu"]
    # Parent and workers have an interpreter and Pillow each.
    assert figures["peak_memory"] > 10_000_000 * (1 + figures["processes"])
    assert not figures["interrupted"]
    assert not figures["broken"]


def test_progress_is_for_terminals(
    futures: ModuleType, drawn: Path, tmp_path: Path
) -> None:
    """On a terminal a bar counts images and errors to the end."""
    main_end, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    with open(main_end, "rb", buffering=0) as terminal:
        process = start_example(
            "images.py", str(drawn), f"--output={tmp_path / 'small'}",
            f"--module={futures.__name__}", terminal=its_end,
        )  # fmt: skip
        os.close(its_end)
        shown = b""
        try:
            while part := terminal.read(4096):
                shown += part
        except OSError:
            pass  # Linux answers EIO when the other end is closed.
        assert finish(process).returncode == 1
    text = shown.decode()
    assert f"{IMAGES + 1}/{IMAGES + 1}" in text
    assert "errors=1" in text
    assert "broken.jpg: image file is truncated" in text


# --- Early ends --------------------------------------------------------------


def start_many(
    module: ModuleType, many: Path, output: Path, method: str
) -> subprocess.Popen[str]:
    """Start on the many images and return when some are done."""
    process = start_example(
        "images.py", str(many), f"--output={output}", f"--module={module.__name__}",
        "--workers=2", f"--start-method={method}",
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if output.exists() and len(list(output.iterdir())) >= 20:
            break
        time.sleep(0.01)
    return process


@pytest.mark.fault("Ctrl-C in the middle of a wait leaves a future's lock held")
@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_in_the_middle(
    futures: ModuleType, many: Path, tmp_path: Path, method: str
) -> None:
    """Ctrl-C, to all processes: status 130, whole images, no traceback."""
    output = tmp_path / "small"
    process = start_many(futures, many, output, method)
    os.killpg(process.pid, signal.SIGINT)
    outcome = finish(process, cap=20).check(130)
    (line,) = outcome.stderr.splitlines()
    said = re.match(r"Interrupted after (\d+) images, .*, 0 errors", line)
    assert said is not None
    found = list(output.iterdir())
    assert 20 <= len(found) < 5000
    assert int(said[1]) <= len(found)
    assert {path.suffix for path in found} == {".jpg"}
    assert len({path.read_bytes() for path in found}) == 1


def children(pid: int) -> list[int]:
    """Return the processes that the main thread of another has started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_worker_that_is_killed(futures: ModuleType, many: Path, tmp_path: Path) -> None:
    """A process that dies ends the run, with what is done and a message."""
    output = tmp_path / "small"
    process = start_many(futures, many, output, "fork")
    with contextlib.suppress(ProcessLookupError):
        victim = children(process.pid)[0]
        os.kill(victim, signal.SIGKILL)
    outcome = finish(process, cap=20).check(1)
    message, *more, summary = outcome.stderr.splitlines()
    assert message.startswith("The pool of processes is broken: A ")
    assert re.match(r"Broken after \d+ images, .*, 0 errors", summary)
    assert "Traceback" not in outcome.stderr
    if futures.__name__ == "futures_c":
        assert more == [
            f"Process {victim} terminated abruptly with exit code -9 (SIGKILL)"
        ]
