"""What one update costs per image, by arithmetic; `franca.models.cost` says what counts.

Counted are the operations that `StudentTeacher` executes: the teacher forward on the global crops,
the student forward and backward on all crops, heads on CLS tokens and masked patches only. What
stochastic depth leaves out is not counted; a backward pass is twice its forward pass, but once for
the patch embedding, whose input needs no gradient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from franca.heads.cost import HeadStack
from franca.models.archs import Arch
from franca.models.cost import (
    backbone_parameters,
    block_flops,
    kept_bytes_per_token,
    num_patches,
    num_tokens,
    output_flops,
    patch_flops,
    spared_bytes_per_token,
)

_NUM_GLOBAL = 2
_FP32, _BF16 = 4, 2


@dataclass(frozen=True, kw_only=True)
class Step:
    """One update of training, per image.

    Attributes:
        arch: its position grid is that of the global crops.
        registers: register tokens.
        drop_path: share of the sequences that a residual branch of the student leaves out.
        precision: of the products in backbones and heads; logits are fp32.
        dino_head: of the CLS tokens.
        ibot_head: of the masked patches.
        global_size: pixels a side, as the next.
        local_size: of the small crops.
        num_local: small crops of an image.
        masked_share: masked share of all patches of the global crops, on average.
    """

    arch: Arch
    registers: int
    drop_path: float
    precision: Literal["fp32", "bf16"]
    dino_head: HeadStack
    ibot_head: HeadStack
    global_size: int
    local_size: int
    num_local: int
    masked_share: float

    @property
    def backbone_parameters(self) -> int:
        """Parameters of the student's backbone; the teacher has as many."""
        return backbone_parameters(self.arch, registers=self.registers)

    @property
    def head_parameters(self) -> int:
        """Parameters of the student's heads; the teacher has as many."""
        return self.dino_head.parameters + self.ibot_head.parameters

    @property
    def masked(self) -> float:
        """Masked patches of an image, on average."""
        patches = num_patches(self.arch, image_size=self.global_size)
        return _NUM_GLOBAL * patches * self.masked_share

    @property
    def flops(self) -> Mapping[str, float]:
        """Operations of an image by who executes them."""
        seen = _NUM_GLOBAL * self.dino_head.flops + self.masked * self.ibot_head.flops
        local = self.num_local * self.dino_head.flops
        teacher = _NUM_GLOBAL * (self._blocks(self.global_size) + self._patches(self.global_size))
        student = sum(
            count * (3 * (1 - self.drop_path) * self._blocks(size) + 2 * self._patches(size))
            for size, count in self._crops
        )
        spared = self.spared_flops
        return {
            "teacher backbone": teacher - spared["teacher backbone"],
            "student backbone": student - spared["student backbone"],
            "teacher heads": seen,
            "student heads": 3 * (seen + local),
        }

    @property
    def spared_flops(self) -> Mapping[str, float]:
        """Operations left out in the last block, for tokens that no loss reads.

        Stochastic depth leaves out none of the tokens that are read.
        """
        seen = _NUM_GLOBAL * self._tokens(self.global_size)
        unread = seen - _NUM_GLOBAL - self.masked
        return {
            "teacher backbone": output_flops(self.arch, tokens=unread),
            "student backbone": 3 * output_flops(self.arch, tokens=self._unread),
        }

    @property
    def activation_bytes(self) -> float:
        """Bytes that the student keeps for the backward pass, per image, without recomputing."""
        pixels = sum(count * 3 * size**2 for size, count in self._crops)
        tokens = sum(count * self._tokens(size) for size, count in self._crops)
        per_token = kept_bytes_per_token(
            self.arch, precision=self.precision, drop_path=self.drop_path
        )
        rows = _NUM_GLOBAL + self.num_local
        return (
            pixels * (_BF16 if self.precision == "bf16" else _FP32)
            + tokens * per_token
            - self._unread * spared_bytes_per_token(self.arch, precision=self.precision)
            + rows * self.dino_head.kept_bytes_per_row(precision=self.precision)
            + self.masked * self.ibot_head.kept_bytes_per_row(precision=self.precision)
        )

    @property
    def target_bytes(self) -> float:
        """Bytes of the teacher's logits and of the targets made of them, per image, in fp32."""
        logits = _NUM_GLOBAL * self.dino_head.prototypes + self.masked * self.ibot_head.prototypes
        return 2 * _FP32 * logits

    @property
    def state_bytes(self) -> int:
        """Bytes that follow the parameters and can be sharded.

        In fp32: weights, gradients, two moments and the teacher.
        """
        return 5 * _FP32 * (self.backbone_parameters + self.head_parameters)

    @property
    def working_bytes(self) -> int:
        """Bytes that follow the parameters and every device needs while it works.

        Backbone and MLPs of the student in bf16, and in fp32 of the prototypes: the normalised ones
        of student and teacher, and the gradients that the loss keeps of global and of local crops.
        """
        prototypes = self.dino_head.prototype_parameters + self.ibot_head.prototype_parameters
        others = self.backbone_parameters + self.head_parameters - prototypes
        cast = _BF16 * others if self.precision == "bf16" else 0
        return cast + 4 * _FP32 * prototypes

    @property
    def _unread(self) -> float:
        """Tokens per image that a branch of the student computes on and no loss reads."""
        tokens = sum(count * self._tokens(size) for size, count in self._crops)
        return (1 - self.drop_path) * tokens - _NUM_GLOBAL - self.num_local - self.masked

    @property
    def _crops(self) -> tuple[tuple[int, int], ...]:
        """Sides and numbers of the student's crops."""
        return (self.global_size, _NUM_GLOBAL), (self.local_size, self.num_local)

    def _blocks(self, size: int) -> int:
        return block_flops(self.arch, tokens=self._tokens(size))

    def _patches(self, size: int) -> int:
        return patch_flops(self.arch, image_size=size)

    def _tokens(self, size: int) -> int:
        return num_tokens(self.arch, image_size=size, registers=self.registers)
