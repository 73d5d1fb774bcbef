"""A character-level LSTM language model: a plain PyTorch program.

    python -m flashlight examples/lstm_text.py      on MLX
    python examples/lstm_text.py                    on PyTorch
"""

from __future__ import annotations

import torch
from common import text, training
from torch import nn, optim


class LanguageModel(nn.Module):
    """Tokens (N, T) and a state -> logits of the next ones (N, T, symbols) and the next state."""

    def __init__(self, symbols: int, width: int, layers: int, dropout: float = 0.2):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, symbols)

    def forward(self, tokens: torch.Tensor, state=None):
        y, state = self.lstm(self.embedding(tokens), state)
        return self.head(self.dropout(y)), state


@torch.no_grad()
def sample(model: LanguageModel, beginning: str, length: int) -> str:
    """The beginning and as many characters again as asked for, drawn one by one."""
    model.eval()
    tokens = text.encode(beginning)
    fed, state = tokens, None
    for _ in range(length):
        logits, state = model(fed[None], state)
        fed = text.draw(logits[0, -1])
        tokens = torch.cat([tokens, fed])
    return text.decode(tokens)


def main() -> None:
    parser = training.options(__doc__, epochs=5, batch_size=32, lr=2e-3)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=400, help="characters to write at the end")
    args = training.start(parser)
    train_set, test_set = text.windows(args.data, args.context)
    model = LanguageModel(len(text.ALPHABET), args.width, args.layers)
    optimizer = optim.RMSprop(model.parameters(), lr=args.lr, alpha=0.95)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    run = training.Run(args, model=model, optimizer=optimizer, scheduler=scheduler)
    loader = run.loader(train_set)
    held_out, next_ones = (tensor[: args.batch_size] for tensor in test_set.tensors)

    for _ in run.epochs():
        model.train()
        for inputs, targets in run.batches(loader):
            optimizer.zero_grad()
            logits, _state = model(inputs)
            loss = text.cross_entropy(logits, targets)
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), 0.5)
            optimizer.step()
            run.log(loss=loss)
        scheduler.step()
        model.eval()
        with torch.no_grad():
            test = text.cross_entropy(model(held_out)[0], next_ones)
        run.report(loss=loss.item(), test=test.item())
    print(sample(model, "def ", args.sample))


if __name__ == "__main__":
    main()
