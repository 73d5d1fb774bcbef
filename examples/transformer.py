"""A character-level transformer language model: a plain PyTorch program.

    python -m flashlight examples/transformer.py      on MLX
    python examples/transformer.py                    on PyTorch
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import text, training
from torch import nn, optim


class Attention(nn.Module):
    """Causal self-attention with several heads: (N, T, width) -> (N, T, width)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.project_in(x).chunk(3, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        return self.project_out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a layer for each position, each added to what went in."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.feed_forward(self.norm2(x)))


class LanguageModel(nn.Module):
    """A decoder (Radford et al. 2019): tokens (N, T) -> logits of the next ones (N, T, symbols)."""

    def __init__(
        self, symbols: int, context: int, width: int, heads: int, layers: int, dropout: float = 0.1
    ):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(symbols, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols, bias=False)
        nn.init.normal_(self.token.weight, std=0.02)
        nn.init.normal_(self.position.weight, std=0.02)
        self.head.weight = self.token.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


@torch.no_grad()
def sample(model: LanguageModel, beginning: str, length: int) -> str:
    """The beginning and as many characters again as asked for, drawn one by one."""
    model.eval()
    tokens = text.encode(beginning)
    for _ in range(length):
        logits = model(tokens[None, -model.context :])[0, -1]
        tokens = torch.cat([tokens, text.draw(logits)])
    return text.decode(tokens)


def main() -> None:
    parser = training.options(__doc__, epochs=5, batch_size=32, lr=1e-3)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--sample", type=int, default=400, help="characters to write at the end")
    args = training.start(parser)
    train_set, test_set = text.windows(args.data, args.context)
    model = LanguageModel(len(text.ALPHABET), args.context, args.width, args.heads, args.layers)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.1)
    total = args.epochs * min(len(train_set) // args.batch_size, args.steps or len(train_set))
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=args.lr, total_steps=total, pct_start=0.1, cycle_momentum=False
    )
    run = training.Run(args, model=model, optimizer=optimizer, scheduler=scheduler)
    loader = run.loader(train_set)
    held_out, next_ones = (tensor[: args.batch_size] for tensor in test_set.tensors)

    for _ in run.epochs():
        model.train()
        for inputs, targets in run.batches(loader):
            optimizer.zero_grad()
            loss = text.cross_entropy(model(inputs), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            run.log(loss=loss)
        model.eval()
        with torch.no_grad():
            test = text.cross_entropy(model(held_out), next_ones)
        run.report(loss=loss.item(), test=test.item())
    print(sample(model, "def ", args.sample))


if __name__ == "__main__":
    main()
