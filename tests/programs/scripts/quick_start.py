"""The quick start of the project's first README, with a dataloader; prints the losses as JSON."""

import importlib
import json
import sys

flashlight = importlib.import_module(sys.argv[1])

x = flashlight.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = x * 2 + 1

loss = y.sum()
loss.backward()
gradient = x.grad.tolist()

flashlight.manual_seed(0)
model = flashlight.nn.Sequential(
    flashlight.nn.Linear(784, 256),
    flashlight.nn.ReLU(),
    flashlight.nn.Linear(256, 10),
)

optimizer = flashlight.optim.Adam(model.parameters(), lr=1e-3)
criterion = flashlight.nn.CrossEntropyLoss()

images = flashlight.rand(256, 784)
labels = flashlight.randint(0, 10, (256,))
dataloader = flashlight.utils.data.DataLoader(
    flashlight.utils.data.TensorDataset(images, labels), batch_size=32, shuffle=True
)

losses = []
for batch_x, batch_y in dataloader:
    optimizer.zero_grad()
    outputs = model(batch_x)
    loss = criterion(outputs, batch_y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

print(json.dumps({"gradient": gradient, "losses": losses}))
