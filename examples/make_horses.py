"""Draw the example pictures: `python examples/make_horses.py [FOLDER]`.

A horse is some sixty bones under one skin: a bone is a capsule with a radius at either end, the
skin is the smooth minimum of their distances, and rays march towards it. Everything comes from
numpy and a seed, so the pictures are nobody's photographs and anyone may pass them on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.floating[Any]]
Triple = tuple[float, float, float]
Joint = tuple[float, float, float, float, float]  # x ahead, y up, z aside, radius, tint
Bones = list[tuple[Joint, Joint, float]]  # two joints and how softly the skin joins the rest

SIZE = 768  # pixels
DISTANCE = 7.0  # to the camera, in heights of a horse at the withers, as every length below
FOCAL = 2350.0  # pixels; a long lens, as one photographs a horse
SQUEEZE = 1.2  # a horse is narrower than it is deep
COAT, POINTS, HORN = 0.0, 1.0, 2.0  # tints; the points are the lower legs and the muzzle
BLACK = (0.05, 0.04, 0.035)


@dataclass(frozen=True)
class Pose:
    """Angles in degrees: neck and head rise from level, legs swing forward from straight down."""

    neck: float = 48
    head: float = -52
    fore: tuple[Triple, Triple] = ((2, 0, 28), (-4, -3, 26))  # forearm, cannon, pastern
    thighs: tuple[float, float] = (28, 22)
    hind: tuple[Triple, Triple] = ((-38, 2, 28), (-46, -8, 24))  # gaskin, cannon, pastern
    tail: float = 0.1  # how far it lifts


@dataclass(frozen=True)
class Horse:
    """One animal: its colours, where it stands and how."""

    coat: Triple
    points: Triple
    hair: Triple
    turn: float  # degrees; 0 faces right, 180 left, 90 the camera
    place: tuple[float, float] = (0.0, 0.0)  # to the right, towards the camera
    pose: Pose = Pose()


@dataclass(frozen=True)
class Weather:
    """The light; sun and sky both colour it."""

    sun: Triple  # direction towards it
    sunlight: Triple
    zenith: Triple
    haze: Triple
    clouds: float = 0.5


@dataclass(frozen=True)
class Land:
    """The ground's two colours, and what grows on it."""

    darkest: Triple
    brightest: Triple
    leaves: Triple
    grass: float = 0.05  # length of a blade
    trees: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One picture."""

    name: str
    horses: tuple[Horse, ...]  # from back to front
    weather: Weather
    land: Land
    eye: float = 0.95  # height of the camera
    horizon: int = 300  # row


def vec(*values: float) -> Array:
    return np.array(values, np.float32)


def unit(vectors: Array) -> Array:
    lengths: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


def to_bytes(colour: Array) -> NDArray[np.uint8]:
    return (255 * np.clip(colour, 0, 1)).astype(np.uint8)


def fractal(rng: np.random.Generator, height: int, width: int, cell: int) -> Array:
    """Return noise in [0, 1], (height, width), in octaves from `cell` pixels down to one."""
    total: Array = np.zeros((height, width), np.float32)
    weights = 0.0
    while cell:
        grid = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
        octave = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += cell**0.7 * np.asarray(octave)
        weights += cell**0.7
        cell //= 2
    return total / weights


def swing(start: Joint, length: float, degrees: float, radius: float, tint: float) -> Joint:
    """Return the joint that hangs from `start`, swung forward by an angle."""
    ahead, down = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return (start[0] + length * ahead, start[1] - length * down, start[2], radius, tint)


def chain(softness: float, *joints: Joint) -> Bones:
    return [(a, b, softness) for a, b in pairwise(joints)]


def shank(top: Joint, length: float, degrees: float, toe: float) -> Bones:
    """Return cannon, fetlock, pastern and hoof, below a knee or a hock."""
    shin = swing(top, 0.45 * length, degrees, 0.026, POINTS)
    fetlock = swing(top, length, degrees, 0.033, POINTS)
    coronet = swing(fetlock, 0.075, degrees + toe, 0.03, 1.2)
    rim = swing(fetlock, 0.087, degrees + toe, 0.034, HORN)
    sole = swing(fetlock, 0.115, degrees + toe, 0.044, HORN)
    return chain(0.012, top, shin, fetlock, coronet) + chain(0.01, rim, sole)


def torso() -> Bones:
    girth: Joint = (0.16, 0.735, 0, 0.225, COAT)
    barrel: Joint = (-0.06, 0.715, 0, 0.225, COAT)
    flank: Joint = (-0.26, 0.765, 0, 0.19, COAT)
    withers = chain(0.08, (0.2, 0.91, 0, 0.075, COAT), (0.02, 0.87, 0, 0.08, COAT))
    chest, croup = (0.29, 0.735, 0, 0.16, COAT), (-0.4, 0.8, 0, 0.17, COAT)
    return chain(0.05, chest, girth, barrel, flank, croup) + withers


def foreleg(side: int, forearm: float, cannon: float, pastern: float) -> Bones:
    z = 0.125 * side
    shoulder: Joint = (0.35, 0.73, z * 0.8, 0.088, 0)
    elbow: Joint = (0.24, 0.63, z, 0.075, 0)
    knee = swing(elbow, 0.31, forearm, 0.042, 0.7)
    bones = chain(0.04, (0.15, 0.88, z * 0.75, 0.08, 0), shoulder) + chain(0.06, shoulder, elbow)
    bones += chain(0.04, elbow, swing(elbow, 0.13, forearm, 0.062, 0), knee)
    return bones + shank(knee, 0.2, cannon, pastern)


def hindleg(side: int, thigh: float, gaskin: float, cannon: float, pastern: float) -> Bones:
    hip: Joint = (-0.37, 0.8, 0.1 * side, 0.165, 0)
    stifle = swing(hip, 0.25, thigh, 0.105, 0)
    calf, hock = swing(stifle, 0.12, gaskin, 0.078, 0), swing(stifle, 0.29, gaskin, 0.043, 0.6)
    x, y, z = calf[:3]
    bones = chain(0.045, hip, stifle, calf, hock)
    bones += chain(0.06, (-0.46, 0.75, 0.085 * side, 0.115, 0), (x - 0.03, y + 0.05, z, 0.075, 0))
    heel: Joint = (hock[0] - 0.02, hock[1] + 0.025, z, 0.03, 0.6)
    bones += chain(0.03, (x - 0.04, y, z, 0.035, 0), heel, hock)  # Achilles tendon
    return bones + shank(hock, 0.255, cannon, pastern)


def neck_joints(pose: Pose) -> list[Joint]:
    """Return the joints from the withers to the poll."""
    base: Joint = (0.27, 0.8, 0, 0.175, 0)
    rest = ((0.22, 0.125), (0.4, 0.092), (0.5, 0.078))
    return [base] + [swing(base, length, pose.neck + 90, radius, 0) for length, radius in rest]


def head(pose: Pose, poll: Joint) -> Bones:
    angle = np.radians(pose.head)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))

    def at(down: float, out: float, z: float, radius: float, tint: float = COAT) -> Joint:
        """Place a joint down the face from the poll, and out of the forehead."""
        return (poll[0] + down * cos - out * sin, poll[1] + down * sin + out * cos, z, radius, tint)

    nose = at(0.18, -0.01, 0, 0.062)
    bones = chain(0.03, at(0, 0, 0, 0.075), nose, at(0.33, -0.02, 0, 0.047, 0.8))
    bones += chain(0.03, at(0.08, -0.06, 0, 0.072), at(0.26, -0.045, 0, 0.04, 0.2))  # jaw
    bones += chain(0.02, at(0.34, -0.045, 0, 0.034, POINTS), at(0.345, -0.01, 0, 0.04, POINTS))
    for side in (-1, 1):
        x, y, *_ = root = at(-0.04, 0.055, 0.05 * side, 0.026)
        tip: Joint = (x + 0.02, y + 0.105, 0.065 * side, 0.007, 0.6)
        bones += chain(0.015, root, (x + 0.005, y + 0.045, 0.06 * side, 0.024, 0.1), tip)
        brow = at(0.1, 0.028, 0.05 * side, 0.022), at(0.2, 0, 0.04 * side, 0.02)
        eye = at(0.115, 0.02, 0.062 * side, 0.016, HORN), at(0.12, 0.02, 0.062 * side, 0.016, HORN)
        nostril = at(0.33, 0, 0.041 * side, 0.011, HORN), at(0.335, 0, 0.041 * side, 0.01, HORN)
        bones += chain(0.015, *brow) + chain(0.005, *eye) + chain(0.005, *nostril)
    return bones


class Body:
    """A posed horse, as a field of distances in the scene."""

    def __init__(self, horse: Horse) -> None:
        self.horse, pose = horse, horse.pose
        self.neck = neck_joints(pose)
        bones = torso() + chain(0.07, *self.neck) + head(pose, self.neck[-1])
        for side, fore, thigh, hind in zip((1, -1), pose.fore, pose.thighs, pose.hind, strict=True):
            bones += foreleg(side, *fore) + hindleg(side, thigh, *hind)
        self.bones = [(vec(*a), vec(*b), softness) for a, b, softness in bones]
        cos, sin = np.cos(np.radians(horse.turn)), np.sin(np.radians(horse.turn))
        self.axes = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
        self.near = np.sign(cos)  # the side that the camera sees
        lowest = min(b[1] - b[3] for _, b, _ in bones)
        self.origin = vec(horse.place[0], -lowest, horse.place[1])
        self.rng = np.random.default_rng(0)  # a body looks the same in every scene

    def to_scene(self, points: Array) -> Array:
        return (points / vec(1, 1, SQUEEZE)) @ self.axes + self.origin

    def distance(self, points: Array) -> tuple[Array, Array]:
        """Return a lower bound on the distance to the skin, and the tint, at points (N, 3)."""
        x, y, z = ((points - self.origin) @ self.axes.T * vec(1, 1, SQUEEZE)).astype(np.float32).T
        skin, tint = np.full(len(points), 9, np.float32), np.zeros(len(points), np.float32)
        for a, b, softness in self.bones:
            (dx, dy, dz), (px, py, pz) = b[:3] - a[:3], (x - a[0], y - a[1], z - a[2])
            length, taper = dx * dx + dy * dy + dz * dz, a[3] - b[3]  # the length is squared
            t = (px * dx + py * dy + pz * dz) / length
            aside = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2 + (pz - t * dz) ** 2)
            # Of the spheres along a tapering bone, the nearest lies towards the thick end.
            t = np.clip(t - aside * taper / np.sqrt((length - taper * taper) * length), 0, 1)
            gap = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2 + (pz - t * dz) ** 2)
            gap += t * taper - a[3]
            share = np.clip(0.5 + 0.5 * (skin - gap) / softness, 0, 1)
            skin += share * (gap - skin) - softness * share * (1 - share)
            tint += share * (a[4] + t * (b[4] - a[4]) - tint)
        return skin / SQUEEZE, tint

    def normals(self, points: Array) -> Array:
        steps = 0.004 * np.eye(3, dtype=np.float32)
        slopes = [self.distance(points + s)[0] - self.distance(points - s)[0] for s in steps]
        return unit(np.stack(slopes, -1))

    def sunshine(self, points: Array, sun: Array) -> Array:
        """Return how much of the sun reaches each point, in [0, 1]: shadows have soft edges."""
        light, alive = np.ones(len(points), np.float32), np.arange(len(points))
        travelled = self.rng.uniform(0.02, 0.05, len(points))  # unevenly, or the steps would show
        for _ in range(48):
            gap, _ = self.distance(points[alive] + travelled[alive, None] * sun)
            light[alive] = np.minimum(light[alive], np.clip(8 * gap / travelled[alive], 0, 1))
            travelled[alive] += np.maximum(0.6 * gap, 0.012)
            alive = alive[(light[alive] > 0.01) & (travelled[alive] < 2.5)]
        return light


class Picture:
    """A canvas, painted from back to front."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.rng, sky = scene, np.random.default_rng(seed), scene.weather
        self.eye, self.sun = vec(0, scene.eye, DISTANCE), unit(vec(*sky.sun))
        self.sunlight, self.haze, self.zenith = vec(*sky.sunlight), vec(*sky.haze), vec(*sky.zenith)
        self.skylight = 0.36 * (self.haze + self.zenith)
        self.row, self.column = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        across, up = (self.column - SIZE / 2) / FOCAL, (scene.horizon - self.row) / FOCAL
        self.rays = np.stack([across, up, -np.ones_like(up)], -1)
        height = np.clip(1 - self.row / SIZE, 0, 1)[..., None] ** 0.8
        self.pixels = self.haze + height * (self.zenith - self.haze)

    def project(self, points: Array) -> Array:
        """Return (column, row) of points (..., 3) in the scene."""
        offset = points - self.eye
        middle = vec(SIZE / 2, self.scene.horizon)
        return middle + offset[..., :2] * vec(-1, 1) * FOCAL / offset[..., 2:]

    def paste(self, layer: Image.Image) -> None:
        """Lay a picture with alpha over the canvas."""
        layer = layer.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        over = np.asarray(layer, np.float32) / 255
        self.pixels += over[..., 3:] * (over[..., :3] - self.pixels)

    def add_clouds(self) -> None:
        noise = fractal(self.rng, 2 * SIZE, SIZE, 192)[::2]  # flat, as one sees them from below
        cover = np.clip((noise - 0.62 + 0.3 * self.scene.weather.clouds) * 5, 0, 0.85)[..., None]
        self.pixels += cover * (np.minimum(0.8 * self.sunlight + 0.12, 1) - self.pixels)

    def add_ground(self, bodies: list[Body]) -> None:
        scene, first = self.scene, self.scene.horizon + 2
        reach = -scene.eye / self.rays[first:, :, 1:2]
        points = self.eye + reach * self.rays[first:]
        patches = fractal(self.rng, 1024, 1024, 128)
        # Mirrored tiles have no seams.
        u, v = (np.abs((points[..., i] * 60 + 300).astype(int) % 2046 - 1023) for i in (0, 2))
        mix = (patches[v, u, None] - 0.5) * 2.4 * np.exp((DISTANCE - reach) / 30) + 0.5
        low, high = vec(*scene.land.darkest), vec(*scene.land.brightest)
        colour = (low + np.clip(mix, 0, 1) * (high - low)) * self.rng.uniform(0.9, 1.1, mix.shape)
        light = np.ones(mix.shape[:2], np.float32)
        for body in bodies:
            near = np.linalg.norm(points - body.origin, axis=-1) < 2.2
            light[near] = np.minimum(light[near], body.sunshine(points[near], self.sun))
            # Under the belly and at the hooves the animal hides much of the sky.
            gap, _ = body.distance(points[near] + vec(0, 0.12, 0))
            light[near] *= np.clip(0.75 + 2 * gap, 0.6, 1)
        sun = light[..., None] * self.sunlight * (0.3 + 0.7 * self.sun[1])  # blades stand upright
        far = 0.3 * (1 - np.exp((DISTANCE - reach) / 90))
        lit = colour * (0.55 * self.skylight + sun)
        self.pixels[first:] = lit + far * (0.9 * self.haze - lit)

    def add_woods(self) -> None:
        """Dab leaves into crowns along the horizon, out of focus."""
        rng, land, leaves = self.rng, self.scene.land, vec(*self.scene.land.leaves)
        layer = Image.new("RGBA", (SIZE, SIZE), (*to_bytes(0.35 * leaves).tolist(), 0))
        draw = ImageDraw.Draw(layer)
        skyline = 20 + 110 * fractal(rng, 1, SIZE + 80, 256)[0]
        for tree in range(70):
            x = rng.integers(0, SIZE + 80)
            tall = land.trees * skyline[x] * rng.uniform(0.6, 1.1)
            hue, mist = leaves * rng.uniform(0.75, 1.2, 3), 0.22 * self.haze * (1 - tree / 70)
            for _ in range(400):
                across, up = rng.normal(0, 0.3), rng.beta(1.3, 1.6)
                lit = 0.25 + 0.6 * up + 0.3 * across * np.sign(self.sun[0]) + rng.normal(0, 0.15)
                centre = x - 40 + across * tall, self.scene.horizon + 5 - up * tall
                fill = tuple(to_bytes(hue * lit + mist).tolist())
                draw.circle(centre, rng.uniform(1, 3.5), fill)
        self.paste(layer.filter(ImageFilter.GaussianBlur(2.8)))

    def add_grass(self, farthest: float, nearest: float) -> None:
        """Grow blades between two depths, each in the colour of the ground at its root."""
        rng, layer = self.rng, Image.new("RGBA", (2 * SIZE, 2 * SIZE))
        draw = ImageDraw.Draw(layer)
        area = SIZE / FOCAL * (DISTANCE - (nearest + farthest) / 2) * (nearest - farthest)
        for z in np.sort(rng.uniform(farthest, nearest, int(900 * area))):
            root = vec(rng.uniform(-0.52, 0.52) * SIZE / FOCAL * (DISTANCE - z), 0, z)
            height = self.scene.land.grass * rng.gamma(6, 1 / 6)
            tip = root + vec(rng.normal(0.15, 0.5) * height, height, 0)
            (x0, y0), (x2, y2) = self.project(np.stack([root, tip])) * 2
            column, row = np.clip((x0 / 2, y0 / 2), 0, SIZE - 1).astype(int)
            colour = self.pixels[row, column] * rng.uniform(0.7, 1.35) + rng.normal(0, 0.02)
            bend = (x0 + 0.25 * (x2 - x0), y0 + 0.6 * (y2 - y0))
            draw.line((x0, y0, *bend, x2, y2), tuple(to_bytes(colour).tolist()), 2)
        self.paste(layer)

    def add_skin(self, body: Body) -> None:
        """March a ray through every pixel near the animal and paint where it meets the skin."""
        middle = self.project(body.origin + vec(0, 0.7, 0))
        box = (np.abs(self.column - middle[0]) < 420) & (np.abs(self.row - middle[1]) < 330)
        rays, depth = self.rays[box], DISTANCE - body.horse.place[1]
        travelled = np.full(len(rays), depth - 1.3, np.float32)
        closest, where = np.full(len(rays), 9, np.float32), travelled.copy()
        alive = np.arange(len(rays))
        for _ in range(64):
            gap, _ = body.distance(self.eye + travelled[alive, None] * rays[alive])
            nearer = alive[gap < closest[alive]]
            closest[nearer], where[nearer] = gap[gap < closest[alive]], travelled[nearer]
            travelled[alive] += gap
            alive = alive[(gap > 0.0001) & (travelled[alive] < depth + 1.3)]
        # A ray that misses by less than a pixel covers part of it, which smooths the outline.
        cover = np.clip(1 - closest * FOCAL / depth, 0, 1)[:, None]
        hit = cover[:, 0] > 0
        colour = np.zeros_like(rays)
        grain = fractal(self.rng, SIZE, SIZE, 32)[box][hit], self.rng.random(hit.sum())
        colour[hit] = self.shade(body, self.eye + where[hit, None] * rays[hit], *grain)
        self.pixels[box] += cover * (colour - self.pixels[box])

    def shade(self, body: Body, points: Array, mottle: Array, hairs: Array) -> Array:
        """Return the coat's colour under the sun, the sky and the light that the ground returns."""
        normals, (_, tint) = body.normals(points), body.distance(points)
        palette = np.array([body.horse.coat, body.horse.points, (0.10, 0.085, 0.075)])
        albedo: Array = np.stack([np.interp(tint, (COAT, POINTS, HORN), c) for c in palette.T], -1)
        albedo *= (0.85 + 0.16 * mottle + 0.22 * hairs)[:, None]
        rough = unit(normals + 0.15 * (hairs[:, None] - 0.5))
        sun = np.clip(rough @ self.sun, 0, None) * body.sunshine(points + 0.03 * normals, self.sun)
        up, openness = normals[:, 1:2], np.ones((len(points), 1), np.float32)
        for step in (0.06, 0.16):  # folds and the underside see less of the sky
            gap, _ = body.distance(points + step * normals)
            openness *= np.clip(0.35 + 0.65 * gap * SQUEEZE / step, 0, 1)[:, None]
        sky = self.skylight * (0.5 + 0.5 * up)
        bounce = 0.35 * vec(*self.scene.land.brightest) * self.sunlight * (0.5 - 0.5 * up)
        halfway = unit(self.sun + unit(self.eye - points))
        mirrored: Array = (rough * halfway).sum(-1)
        gloss = np.clip(mirrored, 0, 1) ** 18 * (sun > 0) * (0.14 + 0.12 * hairs)
        sheen = 0.09 * np.clip(up, 0, 1) ** 3 * self.zenith * openness
        lit = albedo * ((sky + bounce) * openness + 1.15 * sun[:, None] * self.sunlight)
        return lit + gloss[:, None] * self.sunlight + sheen

    def add_hair(self, body: Body, roots: Array, middles: Array, tips: Array) -> None:
        """Draw strands, (N, 3) each in the body's frame, as wavy curves with a sheen."""
        layer = Image.new("RGBA", (3 * SIZE, 3 * SIZE))
        draw = ImageDraw.Draw(layer)
        t = np.linspace(0, 1, 11)[:, None, None]
        curves = (1 - t) ** 2 * roots + 2 * t * (1 - t) * middles + t**2 * tips
        curves += 0.01 * t * np.sin(7 * t + 40 * roots[:, :1]) * vec(1, 0, 0)
        lines = self.project(body.to_scene(curves)) * 3
        light = 0.6 * (self.skylight + self.sunlight)
        base = vec(*body.horse.hair) * light
        for strand in self.rng.permutation(len(roots)):
            tone, crown = self.rng.gamma(9, 1 / 9), self.rng.normal(2.5, 1)
            for step in range(10):
                sheen = 0.6 * (base + 0.1 * light) * np.exp(-((step - crown) ** 2) / 3)
                fill = tuple(to_bytes(base * tone * (1 - 0.03 * step) + sheen).tolist())
                draw.line((*lines[step, strand], *lines[step + 1, strand]), fill, 3 - step // 4)
        self.paste(layer)

    def add_mane(self, body: Body) -> None:
        """Comb the mane, in locks, over the side that faces the camera."""
        rng, count, pose, neck = self.rng, 1500, body.horse.pose, np.array(body.neck)
        s = rng.uniform(-0.05, 1.05, count)  # from the withers to the poll
        locks = rng.normal(0, 1, (64, 3))[(s * 40 + 10 + rng.normal(0, 0.4, count)).astype(int)]
        x, y, radius = (np.interp(s, (0, 0.44, 0.8, 1), neck[:, i])[:, None] for i in (0, 1, 3))
        cos, sin = np.cos(np.radians(pose.neck)), np.sin(np.radians(pose.neck))
        along, above, side = vec(cos, sin, 0), vec(-sin, cos, 0), vec(0, 0, body.near)
        beyond = (s - np.clip(s, 0, 1))[:, None] * 0.5
        roots = x * vec(1, 0, 0) + y * vec(0, 1, 0) + beyond * along + above * radius * 1.06
        middles = roots + 0.04 * above + 0.9 * side * radius - (0.02 + 0.4 * pose.tail) * along
        length = 0.14 * rng.uniform(0.75, 1.1, (count, 1)) * (1 + 0.12 * locks[:, :1])
        hang = 0.6 * above + vec(0.12 + 1.5 * pose.tail, 0.6 - pose.tail, 0)
        tips = roots + 1.15 * side * radius - length * hang + 0.018 * locks
        self.add_hair(body, roots, middles, tips + rng.normal(0, 0.006, (count, 3)))

    def add_tail(self, body: Body) -> None:
        rng, count, lift = self.rng, 1100, body.horse.pose.tail
        dock, spread = vec(-0.545, 0.87, 0), rng.normal(0, 1, (count, 3))
        locks = rng.normal(0, 1, (40, 3))[rng.integers(0, 40, count)]
        roots = dock + spread * vec(0.014, 0.025, 0.014)
        middles = dock + vec(-0.09 - lift, 0.5 * lift - 0.06, 0) + 0.025 * spread + 0.01 * locks
        drop = (1 - lift) * (0.35 + 0.3 * rng.beta(2, 1.2, (count, 1)) + 0.04 * locks[:, :1])
        tips = dock - vec(0.05 + 1.6 * lift, 0, 0) - drop * vec(0, 1, 0)
        self.add_hair(body, roots, middles, tips + 0.012 * spread + 0.03 * locks)


def paint(scene: Scene, seed: int) -> Image.Image:
    picture, bodies = Picture(scene, seed), [Body(horse) for horse in scene.horses]
    picture.add_clouds()
    picture.add_ground(bodies)
    picture.add_woods()
    behind = -14.0
    for body in bodies:
        picture.add_grass(behind, behind := body.horse.place[1])
        picture.add_tail(body)
        picture.add_skin(body)
        picture.add_mane(body)
    picture.add_grass(behind, 2.6)
    grain = picture.rng.normal(0, 0.012, picture.pixels.shape)
    return Image.fromarray(to_bytes(picture.pixels + grain)).filter(ImageFilter.GaussianBlur(0.6))


STEP, SWING = (-14, -15, 30), (46, -38, -40)
TROT = Pose(56, -46, (STEP, SWING), (44, 6), ((-34, 4, -10), (-46, -26, 20)), 0.13)
GRAZE = Pose(-40, -78, ((14, 12, 30), (-12, -14, 26)), (34, 22), ((-34, 4, 28), (-46, -10, 24)), 0)

BAY = Horse((0.45, 0.2, 0.09), BLACK, BLACK, 188, (0.05, 0))
CHESTNUT = Horse((0.46, 0.23, 0.1), (0.36, 0.17, 0.08), (0.62, 0.4, 0.2), 14, (-0.05, 0), TROT)
BROWN = Horse((0.38, 0.19, 0.095), BLACK, BLACK, 25, (-0.1, 0), GRAZE)
SORREL = Horse((0.5, 0.23, 0.1), (0.4, 0.17, 0.08), (0.34, 0.14, 0.06), 160, (-0.36, -0.9))
DARK_BAY = Horse((0.38, 0.2, 0.1), BLACK, BLACK, 35, (0.58, -2.4), Pose(38, -58))

NOON = Weather((-0.75, 0.7, 0.5), (1.1, 1.05, 0.95), (0.45, 0.62, 0.84), (0.8, 0.87, 0.93))
EVENING = Weather((0.8, 0.45, 0.5), (1.3, 1.08, 0.84), (0.56, 0.67, 0.8), (0.96, 0.88, 0.76), 0.3)
OVERCAST = Weather((-0.3, 0.85, 0.4), (1.05, 1.05, 1.0), (0.6, 0.68, 0.76), (0.88, 0.9, 0.92), 1.2)
SUMMER = Weather((0.5, 0.7, 0.6), (1.0, 0.93, 0.82), (0.48, 0.62, 0.8), (0.9, 0.89, 0.86), 0.6)

PASTURE = Land((0.2, 0.28, 0.09), (0.4, 0.44, 0.18), (0.3, 0.42, 0.18))
STUBBLE = Land((0.4, 0.33, 0.14), (0.62, 0.52, 0.27), (0.5, 0.34, 0.12), trees=1.5)
MEADOW = Land((0.18, 0.27, 0.1), (0.33, 0.4, 0.16), (0.22, 0.34, 0.18), trees=0.8)
PADDOCK = Land((0.42, 0.35, 0.24), (0.6, 0.52, 0.38), (0.3, 0.38, 0.18), grass=0.025)

SCENES = (
    Scene("bay", (BAY,), NOON, PASTURE),
    Scene("chestnut", (CHESTNUT,), EVENING, STUBBLE),
    Scene("grazing", (BROWN,), OVERCAST, MEADOW, eye=1.2, horizon=190),
    Scene("pair", (DARK_BAY, SORREL), SUMMER, PADDOCK, eye=1.1, horizon=270),
)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, scene in enumerate(SCENES, start=1):
        paint(scene, seed).save(folder / f"{scene.name}.jpg", quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "horses")
