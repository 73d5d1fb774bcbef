"""PPO on a drifting point: distributions, advantages, clipped ratios in shuffled parts."""

import torch
from torch import nn
from torch.distributions import Categorical, Normal

PLAYERS, STEPS, DISCOUNT, TRACE = 4, 12, 0.99, 0.95


def orthogonal(layer, gain=2**0.5):
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.constant_(layer.bias, 0.0)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            orthogonal(nn.Linear(3, 16)), nn.Tanh(), orthogonal(nn.Linear(16, 1), 1.0)
        )
        self.actor = nn.Sequential(
            orthogonal(nn.Linear(3, 16)), nn.Tanh(), orthogonal(nn.Linear(16, 2), 0.01)
        )
        self.log_std = nn.Parameter(torch.zeros(1, 2))

    def forward(self, state, action=None):
        mean = self.actor(state)
        policy = Normal(mean, self.log_std.expand_as(mean).exp())
        action = policy.sample() if action is None else action
        value = self.critic(state).flatten()
        return action, policy.log_prob(action).sum(1), policy.entropy().sum(1), value


agent = Agent()
optimizer = torch.optim.Adam(agent.parameters(), 3e-3, eps=1e-5)
state = torch.randn(PLAYERS, 3)
for update in range(2):
    optimizer.param_groups[0]["lr"] = (1 - update / 2) * 3e-3
    states, actions = torch.zeros(STEPS, PLAYERS, 3), torch.zeros(STEPS, PLAYERS, 2)
    logs, rewards, values, ended = (torch.zeros(STEPS, PLAYERS) for _ in range(4))
    with torch.no_grad():
        for step in range(STEPS):
            states[step] = state
            actions[step], logs[step], _, values[step] = agent(state)
            pushed = torch.cat([actions[step], actions[step].sum(1, keepdim=True)], 1)
            state = 0.9 * state + 0.1 * pushed.tanh()
            rewards[step] = -state.pow(2).sum(1)
            ended[step] = (torch.rand(PLAYERS) < 0.05).to(rewards.dtype)
        advantages, last = torch.zeros_like(rewards), 0.0
        following = agent.critic(state).flatten()
        for step in reversed(range(STEPS)):
            goes_on = 1.0 - ended[step]
            error = rewards[step] + DISCOUNT * following * goes_on - values[step]
            advantages[step] = last = error + DISCOUNT * TRACE * goes_on * last
            following = values[step]
    worth = (advantages + values).flatten()
    for part in torch.randperm(PLAYERS * STEPS).chunk(4):
        _, log, entropy, value = agent(states.flatten(0, 1)[part], actions.flatten(0, 1)[part])
        ratio = (log - logs.flatten()[part]).exp()
        advantage = advantages.flatten()[part]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = torch.clamp(ratio, 0.8, 1.2)
        policy_loss = torch.max(-advantage * ratio, -advantage * clipped).mean()
        value_loss = 0.5 * (value - worth[part]).pow(2).mean()
        loss = policy_loss - 0.01 * entropy.mean() + 0.5 * value_loss
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
        optimizer.step()
        print(f"{loss.item():.9f} {value_loss.item():.9f} {norm.item():.9f}")

# REINFORCE, one episode after the other
policy = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=-1))
optimizer = torch.optim.SGD(policy.parameters(), 0.05)
for _ in range(3):
    state, logs, rewards = torch.randn(3), [], []
    for _ in range(6):
        choice = Categorical(policy(state))
        action = choice.sample()
        logs.append(choice.log_prob(action))
        state = state + 0.1 * (action.item() - 1.5)
        rewards.append(-state.abs().sum().item())
    worth = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
    worth = (worth - worth.mean()) / (worth.std() + 1e-9)
    loss = torch.stack([-log * w for log, w in zip(logs, worth)]).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss:.9f}")
