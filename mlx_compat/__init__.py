"""flashlight under its earlier name: `import mlx_compat` gives the package flashlight itself."""

from flashlight.compat.import_hook import alias

alias(__name__)
