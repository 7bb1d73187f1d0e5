"""The generator 'sam' against segment-anything's own output on the same image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

import loaded  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry  # noqa: E402

from fgscore import regions  # noqa: E402
from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.demo.models import load_sam  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402
from fgscore.regions import sam  # noqa: E402
from fgscore.regions.sam.generator import reduce  # noqa: E402
from fgscore.regular import file_sha256  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}


@pytest.fixture(scope="module")
def bird():
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image


@pytest.fixture(scope="module")
def upstream(bird):
    return SamAutomaticMaskGenerator(load_sam(), **LOOSE).generate(bird)


def test_masks_boxes_and_scores_are_upstreams(bird, upstream):
    generate = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", **LOOSE)
    batch = regions.batch(["a"], [generate.propose(bird, "a")], masks=True)
    assert len(upstream) > 2
    assert len(batch.area) == len(upstream)
    for r, theirs in enumerate(upstream):
        mask = batch.masks.decode(r, 0)
        np.testing.assert_array_equal(mask, theirs["segmentation"])
        rows, columns = np.nonzero(mask)
        x0, y0, x1, y1 = batch.boxes_xyxy[r]
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert batch.area[r] == pytest.approx(mask.mean())
        assert batch.predicted_iou[r] == pytest.approx(theirs["predicted_iou"])
        assert batch.stability[r] == pytest.approx(theirs["stability_score"])


def test_a_reduced_image_keeps_boxes_in_the_original_frame(bird):
    big = np.repeat(np.repeat(bird, 3, axis=0), 3, axis=1)
    generate = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", max_side=320, **LOOSE)
    found = generate.propose(big, "a")
    assert found.mask_hw == (320, 320)
    batch = regions.batch(["a"], [found], masks=True)
    assert len(batch.area)
    for r in range(len(batch.area)):
        rows, columns = np.nonzero(batch.masks.decode(r, 0))
        expected = (3 * columns.min(), 3 * rows.min(), 3 * (columns.max() + 1), 3 * (rows.max() + 1))
        assert tuple(batch.boxes_xyxy[r]) == expected


@pytest.mark.parametrize(
    ("shape", "max_side", "reduced"),
    [
        ((200, 400), 100, (50, 100)),
        ((30, 40), 100, (30, 40)),
        ((300, 2), 100, (100, 1)),
        ((300, 200), None, (300, 200)),
    ],
)
def test_images_are_reduced_never_enlarged(shape, max_side, reduced):
    assert reduce(np.zeros((*shape, 3), np.uint8), max_side).shape == (*reduced, 3)


def test_an_image_without_masks_is_a_normal_case():
    generate = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", points_per_side=1, pred_iou_thresh=1.0)
    found = regions.select(generate.propose(np.zeros((64, 48, 3), np.uint8), "a"), 32, 0.02, 0.5)
    batch = regions.batch(["a"], [found], masks=True)
    assert batch.offsets.tolist() == [0, 0]
    assert batch.masks.size_hw.tolist() == [[64, 48]]


def test_an_image_too_thin_for_the_models_square_has_none():
    thin = np.zeros((400, 1, 3), np.uint8)
    demo = sam.sam(Runtime(device="cpu"), checkpoint="demo")
    demo.load()
    assert len(demo.propose(thin, "thin").area) == 0


def test_masks_are_capped_by_predicted_iou(bird):
    generate = loaded.generator("sam", Runtime(device="cpu"), checkpoint="demo", **LOOSE)
    everything = generate.propose(bird, "a")
    kept = regions.select(everything, 2, 0.0, 1.0)
    np.testing.assert_array_equal(kept.predicted_iou, np.sort(everything.predicted_iou)[::-1][:2])


def test_a_missing_checkpoint_names_the_place_and_the_source(tmp_path):
    with pytest.raises(MissingWeights, match=r"sam_vit_b_01ec64\.pth.*https://"):
        sam.sam(Runtime(models=tmp_path), checkpoint="vit_b").weights()
    with pytest.raises(MissingWeights, match="existing .pth"):
        sam.sam(Runtime(models=tmp_path), checkpoint=str(tmp_path / "other.pth")).weights()


def test_an_official_state_dict_is_loaded_by_its_own_size(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "sam_vit_b_01ec64.pth"
    state = sam_model_registry["vit_b"](checkpoint=None).state_dict()
    torch.save(state, path)
    runtime = Runtime(models=tmp_path, device="cpu")
    model = sam.sam(runtime, checkpoint="vit_b")._model()
    assert torch.equal(model.state_dict()["mask_decoder.iou_token.weight"], state["mask_decoder.iou_token.weight"])
    assert sam.sam(runtime, checkpoint="vit_b").weights() == file_sha256(path)


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_a_pickle_in_a_checkpoint_never_runs(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"image_encoder.pos_embed": Hostile()}, path)
    with pytest.raises(MissingWeights, match="beside its weights.*refused"):
        sam.sam(Runtime(device="cpu"), checkpoint=str(path))._model()


def test_bad_ranges_are_refused():
    with pytest.raises(BadParameter, match="area_min"):
        loaded.generator("sam", Runtime(), checkpoint="demo", area_min=0.5, area_max=0.1)
    with pytest.raises(BadParameter, match="max_side"):
        loaded.generator("sam", Runtime(), checkpoint="demo", max_side=0)


@pytest.mark.parametrize("points, layers", [(4, 0), (2, 1)])
def test_multiply_accumulates_are_those_of_upstreams_own_run(points, layers, bird):
    """A grid of points in one call of its decoder, on numbers, for each crop."""
    from torch.utils.flop_counter import FlopCounterMode

    from fgscore.regions import GeneratorMaker

    text = f"sam(checkpoint=demo, points_per_side={points}, crop_n_layers={layers})"
    upstream = SamAutomaticMaskGenerator(load_sam(), points_per_side=points, crop_n_layers=layers)
    with torch.inference_mode(), FlopCounterMode(display=False) as run:
        for layer, grid in enumerate(upstream.point_grids):
            for _ in range(4**layer):
                upstream.predictor.set_image(bird)
                where = torch.as_tensor(grid, dtype=torch.float32)[:, None] * 64
                upstream.predictor.predict_torch(where, torch.ones(len(grid), 1, dtype=torch.int))
    assert GeneratorMaker.bind(text).make(Runtime(device="cpu")).macs() == pytest.approx(
        run.get_total_flops() / 2, rel=2e-3
    )  # its call also makes the positions of the image, once
