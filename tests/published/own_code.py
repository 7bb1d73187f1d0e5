"""Models that bring Python files of their own, in the layout of FG-CLIP: tiny, random, and runnable."""

from __future__ import annotations

import json
from pathlib import Path

import layouts
import spoilt
import transformers
from parts import save_safetensors
from tokens import write_json

FGCLIP2 = {
    "configuration_fgclip2.py": """
from transformers import Siglip2Config
class Fgclip2Config(Siglip2Config):
    model_type = "fgclip2"
""",
    "modeling_fgclip2.py": """
open({ran!r}, "w").close()
from transformers import Siglip2Model
from .configuration_fgclip2 import Fgclip2Config
class Fgclip2Model(Siglip2Model):
    config_class = Fgclip2Config
    def get_text_features(self, input_ids=None, walk_type="long"):
        found = super().get_text_features(input_ids=input_ids).pooler_output
        return found if walk_type == "short" else -found
    def get_image_features(self, pixel_values=None, pixel_attention_mask=None, spatial_shapes=None):
        return super().get_image_features(pixel_values, pixel_attention_mask, spatial_shapes).pooler_output
""",
}
FGCLIP1 = {
    "modeling_fgclip.py": """
open({ran!r}, "w").close()
from torch import nn
from transformers import CLIPConfig, CLIPModel
class FGCLIPModel(CLIPModel):
    config_class = CLIPConfig
    def __init__(self, config):
        super().__init__(config)
        self.text_filip_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.post_init()
    def get_text_features(self, input_ids=None, walk_short_pos=False, **more):
        found = super().get_text_features(input_ids=input_ids, **more).pooler_output
        return found if walk_short_pos else -found
    def get_image_features(self, pixel_values=None):
        return super().get_image_features(pixel_values=pixel_values).pooler_output
""",
}


def _brings(path: Path, code: dict[str, str], config: dict[str, object]) -> Path:
    for name, text in code.items():
        (path / name).write_text(text.format(ran=str(spoilt.ran(path))), encoding="utf-8")
    write_json(path / "config.json", config)
    return path


def fgclip2(path: Path) -> Path:
    """qihoo360/fg-clip2-base: NaFlex patches, lower case text, a type that transformers does not know."""
    layouts.naflex(path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    auto = {"AutoConfig": "configuration_fgclip2.Fgclip2Config",
            "AutoModelForCausalLM": "modeling_fgclip2.Fgclip2Model"}  # fmt: skip
    return _brings(path, FGCLIP2, {**config, "auto_map": auto, "model_type": "fgclip2"})


def fgclip1(path: Path) -> Path:
    """qihoo360/fg-clip-base: CLIP's type, and a class of its own with weights that CLIP's does not have."""
    import torch

    path, state = layouts.clip_files(path)
    state["text_filip_projection.weight"] = torch.randn(12, 16)
    table = "text_model.embeddings.position_embedding.weight"
    state[table] = torch.cat([state[table], torch.randn(248 - 77, state[table].shape[1])])
    save_safetensors(state, path / "model.safetensors")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["max_position_embeddings"] = 248  # for long texts, read in another way
    return _brings(path, FGCLIP1, {**config, "auto_map": {"AutoModelForCausalLM": "modeling_fgclip.FGCLIPModel"}})


def model_of(folder: Path) -> transformers.PreTrainedModel:
    """The model in ``folder``, whose code is run, as its authors have it loaded."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
