#!/usr/bin/env python3
"""Draw a folder of images for the demo: the same ones whoever draws them.

    python demo_drawing.py FOLDER [--images 60] [--width 1600]

Two of three are photos of a kind, with soft light and grain, as JPEG; the
third is a drawing with a transparent ground, as PNG. One more file is the
first half of a photo, as a copy leaves it that was broken off.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

SHAPES = 40  # per image
GRAIN = 0.08  # of a photo, as the weight of noise in it


def draw_shapes(image: Image.Image, rng: random.Random) -> None:
    """Draw ellipses and triangles of all colours and sizes."""
    pen = ImageDraw.Draw(image, "RGBA")
    width, height = image.size
    for _ in range(SHAPES):
        x, y = rng.randrange(width), rng.randrange(height)
        size = rng.randrange(width // 40, width // 5)
        colour = (*rng.randbytes(3), rng.randrange(64, 256))
        if rng.random() < 0.5:
            pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
        else:
            corner = (x + size, y + rng.randrange(-size, size))
            pen.polygon([(x - size, y), (x, y - size), corner], fill=colour)


def draw_photo(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return something with the light and the grain of a photo."""
    light = [
        gradient("L").rotate(rng.randrange(360)).resize(size)
        for gradient in (
            Image.linear_gradient,
            Image.radial_gradient,
            Image.linear_gradient,
        )
    ]
    image = Image.merge("RGB", light)
    draw_shapes(image, rng)
    noise = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
    return Image.blend(image, noise.convert("RGB"), GRAIN)


def draw_drawing(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return a drawing on a transparent ground."""
    image = Image.new("RGBA", size)
    draw_shapes(image, rng)
    return image


def draw_folder(folder: Path, images: int, width: int) -> None:
    """Draw so many images of this width into a folder, and a broken one."""
    folder.mkdir(parents=True, exist_ok=True)
    size = width, width * 3 // 4
    for number in range(images):
        rng = random.Random(number)
        if number % 3 < 2:
            path = folder / f"photo-{number:03}.jpg"
            draw_photo(rng, size).save(path, quality=90)
        else:
            draw_drawing(rng, size).save(folder / f"drawing-{number:03}.png")
    whole = (folder / "photo-000.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Draw images for the demo.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--width", type=int, default=1600, help="in pixels")
    options = parser.parse_args()
    draw_folder(options.folder, options.images, options.width)


if __name__ == "__main__":
    main()
