"""Arguments and their checks, defaults, subclasses and pickles."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

import flashlight
import flashlight.distributions as ours
from tests.distributions.cases import CASES, assert_same, pair, to_flashlight

pytestmark = pytest.mark.filterwarnings("ignore:Singular sample:UserWarning")


def message(call):
    """Class and text of what `call` raises, if it does."""
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error).replace("flashlight.", "torch.")
    return None


INVALID = {
    "Normal": lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, -1.0])),
    "Normal-nan": lambda d, t: d.Normal(t([float("nan")]), 1.0),
    "Normal-list": lambda d, t: d.Normal([0.0], 1.0),
    "Normal-shapes": lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, 1.0, 1.0])),
    "Bernoulli": lambda d, t: d.Bernoulli(t([0.5, 1.5])),
    "Bernoulli-none": lambda d, t: d.Bernoulli(),
    "Bernoulli-both": lambda d, t: d.Bernoulli(t([0.5]), t([0.5])),
    "Binomial": lambda d, t: d.Binomial(1.5, t([0.5])),
    "Binomial-none": lambda d, t: d.Binomial(2),
    "Categorical": lambda d, t: d.Categorical(t([-0.1, 0.1])),
    "Categorical-scalar": lambda d, t: d.Categorical(t(0.1)),
    "Categorical-scalar-logits": lambda d, t: d.Categorical(logits=t(0.1)),
    "ContinuousBernoulli": lambda d, t: d.ContinuousBernoulli(t([1.5]), validate_args=True),
    "Dirichlet": lambda d, t: d.Dirichlet(t([0.0, 1.0])),
    "Dirichlet-scalar": lambda d, t: d.Dirichlet(t(1.0)),
    "Gamma": lambda d, t: d.Gamma(0.0, 1.0),
    "Geometric": lambda d, t: d.Geometric(t([0.5, 0.0])),
    "Independent": lambda d, t: d.Independent(d.Normal(0.0, 1.0), 1),
    "LKJCholesky": lambda d, t: d.LKJCholesky(1),
    "LowRank-loc": lambda d, t: d.LowRankMultivariateNormal(t(1.0), t([[1.0]]), t([1.0])),
    "LowRank-factor": lambda d, t: d.LowRankMultivariateNormal(t([1.0]), t([1.0]), t([1.0])),
    "LowRank-size": lambda d, t: d.LowRankMultivariateNormal(t([1.0]), t([[1.0], [2.0]]), t([1.0])),
    "LowRank-diag": lambda d, t: d.LowRankMultivariateNormal(t([1.0]), t([[1.0]]), t([1.0, 2.0])),
    "LowRank-batch": lambda d, t: d.LowRankMultivariateNormal(
        t([[1.0]] * 2), t([[[1.0]]] * 3), t([1.0])
    ),
    "Multinomial": lambda d, t: d.Multinomial(t([2]), t([0.5, 0.5])),
    "MultivariateNormal": lambda d, t: d.MultivariateNormal(
        t([0.0, 1.0]), t([[1.0, 2.0], [2.0, 1.0]])
    ),
    "MultivariateNormal-asymmetric": lambda d, t: d.MultivariateNormal(
        t([0.0, 1.0]), t([[1.0, 0.2], [0.1, 1.0]])
    ),
    "MultivariateNormal-tril": lambda d, t: d.MultivariateNormal(
        t([0.0, 1.0]), scale_tril=t([[1.0, 2.0], [2.0, 1.0]])
    ),
    "MultivariateNormal-none": lambda d, t: d.MultivariateNormal(t([0.0])),
    "MultivariateNormal-scalar": lambda d, t: d.MultivariateNormal(t(0.0), t([[1.0]])),
    "MultivariateNormal-vector": lambda d, t: d.MultivariateNormal(t([0.0]), t([1.0])),
    "NegativeBinomial": lambda d, t: d.NegativeBinomial(-1, t([0.5])),
    "Poisson": lambda d, t: d.Poisson(-1.0),
    "Transformed": lambda d, t: d.TransformedDistribution(d.Normal(0.0, 1.0), [1]),
    "Transformed-scalar": lambda d, t: d.TransformedDistribution(
        d.Normal(0.0, 1.0), d.StickBreakingTransform()
    ),
    "Uniform": lambda d, t: d.Uniform(t([0.0, 1.0]), t([1.0, 1.0])),
    "Wishart-df": lambda d, t: d.Wishart(1.0, t([[1.0, 0.0], [0.0, 1.0]])),
    "Wishart-none": lambda d, t: d.Wishart(3.0),
    "Wishart-vector": lambda d, t: d.Wishart(3.0, t([1.0])),
    "Mixture-type": lambda d, t: d.MixtureSameFamily(d.Normal(0.0, 1.0), d.Normal(0.0, 1.0)),
    "Mixture-count": lambda d, t: d.MixtureSameFamily(
        d.Categorical(t([0.5, 0.5])), d.Normal(t([0.0, 1.0, 2.0]), 1.0)
    ),
    "set_default": lambda d, t: d.Distribution.set_default_validate_args("yes"),
}
# Where PyTorch's text has line breaks of its source in it, or names another argument.
OWN_WORDS = {"Mixture-type", "MultivariateNormal-vector", "Transformed", "Mixture-count"}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_arguments(name):
    wanted, got = (
        message(lambda module=module: INVALID[name](module.distributions, module.tensor))
        for module in (torch, flashlight)
    )
    assert wanted is not None
    assert got[0] == wanted[0]
    if name not in OWN_WORDS:
        assert " ".join(got[1].split()) == " ".join(wanted[1].split())


@pytest.mark.parametrize("name", CASES)
def test_invalid_values(name):
    expected, actual = pair(name, "float32")
    shape = expected.batch_shape + expected.event_shape
    nan, misfit = torch.full(shape, torch.nan), torch.full((*shape, 7, 7, 7), 0.5)
    assert message(lambda: expected.log_prob(nan)) is not None
    for value in (nan, misfit):
        wanted = message(lambda value=value: expected.log_prob(value))
        assert message(lambda value=value: actual.log_prob(to_flashlight(value))) == wanted
    wanted = message(lambda: expected.log_prob(0.5))
    if wanted is None or wanted[0] == "ValueError":
        assert message(lambda: actual.log_prob(0.5)) == wanted


def test_checks_can_be_turned_off():
    scale = flashlight.tensor([-1.0])
    assert ours.Normal(0.0, scale, validate_args=False).scale.tolist() == [-1.0]
    relaxed = ours.Exponential(flashlight.tensor([1.0]), validate_args=False)
    assert relaxed.log_prob(flashlight.tensor([-1.0])).tolist() == [1.0]
    before = ours.Distribution._validate_args
    try:
        ours.Distribution.set_default_validate_args(False)
        ours.Normal(0.0, scale)
        assert ours.Normal(0.0, 1.0, validate_args=True).expand((2,))._validate_args
    finally:
        ours.Distribution.set_default_validate_args(before)
    with pytest.raises(ValueError):
        ours.Normal(0.0, scale)


def test_low_degrees_of_freedom_warn():
    for module in (torch, flashlight):
        with pytest.warns(UserWarning, match="Low df values"):
            module.distributions.Wishart(1.5, module.eye(2))


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_numbers_take_the_dtype_of_the_first_tensor(dtype):
    for module in (torch, flashlight):
        loc = module.tensor([0, 3], dtype=getattr(module, dtype))
        made = module.distributions.Laplace(loc, 2)
        assert str(made.scale.dtype) == f"torch.{dtype}"
    assert ours.Normal(0, 1).loc.dtype is flashlight.get_default_dtype()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))]
)
def test_copies(name, duplicate):
    def without_gradients(values):
        return flashlight.tensor(values, dtype=flashlight.float64)

    original = CASES[name](ours, without_gradients)
    made = duplicate(original)
    assert type(made) is type(original)
    assert repr(made) == repr(original)
    flashlight.manual_seed(2)
    value = original.sample((2,))
    assert made.log_prob(value).tolist() == original.log_prob(value).tolist()
    flashlight.manual_seed(2)
    assert made.sample((2,)).tolist() == value.tolist()


@pytest.mark.parametrize("name", CASES)
def test_files_are_read_by_the_other_library(name):
    def without_gradients(values):
        return torch.tensor(values)

    original = CASES[name](torch.distributions, without_gradients)
    torch.manual_seed(2)
    value = original.sample((2,))
    written = io.BytesIO()
    torch.save(original, written)
    written.seek(0)
    ours_now = flashlight.load(written, weights_only=False)
    assert_same(ours_now.log_prob(to_flashlight(value)), original.log_prob(value))
    written = io.BytesIO()
    flashlight.save(ours_now, written)
    written.seek(0)
    back = torch.load(written, weights_only=False)
    assert_same(ours_now.log_prob(to_flashlight(value)), back.log_prob(value))


class Shifted(ours.Normal):
    """A normal distribution that remembers where it was before."""

    def __init__(self, loc, scale, shift):
        self.shift = shift
        super().__init__(loc + shift, scale)


class ExpandableShifted(Shifted):
    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(ExpandableShifted, _instance)
        new.shift = self.shift
        return super().expand(batch_shape, _instance=new)

    __init__ = Shifted.__init__


def test_subclasses_with_state_say_how_to_expand():
    with pytest.raises(NotImplementedError, match=r"must also define a custom \.expand"):
        Shifted(0.0, 1.0, 2.0).expand((3,))
    expanded = ExpandableShifted(0.0, 1.0, 2.0).expand((3,))
    assert type(expanded) is ExpandableShifted
    assert expanded.shift == 2.0
    assert expanded.loc.tolist() == [2.0] * 3


class Half(ours.Distribution):
    """A constant, written as users write distributions."""

    has_rsample = True

    def rsample(self, sample_shape=flashlight.Size()):
        return flashlight.full(self._extended_shape(sample_shape), 0.5)


def test_bare_subclasses():
    with pytest.warns(UserWarning, match="arg_constraints"):
        made = Half()
    assert made.sample((2,)).tolist() == [0.5, 0.5]
    with pytest.warns(UserWarning, match="does not define `support`"):
        made._validate_sample(flashlight.tensor(0.5))
    for call in (made.entropy, lambda: made.expand((2,)), lambda: made.mean, lambda: made.support):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError, match="does not implement mode"):
        _ = made.mode


def test_independent_is_generic():
    assert ours.Independent[ours.Normal] is not None


def test_utilities():
    theirs = torch.distributions.utils
    mine = ours.utils
    matrix = torch.arange(32.0).reshape(2, 4, 4)
    for diag in (-3, -1, 0, 2):
        wanted = theirs.tril_matrix_to_vec(matrix, diag)
        assert_same(mine.tril_matrix_to_vec(to_flashlight(matrix), diag), wanted)
        if diag < 1:
            wanted = theirs.vec_to_tril_matrix(wanted, diag)
            vector = mine.tril_matrix_to_vec(to_flashlight(matrix), diag)
            assert_same(mine.vec_to_tril_matrix(vector, diag), wanted)
    with pytest.raises(ValueError, match="outside"):
        mine.tril_matrix_to_vec(to_flashlight(matrix), 4)
    with pytest.raises(ValueError, match="lower triangular"):
        mine.vec_to_tril_matrix(flashlight.zeros(5))
    probs = torch.tensor([0.0, 0.3, 1.0])
    for binary in (True, False):
        assert_same(
            mine.probs_to_logits(to_flashlight(probs), binary),
            theirs.probs_to_logits(probs, binary),
            1e-5,
        )
        assert_same(
            mine.logits_to_probs(to_flashlight(probs), binary),
            theirs.logits_to_probs(probs, binary),
            1e-5,
        )
    assert isinstance(ours.Bernoulli.probs, mine.lazy_property)
