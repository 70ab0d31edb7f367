"""A pickle of tensors and plain values as these values. Nothing in the pickle is executed, and no module that it names is imported.

`pickletools.genops` of the standard library only decodes the instructions of a pickle. They are interpreted here with functions of this
file alone: a global must be a key of `GLOBALS`, which maps it to an inert function or mark, and REDUCE calls nothing else.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from imgloc.errors import UserError, one_line, printable
from imgloc.pretrained.loading.tensors import STORAGE_DTYPES, Tensor, check


class StorageKind(NamedTuple):
    """The class of a storage, as a value in a pickle."""

    name: str


class Function(NamedTuple):
    """A function of this file that REDUCE may call."""

    call: Callable[..., Any]


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    return _pairs([value for key_and_value in items for value in _two(key_and_value)])


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    return check(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise UserError("a parameter is not a tensor")
    return tensor


def _size(shape: Any) -> tuple[Any, ...]:
    return tuple(_of_type(tuple, shape))


GLOBALS: Mapping[str, StorageKind | Function] = {
    "collections OrderedDict": Function(_ordered_dict),
    "torch Size": Function(_size),
    "torch._utils _rebuild_tensor": Function(_tensor),
    "torch._utils _rebuild_tensor_v2": Function(_tensor),
    "torch._utils _rebuild_parameter": Function(_parameter),
    **{f"torch {name}": StorageKind(name) for name in STORAGE_DTYPES},
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
EMPTY: Mapping[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
IGNORED = {"PROTO", "FRAME"}


def unpickle(file: BinaryIO, load_storage: Callable[[Any], Any]) -> Any:
    """The value of the pickle at the position of a file, which is left after its end.

    `load_storage` returns the storage of a persistent id, which is a tuple whose second entry is a `StorageKind`. Raises UserError for
    a global or an instruction that no file of weights needs, and for a damaged pickle.
    """
    machine = _Machine([], [], {}, load_storage)
    try:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name == "STOP":
                (value,) = machine.stack
                return value
            _execute(machine, instruction.name, argument)
    except UserError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError) as error:
        raise UserError(f"its pickle is damaged ({one_line(error)[:100]})") from error
    raise UserError("its pickle has no end")


class _Machine(NamedTuple):
    """The state of the pickle machine; its containers change with each instruction."""

    stack: list[Any]
    below: list[list[Any]]  # the stacks below each mark
    memo: dict[int, Any]
    load_storage: Callable[[Any], Any]

    def mark(self) -> None:
        self.below.append(self.stack.copy())
        self.stack.clear()

    def pop_mark(self) -> list[Any]:
        """Removes and returns the values above the last mark."""
        values = self.stack.copy()
        self.stack[:] = self.below.pop()
        return values


def _execute(machine: _Machine, name: str, argument: Any) -> None:
    stack, memo = machine.stack, machine.memo
    if name in VALUES:
        stack.append(argument)
    elif name in CONSTANTS:
        stack.append(CONSTANTS[name])
    elif name in EMPTY:
        stack.append(EMPTY[name]())
    elif name in TUPLES:
        stack[-TUPLES[name] :] = [_last(stack, TUPLES[name])]
    elif name == "MARK":
        machine.mark()
    elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in ("POP", "POP_MARK"):
        _ = stack.pop() if name == "POP" else machine.pop_mark()
    elif name in ("GLOBAL", "STACK_GLOBAL"):
        stack.append(_global(argument if name == "GLOBAL" else " ".join(_last(stack, 2))))
        if name == "STACK_GLOBAL":
            del stack[-3:-1]
    elif name not in IGNORED:
        _build(machine, name)


def _build(machine: _Machine, name: str) -> None:
    """Executes an instruction that makes a value of others, or adds them to one."""
    stack = machine.stack
    if name in ("TUPLE", "LIST", "DICT"):
        values = machine.pop_mark()
        stack.append(tuple(values) if name == "TUPLE" else values if name == "LIST" else _pairs(values))
    elif name in ("APPEND", "APPENDS"):
        added = [stack.pop()] if name == "APPEND" else machine.pop_mark()
        _of_type(list, stack[-1]).extend(added)
    elif name in ("SETITEM", "SETITEMS"):
        added = [stack.pop(-2), stack.pop()] if name == "SETITEM" else machine.pop_mark()
        _of_type(dict, stack[-1]).update(_pairs(added))
    elif name == "BINPERSID":
        stack.append(machine.load_storage(stack.pop()))
    elif name == "REDUCE":
        arguments = _of_type(tuple, stack.pop())
        stack.append(_of_type(Function, stack.pop()).call(*arguments))
    elif name == "BUILD":
        stack.pop()  # attributes, such as the metadata of a module's state; no value here has any
        _of_type(dict, stack[-1])
    else:
        raise UserError(f"its pickle has the instruction {name}, which no file of weights needs")


def _global(name: str) -> StorageKind | Function:
    if name not in GLOBALS:
        shown = printable(name.replace(" ", "."))[:100]
        raise UserError(f"its pickle names '{shown}', which is not a tensor and might run code; nothing was executed")
    return GLOBALS[name]


def _last(stack: list[Any], count: int) -> tuple[Any, ...]:
    """The last values of a stack. Raises IndexError where it has fewer."""
    if len(stack) < count:
        raise IndexError("its stack is empty")
    return tuple(stack[-count:])


def _two(values: Any) -> tuple[Any, Any]:
    first, second = values
    return first, second


def _pairs(values: list[Any]) -> dict[Any, Any]:
    """A dict of alternating keys and values. Keys must be text or numbers: Python may crash when it hashes a deeply nested tuple."""
    if not all(isinstance(key, (str, int, float)) for key in values[::2]):
        raise TypeError("a key is neither text nor a number")
    return dict(zip(values[::2], values[1::2], strict=True))


def _of_type(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in the place of {kind.__name__}")
    return value
