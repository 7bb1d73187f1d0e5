"""Multiply-accumulates of encoders in their published layouts, against the closed formula of their configuration."""

import json

import pytest
from counts import vit

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import layouts  # noqa: E402
import loaded  # noqa: E402
import pictures  # noqa: E402

from fgscore.encoders import EncoderMaker  # noqa: E402


def counted(text, regions=0):
    return EncoderMaker.bind(text).make(loaded.CPU).macs(regions)


@pytest.mark.parametrize("side", [None, 2])
def test_a_clip_is_the_closed_formula_of_its_configuration(side, published):
    folder = published(layouts.SAFE)
    config = json.loads((folder / "config.json").read_text())
    tower = config["vision_config"]
    size = tower["image_size"] * (side or 1)
    shape = (tower["num_hidden_layers"], tower["hidden_size"], tower["patch_size"], size, tower["intermediate_size"])
    formula = vit(*shape, out=config["projection_dim"])
    text = f"clip(model='{folder}'{f', size={size}' if side else ''})"
    assert counted(text) == formula
    assert counted(text, 7) == 8 * formula, "each of the seven regions is a picture of its own"


@pytest.mark.parametrize(("start", "tiles"), [(0, 1), (1, 1), (0, 2)])
def test_in_one_pass_a_region_is_a_copy_of_the_class_token(start, tiles, published):
    folder = published(layouts.SAFE)
    config = json.loads((folder / "config.json").read_text())
    tower = config["vision_config"]
    width, hidden, layers = tower["hidden_size"], tower["intermediate_size"], tower["num_hidden_layers"]
    patches = (tower["image_size"] // tower["patch_size"]) ** 2
    layer = 4 * width**2 + 2 * width * hidden + 2 * patches * width  # products with itself are sums, not products
    copy = (layers - start) * layer + width * config["projection_dim"]
    ours = loaded.encoder("clip", model=str(folder), regions="one_pass", start=start, tiles=tiles)
    alone = counted(f"clip(model='{folder}')")
    assert ours.macs(0) == alone
    passes = 1 if tiles == 1 else 1 + tiles**2
    assert ours.macs(7) == passes * alone + 7 * copy


@pytest.mark.parametrize("name", ["siglip", "siglip 2, naflex", "tipsv2", "chinese-clip", "metaclip 2"])
def test_every_layout_is_counted(name, published):
    assert counted(f"clip(model='{published(name)}')") > 100_000


@pytest.mark.parametrize("kind, make", [("open_clip", m) for m in pictures.OPEN_CLIP.values()]
                         + [("timm", m) for m in pictures.TIMM.values()] + [("vision", pictures.dinov2)])  # fmt: skip
def test_libraries_models_are_counted_by_shape_as_they_are_when_they_run(kind, make, made):
    """What runs on a CPU, in eager attention and with no fast path, takes as many as the shapes say."""
    from torch.utils.flop_counter import FlopCounterMode

    folder = made(make)
    ours = loaded.encoder(kind, model=str(folder))
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as run:
            ours.embed_images(loaded.noise()[:1])
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert counted(f"{kind}(model='{folder}')") == run.get_total_flops() // 2
