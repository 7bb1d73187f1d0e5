"""Compiled kernels against float64, and what is done where there are none."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")
pytest.importorskip("numba")

import equality  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator  # noqa: E402

from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.demo.models import load_sam  # noqa: E402
from fgscore.regions.sam import decoder, encoder  # noqa: E402
from fgscore.regions.sam import frame as sam_frame  # noqa: E402
from fgscore.regions.sam.decoder import Decoder  # noqa: E402
from fgscore.regions.sam.exact import ExactGenerator  # noqa: E402
from fgscore.regions.sam.kernels import loops, measure, native  # noqa: E402
from fgscore.regions.sam.kernels import numbers as sam_numbers  # noqa: E402

LOOSE = {"points_per_side": 5, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}
CPU = torch.device("cpu")
ONE_ROUNDING = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")  # where it multiplies and adds
HEADS, TOKENS, CHANNELS, PIXELS = 2, 3, 8, 700  # more pixels than a stretch, and not two; an odd number of tokens


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    return lambda *shape: rng.standard_normal(shape).astype(np.float32)


def as_bits(x):
    return torch.from_numpy(x).bfloat16().view(torch.uint16).numpy()


def as_floats(x):
    return torch.from_numpy(x).view(torch.bfloat16).double().numpy() if x.dtype == np.uint16 else x.astype(np.float64)


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request):
    """What makes an array of float32 one of the kernels' arrays, and how far they are from float64."""
    return (as_bits, 2e-2) if request.param == "bfloat16" else (np.copy, 2e-6)


def softmax(x, axis):
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


def over(x, function):
    @sam_numbers.compiled
    def each(x, out):
        for p in range(len(x)):
            out[p] = function(x[p])

    out = np.empty_like(x)
    each(x, out)
    return out


def test_exponentials_are_float64s_to_the_last_bits():
    x = np.linspace(-87, 88, 400_001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(over(x, sam_numbers.exp) - exact) / exact).max() < 4e-7
    assert over(np.array([-1000.0, -np.inf], np.float32), sam_numbers.exp).max() < 1e-37


def test_gelus_are_float64s_to_a_rounding():
    x = np.linspace(-12, 12, 400_001, dtype=np.float32)
    exact = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert np.abs(over(x, sam_numbers.gelu) - exact).max() <= np.spacing(np.float32(12))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_the_largest_is_the_largest(numbers):
    x = np.array(numbers, np.float32)
    assert sam_numbers.largest(x) == x.max()


def test_bfloat16_is_torchs_to_the_bit():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_000, dtype=np.uint32)
    bits[:1000] = (bits[:1000] & np.uint32(0xFFFF0000)) | np.uint32(0x8000)  # ties
    x = bits.view(np.float32)
    x = x[np.isfinite(x)]

    @sam_numbers.compiled
    def there_and_back(x, narrow, back):
        for p in range(len(x)):
            narrow[p] = sam_numbers.fit(x[p], narrow)
            back[p] = sam_numbers.wide(narrow[p])

    narrow, back = np.empty(len(x), np.uint16), np.empty_like(x)
    there_and_back(x, narrow, back)
    np.testing.assert_array_equal(narrow, as_bits(x))
    np.testing.assert_array_equal(back, torch.from_numpy(x).bfloat16().float().numpy())


def test_attention_to_pixels_is_float64s(drawn, precision):
    make, near = precision
    shared = HEADS, CHANNELS, PIXELS
    q, own, fixed, value = drawn(HEADS, TOKENS, CHANNELS), drawn(*shared), drawn(*shared), drawn(*shared)
    low, rho = make(drawn(HEADS * TOKENS, PIXELS)), np.abs(drawn(PIXELS))
    weights, totals = np.empty_like(low), np.empty(HEADS * TOKENS, np.float32)
    found = np.empty_like(q)
    loops.over_pixels(q, own, fixed, low, rho, value, weights, found, totals)
    keys = rho * own.astype(np.float64) + fixed
    exact = softmax((q @ keys).reshape(-1, PIXELS) + as_floats(low), 1)
    assert np.abs(as_floats(weights) / totals[:, None] - exact).max() < near * exact.max()
    exact_found = (exact * rho).reshape(HEADS, TOKENS, PIXELS) @ value.swapaxes(1, 2)
    assert np.abs(found.reshape(-1, CHANNELS) / totals[:, None] - exact_found.reshape(-1, CHANNELS)).max() < near


def test_attention_to_tokens_is_float64s(drawn, precision):
    make, near = precision
    keys, own, fixed = drawn(HEADS, TOKENS, CHANNELS), *(drawn(HEADS, CHANNELS, PIXELS) for _ in range(2))
    low, rho = make(drawn(HEADS * TOKENS, PIXELS)), np.abs(drawn(PIXELS))
    columns = np.empty_like(low)
    loops.over_tokens(keys, own, fixed, low, rho, columns)
    logits = keys @ (rho * own.astype(np.float64) + fixed)
    exact = softmax(logits + as_floats(low).reshape(logits.shape), 1)
    assert np.abs(as_floats(columns).reshape(logits.shape) - exact).max() < near


def test_the_layer_norm_is_float64s(drawn, precision):
    make, near = precision
    columns, gram = (make(np.abs(drawn(HEADS * TOKENS, PIXELS))) for _ in range(2))
    values, lifted = drawn(HEADS, TOKENS, CHANNELS), drawn(HEADS, CHANNELS + 1, PIXELS)
    rho, energy = np.abs(drawn(PIXELS)), 100 + np.abs(drawn(PIXELS))
    c, g = as_floats(columns), as_floats(gram)
    cross = (values @ lifted[:, :-1].astype(np.float64) + lifted[:, -1:]).reshape(c.shape)
    variance = np.maximum((c * (2 * rho * cross + g)).sum(0) + rho.astype(np.float64) ** 2 * energy, 0)
    r = 1 / np.sqrt(variance / 256 + 1e-5)
    exact_rho = r * rho
    loops.normalise(columns, values, lifted, gram, rho, energy, 256, 1e-5)
    np.testing.assert_allclose(rho, exact_rho, rtol=1e-5)
    np.testing.assert_allclose(as_floats(columns), c * r, rtol=max(near, 1e-5))


def test_upscaling_is_torchs_in_float64(drawn, precision):
    make, _ = precision
    channels = 8
    x, image = make(drawn(4 * channels, PIXELS)), drawn(4 * channels, PIXELS)
    rho, fixed, gain, bias = np.abs(drawn(PIXELS)), drawn(4 * channels), drawn(channels), drawn(channels)
    found = np.empty((4 * channels, PIXELS), np.float32)
    loops.rise(x, image, rho, fixed, gain, bias, 1e-6, found)
    of_channel = (as_floats(x) + rho * image + fixed[:, None]).reshape(channels, 4 * PIXELS)
    scaled = of_channel / np.sqrt((of_channel**2).mean(0) + 1e-6)
    exact = torch.nn.functional.gelu(torch.from_numpy(scaled * gain[:, None] + bias[:, None])).numpy()
    np.testing.assert_allclose(found, exact.reshape(found.shape), atol=5e-6)


def test_what_is_drawn_is_torchs_in_float64(drawn):
    channels, masks = 8, 2
    y, shift, weights = drawn(4 * channels, PIXELS), drawn(4 * channels), drawn(masks, channels)
    drawn_masks = np.full((masks, 4, PIXELS + 5), 7.0, np.float32)
    loops.draw(y, shift, weights, drawn_masks, 2)
    active = torch.nn.functional.gelu(torch.from_numpy(y + shift[:, None]).double()).numpy()
    exact = np.einsum("kc,csn->ksn", weights, active.reshape(channels, 4, PIXELS))
    np.testing.assert_allclose(drawn_masks[..., 2:-3], exact, atol=1e-5)
    assert (drawn_masks[..., [0, 1, -3, -2, -1]] == 7).all()  # and nothing beside


def test_attention_with_relative_positions_is_float64s(drawn, precision):
    make, near = precision
    scores, by_row, by_column = (make(drawn(9, n)) for n in (5 * 7, 5, 7))
    totals = np.empty(9, np.float32)
    logits = as_floats(scores).reshape(9, 5, 7) + as_floats(by_row)[..., None] + as_floats(by_column)[:, None]
    exact = softmax(logits.reshape(9, -1), 1)
    loops.over_keys(scores, by_row, by_column, totals)
    assert np.abs(as_floats(scores) / totals[:, None] - exact).max() < near


FRAMES = [
    sam_frame.Frame(1024, (1024, 683), (0, 0, 683, 1024), (1024, 683)),
    sam_frame.Frame(1024, (684, 1024), (0, 0, 800, 534), (534, 800)),
    sam_frame.Frame(1024, (768, 1024), (0, 0, 2000, 1500), (1500, 2000)),
    sam_frame.Frame(192, (120, 192), (0, 0, 150, 94), (94, 150)),
]
TINY = sam_frame.Frame(192, (120, 192), (0, 0, 60, 37), (37, 60))  # torch resizes to this by another kernel


@pytest.mark.parametrize("frame", [*FRAMES, TINY], ids=lambda frame: f"{frame.crop_hw[1]}x{frame.crop_hw[0]}")
@pytest.mark.parametrize("offset", [1.0, 4.0, -1.0])
def test_measures_are_torchs_to_the_bit(frame, offset):
    """Of masks with so many edges that thousands of pixels are near a threshold."""
    generator = torch.Generator().manual_seed(0)
    logits = 20 * torch.nn.functional.interpolate(torch.randn(5, 1, 40, 40, generator=generator), (64, 64))[:, 0]
    logits[1], logits[2] = -9.0, 9.0
    logits[3, :, 20:] = -50.0
    for mine, theirs in zip(
        measure.measure(logits, frame, 0.5, offset), sam_frame.measure(logits, frame, 0.5, offset), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)
    if ONE_ROUNDING and frame is not TINY:
        assert measure._fused(64, frame.side, frame.input_hw, frame.crop_hw), "torch was compared with itself"


@pytest.mark.slow
def test_boxes_end_where_torch_rounds_to_the_threshold():
    """Bars whose last column is within rounding of the threshold: to its left or right, as torch rounds it."""
    frame, generator = FRAMES[1], torch.Generator().manual_seed(0)
    logits = torch.full((400, 64, 64), -20.0)
    logits[:, 20:40, 10:30] = 5 + 15 * torch.rand(400, 1, 1, generator=generator)
    full = frame.resize(logits, -torch.inf)[0]
    edges = full[:, full.shape[1] // 2].clone()
    for one, edge in zip(logits, edges, strict=True):  # the threshold of a mask is moved to a value at its edge
        columns = (edge > 0).nonzero()[:, 0]
        threshold = float(edge[columns[-1]])
        mine, theirs = (by.measure(one[None], frame, threshold, 1.0) for by in (measure, sam_frame))
        assert torch.equal(mine[2], theirs[2])
        assert torch.equal(mine[0], theirs[0])


@pytest.mark.skipif(not ONE_ROUNDING, reason="torch's resize for this processor rounds in an order of its own")
def test_another_order_of_rounding_would_be_noticed():
    logits, frame = 20 * torch.randn(40, 64, 64, generator=torch.Generator().manual_seed(0)), FRAMES[2]
    sizes = 64, frame.side, frame.input_hw, frame.crop_hw
    fused = measure._fused(*sizes)
    assert fused
    areas = []
    for order in (fused, not fused):
        found = np.zeros((len(logits), 7), np.int64)
        thresholds = [np.float32(t) for t in (-0.5, 0.5, 1.5)]
        measure._measure(logits.numpy(), *measure._axes(*sizes), order, *thresholds, found)
        areas.append(found[:, 1].tolist())
    exact = sam_frame.measure(logits, frame, 0.5, 1.0)[0].tolist()
    assert areas[0] == exact != areas[1]


def test_where_torch_rounds_in_an_unknown_order_it_measures(monkeypatch):
    logits, frame = torch.randn(2, 64, 64), FRAMES[0]
    expected = sam_frame.measure(logits, frame, 0.0, 1.0)
    monkeypatch.setattr(measure, "_fused", lambda *sizes: None)
    monkeypatch.setattr(measure, "_measure", None)
    for mine, theirs in zip(measure.measure(logits, frame, 0.0, 1.0), expected, strict=True):
        assert torch.equal(mine, theirs)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_tasks_are_done_in_order_on_threads_of_one(two_threads):
    def seen(x):
        return x, torch.get_num_threads(), torch.is_inference_mode_enabled()

    found = native.together(seen, range(9), CPU)
    assert found == [(x, 1, True) for x in range(9)]
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError):
        native.together(lambda x: 1 // x, [1, 0], CPU)


@pytest.fixture(scope="module")
def bird():
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image


def generate(image):
    return ExactGenerator(SamAutomaticMaskGenerator(load_sam(), output_mode="uncompressed_rle", **LOOSE)).generate(
        image
    )


def test_masks_do_not_depend_on_the_number_of_threads(bird, two_threads, monkeypatch):
    monkeypatch.setitem(encoder.SCORES, "cpu", 1 << 14)  # so that every attention is in several pieces
    several = generate(bird)
    torch.set_num_threads(1)
    one = generate(bird)
    assert len(one.area) > 2
    for name in ("boxes_xyxy", "area", "predicted_iou", "stability"):
        np.testing.assert_allclose(getattr(several, name), getattr(one, name), rtol=1e-4, err_msg=name)


def test_without_numba_torch_does_it_all(bird, monkeypatch):
    upstream = SamAutomaticMaskGenerator(load_sam(), output_mode="uncompressed_rle", **LOOSE)
    kernels = ExactGenerator(upstream)
    assert kernels._native is not None and kernels._decoder.by_kernels
    with_kernels = kernels.generate(bird)
    monkeypatch.setattr(native, "_on_cpu", native._on_cpu.__wrapped__)
    monkeypatch.setitem(sys.modules, "numba", None)
    without = ExactGenerator(upstream)
    assert without._native is None and not without._decoder.by_kernels
    report = equality.compare(with_kernels, without.generate(bird), bird.shape[:2], upstream)
    assert report.passed and report.compared > 2, report


def test_a_numba_that_cannot_be_used_is_named(monkeypatch):
    class Refuses:
        def find_spec(self, name, path=None, target=None):
            if name == "numba":
                raise ImportError("Numba needs NumPy 1.0 or less")

    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    with pytest.warns(UserWarning, match="take several times as long: Numba needs NumPy 1.0"):
        assert native._on_cpu.__wrapped__() is None


def test_other_activations_and_widths_are_left_to_torch():
    sam = load_sam()
    assert Decoder(sam).by_kernels
    sam.mask_decoder.output_upscaling[4] = torch.nn.ReLU()
    assert not Decoder(sam).by_kernels
    sam = load_sam()
    attention = sam.mask_decoder.transformer.final_attn_token_to_image
    attention.internal_dim = 6 * attention.num_heads
    assert not decoder._suits_kernels(sam)
