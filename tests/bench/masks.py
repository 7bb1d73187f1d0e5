"""Automatic mask generation, ours against upstream's, on ViT-B with random weights; see :mod:`equality`.

A worker is one process on one core with the allocator in one state. It runs the variants it is told in turn; each is
timed by the CPU seconds of its best round, which a machine that is busy with something else changes little.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import equality
import numpy as np
import timing
import torch
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.utils.amg import calculate_stability_score

from fgscore import regions
from fgscore.demo.models import load_sam
from fgscore.machine.float32 import quick_float32
from fgscore.regions import sam
from fgscore.regions.sam import fast
from fgscore.regions.sam.exact import ExactGenerator
from fgscore.regions.sam.generator import proposals, reduce
from fgscore.regions.sam.kernels import native

FULL = 1024  # prompts an image, upstream's default
KEPT = 32  # masks an image, fgscore's default
TORCH = "exact, torch alone"  # without the compiled kernels
VARIANTS = ("upstream", "upstream, oneDNN", "exact", "fast", TORCH)
OURS = {"exact": ExactGenerator, "fast": fast.FastGenerator}


def model(name: str) -> Any:
    """ViT-B (or another) with random weights, or the demo's small Sam."""
    if name == "demo":
        return load_sam()
    torch.manual_seed(0)
    with torch.no_grad():
        return equality.liven(sam_model_registry[name](checkpoint=None).eval())


@torch.no_grad()
def settings_for(network: Any, image: np.ndarray, side: int) -> dict[str, Any]:
    """About 40 % of the masks pass the predicted IoU and most of those the stability score; none is suppressed, so
    that all are compared."""
    ours = ExactGenerator(SamAutomaticMaskGenerator(network))
    embedding, (height, width) = ours._embed(image)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(16, 2, generator=generator) * torch.tensor([width, height])
    logits, iou = equality.decode_upstream(network, embedding, points)
    least = torch.quantile(iou, 0.6)
    stability = calculate_stability_score(logits[iou > least], 0.0, 1.0)
    return {
        "points_per_side": side,
        "pred_iou_thresh": float(least),
        "stability_score_thresh": float(torch.quantile(stability, 0.1)),
        "box_nms_thresh": 1.0,
    }


def worker(task: dict[str, Any]) -> dict[str, Any]:
    """Time ``task["variants"]`` on every photo: seconds in all and in each stage, and how equal the masks are."""
    torch.set_num_threads(1)
    if task["warm"]:
        timing.warm_allocator()
    network = model(task["model"])
    results = {}
    for name, photo in timing.photos(task["photos"]).items():
        image = reduce(photo, 1024)
        settings = settings_for(network, image, task["side"])
        compile_kernels(network, task["variants"], image)
        times: dict[str, list[dict[str, float]]] = {v: [] for v in task["variants"]}
        masks: dict[str, Any] = {}
        for _ in range(task["rounds"]):
            for variant in task["variants"]:
                gc.collect()
                seconds, masks[variant] = run(network, settings, variant, image)
                times[variant].append(seconds)
        report = {}
        if "exact" in masks:
            upstream = SamAutomaticMaskGenerator(network, **settings)
            for variant in ("exact", TORCH):
                found = equality.compare(masks["upstream"], masks[variant], image.shape[:2], upstream)
                report[variant] = vars(found)
            report["fast"] = vars(equality.nearness(upstream, fast.FastGenerator(upstream), image))
        best = {v: min(rounds, key=lambda s: sum(s.values())) for v, rounds in times.items()}
        results[name] = {"size": list(image.shape[:2]), "seconds": best, "equality": report}
    return results


def compile_kernels(network: Any, variants: list[str], image: np.ndarray) -> None:
    """Have ours run on four points, of which none is left out, before any clock is started: numba compiles what it
    meets, and in a figure extrapolated from few points those seconds would count many times."""
    for variant in (variant for variant in variants if variant in OURS):
        few = {"points_per_side": 2, "pred_iou_thresh": -np.inf, "stability_score_thresh": -np.inf}
        masks = OURS[variant](SamAutomaticMaskGenerator(network, **few)).generate(image)
        regions.select(proposals(masks, image.shape[:2], image.shape[:2]), KEPT, 0.0, 1.0)


def run(network: Any, settings: dict[str, Any], variant: str, image: np.ndarray) -> tuple[dict[str, float], Any]:
    """Seconds by stage, extrapolated to FULL prompts, and the masks."""
    if variant == TORCH:
        kernels, native._on_cpu = native._on_cpu, lambda: None
        try:
            return run(network, settings, "exact", image)
        finally:
            native._on_cpu = kernels
    upstream = SamAutomaticMaskGenerator(network, output_mode="uncompressed_rle", **settings)
    stages, n = timing.Stages(), settings["points_per_side"] ** 2
    if variant in OURS:
        generator = OURS[variant](upstream)
        stages.watch(generator, "_embed", "encoder")
        stages.watch(generator._decoder, "image", "image side")
        stages.watch(generator._decoder, "prompts", "transformer")
        stages.watch(generator._decoder, "logits", "upscaling")
        stages.watch(generator, "_measure", "measures")
        stages.watch(generator, "_settled", "measures")
    else:
        stages.watch(upstream.predictor, "set_image", "encoder")
        stages.watch(network.mask_decoder, "forward", "decoder")
        stages.watch(network, "postprocess_masks", "full size")
    start = time.process_time()
    with quick_float32() if variant == "upstream, oneDNN" else nullcontext():
        masks = generator.generate(image) if variant in OURS else sam.columns(upstream.generate(image))
    rest = time.process_time() - start - sum(stages.seconds.values())
    for watched in ((network.mask_decoder, "forward"), (network, "postprocess_masks")):
        vars(watched[0]).pop(watched[1], None)
    once = ("encoder", "image side")
    seconds = {k: v if k in once else v * FULL / n for k, v in {**stages.seconds, "filters, NMS, rest": rest}.items()}
    start = time.process_time()  # what is stored is encoded: all that passes upstream, what is kept with us
    chosen = regions.select(proposals(masks, image.shape[:2], image.shape[:2]), KEPT, 0.0, 1.0)
    encoded = time.process_time() - start
    seconds["run lengths"] = encoded / max(1, len(chosen.area)) * KEPT if variant in OURS else 0.0
    return seconds, masks


def wall(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds on the clock on all processors, for one photo and FULL prompts, and whether exact masks are equal."""
    timing.warm_allocator()
    network = model(task["model"])
    image = reduce(next(iter(timing.photos(task["photos"]).values())), 1024)
    settings, seconds, masks = settings_for(network, image, task["side"]), {}, {}
    upstream = SamAutomaticMaskGenerator(network, output_mode="uncompressed_rle", **settings)
    compile_kernels(network, list(OURS), image)
    for variant in ("upstream, oneDNN", "exact", "fast"):
        ours = OURS[variant](upstream) if variant in OURS else None
        stages = timing.Stages(time.perf_counter)
        stages.watch(*((ours, "_embed") if ours else (upstream.predictor, "set_image")), "encoder")
        seconds[variant] = []
        for _ in range(task["rounds"]):
            stages.seconds.clear()
            start = time.perf_counter()
            with nullcontext() if ours else quick_float32():
                masks[variant] = (ours or upstream).generate(image)
            rest = time.perf_counter() - start - stages.seconds["encoder"]
            seconds[variant].append(stages.seconds["encoder"] + rest * FULL / task["side"] ** 2)
    theirs = sam.columns(masks["upstream, oneDNN"])
    report = equality.compare(theirs, masks["exact"], image.shape[:2], upstream)
    best = {variant: min(rounds) for variant, rounds in seconds.items()}
    return {"threads": torch.get_num_threads(), "seconds": best, "equal": report.passed}


@torch.no_grad()
def memory(task: dict[str, Any]) -> dict[str, Any]:
    """Peak bytes over one batch of 64 points beside the model and the embedding, or of all over a photo at full size;
    and whether the masks of those 64 points are upstream's."""
    torch.set_num_threads(1)
    network = model(task["model"])
    image = reduce(next(iter(timing.photos(task["photos"]).values())), 1024)
    settings = {**settings_for(network, image, 8), "output_mode": "uncompressed_rle"}
    upstream = SamAutomaticMaskGenerator(network, **settings)
    if task["variant"] == "full size":
        big = np.array(timing.Image.fromarray(image).resize((4000, 3000)))
        upstream.point_grids = [upstream.point_grids[0][::4]]
        with timing.peak_memory():
            found = ExactGenerator(upstream).generate(big)
            regions.select(proposals(found, big.shape[:2], big.shape[:2]), KEPT, 0.0, 1.0)
            return {"peak": timing._status("VmHWM")}
    upstream.predictor.set_image(image)
    points = upstream.point_grids[0] * np.array(image.shape[1::-1])
    if task["variant"] == "upstream":
        with timing.peak_memory() as peak:
            upstream._process_batch(points, image.shape[:2], [0, 0, *image.shape[1::-1]], image.shape[:2])
            return {"peak": peak()}
    ours = ExactGenerator(upstream)
    ours._embed = lambda image: (upstream.predictor.features, upstream.predictor.input_size)
    grids, upstream.point_grids = upstream.point_grids, [grid[:1] for grid in upstream.point_grids]
    ours.generate(image)  # kernels are compiled
    upstream.point_grids = grids
    with timing.peak_memory() as peak:
        found = ours.generate(image)
        grown = peak()
    report = equality.compare(sam.columns(upstream.generate(image)), found, image.shape[:2], upstream)
    return {"peak": grown, "equal": report.passed}


def in_process(task: dict[str, Any]) -> dict[str, Any]:
    """The result of ``task`` in a process of its own."""
    program = [sys.executable, str(Path(__file__).parent), "--task", json.dumps(task)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a worker failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
