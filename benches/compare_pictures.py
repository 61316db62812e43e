#!/usr/bin/env python3
"""facetty's painter beside other programs that show pictures in terminals.

    python3 benches/compare_pictures.py                          table, 80x24 and 200x60
    python3 benches/compare_pictures.py --grid 120x40 --frames 20
    python3 benches/compare_pictures.py --program target/debug/facetty

Everybody gets the same clip and the same grid in the same run; what they write is read by a small
model of a screen, and compared with the clip at 2x4 samples a cell (the finest grid that glyphs in
common use have). Time is user and system time of the process over the clip, less that of the same
program when it paints next to nothing (2x1 cells, or no output at all): so reading the clip doesn't
count. It needs

    pip install numpy pillow scikit-image
    apt install ffmpeg chafa timg mpv        (what is missing is left out)
    cargo build --release

The clips are made of two photographs that scikit-image brings (`astronaut`: NASA, public domain;
`coffee`: Rachel Michetti, CC0), moved and with grain added, always the same: a head that sways before
a still wall (calm), everything in motion (moving), a pan over a table (busy); and a still one.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile

import numpy as np
from PIL import Image
from skimage import data

ROOT = pathlib.Path(__file__).resolve().parents[1]
CELL = (10, 20)


# --- clips ---------------------------------------------------------------------------------------


def photograph(name, width, height):
    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    w, h = image.size
    if w * height > h * width:
        cut = h * width // height
        image = image.crop(((w - cut) // 2, 0, (w - cut) // 2 + cut, h))
    else:
        cut = w * height // width
        image = image.crop((0, (h - cut) // 4, w, (h - cut) // 4 + cut))
    return np.asarray(image.resize((width, height), Image.LANCZOS)).astype(float)


def moved(image, dx, dy):
    """Shifted by parts of a pixel, edges repeated."""
    h, w, _ = image.shape
    y, x = np.clip(np.arange(h) - dy, 0, h - 1), np.clip(np.arange(w) - dx, 0, w - 1)
    y0, x0 = np.minimum(y.astype(int), h - 2), np.minimum(x.astype(int), w - 2)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    rows = image[y0] * (1 - fy) + image[y0 + 1] * fy
    return rows[:, x0] * (1 - fx) + rows[:, x0 + 1] * fx


def clip(kind, frames, width=640, height=384):
    random = np.random.default_rng(1)
    around = (80, 48)
    image = photograph("coffee" if kind == "busy" else "astronaut", width + 80, height + 48)
    h, w, _ = image.shape
    y, x = np.mgrid[0:h, 0:w]
    head = np.clip(1.6 - np.hypot((x - w / 2) / (w * 0.22), (y - h / 2) / (h / 2)), 0, 1)[..., None]
    pictures = []
    for t in range(1 if kind == "still" else frames):
        if kind == "calm":
            sway = moved(image, 3 * np.sin(t * 0.25), 1.5 * np.sin(t * 0.4))
            picture = image * (1 - head) + sway * head
        elif kind == "moving":
            picture = moved(image, 20 * np.sin(t * 0.3), 8 * np.sin(t * 0.47))
        elif kind == "busy":
            picture = moved(image, 20 - 2 * t, 0)
        else:
            picture = image
        top, left = around[1] // 2, around[0] // 2
        picture = picture[top : top + height, left : left + width]
        grain = 0 if kind == "still" else random.normal(0, 1.5, (height, width, 1))
        pictures.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
    return pictures


def planes(rgb):
    """BT.601, limited range, 4:2:0."""
    r, g, b = (rgb[..., c].astype(float) for c in range(3))
    half = lambda p: p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3))
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = half(128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256)
    v = half(128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256)
    return [np.clip(np.round(p), 0, 255).astype(np.uint8) for p in (y, u, v)]


def rgb_of(y, u, v):
    """What everybody is shown: the pictures after 4:2:0."""
    u, v = (p.astype(float).repeat(2, 0).repeat(2, 1) - 128 for p in (u, v))
    luma = 1.164383 * (y.astype(float) - 16)
    rgb = np.stack([luma + 1.596027 * v, luma - 0.391762 * u - 0.812968 * v, luma + 2.017232 * u], -1)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


def write_clip(folder, kind, frames):
    """As Y4M, as a lossless video, and as PNG files; returns what it shows."""
    shown = []
    with open(folder / f"{kind}.y4m", "wb") as file:
        pictures = clip(kind, frames)
        height, width, _ = pictures[0].shape
        file.write(f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for n, picture in enumerate(pictures):
            yuv = planes(picture)
            file.write(b"FRAME\n" + b"".join(p.tobytes() for p in yuv))
            shown.append(rgb_of(*yuv))
            Image.fromarray(shown[-1]).save(folder / f"{kind}-{n:03}.png")
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(folder / f"{kind}.y4m")]
        subprocess.run(command + ["-c:v", "ffv1", str(folder / f"{kind}.mkv")], check=True)
    return shown


# --- a screen ------------------------------------------------------------------------------------

W, H = 4, 24  # units of a cell: halves and quarters across, thirds and eighths down
CUBE = [0, 95, 135, 175, 215, 255]
ANSI = [
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205),
    (0, 205, 205), (229, 229, 229), (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
]
QUADRANTS = dict(zip("▖▗▘▙▚▛▜▝▞▟", [4, 8, 1, 13, 9, 7, 11, 2, 6, 14]))
OCTANTS_ELSEWHERE = {
    0: 0x20, 5: 0x2598, 10: 0x259D, 15: 0x2580, 80: 0x2596, 85: 0x258C, 90: 0x259E, 95: 0x259B,
    160: 0x2597, 165: 0x259A, 170: 0x2590, 175: 0x259C, 240: 0x2584, 245: 0x2599, 250: 0x259F,
    255: 0x2588, 1: 0x1CEA8, 2: 0x1CEAB, 64: 0x1CEA3, 128: 0x1CEA0, 3: 0x1FB82, 63: 0x1FB85,
    192: 0x2582, 252: 0x2586, 20: 0x1FBE6, 40: 0x1FBE7,
}


def octants():
    code, table = 0x1CD00, {}
    for pattern in range(256):
        if pattern in OCTANTS_ELSEWHERE:
            table[chr(OCTANTS_ELSEWHERE[pattern])] = pattern
        else:
            table[chr(code)], code = pattern, code + 1
    return table


OCTANTS = octants()


def palette(n):
    if n < 16:
        return ANSI[n]
    if n < 232:
        n -= 16
        return (CUBE[n // 36], CUBE[n // 6 % 6], CUBE[n % 6])
    return (8 + 10 * (n - 232),) * 3


def ink(glyph):
    """Where the glyph's ink is, or None for one that isn't made of blocks."""
    y, x = np.mgrid[0:H, 0:W]
    code = ord(glyph)
    bits = lambda pattern, high: (pattern >> (x // (W // 2) + 2 * (y // high))) & 1 == 1
    if glyph == " ":
        return np.zeros((H, W), bool)
    if glyph == "█":
        return np.ones((H, W), bool)
    if glyph in "░▒▓":  # from where people sit, an even tone
        return np.full((H, W), (code - 0x2590) / 4)
    if glyph == "▀":
        return y < H // 2
    if glyph == "▐":
        return x >= W // 2
    if glyph == "▔":
        return y < H // 8
    if glyph == "▕":
        return x * 8 >= W * 7
    if 0x2581 <= code <= 0x2587:
        return y * 8 >= H * (8 - (code - 0x2580))
    if 0x2589 <= code <= 0x258F:
        return (x + 0.5) * 8 < W * (8 - (code - 0x2588))
    if glyph in QUADRANTS:
        return bits(QUADRANTS[glyph], H // 2)
    if 0x1FB00 <= code <= 0x1FB3B:
        pattern = code - 0x1FB00 + 1
        pattern += pattern >= 21
        pattern += pattern >= 42
        return bits(pattern, H // 3)
    if glyph in OCTANTS:
        return bits(OCTANTS[glyph], H // 4)
    return None


class Screen:
    """As much of a terminal as these programs use."""

    TOKENS = re.compile(r"\x1b\[([0-9;:?<=>]*)[ !]?([@-~])|\x1b[\]P_^X].*?(?:\x1b\\|\x07)|\x1b[ -/]*[0-~]|(.)", re.S)

    def __init__(self, cols, rows):
        self.cols, self.rows = cols, rows
        self.pixels = np.zeros((rows, cols, H, W, 3))
        self.x = self.y = 0
        self.colours = [None, None]
        self.inverse = False
        self.unknown = 0
        self.masks = {}
        self.wrap = False

    def feed(self, text):
        for match in self.TOKENS.finditer(text):
            arguments, final, glyph = match.groups()
            if final:
                self.control(arguments, final)
            elif glyph == "\n":
                self.y = min(self.y + 1, self.rows - 1)
            elif glyph == "\r":
                self.x, self.wrap = 0, False
            elif glyph is not None and glyph >= " ":
                self.put(glyph)

    def control(self, arguments, final):
        if arguments[:1] in "?<=>" and arguments:
            return
        values = [int(v) if v else 0 for v in re.split("[;:]", arguments)]
        first = max(values[0], 1)
        self.wrap = self.wrap and final == "m"
        if final == "m":
            self.sgr(values)
        elif final in "Hf":
            second = max(values[1], 1) if len(values) > 1 else 1
            self.y, self.x = min(first, self.rows) - 1, min(second, self.cols) - 1
        elif final == "A":
            self.y = max(self.y - first, 0)
        elif final == "B":
            self.y = min(self.y + first, self.rows - 1)
        elif final == "C":
            self.x = min(self.x + first, self.cols - 1)
        elif final == "D":
            self.x = max(self.x - first, 0)
        elif final == "G":
            self.x = min(first, self.cols) - 1
        elif final == "b" and getattr(self, "last", None):
            for _ in range(first):
                self.put(self.last)
        elif final == "J" and values[0] == 2:
            self.pixels[:] = 0

    def sgr(self, values):
        i = 0
        while i < len(values):
            v = values[i]
            if v == 0:
                self.colours, self.inverse = [None, None], False
            elif v in (7, 27):
                self.inverse = v == 7
            elif v in (38, 48) and values[i + 1 : i + 2] == [2]:
                self.colours[v == 48], i = tuple(values[i + 2 : i + 5]), i + 4
            elif v in (38, 48):
                self.colours[v == 48], i = palette(values[i + 2]), i + 2
            elif v in (39, 49):
                self.colours[v == 49] = None
            elif 30 <= v <= 37 or 40 <= v <= 47:
                self.colours[v >= 40] = ANSI[v % 10]
            elif 90 <= v <= 97 or 100 <= v <= 107:
                self.colours[v >= 100] = ANSI[8 + v % 10]
            i += 1

    def put(self, glyph):
        if self.wrap:
            self.x, self.y, self.wrap = 0, min(self.y + 1, self.rows - 1), False
        if glyph not in self.masks:
            self.masks[glyph] = ink(glyph)
        mask = self.masks[glyph]
        fg, bg = self.colours[0] or (229, 229, 229), self.colours[1] or (0, 0, 0)
        if self.inverse:
            fg, bg = bg, fg
        if mask is None:
            self.unknown += 1
            mask = np.zeros((H, W), bool)
        share = mask[..., None].astype(float)
        self.pixels[self.y, self.x] = np.array(fg) * share + np.array(bg) * (1 - share)
        self.last = glyph
        self.wrap = self.x + 1 >= self.cols
        self.x = min(self.x + 1, self.cols - 1)

    def samples(self):
        p = self.pixels.reshape(self.rows, self.cols, 4, H // 4, 2, W // 2, 3).mean((3, 5))
        return p.transpose(0, 2, 1, 3, 4).reshape(self.rows * 4, self.cols * 2, 3)


def wanted(picture, cols, rows):
    """The picture at 2x4 samples a cell."""
    image = Image.fromarray(picture).resize((cols * 2, rows * 4), Image.BOX)
    return np.asarray(image).astype(float)


def psnr(screen, picture):
    error = ((screen.samples() - wanted(picture, screen.cols, screen.rows)) ** 2).mean()
    return 10 * np.log10(65025 / error)


# --- programs ------------------------------------------------------------------------------------


def run(command):
    """Standard output, standard error and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("TMUX", None)
    done = subprocess.run(command, capture_output=True, env=environment, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, done.stderr, cpu


class Facetty:
    def __init__(self, program, mode, price, colours=None):
        self.program, self.mode, self.price = program, mode, price
        self.name = f"facetty {mode}, λ {price:g}" + (f", {colours} colours" if colours else "")
        self.colours = ["--colours", str(colours)] if colours else []

    def paint(self, folder, kind, frames, cols, rows):
        def command(cols, rows):
            size = ["--size", f"{cols}x{rows}", "--cell", "%dx%d" % CELL, "--frames", str(frames)]
            how = ["--mode", self.mode, "--lambda", str(self.price), "--stats", "json"]
            return [self.program, "play", str(folder / f"{kind}.y4m"), *size, *how, *self.colours]

        out, err, cpu = run(command(cols, rows))
        json.loads(err.decode().splitlines()[-1])
        return out, cpu - run(command(2, 1))[2]


class Chafa:
    def __init__(self, symbols, colours="full"):
        self.symbols, self.colours = symbols, colours
        self.name = f"chafa {symbols}" + ("" if colours == "full" else f", {colours} colours")

    def paint(self, folder, kind, frames, cols, rows):
        files = [str(folder / f"{kind}-{n:03}.png") for n in range(frames)]

        def command(cols, rows):
            how = ["-f", "symbols", "-c", self.colours, "--symbols", self.symbols, "--stretch"]
            return ["chafa", *how, "--animate", "off", "--size", f"{cols}x{rows}", *files]

        out, _, cpu = run(command(cols, rows))
        return out, cpu - run(command(2, 1))[2]


class Timg:
    def __init__(self, how):
        self.how, self.name = how, f"timg -p{how}"

    def paint(self, folder, kind, frames, cols, rows):
        def command(cols, rows):
            how = ["timg", f"-p{self.how}", f"-g{cols}x{rows}", "-U", "--fit-width"]
            return [*how, "--frames", str(frames), "--loops", "1", str(folder / f"{kind}.mkv")]

        out, _, cpu = run(command(cols, rows))
        return out, cpu - run(command(2, 1))[2]


class Mpv:
    name = "mpv tct"

    def paint(self, folder, kind, frames, cols, rows):
        base = ["mpv", "--no-config", "--no-audio", "--untimed", "--really-quiet", "--no-keepaspect"]
        size = [f"--vo-tct-width={cols}", f"--vo-tct-height={rows}", "--vo-tct-algo=half-blocks"]
        file = str(folder / f"{kind}.mkv")
        out, _, cpu = run([*base, "--vo=tct", *size, file])
        return out, cpu - run([*base, "--vo=null", file])[2]


def last_picture(out, cols, rows, prints_lines):
    """The screen after everything; of a program that prints one picture below the other, the last."""
    text = out.decode("utf-8", "replace")
    # Cleared at the end.
    cleared = text.rfind("\x1b[2J")
    if cleared > len(text) - 40:
        text = text[:cleared]
    screen = Screen(cols, rows)
    if prints_lines:
        text = "\r\n".join(text.rstrip().split("\n")[-rows:])
    screen.feed(text)
    return screen


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--program", default=str(ROOT / "target" / "release" / "facetty"))
    arguments.add_argument("--grid", action="append", help="columns x rows")
    arguments.add_argument("--frames", type=int, default=30)
    arguments.add_argument("--clip", action="append", choices=["still", "calm", "moving", "busy"])
    options = arguments.parse_args()
    modes = ["half", "sextant", "mixed", "octant", "mixed-octant"]
    programs = [Facetty(options.program, mode, 0) for mode in modes]
    programs += [Facetty(options.program, "mixed-octant", price) for price in (0.5, 1, 2)]
    programs += [Facetty(options.program, "octant", 0, 256)]
    if shutil.which("chafa"):
        programs += [Chafa("vhalf"), Chafa("sextant"), Chafa("sextant", "256")]
    if shutil.which("timg"):
        programs += [Timg("h"), Timg("q")]
    if shutil.which("mpv"):
        programs += [Mpv()]
    print("| grid | clip | program | B/picture | B/cell | PSNR 2x4, dB | CPU ms/picture |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind in options.clip or ["still", "calm", "moving", "busy"]:
            shown = write_clip(folder, kind, options.frames)
            frames = len(shown)
            for grid in options.grid or ["80x24", "200x60"]:
                cols, rows = map(int, grid.split("x"))
                for program in programs:
                    out, cpu = program.paint(folder, kind, frames, cols, rows)
                    screen = last_picture(out, cols, rows, isinstance(program, Chafa))
                    mark = " (letters in it)" if screen.unknown else ""
                    each = len(out) / frames
                    # One picture takes less than starting a program: no figure.
                    time = f"{cpu * 1000 / frames:.1f}" if frames > 1 else "–"
                    print(
                        f"| {grid} | {kind} | {program.name} | {each:.0f} | {each / cols / rows:.1f} "
                        f"| {psnr(screen, shown[-1]):.2f}{mark} | {time} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
