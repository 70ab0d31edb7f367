"""Cells against linen's, and if installed (extra `bench`) PyTorch's and Keras's, with the same weights."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.nn.cell import make_layer
from imgloc.nn.cells import gru, lstm, minimal_gru
from imgloc.nn.stack import Stack
from tests import processes
from tests.nn import loops
from tests.nn.loops import CELLS, INPUTS, UNITS

B, T = 3, 5
LENGTHS = np.array([5, 2, 3])


def by_gate(params: Any, gates: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Each parameter's part of each gate."""
    names = "kernel", "recurrent_kernel", "bias"
    return {name: dict(zip(gates, np.split(params[name], len(gates), axis=-1), strict=True)) for name in names}


def simple_of_linen(p: Any) -> Any:
    return {"i": {"kernel": p["kernel"], "bias": p["bias"]}, "h": {"kernel": p["recurrent_kernel"]}}


def lstm_of_linen(p: Any) -> Any:
    parts = by_gate(p, lstm.GATES)
    into = {f"i{gate}": {"kernel": kernel} for gate, kernel in parts["kernel"].items()}
    return into | {f"h{gate}": {"kernel": kernel, "bias": parts["bias"][gate]} for gate, kernel in parts["recurrent_kernel"].items()}


def gru_of_linen(p: Any, gates: tuple[str, ...] = gru.GATES) -> Any:
    parts = by_gate(p, gates)
    into = {f"i{gate}": {"kernel": kernel, "bias": parts["bias"][gate]} for gate, kernel in parts["kernel"].items()}
    own = {f"h{gate}": {"kernel": kernel} for gate, kernel in parts["recurrent_kernel"].items()}
    own["hn"]["bias"] = p["recurrent_bias"]
    return into | own


def conv_lstm_of_linen(p: Any) -> Any:
    parts = by_gate(p, lstm.GATES)
    parts["bias"]["f"] = parts["bias"]["f"] - 1  # linen adds 1 beside the bias
    own, into, bias = (np.concatenate([parts[name][gate] for gate in "igfo"], -1) for name in ("recurrent_kernel", "kernel", "bias"))
    return {"ih": {"kernel": into, "bias": bias}, "hh": {"kernel": own, "bias": np.zeros_like(bias)}}


@pytest.mark.parametrize(
    ("cell", "theirs", "converted"),
    [
        ("elman", nn.SimpleCell(UNITS), simple_of_linen),
        ("lstm", nn.OptimizedLSTMCell(UNITS), lstm_of_linen),
        ("gru", nn.GRUCell(UNITS), gru_of_linen),
        ("minimal_gru", nn.MGUCell(UNITS), lambda p: gru_of_linen(p, minimal_gru.GATES)),
        ("conv_lstm", nn.ConvLSTMCell(UNITS, (3, 3)), conv_lstm_of_linen),
    ],
)
def test_a_cell_is_linens(cell: str, theirs: nn.RNNCellBase, converted: Any) -> None:
    given = loops.as_float32(loops.given_to(cell, B, T))
    params = {"params": {"cell": converted(given["params"])}}
    network, layer = nn.RNN(theirs), make_layer(cell, UNITS)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, jax.eval_shape(network.init, jax.random.key(0), given["x"]))

    @jax.jit
    def both(given: Any, params: Any) -> Any:
        ours = layer.apply({"params": given["params"]}, given["x"], LENGTHS[:, None] > np.arange(T))
        return ours, network.apply(params, given["x"], seq_lengths=LENGTHS)

    ours, expected = both(given, params)
    kept = LENGTHS[:, None] > np.arange(T)  # past its end linen goes on with a sequence
    np.testing.assert_allclose(ours[kept], expected[kept], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["elman", "elman, relu", "lstm", "gru"])
def test_two_layers_of_both_directions_are_pytorchs(cell: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: bench)")
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    if "elman" in cell:
        options["nonlinearity"] = "relu" if "relu" in cell else "tanh"
    kind = {"e": torch.nn.RNN, "l": torch.nn.LSTM, "g": torch.nn.GRU}[cell[0]]
    theirs = kind(INPUTS, UNITS, **options).double()

    ours = Stack(CELLS[cell][0], 2 * UNITS, 2, bidirectional=True)
    x = loops.inputs_of(cell, B, T)
    rng = np.random.default_rng(0)
    drawn = jax.eval_shape(ours.init, jax.random.key(0), x.astype(np.float32))["params"]
    params = jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape), drawn)
    for (way, suffix), index in ((w, i) for w in (("forward", ""), ("backward", "_reverse")) for i in (0, 1)):
        p = params[f"layer{index}"][way]
        own_bias = np.zeros_like(p["bias"])
        if "recurrent_bias" in p:
            own_bias[2 * UNITS :] = p["recurrent_bias"]
        given = {"weight_ih": p["kernel"].T, "weight_hh": p["recurrent_kernel"].T, "bias_ih": p["bias"], "bias_hh": own_bias}
        for name, value in given.items():
            with torch.no_grad():
                getattr(theirs, f"{name}_l{index}{suffix}").copy_(torch.from_numpy(value.copy()))

    mask_bxt = np.arange(T) < LENGTHS[:, None]
    found = jax.jit(ours.apply)({"params": loops.as_float32(params)}, x.astype(np.float32), mask_bxt)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(LENGTHS), batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        expected = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)[0].numpy()
    np.testing.assert_allclose(np.where(mask_bxt[..., None], found, 0), expected, atol=2e-5)


# In a process of its own: Keras chooses its backend when it is imported.
KERAS = """
import pickle, sys
import numpy as np
from keras import layers
units, x, maps, out = *pickle.load(sys.stdin.buffer), sys.argv[1]
made = {
    "elman": layers.SimpleRNN(units, return_sequences=True),
    "elman, relu": layers.SimpleRNN(units, activation="relu", return_sequences=True),
    "lstm": layers.LSTM(units, return_sequences=True),
    "lstm, relu": layers.LSTM(units, activation="relu", return_sequences=True),
    "gru": layers.GRU(units, reset_after=True, return_sequences=True),
    "conv_lstm": layers.ConvLSTM2D(units, 3, padding="same", return_sequences=True),
}
found = {}
rng = np.random.default_rng(0)
for cell, layer in made.items():
    given = maps if cell == "conv_lstm" else x
    layer(given)
    layer.set_weights([0.5 * rng.standard_normal(w.shape).astype(np.float32) for w in layer.get_weights()])
    found[cell] = [np.asarray(w) for w in layer.get_weights()], np.asarray(layer(given))
with open(out, "wb") as file:
    pickle.dump(found, file)
"""


@pytest.fixture(scope="module")
def of_keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Weights and states of Keras's layers by the cells' names."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    out = tmp_path_factory.mktemp("keras") / "found"
    given = pickle.dumps((UNITS, *(loops.inputs_of(cell, B, T).astype(np.float32) for cell in ("lstm", "conv_lstm"))))
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", KERAS, str(out)]
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(out.read_bytes())


@pytest.mark.parametrize("cell", ["elman", "elman, relu", "lstm", "lstm, relu", "gru", "conv_lstm"])
def test_a_cell_is_keras_s(cell: str, of_keras: Any) -> None:
    (kernel, recurrent, bias), expected = of_keras[cell]
    params = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    if cell == "gru":  # its update gate is the first, and each half has a bias of its own
        swapped = lambda a: np.concatenate([np.split(a, 3, axis=-1)[i] for i in (1, 0, 2)], axis=-1)  # noqa: E731
        own = swapped(bias[1])
        added = swapped(bias[0]) + np.where(np.arange(3 * UNITS) < 2 * UNITS, own, 0)
        params = {"kernel": swapped(kernel), "recurrent_kernel": swapped(recurrent), "bias": added, "recurrent_bias": own[2 * UNITS :]}
    x = jnp.asarray(loops.inputs_of(cell, B, T), jnp.float32)
    settings = {"activation": "relu"} if "relu" in cell else {}
    found = jax.jit(make_layer({"name": cell.partition(",")[0], **settings}, UNITS).apply)({"params": params}, x)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
