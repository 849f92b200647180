"""Draws docs/pictures/report.png and docs/pictures/view.png: what a browser shows first of the two pages of a run of the default.

    python scripts/make_pictures.py [--run RUN]

Needs Chromium and Pillow. Without --run the default cycle is run first, seed 0, in some minutes of two cores. Run it again after a change
of what the pages show: no test compares pictures, as two machines have not the same fonts.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from errata.programs.report import build, page
from errata.programs.report.document import Rows
from errata.programs.report.trace import Lineage, clearest

PICTURES = Path(__file__).resolve().parents[1] / "docs/pictures"
WIDTH, MOST = 1400, 300_000
"""Pixels of a picture's width, and bytes of the largest one."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def errata(folder: Path, *words: object) -> None:
    subprocess.run([sys.executable, "-m", "errata.cli", *map(str, words)], cwd=folder, check=True)


def shoot(address: str, picture: Path, height: int, folder: Path) -> None:
    """Takes a picture of a page, in 128 colours: a quarter of the bytes, and nobody sees it."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        raise SystemExit("make_pictures: no Chromium is installed (Debian: apt-get install chromium)")
    raw = folder / "raw.png"
    ways = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
    ways += [f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{height}", "--virtual-time-budget=5000"]
    subprocess.run([browser, *ways, f"--screenshot={raw}", address], check=True, capture_output=True, timeout=300)
    with Image.open(raw) as taken:
        taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)
    if picture.stat().st_size > MOST:
        raise SystemExit(f"make_pictures: {picture} has {picture.stat().st_size:,} bytes, more than {MOST:,}; make it lower")
    print(f"{picture}: {picture.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run of the embedded default")
    given = parser.parse_args().run
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "runs/sums"
        run.parent.mkdir()
        if given is None:
            errata(folder, "cycle", "--run", "runs/sums")
        else:
            run.symlink_to(given.absolute())  # pictures do not tell where
        rows = Rows(run)
        report, lineage = build(run, rows), Lineage(run, rows)
        way = clearest(report, lineage)
        (folder / "report.html").write_text(page.html(report, lineage, way), encoding="utf-8")
        shoot((folder / "report.html").as_uri(), PICTURES / "report.png", 1380, folder)
        errata(folder, "view", "runs/sums", "--out", "view.html")
        item = f"&item={way.fixed[0].example.id}" if way and way.fixed else ""
        shoot(f"{(folder / 'view.html').as_uri()}#show=fixed{item}", PICTURES / "view.png", 1000, folder)


if __name__ == "__main__":
    main()
