"""SAM's checkpoints as training writes them give that SAM; other files are refused by a sentence, before any work."""

import json
import os
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
segment_anything = pytest.importorskip("segment_anything")

import checkpoints  # noqa: E402
import spoilt  # noqa: E402
from loaded import generator  # noqa: E402

from fgscore import demo  # noqa: E402
from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.demo.models import build_sam, load_sam  # noqa: E402
from fgscore.errors import MissingWeights  # noqa: E402
from fgscore.regions import sam  # noqa: E402
from fgscore.regions.sam import checkpoint as sam_checkpoint  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

CPU = Runtime(device="cpu")
LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}


@pytest.fixture(scope="module")
def state():
    """A SAM's weights under segment_anything's names: the demo's, a few megabytes."""
    return load_sam().state_dict()


@pytest.fixture(autouse=True)
def known(state, monkeypatch):
    """segment_anything builds that size, as it builds vit_b."""
    width = state["image_encoder.pos_embed"].shape[-1]
    monkeypatch.setitem(sam_checkpoint.ENCODER_WIDTHS, width, "vit_demo")
    config = json.loads((demo.sam_folder() / "config.json").read_text())
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_demo", lambda checkpoint=None: build_sam(config))


def written(name, state, folder):
    """A file of one of the forms or kinds."""
    ending = ".safetensors" if name in ("safetensors", "transformers' names") else ".pth"
    path = folder / f"weights{ending}"
    make = checkpoints.FORMS[name] if name in checkpoints.FORMS else checkpoints.OTHERS[name][0]
    make(state, path)
    return path


def checked(path):
    """By names and shapes alone, as before a long run."""
    sam.sam(CPU, checkpoint=str(path)).check()


@pytest.mark.parametrize("name", checkpoints.FORMS)
def test_a_sam_is_itself_in_every_form(name, state, tmp_path):
    path = written(name, state, tmp_path)
    checked(path)
    loaded = sam.sam(CPU, checkpoint=str(path))._model().state_dict()
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        expected = value.half().float() if name == "half precision" else value
        assert loaded[key].dtype == torch.float32
        assert torch.equal(loaded[key], expected), key


@pytest.mark.parametrize("name", ["{'model': module. ...}", "safetensors"])
def test_so_are_its_masks(name, state, tmp_path):
    bird = draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image
    runtime = Runtime(device="cpu", implementation="upstream")
    ours = generator("sam", runtime, checkpoint=str(written(name, state, tmp_path)), **LOOSE).propose(bird, "a")
    theirs = generator("sam", runtime, checkpoint="demo", **LOOSE).propose(bird, "a")
    assert len(theirs.area) > 2
    np.testing.assert_array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)
    np.testing.assert_array_equal(ours.predicted_iou, theirs.predicted_iou)


def loaded(path):
    """As the regions stage loads it, checked before or not."""
    sam.sam(CPU, checkpoint=str(path)).load()


@pytest.mark.parametrize(
    ("way", "name"),
    [(checked, name) for name in checkpoints.OTHERS]
    + [(loaded, name) for name in ("SAM-HQ", "one key missing", "code", "cut")],
)
def test_other_files_are_refused_by_a_sentence(way, name, state, tmp_path):
    path = written(name, state, tmp_path)
    with pytest.raises(MissingWeights) as caught:
        way(path)
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message
    assert path.name in message
    wanted = checkpoints.OTHERS[name][1].split("|")
    assert any(part.replace("\\", "") in message for part in wanted), message
    assert not spoilt.ran(path).exists()


def _changed(state, **more):
    return {**{name: value.clone() for name, value in state.items()}, **more}


BESIDE = {
    "an adapter beside it": (lambda s: {**checkpoints.prefixed(s, "sam."), "w_As.0.weight": torch.ones(2)}, "w_As.0"),
    "two in one": (
        lambda s: {**checkpoints.prefixed(s, "student."), **checkpoints.prefixed(s, "teacher.")},
        "'student.', 'teacher.'",
    ),
    "two wrapped": (lambda s: {"model": s, "ema": dict(s)}, "several models.*ema, model|model, ema"),
    "whole numbers": (
        lambda s: _changed(s, **{"mask_decoder.iou_token.weight": torch.ones(1, 256, dtype=torch.int8)}),
        "iou_token",
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_more_than_one_sam_and_nothing_but_it_is_refused(name, state, tmp_path):
    make, match = BESIDE[name]
    torch.save(make(state), tmp_path / "weights.pth")
    with pytest.raises(MissingWeights, match=match):
        checked(tmp_path / "weights.pth")


def test_a_number_beside_the_state_dict_leads_nobody_astray(state, tmp_path):
    torch.save({"model": {}, "metrics.loss": torch.ones(1), "net_ema": state}, tmp_path / "weights.pth")
    checked(tmp_path / "weights.pth")


def test_weights_that_are_not_finite_are_refused(state, tmp_path):
    name = "mask_decoder.iou_token.weight"
    torch.save(_changed(state, **{name: torch.full_like(state[name], torch.nan)}), tmp_path / "weights.pth")
    with pytest.raises(MissingWeights, match=rf"not finite.*{name}|{name}.*not finite"):
        sam.sam(CPU, checkpoint=str(tmp_path / "weights.pth")).load()


def test_a_cut_file_says_how_much_is_there(state, tmp_path):
    path = written("plain", state, tmp_path)
    spoilt.damage(path, "cut")
    with pytest.raises(MissingWeights, match=f"cut short.*{path.stat().st_size:,} bytes"):
        checked(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(MissingWeights, match=r"folder\.pth"):
        checked(tmp_path / "folder.pth")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pth")
        with pytest.raises(MissingWeights, match=r"pipe\.pth"):
            checked(tmp_path / "pipe.pth")


def test_a_path_may_begin_at_home(state, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    written("plain", state, tmp_path)
    checked("~/weights.pth")
    with pytest.warns(UserWarning, match="SHA-256"):
        assert len(sam.sam(CPU, checkpoint="~/weights.pth").weights()) == 64


def test_a_checkpoint_of_a_published_name_is_looked_into_as_well(tmp_path):
    """Half a download under the name of the whole."""
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(spoilt.PAGE.encode())
    with pytest.raises(MissingWeights, match=r"sam_vit_b_01ec64\.pth"):
        sam.sam(Runtime(models=tmp_path), checkpoint="vit_b").check()


@pytest.mark.parametrize("name", ["MobileSAM", "SAM-HQ", "cut", "one key missing"])
def test_nothing_is_done_before_the_checkpoint_is_known_to_fit(name, state, tmp_path, photos, run, data):
    path = written(name, state, tmp_path)
    model = shutil.copytree(demo.clip_folder(), tmp_path / "clip")
    result = run("extract", "folder", "--root", photos, "--regions", "random_crop(n=2)", "--regions",
                 f"sam(checkpoint='{path}')", "--encoder", f"clip(model='{model}')", "--device", "cpu")  # fmt: skip
    assert result.code == 1
    assert path.name in result.err
    assert "Traceback" not in result.err
    assert not list(data.rglob("*.h5")), "nothing is stored"
