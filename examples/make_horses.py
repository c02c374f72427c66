"""Draw the example pictures: `python examples/make_horses.py [FOLDER]`.

A horse is some fifty bones wrapped in one smooth skin: each bone is a capsule with a radius at
either end, the skin is the smooth minimum of their distances, and rays are marched against it.
The pictures come from seeds and numpy alone, so anyone may use them for anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]
Colour = tuple[float, float, float]
Rng = np.random.Generator

SIZE = 768  # pixels
CAMERA_DISTANCE = 7.0  # in heights of a horse at the withers, as every length below
FOCAL = 2350.0  # pixels; a long lens, as one photographs a horse
SQUEEZE = 1.2  # a horse is narrower than it is deep


@dataclass(frozen=True)
class Pose:
    """Angles in degrees: legs swing forward from straight down, neck and head rise from level."""

    neck: float = 48
    head: float = -52
    # upper, lower, pastern
    fore: tuple[tuple[float, float, float], ...] = ((2, 0, 28), (-4, -3, 26))
    # thigh, gaskin, cannon, pastern
    hind: tuple[tuple[float, float, float, float], ...] = ((28, -38, 2, 28), (22, -46, -8, 24))
    tail: float = 0.1


@dataclass(frozen=True)
class Horse:
    """One animal: where it stands, which way it turns, and its colours."""

    coat: Colour
    points: Colour  # lower legs and muzzle
    hair: Colour
    pose: Pose = Pose()
    turn: float = 0.0  # degrees; 0 faces right, 180 left
    place: tuple[float, float] = (0.0, 0.0)  # to the right, towards the camera
    scale: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One picture."""

    name: str
    seed: int
    horses: tuple[Horse, ...]
    sun: tuple[float, float, float]  # direction towards it
    sunlight: Colour
    skylight: Colour
    zenith: Colour
    haze: Colour
    ground: tuple[Colour, Colour]
    leaves: Colour
    clouds: float = 0.5
    eye: float = 0.95  # height of the camera
    horizon: float = 300.0  # row
    trees: float = 1.0
    blade: float = 0.05  # length of the grass


def unit(vector: Array) -> Array:
    """Return vectors along the last axis at length 1."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def vec(*values: float) -> Array:
    return np.array(values, np.float32)


def fractal(rng: Rng, height: int, width: int, coarsest: int, finest: int = 1) -> Array:
    """Return noise in [0, 1] that sums octaves from `coarsest` to `finest` pixels."""
    total, weight, cell = np.zeros((height, width), np.float32), 0.0, coarsest
    while cell >= finest:
        grid = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
        octave = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total, weight, cell = total + cell**0.7 * np.asarray(octave), weight + cell**0.7, cell // 2
    return np.clip(total / weight, 0, 1)


# --- anatomy: joints are (x forward, y up, z to the side, radius, tint: 0 coat, 1 points, 2 hoof)

Joint = tuple[float, float, float, float, float]


def swing(start: Joint, length: float, degrees: float, radius: float, tint: float) -> Joint:
    """Return the joint `length` below `start`, swung forward by an angle."""
    angle = np.radians(degrees)
    x, y = start[0] + length * np.sin(angle), start[1] - length * np.cos(angle)
    return (float(x), float(y), start[2], radius, tint)


def leg(chain: Callable[..., None], top: Joint, length: float, degrees: float, toe: float) -> None:
    """Add cannon, fetlock, pastern and hoof below a knee or hock."""
    shin = swing(top, length * 0.45, degrees, 0.026, 1)
    fetlock = swing(top, length, degrees, 0.033, 1)
    coronet = swing(fetlock, 0.075, degrees + toe, 0.030, 1.2)
    chain(0.012, top, shin, fetlock, coronet)
    chain(0.01, swing(coronet, 0.012, degrees + toe, 0.034, 2), swing(coronet, 0.04, degrees + toe, 0.044, 2))


def skeleton(pose: Pose) -> tuple[list[tuple[Joint, Joint, float]], list[Joint]]:
    """Return (joint, joint, softness of the union) for each bone, and the neck's joints."""
    bones: list[tuple[Joint, Joint, float]] = []

    def chain(softness: float, *joints: Joint) -> None:
        bones.extend((a, b, softness) for a, b in zip(joints, joints[1:], strict=False))

    chain(
        0.05,
        (0.29, 0.735, 0, 0.16, 0),
        (0.16, 0.735, 0, 0.225, 0),
        (-0.06, 0.715, 0, 0.225, 0),
        (-0.26, 0.765, 0, 0.19, 0),
        (-0.40, 0.80, 0, 0.17, 0),
    )
    chain(0.08, (0.20, 0.91, 0, 0.075, 0), (0.02, 0.87, 0, 0.08, 0))  # withers

    rise, fall = np.radians(pose.neck), np.radians(pose.head)
    along, face = vec(np.cos(rise), np.sin(rise)), vec(np.cos(fall), np.sin(fall))
    above = vec(-face[1], face[0])  # out of the forehead

    def on_neck(distance: float, radius: float) -> Joint:
        x, y = vec(0.27, 0.80) + distance * along
        return (float(x), float(y), 0, radius, 0)

    poll = vec(*on_neck(0.50, 0)[:2])

    def on_head(down: float, out: float, z: float, radius: float, tint: float = 0) -> Joint:
        x, y = poll + down * face + out * above
        return (float(x), float(y), z, radius, tint)

    neck = [on_neck(0, 0.175), on_neck(0.22, 0.125), on_neck(0.40, 0.092), on_neck(0.5, 0.078)]
    chain(0.07, *neck)
    chain(0.03, on_head(0.0, 0, 0, 0.075), on_head(0.18, -0.01, 0, 0.062, 0))
    chain(0.03, on_head(0.18, -0.01, 0, 0.062, 0), on_head(0.33, -0.02, 0, 0.047, 0.8))
    chain(0.03, on_head(0.08, -0.06, 0, 0.072), on_head(0.26, -0.045, 0, 0.04, 0.2))  # jaw
    chain(0.02, on_head(0.34, -0.045, 0, 0.034, 1), on_head(0.345, -0.01, 0, 0.04, 1))  # lips
    for side in (-1, 1):
        ear = on_head(-0.04, 0.055, 0.05 * side, 0.026, 0.1)
        tip = (ear[0] + 0.02, ear[1] + 0.105, 0.065 * side, 0.007, 0.6)
        chain(0.015, ear, (ear[0] + 0.005, ear[1] + 0.04, 0.06 * side, 0.024, 0.1), tip)
        chain(0.015, on_head(0.1, 0.028, 0.05 * side, 0.022), on_head(0.2, 0, 0.04 * side, 0.02))
        chain(0.004, on_head(0.115, 0.02, 0.062 * side, 0.016, 2), on_head(0.12, 0.02, 0.062 * side, 0.016, 2))  # eye
        chain(0.008, on_head(0.33, 0.002, 0.04 * side, 0.011, 2), on_head(0.335, -0.01, 0.042 * side, 0.009, 2))  # nostril

    for side, (upper, lower, pastern) in zip((1, -1), pose.fore, strict=True):
        z = 0.125 * side
        chain(0.04, (0.15, 0.88, z * 0.75, 0.08, 0), (0.35, 0.73, z * 0.8, 0.088, 0))
        elbow: Joint = (0.24, 0.63, z, 0.075, 0)
        chain(0.06, (0.35, 0.73, z * 0.8, 0.088, 0), elbow)
        knee = swing(elbow, 0.31, upper, 0.042, 0.7)
        chain(0.04, elbow, swing(elbow, 0.13, upper, 0.062, 0), knee)
        leg(chain, knee, 0.20, lower, pastern)
    for side, (thigh, gaskin, cannon, pastern) in zip((1, -1), pose.hind, strict=True):
        hip: Joint = (-0.37, 0.80, 0.10 * side, 0.165, 0)
        stifle = swing(hip, 0.25, thigh, 0.105, 0)
        hock = swing(stifle, 0.29, gaskin, 0.043, 0.6)
        buttock: Joint = (-0.46, 0.75, 0.085 * side, 0.115, 0)
        calf = swing(stifle, 0.12, gaskin, 0.078, 0)
        chain(0.045, hip, stifle, calf, hock)
        chain(0.06, buttock, (calf[0] - 0.03, calf[1] + 0.05, calf[2], 0.075, 0))
        point: Joint = (hock[0] - 0.02, hock[1] + 0.025, hock[2], 0.03, 0.6)
        chain(0.03, (calf[0] - 0.04, calf[1], calf[2], 0.035, 0), point, hock)
        leg(chain, hock, 0.255, cannon, pastern)
    return bones, neck


class Body:
    """A posed horse in the scene, as a field of distances."""

    def __init__(self, horse: Horse) -> None:
        self.horse = horse
        self.jitter = np.random.default_rng(0)  # hides the steps of a shadow's march
        bones, self.neck = skeleton(horse.pose)
        self.starts = np.array([a for a, _, _ in bones], np.float32)
        self.ends = np.array([b for _, b, _ in bones], np.float32)
        self.softness = [softness for _, _, softness in bones]
        turn = np.radians(horse.turn)
        self.axes = np.array(
            [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]],
            np.float32,
        )  # rows: forward, up, to the side; det 1
        lowest = min(float((b[1] - b[3])) for b in self.ends)
        self.origin = vec(horse.place[0], -lowest * horse.scale, horse.place[1])
        self.near = 1.0 if np.cos(turn) > 0 else -1.0  # the side that the camera sees

    def to_scene(self, local: Array) -> Array:
        """Map points of the body, (..., 3), into the scene."""
        return ((local / vec(1, 1, SQUEEZE)) @ self.axes) * self.horse.scale + self.origin

    def distance(self, points: Array) -> tuple[Array, Array]:
        """Return a bound on the distance to the skin and the tint, for points (N, 3)."""
        x, y, z = (((points - self.origin) / self.horse.scale) @ self.axes.T).T
        z = z * SQUEEZE
        skin = np.full(len(points), 9, np.float32)
        tint = np.zeros(len(points), np.float32)
        for a, b, k in zip(self.starts, self.ends, self.softness, strict=True):
            (dx, dy, dz), (px, py, pz) = b[:3] - a[:3], (x - a[0], y - a[1], z - a[2])
            length = dx * dx + dy * dy + dz * dz
            t = (px * dx + py * dy + pz * dz) / length
            aside = (px - t * dx) ** 2 + (py - t * dy) ** 2 + (pz - t * dz) ** 2
            # The nearest of the spheres along a tapering bone lies towards its thick end.
            taper = a[3] - b[3]
            shift = taper / np.sqrt(max(length - taper * taper, 1e-6) * length)
            t = np.clip(t - shift * np.sqrt(aside), 0, 1)
            gap = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2 + (pz - t * dz) ** 2)
            gap -= a[3] - t * taper
            blend = np.clip(0.5 + 0.5 * (skin - gap) / k, 0, 1)
            skin += blend * (gap - skin) - k * blend * (1 - blend)
            tint += blend * (a[4] + t * (b[4] - a[4]) - tint)
        return skin * np.float32(self.horse.scale / SQUEEZE), tint

    def normal(self, points: Array) -> Array:
        step = 0.004 * np.eye(3, dtype=np.float32)
        slopes = [self.distance(points + s)[0] - self.distance(points - s)[0] for s in step]
        return unit(np.stack(slopes, -1))

    def shade(self, points: Array, sun: Array) -> Array:
        """Return how much of the sun reaches each point, in [0, 1], with a soft edge."""
        light = np.ones(len(points), np.float32)
        travelled = self.jitter.uniform(0.02, 0.05, len(points)).astype(np.float32)
        alive = np.arange(len(points))
        for _ in range(48):
            gap, _ = self.distance(points[alive] + travelled[alive, None] * sun)
            light[alive] = np.minimum(light[alive], np.clip(8 * gap / travelled[alive], 0, 1))
            travelled[alive] += np.maximum(0.6 * gap, 0.012)
            alive = alive[(light[alive] > 0.01) & (travelled[alive] < 2.5)]
            if not len(alive):
                break
        return light


class Picture:
    """The canvas, and where each of its pixels looks."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.rng = scene, np.random.default_rng(scene.seed)
        self.eye = vec(0, scene.eye, CAMERA_DISTANCE)
        rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        right, up = (columns - SIZE / 2) / FOCAL, (scene.horizon - rows) / FOCAL
        self.rays = np.stack([right, up, -np.ones_like(right)], -1)
        self.sun = unit(vec(*scene.sun))
        self.pixels = np.zeros((SIZE, SIZE, 3), np.float32)

    def project(self, points: Array) -> Array:
        """Return (column, row) for points (..., 3) of the scene."""
        offset = points - self.eye
        reach = FOCAL / -offset[..., 2:]
        return offset[..., :2] * vec(1, -1) * reach + vec(SIZE / 2, self.scene.horizon)

    def sky(self) -> None:
        height = np.linspace(1, 0, SIZE, dtype=np.float32)[:, None, None] ** 0.8
        self.pixels = vec(*self.scene.haze) + height * (vec(*self.scene.zenith) - vec(*self.scene.haze))
        self.pixels = np.broadcast_to(self.pixels, (SIZE, SIZE, 3)).copy()
        cloud = fractal(self.rng, 2 * SIZE, SIZE, 192, 2)[::2]  # flattened, as seen from below
        cloud = np.clip((cloud - 0.62 + 0.3 * self.scene.clouds) * 5, 0, 1)[..., None]
        self.pixels += cloud * 0.85 * (np.minimum(vec(*self.scene.sunlight) * 0.8 + 0.12, 1) - self.pixels)

    def woods(self) -> None:
        """Dab leaves into crowns along the horizon, then throw them out of focus."""
        scene, rng = self.scene, self.rng
        layer = Image.new("RGBA", (SIZE, SIZE), tuple((vec(*scene.leaves) * 90).astype(int)) + (0,))
        draw = ImageDraw.Draw(layer)
        skyline = 20 + 110 * fractal(rng, 1, SIZE, 256, 32)[0]
        for tree in range(70):
            x = rng.uniform(-40, SIZE + 40)
            tall = scene.trees * skyline[int(np.clip(x, 0, SIZE - 1))] * rng.uniform(0.6, 1.1)
            hue = vec(*scene.leaves) * rng.uniform(0.75, 1.2, 3)
            for _ in range(400):
                across, up = rng.normal(0, 0.3), rng.beta(1.3, 1.6)
                lit = 0.25 + 0.6 * up + 0.3 * across * np.sign(scene.sun[0]) + rng.normal(0, 0.15)
                colour = 255 * np.clip(hue * lit + 0.22 * vec(*scene.haze) * (1 - tree / 70), 0, 1)
                cx, cy = x + across * tall, scene.horizon + 5 - up * tall
                r = rng.uniform(1, 3.5)
                draw.ellipse((cx - r, cy - r, cx + r, cy + r), (*map(int, colour), 255))
        self.paste(layer.filter(ImageFilter.GaussianBlur(2.8)))

    def paste(self, layer: Image.Image) -> None:
        """Lay a picture with alpha over the canvas."""
        overlay = np.asarray(layer.resize((SIZE, SIZE), Image.Resampling.LANCZOS), np.float32) / 255
        self.pixels += overlay[..., 3:] * (overlay[..., :3] - self.pixels)

    def ground(self, bodies: Sequence[Body]) -> None:
        scene = self.scene
        first = int(scene.horizon) + 2
        rays = self.rays[first:]
        reach = -scene.eye / rays[..., 1:2]
        points = self.eye + reach * rays
        patches = fractal(self.rng, 1024, 1024, 128)
        # Mirrored tiles have no seams.
        u, v = (np.abs((points[..., i] * 60 + 300).astype(int) % 2046 - 1023) for i in (0, 2))
        mix = patches[v, u, None] - 0.5
        mix = np.clip(mix * 2.4 * np.exp((7 - reach) / 30) + 0.5, 0, 1)
        low, high = vec(*scene.ground[0]), vec(*scene.ground[1])
        grain = 0.85 + 0.3 * fractal(self.rng, *mix.shape[:2], 4)[..., None]
        colour = (low + mix * (high - low)) * grain
        light = np.ones(mix.shape[:2], np.float32)
        for body in bodies:
            near = np.linalg.norm(points - body.origin, axis=-1) < 2.2 * body.horse.scale
            light[near] = np.minimum(light[near], body.shade(points[near], self.sun))
            # Where the animal hides much of the sky: under the belly, at the hooves.
            gap, _ = body.distance(points[near] + vec(0, 0.12, 0))
            light[near] *= np.clip(0.75 + gap * 2, 0.6, 1)
        strength = vec(*scene.skylight) * 0.55 + light[..., None] * vec(*scene.sunlight) * (0.3 + 0.7 * self.sun[1])
        far = 0.3 * np.clip(1 - np.exp(-(reach - 10) / 90), 0, 1)
        self.pixels[first:] = colour * strength * (1 - far) + far * vec(*scene.haze) * 0.9

    def grass(self, nearest: float, farthest: float) -> None:
        """Grow blades between two depths, each in the colour of the ground at its root."""
        scene, rng = self.scene, self.rng
        layer = Image.new("RGBA", (2 * SIZE, 2 * SIZE), (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        area = SIZE / FOCAL * (CAMERA_DISTANCE - (nearest + farthest) / 2) * (nearest - farthest)
        # Even on the ground is too many far away, so half of the blades are even in depth.
        for z in np.sort(rng.uniform(farthest, nearest, int(900 * area))):
            root = vec(rng.uniform(-0.52, 0.52) * SIZE / FOCAL * (CAMERA_DISTANCE - z), 0, z)
            height = scene.blade * rng.gamma(6, 1 / 6)
            lean = rng.normal(0.15, 0.5) * height
            tip = root + vec(lean, height, 0)
            (x0, y0), (x2, y2) = self.project(np.stack([root, tip])) * 2
            column, row = int(x0 / 2), int(y0 / 2)
            if not (0 <= column < SIZE and 0 <= row < SIZE):
                continue
            colour = self.pixels[row, column] * rng.uniform(0.7, 1.35) + rng.normal(0, 0.02)
            x1, y1 = x0 + 0.25 * (x2 - x0), y0 + 0.6 * (y2 - y0)
            fill = (*(255 * np.clip(colour, 0, 1)).astype(int).tolist(), 235)
            draw.line((x0, y0, x1, y1, x2, y2), fill, 2)
        self.paste(layer)

    def horse(self, body: Body) -> None:
        scene, horse = self.scene, body.horse
        flat = self.rays.reshape(-1, 3)
        travelled = np.full(len(flat), CAMERA_DISTANCE - horse.place[1] - 1.3, np.float32)
        closest, where = np.full(len(flat), 9, np.float32), travelled.copy()
        centre = self.project(body.origin + vec(0, 0.7 * horse.scale, 0))
        rows, columns = np.divmod(np.arange(len(flat)), SIZE)
        box = (np.abs(columns - centre[0]) < 420) & (np.abs(rows - centre[1]) < 330)
        alive = np.flatnonzero(box)
        for _ in range(48):
            gap, _ = body.distance(self.eye + travelled[alive, None] * flat[alive])
            better = gap < closest[alive]
            closest[alive[better]] = gap[better]
            where[alive[better]] = travelled[alive[better]]
            travelled[alive] += gap
            # A ray that has passed its closest point by far, or sits on the skin, is done.
            alive = alive[(gap > 0.0005) & (travelled[alive] < CAMERA_DISTANCE - horse.place[1] + 1.3)]
        pixel = CAMERA_DISTANCE / FOCAL
        cover = np.clip(1 - closest / pixel, 0, 1)
        seen = np.flatnonzero(cover)
        points = self.eye + where[seen, None] * flat[seen]
        normals = body.normal(points)
        _, tint = body.distance(points)
        colour = self.lit(body, points, normals, tint, (rows[seen], columns[seen]))
        alpha = cover[seen, None]
        canvas = self.pixels.reshape(-1, 3)
        canvas[seen] += alpha * (colour - canvas[seen])

    def lit(
        self, body: Body, points: Array, normals: Array, tint: Array, at: tuple[NDArray[np.intp], ...]
    ) -> Array:
        """Return the colour of the coat under sun, sky and the light off the ground."""
        scene, horse = self.scene, body.horse
        mottle = fractal(self.rng, SIZE, SIZE, 64, 4)[at][:, None]
        hairs = fractal(self.rng, SIZE, SIZE, 4)[at][:, None]
        palette = np.array([horse.coat, horse.points, (0.10, 0.085, 0.075)], np.float32)
        tint = np.clip(tint + 0.15 * (mottle[:, 0] - 0.5), 0, 2)
        albedo = np.stack([np.interp(tint, (0, 1, 2), c) for c in palette.T], -1)
        albedo = albedo * (0.85 + 0.14 * mottle + 0.3 * hairs)
        bent = unit(normals + 0.12 * (hairs - 0.5))
        sun = np.clip(bent @ self.sun, 0, None)[:, None]
        sun = sun * body.shade(points + 0.03 * normals, self.sun)[:, None]
        open_sky = 1.0
        for step in (0.06, 0.16):
            gap, _ = body.distance(points + step * normals)
            open_sky = open_sky * np.clip(0.35 + 0.65 * gap * SQUEEZE / step, 0, 1)[:, None]
        up = normals[:, 1:2]
        sky = vec(*scene.skylight) * (0.5 + 0.5 * up) * open_sky
        bounce = 0.35 * vec(*scene.ground[1]) * vec(*scene.sunlight) * (0.5 - 0.5 * up) * open_sky
        half = unit(self.sun + unit(self.eye - points))
        gloss = np.clip((bent * half).sum(-1, keepdims=True), 0, 1) ** 18 * (sun > 0)
        shine = gloss * 0.22 * vec(*scene.sunlight) * (0.5 + hairs)
        shine = shine + 0.09 * np.clip(up, 0, 1) ** 3 * vec(*scene.zenith) * open_sky
        return albedo * (sky + bounce + 1.15 * sun * vec(*scene.sunlight)) + shine

    def hair(self, body: Body, roots: Array, middles: Array, tips: Array) -> None:
        """Draw strands, (N, 3) each in the body's frame, as curves with a sheen."""
        layer = Image.new("RGBA", (3 * SIZE, 3 * SIZE), (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        t = np.linspace(0, 1, 11, dtype=np.float32)[:, None, None]
        curves = (1 - t) ** 2 * roots + 2 * t * (1 - t) * middles + t**2 * tips
        curves += 0.01 * t * np.sin(7 * t + 40 * roots[:, :1]) * vec(1, 0, 0)
        lines = self.project(body.to_scene(curves.astype(np.float32))) * 3
        light = vec(*self.scene.skylight) * 0.6 + vec(*self.scene.sunlight) * 0.6
        base, pale = vec(*body.horse.hair) * light, 0.1 * light
        for strand in self.rng.permutation(lines.shape[1]):
            tone, crown = self.rng.gamma(9, 1 / 9), self.rng.normal(2.5, 1)
            for step in range(10):
                sheen = (base + pale) * np.exp(-((step - crown) ** 2) / 3) * 0.6
                colour = (255 * np.clip(base * tone * (1 - 0.03 * step) + sheen, 0, 1)).astype(int)
                fill = (*colour.tolist(), 255)
                draw.line((*lines[step, strand], *lines[step + 1, strand]), fill, 3 - step // 4)
        self.paste(layer)

    def mane(self, body: Body) -> None:
        """Comb the mane over the side that faces the camera, in locks, and a forelock."""
        rng, count, pose = self.rng, 1500, body.horse.pose
        neck = np.array(body.neck, np.float32)
        s = rng.uniform(-0.05, 1.05, count)
        locks = rng.normal(0, 1, (64, 3))[(s * 40 + 10 + rng.normal(0, 0.4, count)).astype(int)]
        stops = (0, 0.44, 0.8, 1)
        x, y, r = (np.interp(s, stops, neck[:, i])[:, None] for i in (0, 1, 3))
        angle = np.radians(pose.neck)
        along, above = vec(np.cos(angle), np.sin(angle), 0), vec(-np.sin(angle), np.cos(angle), 0)
        crest = x * vec(1, 0, 0) + y * vec(0, 1, 0) + (s - np.clip(s, 0, 1))[:, None] * 0.5 * along
        length = 0.14 * rng.uniform(0.75, 1.1, (count, 1)) * (1 + 0.12 * locks[:, :1])
        side = vec(0, 0, body.near)
        roots = crest + above * r * 1.06
        middles = roots + 0.04 * above + side * r * 0.9 - (0.02 + 0.4 * pose.tail) * along
        hang = 0.6 * above + vec(0.12 + 1.5 * pose.tail, 0.6 - pose.tail, 0)
        tips = roots + side * r * 1.15 - length * hang + 0.018 * locks
        tips = tips + rng.normal(0, 0.006, (count, 3))
        self.hair(body, roots, middles, tips)

    def tail(self, body: Body) -> None:
        """Hang the tail from its dock, the longest hairs in the middle."""
        rng, count, lift = self.rng, 1100, body.horse.pose.tail
        dock = vec(-0.545, 0.87, 0)
        spread = rng.normal(0, 1, (count, 3))
        locks = rng.normal(0, 1, (40, 3))[rng.integers(0, 40, count)]
        roots = dock + spread * vec(0.014, 0.025, 0.014)
        middles = dock + vec(-0.09 - lift, -0.06 + 0.5 * lift, 0) + 0.025 * spread + 0.01 * locks
        drop = (1 - lift) * (0.35 + 0.3 * rng.beta(2, 1.2, (count, 1)) + 0.04 * locks[:, :1])
        tips = dock + vec(-0.05 - 1.6 * lift, 0, 0) - drop * vec(0, 1, 0)
        self.hair(body, roots, middles, tips + 0.012 * spread + 0.03 * locks)


def draw(scene: Scene) -> Image.Image:
    """Return the finished picture, painted from back to front."""
    picture = Picture(scene)
    bodies = sorted((Body(horse) for horse in scene.horses), key=lambda body: body.horse.place[1])
    picture.sky()
    picture.ground(bodies)
    picture.woods()
    behind = -14.0
    for body in bodies:
        picture.grass(body.horse.place[1] + 0.02, behind)
        behind = body.horse.place[1] + 0.02
        picture.tail(body)
        picture.horse(body)
        picture.mane(body)
    picture.grass(2.6, behind)
    grain = picture.rng.normal(0, 0.012, picture.pixels.shape)
    image = Image.fromarray((255 * np.clip(picture.pixels + grain, 0, 1)).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.6))


BLACK = (0.05, 0.04, 0.035)
SCENES = (
    Scene(
        "bay",
        1,
        (Horse((0.45, 0.20, 0.09), BLACK, BLACK, turn=188, place=(0.05, 0)),),
        sun=(-0.75, 0.7, 0.5),
        sunlight=(1.1, 1.05, 0.95),
        skylight=(0.52, 0.58, 0.65),
        zenith=(0.45, 0.62, 0.84),
        haze=(0.80, 0.87, 0.93),
        ground=((0.20, 0.28, 0.09), (0.40, 0.44, 0.18)),
        leaves=(0.30, 0.42, 0.18),
    ),
    Scene(
        "chestnut",
        2,
        (
            Horse(
                (0.46, 0.23, 0.10),
                (0.36, 0.17, 0.08),
                (0.62, 0.40, 0.20),
                Pose(
                    neck=56,
                    head=-46,
                    fore=((-14, -15, 30), (46, -38, -40)),
                    hind=((44, -34, 4, -10), (6, -46, -26, 20)),
                    tail=0.13,
                ),
                turn=14,
                place=(-0.05, 0),
            ),
        ),
        sun=(0.8, 0.45, 0.45),
        sunlight=(1.3, 1.08, 0.84),
        skylight=(0.42, 0.44, 0.50),
        zenith=(0.42, 0.56, 0.76),
        haze=(0.96, 0.86, 0.72),
        ground=((0.40, 0.33, 0.14), (0.62, 0.52, 0.27)),
        leaves=(0.50, 0.34, 0.12),
        clouds=0.3,
        trees=1.5,
    ),
    Scene(
        "grazing",
        3,
        (
            Horse(
                (0.38, 0.19, 0.095),
                BLACK,
                BLACK,
                Pose(
                    neck=-40,
                    head=-78,
                    fore=((14, 12, 30), (-12, -14, 26)),
                    hind=((34, -34, 4, 28), (22, -46, -10, 24)),
                    tail=0.0,
                ),
                turn=25,
                place=(-0.1, 0),
            ),
        ),
        sun=(-0.3, 0.85, 0.3),
        sunlight=(0.95, 0.95, 0.92),
        skylight=(0.72, 0.76, 0.80),
        zenith=(0.60, 0.68, 0.76),
        haze=(0.88, 0.90, 0.92),
        ground=((0.18, 0.27, 0.10), (0.33, 0.40, 0.16)),
        leaves=(0.22, 0.34, 0.18),
        clouds=1.2,
        eye=1.2,
        horizon=190,
        trees=0.8,
    ),
    Scene(
        "pair",
        4,
        (
            Horse((0.50, 0.23, 0.10), (0.40, 0.17, 0.08), (0.34, 0.14, 0.06), turn=160, place=(-0.33, -0.9)),
            Horse(
                (0.50, 0.32, 0.16),
                (0.12, 0.08, 0.06),
                (0.10, 0.07, 0.05),
                Pose(neck=38, head=-58),
                turn=12,
                place=(0.45, -2.4),
            ),
        ),
        sun=(0.5, 0.7, 0.6),
        sunlight=(1.0, 0.93, 0.82),
        skylight=(0.50, 0.54, 0.60),
        zenith=(0.45, 0.60, 0.80),
        haze=(0.90, 0.89, 0.86),
        ground=((0.42, 0.35, 0.24), (0.60, 0.52, 0.38)),
        leaves=(0.30, 0.38, 0.18),
        blade=0.025,
        eye=1.1,
        horizon=270,
    ),
)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        draw(scene).save(folder / f"{scene.name}.jpg", quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "horses")
