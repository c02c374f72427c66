"""Models as ONNX, for other programs and languages; each is tried against PyTorch first."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate.atomic import write_atomic
from translate.bundle import Model
from translate.errors import TranslateError, UsageError
from translate.exporting.graphs import Graph, Inputs, Port, graph_of
from translate.inference.network import seeded
from translate.model import metadata
from translate.options import Settings
from translate.registry import one_line

TOLERANCE = 1e-3  # of the outputs' range; a quarter of a step of 8 bits

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_LONGEST = 300  # characters of a reason
_OPSET = 18  # the first that enlarges as PyTorch does


def export_onnx(model: Model, path: Path, *, name: str, settings: Settings) -> float:
    """Write a model as ONNX and return how far it is from PyTorch at most, in [0, 1].

    Args:
        name: what the model is called.
        settings: the method's run-time options, which the graph keeps.

    Raises:
        UsageError: if the model cannot be a graph, or the exporter is not installed.
        TranslateError: if it cannot be exported or written, or gives something else than PyTorch;
            what stood at ``path`` is untouched.
    """
    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"ONNX needs {' and '.join(missing)}; pip install 'image-translate[onnx]'")
    graph = graph_of(model, settings)
    _refuse_chance(graph, name)
    proto = _translated(graph, name)
    _label(proto, graph, name)
    data: bytes = proto.SerializeToString()
    difference = largest_difference(graph, data, name=name)
    if not difference <= TOLERANCE:
        raise TranslateError(
            f"{name}: as ONNX it gives other pictures: they differ from PyTorch's by "
            f"{difference:.1e} of the range, of which {TOLERANCE:.0e} is allowed"
        )
    write_atomic(path, data)
    return difference


@torch.no_grad()
def _refuse_chance(graph: Graph, name: str) -> None:
    """Refuse what gives a sample another picture each time, or beside other samples.

    Raises:
        UsageError: if it does.
    """
    inputs = next(graph.trials())
    ones = zip(*(torch.split(x, 1) for x in inputs), strict=True)
    with seeded(torch.device("cpu"), 0):
        together = graph(*inputs)
    with seeded(torch.device("cpu"), 1):
        alone = torch.cat([graph(*one) for one in ones])
    if not float((together - alone).abs().max()) <= TOLERANCE:
        raise UsageError(
            f"{name}: what it makes of a picture depends on chance or on what else is in the "
            "batch, which ONNX cannot keep; a run-time option may switch that off (--set; "
            f"'translate methods {graph.model.header.method}' lists them)"
        )


def _translated(graph: Graph, name: str) -> Any:
    """Return the graph as a ModelProto.

    Raises:
        TranslateError: if it does something that ONNX has no word for.
    """
    free = torch.export.Dim.DYNAMIC
    sizes = tuple(
        {place: free for place, size in enumerate(port.sizes) if isinstance(size, str)}
        for port in graph.inputs
    )
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                graph,
                graph.example(),
                dynamic_shapes=(sizes,),  # of *inputs, which is one argument
                strict=False,
                # Whether mirrored sides suit a network is known; proving it is beyond the exporter.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            exported = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=_OPSET,
                input_names=[port.name for port in graph.inputs],
                output_names=[graph.output.name],
            )
        assert exported is not None
        return exported.model_proto
    except Exception as error:  # of whatever part of the exporter meets what it does not know
        raise TranslateError(f"{name}: cannot be exported: {_reason(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of its own parts; what matters comes as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    aside = io.StringIO()  # it prints whole graphs, too
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(aside),
            contextlib.redirect_stderr(aside),
        ):
            yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """Return in a line what the exporter met first; its own messages are advice around that."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)[:_LONGEST]


def _label(proto: Any, graph: Graph, name: str) -> None:
    """Say in the graph what it is, in place of what it was made from."""
    properties = _properties(graph, name)
    del proto.metadata_props[:]
    for key, value in properties.items():
        proto.metadata_props.add(key=key, value=value)
    proto.doc_string = properties.get("summary", "")
    for values, ports in (
        (proto.graph.input, graph.inputs),
        (proto.graph.output, [graph.output]),
    ):
        for value, port in zip(values, ports, strict=True):
            _name_sizes(value, port)
    # The exporter notes each step's place in the source, with the folders of this very machine.
    del proto.graph.value_info[:]
    for node in _nodes(proto):
        del node.metadata_props[:]


def _name_sizes(value: Any, port: Port) -> None:
    value.doc_string = port.holds
    for dimension, size in zip(value.type.tensor_type.shape.dim, port.sizes, strict=True):
        if isinstance(size, str):
            dimension.dim_param = size
        else:
            dimension.dim_value = size


def _nodes(proto: Any) -> Iterator[Any]:
    """Yield the steps of a graph, of what is in its branches, and of its functions."""
    left = [*proto.graph.node, *(node for one in proto.functions for node in one.node)]
    while left:
        node = left.pop()
        yield node
        for attribute in node.attribute:
            left += attribute.g.node
            left += [inner for branch in attribute.graphs for inner in branch.node]


def _properties(graph: Graph, name: str) -> Mapping[str, str]:
    """Return what the file says of itself: our header, and in words what others need of it."""
    header, fit = graph.model.header, graph.model.fit
    settings = graph.settings.model_dump(mode="json")
    said = {
        "name": name,
        "summary": header.card.summary,
        "licence": header.card.licence,
        "source": header.card.source,
        **{port.name: str(port) for port in [*graph.inputs, graph.output]},
        "scale": str(fit.scale),
        "working_size": str(header.working_size or ""),
        "halo": "" if fit.halo is None else str(fit.halo),
        "classes": json.dumps(header.facts.classes) if header.facts.classes else "",
        "settings": json.dumps(settings) if settings else "",
    }
    return {**metadata(header), **{key: value for key, value in said.items() if value}}


@torch.no_grad()
def largest_difference(graph: Graph, data: bytes, *, name: str) -> float:
    """Return how far ONNX Runtime's outputs are from PyTorch's at most, on several sizes.

    Raises:
        TranslateError: if it cannot run the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return max(_difference(graph, session, inputs) for inputs in graph.trials())
    except Exception as error:  # its exceptions have no class in common
        raise TranslateError(f"{name}: ONNX Runtime cannot run it: {_reason(error)}") from error


def _difference(graph: Graph, session: Any, inputs: Inputs) -> float:
    wanted: Tensor = graph(*inputs)
    names = [port.name for port in graph.inputs]
    given = {key: x.numpy() for key, x in zip(names, inputs, strict=True)}
    made = torch.from_numpy(session.run(None, given)[0])
    if made.shape != wanted.shape:
        raise TranslateError(f"{tuple(made.shape)} in place of {tuple(wanted.shape)}")
    return float((made - wanted).abs().max())
