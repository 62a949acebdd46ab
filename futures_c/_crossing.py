"""What crosses between interpreters and is neither a plain value nor pickled as such.

Used on both sides of a call (``src/python/interpreter.c``), and not imported before
it is needed.  A *pack* is a pickle that only `unpack` reads.  Beyond what pickle
does by itself it carries

- what is defined in the main script.  The other interpreter has an empty
  ``__main__``, so it runs the script under another name, as the standard module
  and multiprocessing do;
- functions that have no name to be found by, or whose module cannot be imported
  there, if they refer to nothing but their arguments and builtins: their code
  travels;
- what only the interpreter knows to share, such as a memoryview (from 3.13 on): it
  goes through one of the interpreter's own queues, and stays one and the same memory;
- on 3.13, a copy of a memoryview that is a result.  Whoever lets go of it gives the
  memory back to the interpreter that it comes from, which is not there any longer
  where the pool has been shut down: 3.13 crashes then.
"""

import builtins
import io
import marshal
import os
import pickle
import sys
from contextlib import suppress
from importlib import import_module
from types import CodeType, FunctionType, ModuleType, SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    # typing takes as long to import as all of the package; annotations resolve.
    Any = object

_MAIN = "__main__"
# What the main script is called where it does not run as such; the standard
# module's name for it.
_FAKE_MAIN = "<fake __main__>"

# Pickle copies these, or goes through them item by item.
_COPIED = {type(None), bool, int, float, str, bytes, tuple, list, dict, set}

if sys.version_info >= (3, 13):
    import _interpreters

    NotShareableError = _interpreters.NotShareableError
    _is_shareable = _interpreters.is_shareable
else:

    class NotShareableError(ValueError):
        """What cannot cross between interpreters; since 3.13 the interpreter's own."""

    NotShareableError.__module__ = "futures_c.interpreter"

    def _is_shareable(item: object) -> bool:
        return False


if sys.version_info >= (3, 14):
    from concurrent.interpreters import ExecutionFailed
else:

    class ExecutionFailed(Exception):
        """A call in another interpreter has raised; from 3.14 on the standard class.

        Attributes:
            excinfo: of the exception there: ``type`` (with ``__name__``,
                ``__qualname__`` and ``__module__``), ``msg``, ``formatted`` and
                ``errdisplay``, the traceback as text.

        """

        def __init__(self, excinfo: SimpleNamespace) -> None:
            super().__init__(excinfo.formatted)
            self.excinfo = excinfo

        def __str__(self) -> str:
            shown = self.excinfo.errdisplay
            return f"{super().__str__()}\n\nUncaught in the interpreter:\n\n{shown}"

    ExecutionFailed.__module__ = "futures_c.interpreter"


# --- queues -------------------------------------------------------------------
#
# One for each pack that needs it, so that nothing of one that failed is found by
# the next.  The side that packs keeps it until the other one has unpacked.

if sys.version_info >= (3, 14):
    from concurrent.interpreters import Queue as _Queue, create_queue

    def _open() -> tuple[int, Any]:
        queue = create_queue()
        return queue.id, queue

    def _put(queue: Any, item: object) -> None:
        queue.put(item)

    def _take(number: int, count: int) -> list[object]:
        queue = _Queue(number)
        return [queue.get_nowait() for _ in range(count)]

elif sys.version_info >= (3, 13):
    import _interpqueues

    class _Kept:
        """A queue that goes with this object."""

        def __init__(self) -> None:
            # Without a limit; items are shared and not pickled; those of an
            # interpreter that has ended are dropped.
            self.number = _interpqueues.create(0, 0, 1)

        def __del__(self) -> None:
            _interpqueues.destroy(self.number)

    def _open() -> tuple[int, Any]:
        queue = _Kept()
        return queue.number, queue

    def _put(queue: Any, item: object) -> None:
        _interpqueues.put(queue.number, item, 0, 1)

    def _take(number: int, count: int) -> list[object]:
        return [_interpqueues.get(number)[0] for _ in range(count)]

else:
    # Nothing is shared that is not plain.

    def _open() -> tuple[int, Any]:
        raise NotImplementedError

    def _put(queue: Any, item: object) -> None:
        raise NotImplementedError

    def _take(number: int, count: int) -> list[object]:
        raise NotImplementedError


# --- packs --------------------------------------------------------------------


def pack(item: object) -> tuple[bytes, object]:
    """Return a pack, and what must be kept alive until it has been unpacked."""
    packer = _Packer()
    packer.dump(item)
    return _finish(packer)


def pack_result(item: object) -> tuple[bytes, object]:
    """Return a pack of what a worker's interpreter gives back."""
    packer = _Packer()
    packer.copies_views = sys.version_info < (3, 14)
    packer.dump(item)
    return _finish(packer)


def _finish(packer: "_Packer") -> tuple[bytes, object]:
    script = _script() if packer.mentions_main() else None
    number = packer.number if packer.places else None
    head = (script, number, len(packer.places))
    return pickle.dumps((head, packer.stream.getvalue())), packer.queue


def pack_call(call: tuple[Any, ...]) -> tuple[bytes, object]:
    """Return a pack of (fn, args, kwargs).

    A function of the main script that can travel as code does, as with the standard
    module: then the script need not be run there.
    """
    packer = _Packer()
    if getattr(call[0], "__module__", None) in (_MAIN, _FAKE_MAIN):
        packer.preferred = call[0]
    packer.dump(call)
    return _finish(packer)


def pack_code(item: object) -> tuple[bytes, object]:
    """Return a pack in which functions travel as code also if they have a name.

    Empty, if there is none of which that can be done.
    """
    packer = _Packer(prefer_code=True)
    packer.dump(item)
    return _finish(packer) if packer.has_code else (b"", None)


def unpack(packed: Any) -> Any:
    """Return the object of a pack, a bytes-like object."""
    (script, number, count), pickled = pickle.loads(packed)
    taken = _take(number, count) if number is not None else []
    return _Unpacker(pickled, script, taken).load()


class _Packer(pickle.Pickler):
    """Pickles, and leaves shareable objects to a queue."""

    def __init__(self, prefer_code: bool = False) -> None:
        self.prefer_code = prefer_code
        # The one function of which that is to be so in any case.
        self.preferred: object = None
        self.has_code = False
        self.copies_views = False
        self.stream = io.BytesIO()
        super().__init__(self.stream, pickle.HIGHEST_PROTOCOL)
        self.queue: Any = None
        self.number = 0
        # Where each of them comes in the queue, and itself, so that no other
        # object gets its id.
        self.places: dict[int, tuple[int, object]] = {}

    def mentions_main(self) -> bool:
        """Whether anything in it may be the main script's."""
        return _MAIN.encode() in self.stream.getvalue()

    def persistent_id(self, item: Any) -> int | None:
        """Return the place of what is shared."""
        if type(item) in _COPIED or not _is_shareable(item):
            return None
        if self.copies_views and type(item) is memoryview:
            return None
        if id(item) not in self.places:
            if self.queue is None:
                self.number, self.queue = _open()
            _put(self.queue, item)
            self.places[id(item)] = len(self.places), item
        return self.places[id(item)][0]

    def reducer_override(self, item: Any) -> Any:
        """Take functions apart that cannot be found by their name, and copy views."""
        if self.copies_views and type(item) is memoryview:
            kind: type = bytes if item.readonly else bytearray
            return _make_view, (kind(item.tobytes()), item.format, item.shape)
        if type(item) is not FunctionType:
            return NotImplemented
        if self.prefer_code or item is self.preferred or not _has_name(item):
            code = _code_of(item)
            if code is not None:
                self.has_code = True
                return _make_function, (code, item.__name__)
        return NotImplemented


def _make_view(
    memory: bytes | bytearray, format: Any, shape: tuple[int, ...]
) -> memoryview:
    """Return a view of copied memory."""
    view = memoryview(memory)
    if len(shape) != 1:
        return view.cast(format, shape)
    return view if format == "B" else view.cast(format)


class _Unpacker(pickle.Unpickler):
    """Unpickles what `_Packer` has pickled."""

    def __init__(self, pickled: bytes, script: Any, taken: list[object]) -> None:
        super().__init__(io.BytesIO(pickled))
        self.script = script
        self.taken = taken

    def persistent_load(self, place: Any) -> object:
        """Return what was shared."""
        return self.taken[place]

    def find_class(self, module: str, name: str) -> Any:
        """Find what is defined in the main script."""
        if module in (_MAIN, _FAKE_MAIN):
            found: Any = _main_module(self.script)
            for part in name.split("."):
                found = getattr(found, part)
            return found
        return super().find_class(module, name)


# --- the main script ----------------------------------------------------------


# Whether __main__ is the script itself, as it is where the program runs.
_runs_the_script = True
# How it is run here, where it is not; and whether it is being run at the moment.
_script_here: tuple[str, str] | None = None
_is_running = False


def settle(path: list[str] | None, meta_path: list[Any] | None) -> None:
    """Say that this interpreter is a worker's, with an empty ``__main__``.

    And how it found modules before its first call: what sys had in these lists.
    """
    global _runs_the_script, _path_at_first, _meta_path_at_first
    _runs_the_script = False
    _path_at_first, _meta_path_at_first = path, meta_path


_path_at_first: list[str] | None = None
_meta_path_at_first: list[Any] | None = None


def _import(name: str) -> Any:
    """Import what we need ourselves, whatever calls have done to sys.path."""
    try:
        return import_module(name)
    except ImportError:
        if _path_at_first is None or _meta_path_at_first is None:
            raise
    path, meta_path = sys.path, sys.meta_path
    sys.path, sys.meta_path = _path_at_first, _meta_path_at_first
    try:
        return import_module(name)
    finally:
        sys.path, sys.meta_path = path, meta_path


def _script() -> tuple[str, str] | None:
    """How to run the main script: ("module", name) or ("path", path)."""
    if _is_running:
        # It would make this pool there, too, and that one the next.
        raise RuntimeError(
            "the main script uses a pool while it is run again for one; "
            'what it does belongs under if __name__ == "__main__":'
        )
    if _script_here is not None:
        return _script_here
    main = sys.modules.get(_FAKE_MAIN) or sys.modules[_MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None and getattr(spec, "name", None) not in (None, _MAIN):
        return "module", spec.name
    path = getattr(main, "__file__", None)
    if path is None:
        return None
    path = os.path.abspath(path)
    if not os.path.exists(path):
        # In an archive, which can be run as a whole; or standard input.
        path = os.path.dirname(path)
        if not os.path.isfile(path):
            return None
    return "path", path


def _main_module(script: tuple[str, str] | None) -> ModuleType:
    """Return the main script's module, after running it where it has not run."""
    global _script_here, _is_running
    if _runs_the_script:
        return sys.modules[_MAIN]
    module = sys.modules.get(_FAKE_MAIN)
    if module is None:
        if script is None:
            raise AttributeError("the main program has no file to be run again")
        runpy = _import("runpy")

        how, what = script
        run = runpy.run_module if how == "module" else runpy.run_path
        _is_running = True
        try:
            names = run(what, run_name=_FAKE_MAIN)
        finally:
            _is_running = False
        module = ModuleType(_FAKE_MAIN)
        vars(module).update(names)
        sys.modules[_FAKE_MAIN] = module
        _script_here = script
    return module


# --- functions as code --------------------------------------------------------


def _has_name(function: FunctionType) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


# Of code that has been looked at, by id: itself, so that its id stays its own, the
# names that it looks up beyond itself, and its pickle.
_looked_at: dict[int, tuple[CodeType, frozenset[str], bytes | None]] = {}
_LOOKED_AT_MAX = 256


def _code_of(function: FunctionType) -> bytes | None:
    """Its code, if it needs nothing but its arguments and builtins."""
    if (
        function.__closure__
        or function.__defaults__
        or function.__kwdefaults__
        or function.__dict__
    ):
        return None
    code = function.__code__
    entry = _looked_at.get(id(code))
    if entry is None:
        names: set[str] = set()
        marshalled = marshal.dumps(code) if _collect_names(code, names) else None
        entry = code, frozenset(names), marshalled
        if len(_looked_at) >= _LOOKED_AT_MAX:
            _looked_at.clear()
        _looked_at[id(code)] = entry
    _, needed, marshalled = entry
    known, given = function.__globals__, vars(builtins)
    if any(name in known or name not in given for name in needed):
        return None
    return marshalled


def _collect_names(code: CodeType, names: set[str]) -> bool:
    """Add the global names that the code uses; say whether it sets none."""
    dis = _import("dis")

    for step in dis.get_instructions(code):
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            return False
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return all(_collect_names(each, names) for each in inner)


def _make_function(code: bytes, name: str) -> FunctionType:
    names = vars(sys.modules[_MAIN])
    return FunctionType(marshal.loads(code), names, name)


# --- exceptions ---------------------------------------------------------------


def describe(exception: BaseException) -> bytes:
    """Return what `revive` needs, in the interpreter that has raised it."""
    traceback = _import("traceback")

    kind = type(exception)
    shown = traceback.TracebackException.from_exception(exception)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", _MAIN):
        name = f"{kind.__module__}.{name}"
    try:
        message = str(exception)
    except Exception:
        # As tracebacks show it.
        message = "<exception str() failed>"
    info = {
        "type": (kind.__name__, kind.__qualname__, kind.__module__),
        "msg": message,
        "formatted": f"{name}: {message}",
        "errdisplay": "".join(shown.format()).rstrip("\n"),
    }
    try:
        packed, _kept[0] = pack(exception)
    except Exception:
        packed = None
        # Where that is closed, it is the call's exception that counts all the same.
        if sys.stderr is not None:
            with suppress(Exception):
                print("exception is not shareable:", file=sys.stderr)
                traceback.print_exception(exception)
    return pickle.dumps((packed, info))


# What the last exception left in a queue.
_kept: list[object] = [None]


def revive(description: Any) -> BaseException:
    """Return the exception that a call has raised in another interpreter.

    Its cause is an `ExecutionFailed`, which shows the traceback there; so is itself
    what cannot be brought over.
    """
    packed, info = pickle.loads(description)
    name, qualname, module = info["type"]
    info["type"] = SimpleNamespace(
        __name__=name, __qualname__=qualname, __module__=module
    )
    failed: Any = ExecutionFailed(SimpleNamespace(**info))
    if packed is not None:
        try:
            exception = unpack(packed)
        except Exception as error:
            failed.__cause__ = error
        else:
            if isinstance(exception, BaseException):
                exception.__cause__ = exception.__context__ = failed
                return exception
    return failed  # type: ignore[no-any-return]


def refuse(pair: tuple[tuple[Any, ...], BaseException]) -> BaseException:
    """Return what is raised for a task that cannot be sent."""
    task, why = pair
    if not isinstance(why, Exception):
        return why
    try:
        shown = repr(task)
    except Exception:
        shown = "the task"
    return _not_shareable(f"{shown} does not support cross-interpreter data", why)


def unreadable(why: str) -> BaseException:
    """Return what is raised for a task that the other interpreter cannot read."""
    return _not_shareable(
        "func or args not shareable",
        NotShareableError(f"object could not be unpickled ({why})"),
    )


def unsendable(why: str) -> BaseException:
    """Return what is raised for a result that cannot be sent."""
    return _not_shareable(
        "object does not support cross-interpreter data", NotShareableError(why)
    )


def spoiled(why: BaseException) -> BaseException:
    """Return what is raised for a result that cannot be read here."""
    if not isinstance(why, Exception):
        return why
    return _not_shareable("object could not be unpickled", why)


def _not_shareable(text: str, cause: BaseException) -> BaseException:
    error = NotShareableError(text)
    error.__cause__ = cause
    return error
