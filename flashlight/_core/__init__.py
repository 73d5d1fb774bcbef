"""What a tensor is: dtypes, devices, layouts, storages. Knows MLX, knows no operation."""
