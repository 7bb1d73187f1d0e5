"""The Python API: its example runs as it stands, and gives what the commands give."""

import re
import textwrap

import numpy as np
import pytest

from fgscore import api
from fgscore.errors import UsageError
from fgscore.exchange.import_ import import_files


def test_the_example_of_the_docstring_runs(store, data, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    (code,) = re.findall(r"Example::\n\n((?:    .*\n|\n)+)", api.__doc__)
    exec(compile(textwrap.dedent(code), "example", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and lines[0].endswith("(4, 4) (32,)") and lines[-1].endswith(" 4")


def test_images_carry_their_own_regions(store):
    (bundle,) = api.bundles(store)
    images = list(api.images(bundle))
    assert [i.image_id for i in images] == bundle.index.image_ids.tolist()
    whole, cut = api.arrays(store, bundle.globals), api.arrays(store, bundle.region_embeddings)
    np.testing.assert_array_equal(np.stack([i.globals for i in images]), whole["globals"])
    np.testing.assert_array_equal(np.concatenate([i.regions for i in images]), cut["regions"])
    boxes = api.arrays(store, bundle.regions)["boxes_xyxy"]
    np.testing.assert_array_equal(np.concatenate([i.boxes_xyxy for i in images]), boxes)
    assert {(i.class_name, i.split) for i in images} == {
        (c, s) for c in ("blue jay", "crow") for s in ("train", "test")
    }


def test_the_same_numbers_as_the_command(store, run):
    (bundle,) = api.bundles(store)
    row = api.probe(bundle, pool="topk(k=2)", scorer="hard_margin", target="local", head="logreg(C=1)")
    options = ("--scorer", "hard_margin", "--target", "local", "--k", "2", "--head", "logreg(C=1)", "--json")
    (result,) = run("probe", *options).json["results"]
    assert result["cached"] and {**result, "cached": False} == row


def test_scores_are_joined_over_shards(store):
    (bundle,) = api.bundles(store)
    made = api.scores(bundle, "region_global")
    assert made.scores.shape == (40,) and made.offsets.tolist() == list(range(0, 44, 4))
    assert (made.target == -1).all()


def test_masks_are_decoded(tmp_path):
    store = api.open_store(tmp_path)
    np.savez(
        tmp_path / "x.npz",
        image_ids=["a", "b"],
        labels=[0, 1],
        split=["train", "test"],
        globals=np.eye(2, 4),
        text=np.eye(2, 4),
        offsets=[0, 1, 1],
        regions=np.eye(1, 4),
        boxes_xyxy=[[0, 0, 2, 2]],
        mask_counts=[1, 2, 1],
        mask_offsets=[0, 3],
        mask_size_hw=[[2, 2], [2, 2]],
    )
    import_files(store, "mine", [tmp_path / "x.npz"])
    first, second = api.images(api.bundles(store)[0])
    np.testing.assert_array_equal(first.masks[0], [[False, True], [True, False]])
    assert second.masks == () and second.regions.shape == (0, 4)


def test_whole_images_alone(tmp_path):
    store = api.open_store(tmp_path)
    content = {"labels": [0, 1], "split": ["train", "test"], "globals": np.eye(2, 4), "text": np.eye(2, 4)}
    np.savez(tmp_path / "x.npz", **content)
    import_files(store, "mine", [tmp_path / "x.npz"])
    (bundle,) = api.bundles(store)
    assert [i.regions.shape for i in api.images(bundle)] == [(0, 4)] * 2
    assert api.probe(bundle, pool="none", head="zeroshot")["accuracy"] == 1.0
    with pytest.raises(UsageError, match="scores need regions"):
        api.scores(bundle)
