"""SAM 2 and SAM 3 in their published layouts, against a plain loop over transformers' own model: a point at a time."""

import json
import shutil
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")
transformers = pytest.importorskip("transformers")

import equality  # noqa: E402
import hub as hubs  # noqa: E402
import loaded  # noqa: E402
import segmenters  # noqa: E402
import spoilt  # noqa: E402
from segment_anything.utils import amg  # noqa: E402
from tokens import write_json  # noqa: E402
from torchvision.ops import nms  # noqa: E402

from fgscore.contract import check  # noqa: E402
from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.errors import BadParameter, MissingWeights  # noqa: E402
from fgscore.regions import GeneratorMaker, sam2  # noqa: E402
from fgscore.regions.sam import decoder as sam_decoder  # noqa: E402
from fgscore.regions.sam.masks import Masks  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu", offline=True)
THEIRS = {
    "sam2": (transformers.Sam2Model, transformers.Sam2Processor),
    "sam3": (transformers.Sam3TrackerModel, transformers.Sam3TrackerProcessor),
}
# masks of random weights lie all over the picture: with 1, none is another's duplicate
LOOSE = {"points_per_side": 5, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5, "box_nms_thresh": 1.0}


@pytest.fixture(scope="module")
def bird():
    """(180, 320, 3): neither height nor width is the model's, nor are they alike."""
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image[70:250]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """``published(family)``: its folder, made once."""
    return cache(lambda family: segmenters.FAMILIES[family](tmp_path_factory.mktemp("published") / "model"))


@pytest.fixture
def copied(published, tmp_path):
    """``copied(family)``: a copy of it, to be spoilt."""
    return lambda family: shutil.copytree(published(family), tmp_path / "model")


def load(family, folder, **settings):
    return loaded.generator(family, CPU, model=str(folder), **{**LOOSE, **settings})


# -- the same masks ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def plain_loop(family, folder, image, crops=0, **settings):
    """Masks by transformers' model and processor: one point at a time, everything at the size of the image."""
    wanted = SimpleNamespace(**{**LOOSE, **settings})
    kind, processing = THEIRS[family]
    model = kind.from_pretrained(folder).eval()
    processor = processing(transformers.AutoImageProcessor.from_pretrained(folder))
    height, width = image.shape[:2]
    found, areas = [], []
    for box in amg.generate_crop_boxes((height, width), crops, 512 / 1500)[0]:
        x0, y0, x1, y1 = box
        crop = image[y0:y1, x0:x1]
        every = [one for point in grid(wanted.points_per_side, crop) for one in at(model, processor, crop, point)]
        good = [one for one in every if one[1] > wanted.pred_iou_thresh and one[2] >= wanted.stability_score_thresh]
        good = [one for one in good if not amg.is_box_near_crop_edge(one[3][None], list(box), [0, 0, width, height])]
        kept = unlike(good, [iou for _, iou, _, _ in good], wanted.box_nms_thresh)
        for mask, iou, stability, found_box in kept:
            whole = np.zeros((height, width), bool)
            whole[y0:y1, x0:x1] = mask
            found.append((whole, iou, stability, found_box + torch.tensor([x0, y0, x0, y0])))
            areas.append((x1 - x0) * (y1 - y0))
    return columns(unlike(found, [1 / area for area in areas], 0.7) if crops else found), wanted


def grid(side, crop):
    """Points in pixels of ``crop``, row by row."""
    height, width = crop.shape[:2]
    return [((i + 0.5) / side * width, (j + 0.5) / side * height) for j in range(side) for i in range(side)]


def at(model, processor, crop, point):
    """(mask, predicted IoU, stability, box with the last column and row) of each mask at ``point``."""
    size = [crop.shape[:2]]
    inputs = processor(images=crop, input_points=[[[list(point)]]], input_labels=[[[1]]], return_tensors="pt")
    inputs.pop("original_sizes")
    drawn = model(**inputs, multimask_output=True)
    logits = processor.post_process_masks(drawn.pred_masks, size, binarize=False)[0][0]
    for one, iou in zip(logits, drawn.iou_scores[0, 0].tolist(), strict=True):
        stability = float((one > 1).sum() / (one > -1).sum())
        yield (one > 0).numpy(), iou, stability, amg.batched_mask_to_box(one > 0)


def unlike(masks, scores, threshold):
    """Those of ``masks`` that no better one overlaps by more than ``threshold``."""
    boxes = torch.stack([torch.zeros(4), *(box for _, _, _, box in masks)])[1:]
    return [masks[i] for i in nms(boxes, torch.tensor(scores), threshold).tolist()]


def columns(masks):
    every = list(zip(*masks, strict=True))
    runs = [np.array(amg.mask_to_rle_pytorch(torch.as_tensor(mask)[None])[0]["counts"]) for mask in every[0]]
    area = np.array([mask.sum() for mask in every[0]])
    return Masks(torch.stack(every[3]).numpy(), area, np.array(every[1]), np.array(every[2]), runs)


def assert_alike(family, folder, image, crops=0, **settings):
    """The generator's masks are those of the plain loop, but for rounding; returns how many there are."""
    theirs, wanted = plain_loop(family, folder, image, crops, **settings)
    ours = load(family, folder, crop_n_layers=crops, **settings)._generate(image)
    report = equality.compare(theirs, ours, image.shape[:2], wanted)
    assert report.passed and report.lowest_iou >= 0.999, report.line()
    return report.compared


@pytest.mark.parametrize("family", segmenters.FAMILIES)
def test_masks_are_those_of_a_plain_loop(family, published, bird):
    assert 20 < assert_alike(family, published(family), bird) < 3 * 5 * 5


def test_so_are_masks_of_crops_and_what_is_left_of_duplicates(published, bird):
    crops = assert_alike("sam2", published("sam2"), bird, crops=1)
    assert 1 < assert_alike("sam2", published("sam2"), bird, box_nms_thresh=0.9) < crops


@pytest.mark.parametrize("numbers", [1, 1 << 30], ids=["one at a time", "all at once"])
def test_the_size_of_a_batch_of_points_changes_nothing(numbers, published, bird, monkeypatch):
    made = load("sam2", published("sam2"))
    theirs = made._generate(bird)
    monkeypatch.setitem(sam_decoder.NUMBERS, "cpu", numbers)
    report = equality.compare(theirs, made._generate(bird), bird.shape[:2], SimpleNamespace(**LOOSE))
    assert report.passed and report.compared == len(theirs.area), report.line()


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", segmenters.FAMILIES)
def test_it_keeps_to_every_law_of_region_generators(family, published):
    loose = "points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, crop_n_layers=1, area_min=0, area_max=1"
    maker = GeneratorMaker.bind(f"{family}(model='{published(family)}', {loose})")
    assert not [verdict for verdict in check(maker) if verdict.counterexample]


@pytest.mark.parametrize(
    ("family", "kind", "prefix"),
    [
        ("sam2", "sam2", ""),
        ("sam3", "sam3_tracker", "tracker_model."),
        ("sam3", "sam3_tracker_video", "tracker_model."),
    ],
)
def test_the_part_that_draws_by_points_may_stand_alone(family, kind, prefix, copied, bird):
    """As save_pretrained writes the model of images, or of video without its detector."""
    folder = copied(family)
    before = load(family, folder)._generate(bird)
    segmenters.alone(folder, kind)
    after = load(family, folder)._generate(bird)
    np.testing.assert_array_equal(after.boxes_xyxy, before.boxes_xyxy)
    np.testing.assert_array_equal(after.predicted_iou, before.predicted_iou)


@pytest.mark.parametrize(
    ("family", "beginning", "named"),
    [
        ("sam2", "mask_decoder.iou_token", "mask_decoder.iou_token.weight"),
        ("sam2", "shared_image_embedding", "shared_image_embedding.positional_embedding"),
        ("sam2", "vision_encoder.backbone.blocks.1.", "vision_encoder.backbone.blocks.1."),
        ("sam3", "tracker_neck.", "vision_encoder.neck."),
        ("sam3", "tracker_model.", "mask_decoder."),
        ("sam3", "detector_model.vision_encoder.backbone.layers.0.", "vision_encoder.backbone.layers.0."),
    ],
)
def test_missing_weights_are_refused_and_named(family, beginning, named, copied):
    folder = spoilt.without(copied(family), beginning)
    with pytest.raises(MissingWeights, match="missing") as caught:
        load(family, folder)
    assert named in str(caught.value) and folder.name in str(caught.value)


def test_weights_that_no_mask_depends_on_may_be_missing(copied, bird):
    folder = copied("sam2")
    before = load("sam2", folder)._generate(bird)
    spoilt.without(folder, "memory_attention.", "prompt_encoder.mask_embed.", "mask_decoder.pred_obj_score_head.")
    np.testing.assert_array_equal(load("sam2", folder)._generate(bird).predicted_iou, before.predicted_iou)


@pytest.mark.parametrize("how", spoilt.DAMAGE)
def test_damaged_weights_are_refused_by_their_file(how, copied):
    folder = copied("sam2")
    spoilt.damage(folder / "model.safetensors", how)
    with pytest.raises(MissingWeights, match=r"model\.safetensors"):
        load("sam2", folder)


def test_weights_that_are_not_finite_are_refused(copied):
    folder = copied("sam2")
    wrong = {"mask_decoder.iou_token.weight": torch.full((1, 32), torch.nan)}
    spoilt.change_weights(folder, lambda state: {**state, **wrong})
    with pytest.raises(MissingWeights, match=r"not finite: mask_decoder\.iou_token\.weight"):
        load("sam2", folder)


@pytest.mark.parametrize(
    ("family", "kind", "said"),
    [
        ("sam2", "sam3_video", r"name it by sam3\(model="),
        ("sam3", "sam2_video", r"name it by sam2\(model="),
        ("sam2", "sam", "fgscore download sam"),
        ("sam2", "sam_hq", "SAM-HQ"),
        ("sam2", "edgetam_video", "EdgeTAM"),
        ("sam3", "sam3", "detector alone.*facebook/sam3"),
        ("sam2", "clip", "expected SAM 2 in .*found a clip model"),
        ("sam3", "", "expected SAM 3 in .*no model_type"),
    ],
)
def test_another_kind_of_model_is_refused_by_its_name(family, kind, said, copied):
    folder = copied(family)
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "model_type": kind})
    with pytest.raises(MissingWeights, match=said) as caught:
        load(family, folder)
    assert "\n" not in str(caught.value) and folder.name in str(caught.value)


def test_pictures_of_another_size_than_the_model_sees_are_refused(copied):
    folder = copied("sam2")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    write_json(folder / "preprocessor_config.json", {**settings, "size": {"height": 32, "width": 32}})
    with pytest.raises(MissingWeights, match="32 x 32 pixels, the model sees 64 x 64"):
        load("sam2", folder)


def test_check_reads_no_more_than_headers_and_finds_what_lacks(copied):
    folder = copied("sam2")
    sam2.sam2(CPU, model=str(folder)).check()
    spoilt.without(folder, "mask_decoder.iou_token")
    with pytest.raises(MissingWeights, match=r"mask_decoder\.iou_token\.weight"):
        sam2.sam2(CPU, model=str(folder)).check()


def test_limits_of_parameters_are_those_of_the_masks():
    for wrong in ("points_per_side=0", "crop_n_layers=-1", "box_nms_thresh=0", "pred_iou_thresh=-1"):
        with pytest.raises(BadParameter, match=wrong.partition("=")[0]):
            GeneratorMaker.bind(f"sam2({wrong})")
    with pytest.raises(BadParameter, match="max_side"):
        sam2.sam2(CPU, max_side=0)
    with pytest.raises(BadParameter, match="points_per_side of at least 4 for crops of 2 layers, found 3"):
        sam2.sam2(CPU, points_per_side=3, crop_n_layers=2, crop_n_points_downscale_factor=2)


@pytest.mark.parametrize(("family", "said"), [("sam2", "SAM 2.*sam2\\(model="), ("sam3", "SAM 3.*sam3\\(model=")])
def test_sam_itself_says_by_what_name_they_are_read(family, said, published):
    with pytest.raises(MissingWeights, match=said):
        loaded.generator("sam", CPU, checkpoint=str(published(family) / "model.safetensors"))


def test_a_file_in_place_of_its_folder_is_said(published):
    with pytest.raises(MissingWeights, match="name the folder that it lies in"):
        load("sam2", published("sam2") / "model.safetensors")


# -- from the command line --------------------------------------------------------------------------------------------


def test_regions_are_made_from_the_command_line(published, photos, run):
    named = f"sam2(model='{published('sam2')}', points_per_side=2, pred_iou_thresh=0, area_min=0)"
    made = run("regions", "folder", "--root", photos, "--regions", named, "--device", "cpu")
    assert made.code == 0, made.err
    kept, _, more = made.out.partition("Next:")
    assert "regions/sam2-model-model-" in kept and str(published("sam2")) not in kept
    assert str(published("sam2")) in more, "what comes next is told as it was called"


def test_the_licence_page_of_a_gated_model_is_named(published, run, tmp_path, monkeypatch):
    with hubs.running() as running:
        running.serve("facebook/sam3", published("sam3"), gated=401)
        hubs.use(monkeypatch, running.url, tmp_path / "cache")
        found = run("download", "sam3", env={"HF_HUB_OFFLINE": "0"})
    assert found.code == 1
    assert f"accept its licence at {running.url}/facebook/sam3" in " ".join(found.err.split())


def test_a_model_of_the_hub_is_fetched_without_the_authors_own_file(published, run, tmp_path, monkeypatch):
    with hubs.running() as running:
        running.serve("facebook/sam2.1-hiera-tiny", published("sam2"))
        hubs.use(monkeypatch, running.url, tmp_path / "cache")
        found = run("download", "sam2", env={"HF_HUB_OFFLINE": "0"})
    assert found.code == 0, found.err
    assert "model.safetensors" in running.fetched() and "sam2.1_hiera_tiny.pt" not in running.fetched()
