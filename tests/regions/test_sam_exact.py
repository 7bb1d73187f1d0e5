"""Our own automatic mask generation against upstream's, step by step and as a whole."""

import copy
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

import equality  # noqa: E402
import loaded  # noqa: E402
from PIL import Image  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator  # noqa: E402
from segment_anything.utils import amg  # noqa: E402

from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.demo.models import load_sam  # noqa: E402
from fgscore.errors import UsageError  # noqa: E402
from fgscore.machine import float32  # noqa: E402
from fgscore.machine.float32 import quick_float32  # noqa: E402
from fgscore.regions import sam as plugin  # noqa: E402
from fgscore.regions.sam import decoder as sam_decoder  # noqa: E402
from fgscore.regions.sam import encoder as sam_encoder  # noqa: E402
from fgscore.regions.sam import keys  # noqa: E402
from fgscore.regions.sam.decoder import Decoder  # noqa: E402
from fgscore.regions.sam.exact import ExactGenerator  # noqa: E402
from fgscore.regions.sam.frame import Frame, LazyRunLengths, measure, run_lengths  # noqa: E402
from fgscore.regions.sam.kernels import native  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

LOOSE = {"points_per_side": 5, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def bird():
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image


@pytest.fixture(scope="module")
def demo():
    return load_sam()


@pytest.fixture(scope="module")
def vit_b_decoder():
    """A Sam with ViT-B's decoder on random weights."""
    return equality.small_sam()


@pytest.fixture(params=["kernels", "torch"])
def by(request, monkeypatch):
    """With compiled kernels, and as where numba is not installed."""
    if request.param == "kernels":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(native, "_on_cpu", lambda: None)


def both(sam, **settings):
    """Upstream's generator, and ours with the same settings."""
    upstream = SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle", **settings)
    return upstream, ExactGenerator(upstream)


def resized(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height)))


class UpstreamDecoder:
    """Upstream's decoder in the place of ours, so that the rest can be compared bit for bit."""

    def __init__(self, sam):
        self.sam, self.grid = sam, tuple(sam.prompt_encoder.image_embedding_size)

    def batches(self, points):
        return points.split(64)

    def image(self, embedding):
        return embedding

    def prompts(self, embedding, points):
        logits, iou = equality.decode_upstream(self.sam, embedding, points)
        return _Logits(logits), iou

    def logits(self, embedding, batch, keep):
        return batch.logits[keep]


class _Logits:
    def __init__(self, logits):
        self.logits = logits

    def take(self, rows):
        return _Logits(self.logits[rows])


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize(
    ("size_wh", "more"),
    [
        ((320, 320), {}),  # larger than the demo model's 192 pixels
        ((192, 120), {}),  # as large: upstream's second resize leaves all as it is
        ((60, 90), {}),  # smaller
        ((300, 170), {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}),
        ((200, 200), {"stability_score_offset": 4.0, "box_nms_thresh": 0.3}),
        ((320, 240), {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        ((320, 240), {"pred_iou_thresh": 2.0}),  # nothing at all
    ],
    ids=str,
)
def test_given_the_same_logits_everything_is_bit_identical(bird, demo, size_wh, more, monkeypatch):
    monkeypatch.setattr(ExactGenerator, "_float32", staticmethod(nullcontext))  # another library would round otherwise
    image = resized(bird, *size_wh)
    upstream, ours = both(demo, **{**LOOSE, **more})
    ours._decoder = UpstreamDecoder(demo)
    ours._own_encoder = False
    theirs, found = plugin.columns(upstream.generate(image)), ours.generate(image)
    assert len(theirs.area) > 2 or "pred_iou_thresh" in more
    for name in ("boxes_xyxy", "area", "predicted_iou", "stability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(theirs, name), err_msg=name)
    assert len(found.runs) == len(theirs.runs)
    for a, b in zip(found.runs, theirs.runs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("input_hw", "image_hw"),
    [((1024, 683), (1024, 683)), ((1024, 683), (500, 333)), ((768, 1024), (1500, 2000)), ((64, 1024), (10, 160))],
    ids=str,
)
@pytest.mark.parametrize("side", [1024, 896], ids=["4 pixels a cell", "3.5 pixels a cell"])
def test_masks_are_measured_as_upstream_measures_them(input_hw, image_hw, side):
    input_hw = tuple(n * side // 1024 for n in input_hw)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(9, 1, 12, 12, generator=generator)
    logits = 6 * torch.nn.functional.interpolate(coarse, (256, 256), mode="bicubic")[:, 0] - 2
    logits[3] = -9.0  # an empty mask
    logits[4] = 9.0  # a full one
    ys, xs = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    for i, (y, x, radius, slope) in enumerate(
        [(10, 30, 6, 1.0), (0, 0, 4, 9.0), (15, 100, 3, 40.0), (12, 250, 9, 0.2)]
    ):
        logits[5 + i] = slope * (radius - ((ys - y) ** 2 + (xs - x) ** 2).sqrt())
    frame = Frame(side, input_hw, (0, 0, image_hw[1], image_hw[0]), image_hw)
    model = type("Square", (), {"image_encoder": type("Encoder", (), {"img_size": side})})()
    full = plugin_postprocess(model, logits[:, None], input_hw, image_hw)[:, 0]
    area, stability, boxes = measure(logits, frame, 0.0, 1.0)
    torch.testing.assert_close(area, (full > 0).sum((1, 2)).int(), rtol=0, atol=0)
    torch.testing.assert_close(stability, amg.calculate_stability_score(full, 0.0, 1.0), rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(boxes, amg.batched_mask_to_box(full > 0), rtol=0, atol=0)
    for one, whole in zip(logits, full, strict=True):
        part, top, left = frame.resize(one[None], -1.0)
        filled = torch.full_like(whole, -2.0)
        filled[top : top + part.shape[1], left : left + part.shape[2]] = part[0]
        assert torch.equal(filled > -1, whole > -1)
        assert torch.equal(filled[whole > -1], whole[whole > -1])
    runs = LazyRunLengths(list(logits), [frame] * len(logits), 0.0)
    for r, theirs in enumerate(amg.mask_to_rle_pytorch(full > 0)):
        assert runs[r].tolist() == theirs["counts"]
    assert len(runs[1:3]) == 2


def plugin_postprocess(model, logits, input_hw, image_hw):
    from segment_anything.modeling import Sam

    return Sam.postprocess_masks(model, logits, input_hw, image_hw)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 1)])
def test_run_lengths_are_upstreams(shape):
    rng = np.random.default_rng(0)
    for mask in [np.zeros(shape, bool), np.ones(shape, bool), *(rng.random((20, *shape)) < 0.5)]:
        theirs = amg.mask_to_rle_pytorch(torch.as_tensor(mask)[None])[0]["counts"]
        assert run_lengths(mask).tolist() == theirs


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("model", ["demo", "vit_b_decoder"])
def test_logits_are_as_near_to_float64_as_upstreams(model, request):
    sam = request.getfixturevalue(model)
    generator = torch.Generator().manual_seed(1)
    height, width = sam.prompt_encoder.image_embedding_size
    embedding = torch.randn(1, sam.mask_decoder.transformer_dim, height, width, generator=generator)
    points = sam.image_encoder.img_size * torch.rand(4, 2, generator=generator)
    exact, exact_iou = equality.decode_upstream(sam, embedding.double(), points)
    theirs, their_iou = equality.decode_upstream(sam, embedding, points)
    decoder = Decoder(sam)
    image = decoder.image(embedding)
    batch, iou = decoder.prompts(image, points)
    logits = decoder.logits(image, batch, torch.ones(4, 3, dtype=torch.bool)).view_as(exact)
    assert exact.std() > 1
    assert (logits - exact).abs().max() <= 2 * (theirs - exact).abs().max()
    assert (iou - exact_iou).abs().max() <= 2 * (their_iou - exact_iou).abs().max() + 1e-7
    some, keep = torch.tensor([2, 0]), torch.tensor([[True, False, True], [False, True, False]])
    torch.testing.assert_close(decoder.logits(image, batch.take(some), keep), logits[some][keep], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("numbers", [1, 1 << 30], ids=["one at a time", "all at once"])
@pytest.mark.usefixtures("by")
def test_the_size_of_a_batch_of_prompts_changes_nothing(bird, demo, numbers, monkeypatch):
    upstream, ours = both(demo, **LOOSE)
    expected = ours.generate(bird)
    monkeypatch.setitem(sam_decoder.NUMBERS, "cpu", numbers)
    monkeypatch.setattr(sam_decoder, "PROMPTS", min(numbers, 64))
    report = equality.compare(expected, ours.generate(bird), bird.shape[:2], upstream)
    assert report.passed and report.compared == len(expected.area), report


def test_what_prompts_share_is_multiplied_alike_on_every_device():
    x, image = torch.randn(3, 2, 5, 4), torch.randn(2, 4, 9)
    torch.testing.assert_close(keys._shared(x, image), x @ image)


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("scores", [None, 1 << 9, 1 << 17])
@pytest.mark.parametrize("model", ["demo", "vit_b_decoder"])
def test_embeddings_are_as_near_to_float64_as_upstreams(model, scores, request, monkeypatch):
    """Whatever the number of queries at a time: a row, several, several heads."""
    encoder = request.getfixturevalue(model).image_encoder
    if scores:
        monkeypatch.setitem(sam_encoder.SCORES, "cpu", scores if model == "demo" else 64 * scores)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, encoder.img_size, encoder.img_size, generator=generator)
    assert sam_encoder.supports(encoder)
    exact = copy.deepcopy(encoder).double()(image.double())
    theirs, ours = encoder(image), sam_encoder.encode(encoder, image)
    assert ours.shape == theirs.shape
    assert (ours - exact).abs().max() <= 2 * (theirs - exact).abs().max()


def test_quick_products_are_float32s_and_the_setting_is_put_back():
    switch = torch.backends.mkldnn.matmul
    before = switch.fp32_precision
    a, b = torch.randn(300, 400), torch.randn(400, 500)
    exact = a.double() @ b.double()
    with pytest.raises(KeyError), quick_float32():
        assert (a @ b - exact).abs().max() < 4e-4
        raise KeyError
    assert switch.fp32_precision == before


def test_nothing_is_switched_where_products_would_lose_precision(monkeypatch):
    @contextmanager
    def lossy():
        with monkeypatch.context() as patch:
            real = torch.Tensor.__matmul__
            patch.setattr(torch.Tensor, "__matmul__", lambda x, y: real(x.bfloat16().to(x), y.bfloat16().to(y)))
            yield

    monkeypatch.setattr(float32, "_bfloat16_allowed", lossy)
    assert not float32._keeps_float32.__wrapped__()


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("size_wh", [(320, 320), (192, 120), (60, 90)], ids=str)
def test_the_demo_models_masks_are_upstreams(bird, demo, size_wh):
    image = resized(bird, *size_wh)
    upstream, ours = both(demo, **LOOSE)
    report = equality.compare(plugin.columns(upstream.generate(image)), ours.generate(image), image.shape[:2], upstream)
    assert report.passed, report
    assert report.compared > 2


@pytest.mark.slow
@pytest.mark.usefixtures("by")
def test_masks_of_a_decoder_of_vit_bs_shape_are_upstreams(bird, vit_b_decoder):
    settings = {"points_per_side": 4, "box_nms_thresh": 0.9, **equality.thresholds(vit_b_decoder, bird)}
    upstream, ours = both(vit_b_decoder, **settings)
    report = equality.compare(plugin.columns(upstream.generate(bird)), ours.generate(bird), bird.shape[:2], upstream)
    assert report.passed, report
    assert report.compared > 2


def test_which_implementation_made_them_is_said(bird):
    ours = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", **LOOSE)
    theirs = loaded.generator("sam", Runtime(device="cpu", implementation="upstream"), checkpoint="demo", **LOOSE)
    assert (ours.implementation, theirs.implementation) == ("exact", "upstream")
    a, b = ours.propose(bird, "a"), theirs.propose(bird, "a")
    np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)
    np.testing.assert_allclose(a.predicted_iou, b.predicted_iou, atol=1e-6)
    with pytest.raises(UsageError, match="exact or upstream"):
        Runtime(implementation="mine")


def test_an_unchanged_image_gives_unchanged_masks(bird):
    generate = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", **LOOSE)
    first, again = generate.propose(bird, "a"), generate.propose(bird, "a")
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    np.testing.assert_array_equal(first.predicted_iou, again.predicted_iou)


def test_small_regions_are_left_to_upstream(demo):
    upstream, _ = both(demo, **LOOSE)
    made = plugin.sam(Runtime(device="cpu"), checkpoint="demo")
    made.use(upstream)
    assert made.implementation == "exact"
    upstream.min_mask_region_area = 5
    made.use(upstream)
    assert made.implementation == "upstream"


@pytest.fixture(scope="module")
def upstreams(bird, demo):
    """Upstream's masks of the bird, and the settings they were made under."""
    upstream, _ = both(demo, **LOOSE)
    return upstream, plugin.columns(upstream.generate(bird))


def test_the_comparison_notices_a_missing_mask(bird, upstreams):
    settings, masks = upstreams
    fewer = type(masks)(*(getattr(masks, f)[1:] for f in vars(masks)))
    assert not equality.compare(masks, fewer, bird.shape[:2], settings).passed
    assert not equality.compare(fewer, masks, bird.shape[:2], settings).passed


def test_the_comparison_notices_flipped_pixels(bird, upstreams):
    settings, masks = upstreams
    runs = list(masks.runs)
    runs[0] = np.array([runs[0][0] + 11, runs[0][1] - 11, *runs[0][2:]], np.uint32)
    other = type(masks)(masks.boxes_xyxy, masks.area, masks.predicted_iou, masks.stability, runs)
    assert equality.compare(masks, masks, bird.shape[:2], settings).passed
    assert not equality.compare(masks, other, bird.shape[:2], settings).passed
