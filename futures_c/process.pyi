from concurrent.futures.process import (
    _MAX_WINDOWS_WORKERS as _MAX_WINDOWS_WORKERS,
    EXTRA_QUEUED_CALLS as EXTRA_QUEUED_CALLS,
    BrokenProcessPool as BrokenProcessPool,
    ProcessPoolExecutor as ProcessPoolExecutor,
    _CallItem as _CallItem,
    _chain_from_iterable_of_lists as _chain_from_iterable_of_lists,
    _check_system_limits as _check_system_limits,
    _ExceptionWithTraceback as _ExceptionWithTraceback,
    _ExecutorManagerThread as _ExecutorManagerThread,
    _process_chunk as _process_chunk,
    _process_worker as _process_worker,
    _python_exit as _python_exit,
    _rebuild_exc as _rebuild_exc,
    _RemoteTraceback as _RemoteTraceback,
    _ResultItem as _ResultItem,
    _SafeQueue as _SafeQueue,
    _sendback_result as _sendback_result,
    _ThreadWakeup as _ThreadWakeup,
    _WorkItem as _WorkItem,
)

def __dir__() -> list[str]: ...
