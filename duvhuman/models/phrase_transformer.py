"""PhraseTransformer v3: an encoder over the notes of a phrase that sees both directions.

Conventions
-----------
B phrases of T <= ``max_len`` notes, F numeric features, d = ``d_model``. Padding is marked by ``mask``, which is True
for real notes. The units of the regressions are told by `duvhuman.models.config`.

Attention is written with separate Linears and `scaled_dot_product_attention`: the fast path of
``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` ignores adapters in ``eval()``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from duvhuman.errors import ModelError
from duvhuman.files import write_whole
from duvhuman.models.config import DURATION_BINS, VELOCITY_BINS, ModelConfig
from duvhuman.models.files import CONFIG_FILE, WEIGHTS_FILE, read_json, read_tensors, write_tensors
from duvhuman.models.first_weights import FirstWeights

N_PITCHES = 128
N_PROGRAMS = 129
"""General MIDI's 128 programs and one more, the last, for "unknown"."""


class PhraseOutput(NamedTuple):
    """What the network says of each note: logits (B, T, 16), regressions and boundary logits (B, T)."""

    velocity_logits: Tensor
    velocity_value: Tensor
    duration_logits: Tensor
    duration_value: Tensor
    boundary_logits: Tensor


class ChannelDropout(nn.Module):
    """Silences channels at random while training, each for a whole phrase (Gal and Ghahramani 2016).

    Unlike `nn.Dropout` it draws one number for a channel of a phrase, not for each note, which costs next to nothing.

    Attributes
    ----------
    p : the probability, 0..1; `PhraseTransformer.set_dropout` sets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, T, d), its silenced channels 0 and the others over ``1 - p``."""
        if not self.training or not self.p:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.p)


class Attention(nn.Module):
    """Multi-head self-attention over a phrase."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.dropout = config.dropout
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def _heads(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.n_heads, width // self.n_heads).transpose(1, 2)  # (B, heads, T, d / heads)

    def forward(self, x: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Attend over notes: `x` (B, T, d), `attention_mask` (B, 1, 1, T), True where a note may be looked at."""
        q, k, v = self._heads(self.q_proj(x)), self._heads(self.k_proj(x)), self._heads(self.v_proj(x))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, dropout_p=dropout)
        y = y.transpose(1, 2).reshape(x.shape)  # (B, T, d)
        return self.out_proj(y)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.attention = Attention(config)
        self.ff_norm = nn.LayerNorm(config.d_model)
        self.ff_in = nn.Linear(config.d_model, config.d_ff)
        self.ff_out = nn.Linear(config.d_ff, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.channel_dropout = ChannelDropout()

    def forward(self, x: Tensor, attention_mask: Tensor | None) -> Tensor:
        """One layer: `x` (B, T, d) in and out, `attention_mask` as in `Attention`."""
        x = x + self._dropped(self.attention(self.attention_norm(x), attention_mask))
        return x + self._dropped(self.ff_out(F.gelu(self.ff_in(self.ff_norm(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return self.channel_dropout(self.dropout(x))


class PhraseTransformer(nn.Module):
    """The network of one instrument, or of all of them.

    Parameters
    ----------
    config : its shape; ``config.feature_names`` must name at least one feature.

    Raises
    ------
    ModelError
        If it names none.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if not config.feature_names:
            raise ModelError("feature_names is empty: the network needs at least one feature")
        self.config = config
        self.pitch_embedding = nn.Embedding(N_PITCHES, config.d_model)
        self.program_embedding = nn.Embedding(N_PROGRAMS, config.d_model)
        self.position_embedding = nn.Embedding(config.max_len, config.d_model)
        self.feature_proj = nn.Linear(len(config.feature_names), config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.channel_dropout = ChannelDropout()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.velocity_head = nn.Linear(config.d_model, VELOCITY_BINS + 1)
        self.duration_head = nn.Linear(config.d_model, DURATION_BINS + 1)
        self.boundary_head = nn.Linear(config.d_model, 1)
        self.apply(self._init_weights)

    def set_dropout(self, probability: float, channels: float = 0.0) -> None:
        """Train with another dropout, 0..1, than the config's, and a `ChannelDropout` of `channels`, 0..1 (0: none)."""
        for module in self.modules():
            if isinstance(module, ChannelDropout):
                module.p = channels
            elif isinstance(module, nn.Dropout):
                module.p = probability
            elif isinstance(module, Attention):
                module.dropout = probability

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    def forward(self, pitch: Tensor, program: Tensor, features: Tensor, mask: Tensor | None = None) -> PhraseOutput:
        """Predict every note of every phrase.

        Parameters
        ----------
        pitch : (B, T) int64, 0..127.
        program : (B, T) int64, 0..128; 128 is unknown.
        features : (B, T, F) float, the columns ``config.feature_names``.
        mask : (B, T) bool, True for real notes; None if there is no padding.
        """
        position = torch.arange(pitch.shape[1], device=pitch.device)
        x = self.pitch_embedding(pitch) + self.program_embedding(program) + self.position_embedding(position)
        x = self.channel_dropout(self.dropout(x + self.feature_proj(features)))  # (B, T, d)
        attention_mask = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, T), over keys
        for block in self.blocks:
            x = block(x, attention_mask)
        x = self.norm(x)
        velocity, duration = self.velocity_head(x), self.duration_head(x)  # (B, T, 17) each
        return PhraseOutput(
            velocity[..., :VELOCITY_BINS],
            velocity[..., VELOCITY_BINS],
            duration[..., :DURATION_BINS],
            duration[..., DURATION_BINS],
            self.boundary_head(x).squeeze(-1),
        )

    def save_pretrained(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` (float16) into `folder`, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / WEIGHTS_FILE, {name: value.half() for name, value in self.state_dict().items()})
        write_config(self.config, folder / CONFIG_FILE)

    @classmethod
    def from_pretrained(cls, folder: Path) -> PhraseTransformer:
        """Read a network, in float32 and in ``eval()`` mode, from a folder that `save_pretrained` wrote.

        Raises
        ------
        ModelError
            If a file is missing or corrupt, or if the weights have another shape than the config says.
        """
        config = read_config(folder)
        tensors = read_tensors(folder / WEIGHTS_FILE, "get or train the model anew")
        try:
            with FirstWeights():
                model = cls(config)
        except ModelError as error:
            raise ModelError(f"{folder / CONFIG_FILE}: {error}") from None
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        wrong = [f"{n}: {found.get(n)} instead of {expected.get(n)}" for n in sorted({*expected, *found})
                 if expected.get(n) != found.get(n)]
        if wrong:
            raise ModelError(
                f"{folder / WEIGHTS_FILE}: {len(wrong)} tensors do not fit {CONFIG_FILE} ({'; '.join(wrong[:3])}); "
                "the two files come from different models"
            )
        if damaged := [name for name, value in tensors.items() if not value.isfinite().all()]:
            raise ModelError(
                f"{folder / WEIGHTS_FILE}: {damaged[0]} holds NaN or infinite values; get or train the model anew"
            )
        model.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
        return model.eval()


def write_config(config: ModelConfig, path: Path) -> None:
    """Write a model's ``config.json``, whole or not at all."""
    write_whole(path, json.dumps(config.to_dict(), indent=2) + "\n")


def read_config(folder: Path) -> ModelConfig:
    """The config of the model in `folder`; ModelError if it is missing or unreadable."""
    path = folder / CONFIG_FILE
    values = read_json(path, "name a folder that holds a duvhuman model")
    try:
        return ModelConfig.from_dict(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
