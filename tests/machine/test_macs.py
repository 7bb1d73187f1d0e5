"""Multiply-accumulates as torch counts them, against closed formulas."""

from __future__ import annotations

import pytest
from counts import vit
from hypothesis import given
from hypothesis import strategies as st

from fgscore.machine.macs import Macs, macs_of


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_clip_vit_b_32_is_its_closed_formula_whatever_the_kernel_of_attention(attention: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        model = transformers.CLIPModel._from_config(transformers.CLIPConfig(), attn_implementation=attention).eval()
    picture = torch.empty(1, 3, 224, 224, device="meta")
    assert macs_of(lambda: model.get_image_features(pixel_values=picture)) == vit(12, 768, 32, 224, 3072, out=512)


@pytest.mark.parametrize("found", [{"image": 1}, None, {"image": -1, "region": 0}, {"image": 1.5, "region": 0}])
def test_what_is_no_count_is_unknown(found: object) -> None:
    assert Macs.read(found) is None


@given(st.integers(0, 10**15), st.integers(0, 10**13), st.integers(0, 100))
def test_a_sidecars_count_is_read_back(image: int, region: int, regions: int) -> None:
    found = Macs.read(vars(Macs(image, region)))
    assert found is not None and found.of(regions) == image + regions * region
