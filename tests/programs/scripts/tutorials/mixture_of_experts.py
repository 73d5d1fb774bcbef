"""A language model of grouped-query attention, RMS norms and experts chosen per token."""

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, GROUPS, EXPERTS, CHOSEN, SYMBOLS = 16, 4, 2, 4, 2, 30


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = (nn.Linear(WIDTH, 2 * WIDTH, bias=False) for _ in range(2))
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x):
        tokens = x.view(-1, WIDTH)
        shares = F.softmax(self.router(tokens), dim=1)
        weights, chosen = torch.topk(shares, CHOSEN, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        result = torch.zeros_like(tokens)
        masks = F.one_hot(chosen, num_classes=EXPERTS).permute(2, 1, 0)
        for expert, mask in zip(self.experts, masks):
            place, token = torch.where(mask)
            if token.numel():
                made = expert(tokens[None, token].reshape(-1, WIDTH)) * weights[token, place, None]
                result.index_add_(0, token, made)
        load = masks.sum((1, 2)).to(shares.dtype) / len(tokens)
        self.balance = EXPERTS * (shares.mean(0) * load).sum()
        return result.view(x.shape)


def rotated(x):
    """Rotary positions, (N, T, H, D)."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half) / half)
    angles = torch.outer(torch.arange(x.shape[1]), rates)[:, None]
    a, b = x.chunk(2, -1)
    return torch.cat(
        [a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1
    )


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.key_value = nn.Linear(WIDTH, 2 * WIDTH * GROUPS // HEADS, bias=False)

    def forward(self, x):
        query = rotated(self.query(x).unflatten(-1, (HEADS, -1)))
        key, value = self.key_value(x).unflatten(-1, (2, GROUPS, -1)).unbind(2)
        key, value = (
            part.repeat_interleave(HEADS // GROUPS, 2).transpose(1, 2)
            for part in (rotated(key), value)
        )
        y = F.scaled_dot_product_attention(query.transpose(1, 2), key, value, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.attention, self.mixture = Attention(), Mixture()
        self.norms = nn.ModuleList(nn.RMSNorm(WIDTH) for _ in range(3))
        self.head = nn.Linear(WIDTH, SYMBOLS, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.embedding(tokens)
        x = x + self.attention(self.norms[0](x))
        return self.head(self.norms[2](x + self.mixture(self.norms[1](x))))


model = Model()
matrices = [p for p in model.parameters() if p.ndim >= 2]
scales = [p for p in model.parameters() if p.ndim < 2]
groups = [{"params": matrices, "weight_decay": 0.1}, {"params": scales, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=5e-3, betas=(0.9, 0.95))
text = torch.randint(0, SYMBOLS, (6, 9))
for _ in range(8):
    for half in text.split(3):
        logits = model(half[:, :-1])
        loss = F.cross_entropy(logits.transpose(1, 2), half[:, 1:]) + 0.01 * model.mixture.balance
        (loss / 2).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    print(f"{loss.item():.9f} {model.mixture.balance.item():.9f}")
with torch.no_grad():
    tokens = text[:1, :1]
    for _ in range(8):
        logits = model(tokens)[:, -1]
        logits[logits < torch.topk(logits, 5).values[:, [-1]]] = -float("inf")
        tokens = torch.cat([tokens, torch.multinomial(logits.softmax(-1), 1)], dim=1)
print(tokens.tolist(), loss)
