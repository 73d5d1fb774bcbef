"""torch.compiler.config: what can be set, and what it does."""

from __future__ import annotations

import pytest

import flashlight as torch

config = torch.compiler.config


def compiled():
    """A function that was compiled for two shapes."""
    function = torch.compile(lambda x: x * 2)
    for length in (2, 2, 3, 3):
        function(torch.ones(length))
    return function


def test_the_limit_of_compilations():
    with config.patch(recompile_limit=2):
        function = compiled()
        with pytest.warns(UserWarning, match="compiled 2 times already"):
            assert function(torch.ones(4)).tolist() == [2.0] * 4
        function = compiled()
        refusal = pytest.raises(RuntimeError, match="recompile_limit reached")
        with config.patch("fail_on_recompile_limit_hit", True), refusal:
            function(torch.ones(4))
    assert config.recompile_limit == 8 and config.fail_on_recompile_limit_hit is False


def test_settings_are_set_and_put_back():
    @config.patch({"recompile_limit": 3})
    def limit():
        return config.recompile_limit

    assert [limit(), limit(), config.recompile_limit] == [3, 3, 8]
    config.recompile_limit = 5
    assert config.recompile_limit == 5
    config.recompile_limit = 8


def test_settings_that_are_not_there():
    with pytest.raises(AttributeError, match="does not exist"):
        config.dynamic_shapes = True
    with pytest.raises(AttributeError), config.patch(dynamic_shapes=True):
        pass
    assert not hasattr(config, "dynamic_shapes")
