"""Words backwards: a packed bidirectional encoder, a decoder with additive attention."""

import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

PAD, START, END, SYMBOLS, WIDTH = 0, 1, 2, 14, 24


def words(count):
    source = [
        torch.tensor([random.randint(3, SYMBOLS - 1) for _ in range(random.randint(3, 7))] + [END])
        for _ in range(count)
    ]
    target = [torch.cat([word[:-1].flip(0), word[-1:]]) for word in source]
    lengths = torch.tensor([len(word) for word in source])
    return pad_sequence(source, batch_first=True), lengths, pad_sequence(target, batch_first=True)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH, padding_idx=PAD)
        self.gru = nn.GRU(WIDTH, WIDTH, bidirectional=True, batch_first=True)
        self.bridge = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            self.embedding(x), lengths, batch_first=True, enforce_sorted=False
        )
        outputs, hidden = self.gru(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        return outputs, torch.tanh(self.bridge(torch.cat([hidden[-2], hidden[-1]], 1)))[None]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        self.gru = nn.GRU(3 * WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, SYMBOLS)
        self.dropout = nn.Dropout(0.1)

    def attend(self, hidden, keys, mask):
        scores = self.score(torch.tanh(self.query(hidden.permute(1, 0, 2)) + self.key(keys)))
        scores = scores.squeeze(2).unsqueeze(1).masked_fill(mask[:, None], float("-inf"))
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights

    def forward(self, keys, hidden, mask, target=None, longest=8):
        fed = torch.empty(keys.size(0), 1, dtype=torch.long).fill_(START)
        logits, weights = [], []
        for step in range(longest if target is None else target.size(1)):
            context, weight = self.attend(hidden, keys, mask)
            embedded = self.dropout(self.embedding(fed))
            output, hidden = self.gru(torch.cat([embedded, context], dim=2), hidden)
            logits.append(self.out(output))
            weights.append(weight)
            if target is not None and random.random() < 0.5:
                fed = target[:, step, None]
            else:
                fed = logits[-1].topk(1)[1].squeeze(-1).detach()
        return torch.cat(logits, 1).log_softmax(-1), torch.cat(weights, 1)


encoder, decoder = Encoder(), Decoder()
optimizers = [torch.optim.Adam(module.parameters(), 5e-3) for module in (encoder, decoder)]
criterion = nn.NLLLoss(ignore_index=PAD)
for _ in range(10):
    source, lengths, target = words(8)
    for optimizer in optimizers:
        optimizer.zero_grad()
    keys, hidden = encoder(source, lengths)
    predicted, weights = decoder(keys, hidden, source == PAD, target)
    loss = criterion(predicted.view(-1, SYMBOLS), target.reshape(-1))
    loss.backward()
    norm = nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    print(f"{loss.item():.9f} {norm.item():.9f}", tuple(weights.shape))
encoder.eval(), decoder.eval()
with torch.no_grad():
    source, lengths, _ = words(2)
    predicted, weights = decoder(*encoder(source, lengths), source == PAD)
print(predicted.argmax(-1), weights[0, 0])
