"""Advantage actor-critic that balances a pole on a cart: a plain PyTorch program.

    python -m flashlight examples/actor_critic.py      on MLX
    python examples/actor_critic.py                    on PyTorch
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from common import training
from torch import nn, optim
from torch.distributions import Categorical


class CartPole:
    """Barto, Sutton and Anderson 1983: push a cart left or right, +1 for every step upright."""

    GRAVITY, FORCE, INTERVAL = 9.8, 10.0, 0.02
    CART, POLE, HALF_LENGTH = 1.0, 0.1, 0.5

    def reset(self) -> list[float]:
        """Position, velocity, angle and angular velocity, all near zero."""
        self.state = torch.empty(4).uniform_(-0.05, 0.05).tolist()
        return self.state

    def step(self, action: int) -> tuple[list[float], bool]:
        """The state after a push to the left (0) or right (1), and whether the pole fell."""
        position, velocity, angle, spin = self.state
        force = self.FORCE if action == 1 else -self.FORCE
        total = self.CART + self.POLE
        pull = (force + self.POLE * self.HALF_LENGTH * spin**2 * math.sin(angle)) / total
        turn = (self.GRAVITY * math.sin(angle) - math.cos(angle) * pull) / (
            self.HALF_LENGTH * (4 / 3 - self.POLE * math.cos(angle) ** 2 / total)
        )
        push = pull - self.POLE * self.HALF_LENGTH * turn * math.cos(angle) / total
        self.state = [
            position + self.INTERVAL * velocity,
            velocity + self.INTERVAL * push,
            angle + self.INTERVAL * spin,
            spin + self.INTERVAL * turn,
        ]
        return self.state, abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)


class ActorCritic(nn.Module):
    """States (..., 4) -> logits of the two actions (..., 2) and the value of the state (...)."""

    def __init__(self, hidden: int = 128):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, 2)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.trunk(state)
        return self.actor(x), self.critic(x).squeeze(-1)


def play(model: ActorCritic, environment: CartPole, longest: int):
    """One episode: states (T, 4), actions (T,) and whether the pole fell at its end."""
    states, actions, fell = [environment.reset()], [], False
    with torch.no_grad():
        while not fell and len(actions) < longest:
            logits, _ = model(torch.tensor(states[-1]))
            actions.append(Categorical(logits=logits).sample().item())
            state, fell = environment.step(actions[-1])
            states.append(state)
    return torch.tensor(states), torch.tensor(actions), fell


def returns(length: int, last_value: float, discount: float) -> torch.Tensor:
    """What each step of an episode is worth: one for each step that follows, discounted."""
    values, value = [], last_value
    for _ in range(length):
        value = 1 + discount * value
        values.append(value)
    return torch.tensor(values[::-1])


def episode_loss(model: ActorCritic, states, actions, fell: bool, discount: float) -> torch.Tensor:
    """Policy gradient with the critic's value as baseline, the critic's error, and an entropy."""
    logits, values = model(states)
    policy = Categorical(logits=logits[:-1])
    # An episode cut short would have gone on to earn what the critic expects of its last state.
    last_value = 0.0 if fell else values[-1].item()
    worth = returns(len(actions), last_value, discount)
    advantage = worth - values[:-1].detach()
    actor = -(policy.log_prob(actions) * advantage).mean()
    critic = F.smooth_l1_loss(values[:-1], worth)
    return actor + critic - 0.01 * policy.entropy().mean()


def main() -> None:
    parser = training.options(__doc__, epochs=20, batch_size=50, lr=3e-3)
    parser.add_argument("--longest", type=int, default=500, help="steps of an episode")
    parser.add_argument("--discount", type=float, default=0.99)
    args = training.start(parser)
    model = ActorCritic()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    run = training.Run(args, model=model, optimizer=optimizer)
    environment = CartPole()

    for _ in run.epochs():
        lengths = []
        for _episode in run.batches(range(args.batch_size)):
            states, actions, fell = play(model, environment, args.longest)
            optimizer.zero_grad()
            loss = episode_loss(model, states, actions, fell, args.discount)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            run.log(loss=loss)
            lengths.append(len(actions))
        run.report(loss=loss.item(), steps=sum(lengths) / len(lengths))


if __name__ == "__main__":
    main()
