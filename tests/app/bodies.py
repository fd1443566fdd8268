"""Bodies that hypothesis makes up: almost requests, and everything else."""

import json

from hypothesis import strategies as st

from tests.app.inference import HEADER, house

_cells = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["east", "north", "area", "null", "\ud800", "1e999"])
    | st.text(max_size=5)
)
_fields = st.sampled_from(["area", "rooms", "quarter"]) | st.text(max_size=3)
_nested = st.recursive(
    _cells,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(_fields, x, max_size=3),
    max_leaves=8,
)
_rows = st.lists(
    st.fixed_dictionaries(
        {"area": _cells, "rooms": _cells, "quarter": st.sampled_from(["east", 5])}
    )
    | st.dictionaries(_fields, _nested, max_size=4)
    | st.lists(_nested, max_size=4)
    | _nested,
    max_size=4,
)
_options = st.fixed_dictionaries(
    {},
    optional={
        "passes": st.integers(0, 9) | _nested,
        "seed": st.integers(0, 2**64) | _nested,
        "coverage": st.floats(0, 1) | _nested,
        "estimator": st.sampled_from(["plain", "reduced"]) | _nested,
        "masks": st.sampled_from(["shared", "per_row"]) | _nested,
        "tolerance": _nested,
        "samples": _nested,
        "more": _nested,
    },
)
_requests = st.builds(lambda rows, rest: {"rows": rows, **rest}, _rows, _options) | _nested
_texts = _requests.map(lambda x: json.dumps(x, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    body = draw(_texts)
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]


native_bodies = _texts | _damaged() | st.binary(max_size=30)

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
_values = st.recursive(_scalars, lambda each: st.lists(each, max_size=4), max_leaves=12)
_dimensions = st.integers(-1, 4) | st.sampled_from([10, 2**31, 2**62, 2**63, 2**64]) | _scalars
_tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["input", "area", "rooms", "quarter"]) | _scalars,
        "shape": st.lists(_dimensions, max_size=4) | st.just([1]) | _values,
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "INT8", "UINT64", "BYTES", "X"]),
    },
    optional={
        "data": _values | st.lists(st.floats(0, 9), min_size=1, max_size=4) | st.just(["east"]),
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 90) | _scalars),
    },
)
_v2_requests = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, max_size=4) | st.builds(house, area=_tensors) | _values},
    optional={
        "id": _scalars,
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["mean", "samples", "x"]) | _scalars}),
            max_size=3,
        )
        | _values,
        "parameters": st.dictionaries(
            st.sampled_from(["passes", "seed", "masks", "binary_data_output"]), _values
        )
        | _values,
        "more": _values,
    },
)
_lengths = st.none() | st.integers(-3, 3) | st.text("0123456789-+.eE²", max_size=6)


@st.composite
def v2_messages(draw: st.DrawFn) -> tuple[bytes, dict[bytes, bytes]]:
    """A body with binary data after its JSON, somewhat damaged, and the header that parts them."""
    sent = json.dumps(draw(_v2_requests), ensure_ascii=False).encode("utf-8", "surrogatepass")
    data, length, damage = draw(st.binary(max_size=90)), draw(_lengths), draw(st.integers(0, 3))
    content = (sent[: len(sent) // 2] + data[:damage] + sent[len(sent) // 2 :]) + data
    if isinstance(length, int):
        length = str(len(sent) + damage + length)
    return content, {} if length is None else {HEADER.encode(): length.encode()}
