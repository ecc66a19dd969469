"""BloodNet-style network: one network segments the blood and classifies the slice, the second through the first.

P(mask, label | x) = P(mask | x) · P(label | x, mask), after Bar et al., arXiv 1907.00148. The body of that paper is
not public: encoder, losses and the exact form of the link are this project's own choice.

    x ──► encoder ──► decoder ──► mask logits ──► link ──┐
             │            └── quarter-resolution ──► pooled under the seen mask ──► slice logits ──► study head
             └── deepest features, mean and maximum ─────┘

Encoder names (`conv1`, `bn1`, `layer1.0.conv1`, …, `downsample.0`) are those of the common ResNet state dicts, so
that pretrained weights can start it (`bloodnet_model.pretrained`). Norms are GroupNorm, so nothing like running
statistics has to be averaged across scanners; BatchNorm is there for FedBN, which keeps them at the site.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bloodnet_model.errors import DataError
from bloodnet_model.labels import CLASSES
from bloodnet_model.layers import Block, Norms, joined, stage
from bloodnet_model.settings import Link, ModelSettings, NetworkSettings

CLASS_COUNT = len(CLASSES)
_STATISTICS = 5
_UNIFORM_LOGIT = -3.0  # a constant, nearly empty mask: what `independent` sees in place of the prediction
_TRUE_LOGIT = 4.0  # how certain the true mask looks to `oracle`
_LEAK = 0.1  # at these learning rates plain ReLUs died: of 64, 3 to 10 were left
_RARE_BIAS = -2.0  # few pixels hold blood; starting near their prior shortens the plateau of empty masks


class SliceOutput(NamedTuple):
    """What the network says of a batch of slices."""

    mask_logits: Tensor  # (slices, 1 or 6, rows / 2, columns / 2); the first is blood of any kind
    slice_logits: Tensor  # (slices, 6)
    features: Tensor  # (slices, hidden), input of the study head


def seen_by_classifier(
    link: Link, mask_logits: Tensor, attention_logits: Tensor, true_masks: Tensor | None = None
) -> Tensor:
    """The map of logits that the classifier gets to see: the whole difference between the arms of the ablation.

    All three are (slices, mask channels, rows, columns). `attention_logits` come from a second head that no mask
    teaches. `shuffled` gives each slice the mask of one half a batch away: in training that of another study, from
    which nothing can be learned; in prediction, where a batch is a part of one study, that of another slice of the
    same study, which a classifier trained in this way has no use for (a batch of one slice has only its own).
    """
    match link:
        case "dependent":
            return mask_logits
        case "detached":
            return mask_logits.detach()
        case "independent" | "single":
            return torch.full_like(mask_logits, _UNIFORM_LOGIT)
        case "attention":
            return attention_logits
        case "shuffled":
            return mask_logits.roll(len(mask_logits) // 2, 0)
        case "oracle":
            return _certain(true_masks)


def learns_masks(link: Link) -> bool:
    """Whether masks teach the network at all; `single` is the same network with the segmentation loss off."""
    return link != "single"


def shown_to_oracle(network: "BloodNet", masks: Tensor, known: Tensor) -> Tensor | None:
    """What `forward` wants as `true_masks`: None for every link but `oracle`, and 0.5 where nobody drew a mask."""
    if network.link != "oracle":
        return None
    return torch.where(known.bool()[:, None, None, None], masks, 0.5)[:, : network.mask_channels]


class BloodNet(nn.Module):
    """Slices in (slices, channels, rows, columns), `SliceOutput` out; `study_logits` turns slices into a study."""

    def __init__(self, settings: NetworkSettings, windows: int) -> None:
        super().__init__()
        s = settings
        self.link: Link = s.link
        self.mask_channels = s.mask_channels
        channels = windows * (2 * s.neighbours + 1)
        norm = Norms(s.norm, s.norm_from)
        self.conv1 = nn.Conv2d(channels, s.widths[0], s.stem_kernel, 2, s.stem_kernel // 2, bias=False)
        self.bn1 = norm(s.widths[0])
        self.stem_pool = s.stem_pool
        self.stages = [f"layer{i + 1}" for i in range(len(s.widths))]
        for i, name in enumerate(self.stages):
            before = s.widths[max(0, i - 1)]
            self.add_module(name, stage(before, s.widths[i], s.blocks[i], 1 if i == 0 else 2, norm))
        skips = [*([s.widths[0]] if s.stem_pool else []), *s.widths[:-1]]
        self.decoder = nn.ModuleList()
        below = s.widths[-1]
        for skip, width in zip(reversed(skips), s.decoder_widths, strict=True):
            self.decoder.append(Block(below + skip, width, 1, norm))
            below = width
        self.mask_head = nn.Conv2d(below, s.mask_channels, 1)
        seen = 2 * s.widths[-1] + s.decoder_widths[-2] + _STATISTICS * s.mask_channels
        self.describe = nn.Linear(seen, s.hidden)
        self.classify = nn.Linear(s.hidden, CLASS_COUNT)
        self.study_head: nn.Module = _STUDY_HEADS[s.study_head](s.hidden)
        self.attention_head = nn.Conv2d(below, s.mask_channels, 1)  # in every arm, so that all have as many parameters
        for head in (self.mask_head, self.attention_head):
            nn.init.constant_(head.bias, _RARE_BIAS)  # type: ignore[arg-type]
        nn.init.constant_(self.classify.bias, -1.0)

    def forward(self, slices: Tensor, true_masks: Tensor | None = None) -> SliceOutput:
        """`true_masks` (slices, mask channels, rows / 2, columns / 2) in {0, 1} are for the link `oracle` alone."""
        levels = self._encode(slices)
        up = self._decode(levels)
        mask_logits = self.mask_head(up[-1]).float().contiguous()  # a map at a time: sums run along its pixels
        with torch.autocast(slices.device.type, enabled=False):  # sums over many pixels: float32
            attention_logits = self.attention_head(up[-1].float())
            seen = seen_by_classifier(self.link, mask_logits, attention_logits, true_masks)
            quarter = up[-2].float()
            deepest = levels[-1].float()
            # The maximum is what finds a small lesion where the link shows none: without it `independent` stays at
            # chance, and the ablation would compare with a classifier that cannot work.
            parts = [deepest.mean((2, 3)), deepest.amax((2, 3)), _pooled_under(seen[:, :1], quarter)]
            features = F.leaky_relu(self.describe(torch.cat([*parts, mask_statistics(seen)], 1)), _LEAK)
            return SliceOutput(mask_logits, self.classify(features), features)

    def study_logits(self, features: Tensor, slice_logits: Tensor) -> Tensor:
        """(studies, slices, hidden) and (studies, slices, 6), slices in anatomical order, to (studies, 6)."""
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.study_head(features.float(), slice_logits.float())
        return logits

    def _encode(self, slices: Tensor) -> list[Tensor]:
        """Feature maps from half resolution down to the deepest."""
        x = F.relu(self.bn1(self.conv1(slices)), inplace=True)
        levels = []
        if self.stem_pool:
            levels.append(x)
            x = F.max_pool2d(x, 3, 2, 1)
        for name in self.stages:
            x = self.get_submodule(name)(x)
            levels.append(x)
        return levels

    def _decode(self, levels: list[Tensor]) -> list[Tensor]:
        """Feature maps from the deepest skip up to half resolution."""
        x, maps = levels[-1], []
        for block, skip in zip(self.decoder, reversed(levels[:-1]), strict=True):
            x = block(joined(F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip))
            maps.append(x)
        return maps


class LogSumExpHead(nn.Module):
    """A smooth maximum over the slices; the offset is half of log n, so long studies do not score high by length."""

    def __init__(self, hidden: int) -> None:
        super().__init__()

    def forward(self, features: Tensor, slice_logits: Tensor) -> Tensor:
        largest: Tensor = torch.logsumexp(slice_logits, 1)
        return largest - 0.5 * math.log(slice_logits.shape[1])


class GruAttentionHead(nn.Module):
    """Bidirectional GRU over the slices, then one attention a class."""

    def __init__(self, hidden: int, state: int = 128) -> None:
        super().__init__()
        self.gru = nn.GRU(hidden, state, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * state, CLASS_COUNT)
        self.classify = nn.Linear(2 * state, CLASS_COUNT)

    def forward(self, features: Tensor, slice_logits: Tensor) -> Tensor:
        states, _ = self.gru(features)  # (studies, slices, 2 * state)
        share = torch.softmax(self.attention(states), 1)  # (studies, slices, 6)
        study_logits: Tensor = (share * (self.classify(states) + slice_logits)).sum(1)
        return study_logits


_STUDY_HEADS = {"log-sum-exp": LogSumExpHead, "gru-attention": GruAttentionHead}


def mask_statistics(mask_logits: Tensor) -> Tensor:
    """(slices, n, rows, columns) to (slices, 5 n): by class the largest, top 1 %, mean, log-mean-exp, log soft area.

    The soft area is what a small but certain lesion changes most; the means are what a large, faint one does. All are
    told from the uniform map's, which has zeros: constant inputs would act as one huge, restless bias.
    """
    flat = mask_logits.flatten(2)
    pixels = flat.shape[-1]
    top = flat.topk(max(4, pixels // 100), -1).values
    statistics = [
        top[..., 0],
        top.mean(-1),
        flat.mean(-1),
        torch.logsumexp(flat, -1) - math.log(pixels),
        torch.log(torch.sigmoid(flat).sum(-1) + 0.1),
    ]
    uniform = [_UNIFORM_LOGIT] * 4 + [math.log(pixels / (1 + math.exp(-_UNIFORM_LOGIT)) + 0.1)]
    return 0.3 * torch.cat([of - at for of, at in zip(statistics, uniform, strict=True)], 1)


def build_network(settings: ModelSettings, seed: int) -> BloodNet:
    """A fresh network: the same settings and seed give the same weights, the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BloodNet(settings.network, len(settings.preprocessing.windows_hu))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _pooled_under(mask_logit: Tensor, features: Tensor) -> Tensor:
    """Mean of `features` (slices, channels, rows / 4, columns / 4) weighted by the seen probability of blood."""
    weight = F.avg_pool2d(torch.sigmoid(mask_logit), 2)
    pooled: Tensor = (features * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)
    return pooled


def _certain(true_masks: Tensor | None) -> Tensor:
    if true_masks is None:
        raise DataError("The link `oracle` sees the true masks and can only be used where there are some.")
    return (2 * true_masks - 1) * _TRUE_LOGIT
