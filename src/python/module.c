/* module.c - futures_c._native: its state, and what it takes from
 * concurrent.futures. */
#include "python/loop.h"
#include "python/map.h"
#include "python/waiter.h"

#include "core/queue.h"
#include "port/port.h"

#include <stddef.h>

/* --- helpers shared by the other files -------------------------------------------- */

fc_state *
fc_state_of(PyObject *self)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(self), &fc_module);
    if (module == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return fc_state_of_module(module);
}

void
fc_log_exception(fc_state *st, const char *method, const char *message,
                 PyObject *arg)
{
    PyObject *exception = fc_exception_take();
    PyObject *log = PyObject_GetAttrString(st->logger, method);
    PyObject *args = arg != NULL ? Py_BuildValue("(sO)", message, arg)
                                 : Py_BuildValue("(s)", message);
    PyObject *kwargs = Py_BuildValue("{sO}", "exc_info",
                                     exception != NULL ? exception : Py_None);
    PyObject *done = log != NULL && args != NULL && kwargs != NULL
                         ? PyObject_Call(log, args, kwargs)
                         : NULL;
    if (done == NULL) {
        PyErr_WriteUnraisable(arg);
    }
    Py_XDECREF(done);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(log);
    Py_XDECREF(exception);
}

/* --- functions ---------------------------------------------------------------------- */

PyDoc_STRVAR(wait_doc,
"wait($module, /, fs, timeout=None, return_when='ALL_COMPLETED')\n--\n\n"
"Wait for the futures in fs; return DoneAndNotDoneFutures(done, not_done).\n\n"
"fs is an iterable of futures, of this module, of concurrent.futures or of\n"
"both; a future given twice counts once.  timeout is in seconds, None waits\n"
"without limit.  return_when is FIRST_COMPLETED, FIRST_EXCEPTION or\n"
"ALL_COMPLETED.  The result is a named tuple of two sets.  Raises ValueError\n"
"for another return_when, TypeError when fs cannot be iterated over and\n"
"AttributeError for what is no future.  Since 0.1.");

PyDoc_STRVAR(as_completed_doc,
"as_completed($module, /, fs, timeout=None)\n--\n\n"
"Return an iterator that yields the futures in fs as they end.\n\n"
"fs is an iterable of futures, of this module, of concurrent.futures or of\n"
"both; a future given twice is yielded once.  timeout, in seconds from the\n"
"first next(), bounds the whole iteration: next() raises TimeoutError when\n"
"it has passed and futures are unfinished.  next() raises TypeError when fs\n"
"cannot be iterated over and AttributeError for what is no future.  An\n"
"exception ends the iterator, as its method close() does.  In a coroutine\n"
"async for yields the same.  Since 0.1.");

/* _forked(): this is a child; let go of what threads that stayed in the parent
 * were using. */
static PyObject *
module_forked(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    fc_queue_after_fork();
    Py_RETURN_NONE;
}

/* _set_exiting(): idle workers leave from now on, and those of executors
 * that are made later as well. */
static PyObject *
module_set_exiting(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    atomic_store_explicit(&fc_state_of_module(module)->exiting, true,
                          memory_order_release);
    Py_RETURN_NONE;
}

#define FC_FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyObject *module_getattr(PyObject *module, PyObject *name);
static PyObject *module_complete(PyObject *module, PyObject *ignored);

static PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, NULL},
    {"_complete", module_complete, METH_NOARGS, NULL},
    {"wait", FC_FAST(fc_wait), wait_doc},
    {"as_completed", FC_FAST(fc_as_completed), as_completed_doc},
    {"_make_pool_type", fc_make_pool_type, METH_O, NULL},
    {"_make_process_pool_type", fc_make_process_pool_type, METH_O, NULL},
    {"_set_exiting", module_set_exiting, METH_NOARGS, NULL},
    {"_forked", module_forked, METH_NOARGS, NULL},
    {"_wrap", (PyCFunction)(void (*)(void))fc_wrap_future, METH_FASTCALL, NULL},
    {"_bell", (PyCFunction)(void (*)(void))fc_make_bell, METH_FASTCALL, NULL},
    {"_encode", fc_encode, METH_O, NULL},
    {"_decode", fc_decode, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* --- the state ------------------------------------------------------------------------ */

/* Every reference of the state, for filling, traversing and clearing. */
#define FC_STATE_NAMES(X) \
    X(str__condition, "_condition") \
    X(str__state, "_state") \
    X(str__waiters, "_waiters") \
    X(str_acquire, "acquire") \
    X(str_release, "release") \
    X(str_notify_all, "notify_all") \
    X(str_add_result, "add_result") \
    X(str_add_exception, "add_exception") \
    X(str_add_cancelled, "add_cancelled") \
    X(str_append, "append") \
    X(str_take, "take") \
    X(str_update, "update") \
    X(str_remove, "remove") \
    X(str_cancelled, "cancelled") \
    X(str_exception, "exception") \
    X(str_submit, "submit") \
    X(str_run, "run") \
    X(str__invoke_callbacks, "_invoke_callbacks") \
    X(str_forking_pickler, "ForkingPickler") \
    X(str__copyreg_dispatch_table, "_copyreg_dispatch_table") \
    X(str__extra_reducers, "_extra_reducers") \
    X(str_dump, "dump") \
    X(str_clear_memo, "clear_memo") \
    X(str_buffers, "buffers") \
    X(str__call_set_state, "_call_set_state") \
    X(str_call_soon_threadsafe, "call_soon_threadsafe") \
    X(str_set_result, "set_result") \
    X(str_create_future, "create_future") \
    X(str_add_done_callback, "add_done_callback") \
    X(str_remove_done_callback, "remove_done_callback") \
    X(str_cancel, "cancel") \
    X(str___await__, "__await__") \
    X(str_call_soon, "call_soon")

#define FC_STATE_BASE(X) \
    X(base_error, "Error") \
    X(cancelled_error, "CancelledError") \
    X(invalid_state_error, "InvalidStateError") \
    X(logger, "LOGGER") \
    X(done_and_not_done, "DoneAndNotDoneFutures") \
    X(first_completed, "FIRST_COMPLETED") \
    X(first_exception, "FIRST_EXCEPTION") \
    X(all_completed, "ALL_COMPLETED")

#define FC_STATE_TYPES(X) \
    X(future_type) X(waiter_type) X(as_completed_type) X(map_type) \
    X(map_iterator_type) X(queue_type) X(item_type) X(worker_type) \
    X(sink_type) X(region_type) X(sealed_type) X(hub_type) \
    X(worker_end_type) X(batch_type) X(process_map_type) \
    X(mailbox_type) X(link_type) X(awaiter_type) X(interpreter_type) \
    X(pool_type) X(process_pool_type) X(std_future)

#define FC_STATE_OTHERS(X) \
    X(condition_factory) X(queue_empty) X(getswitchinterval) \
    X(switch_point) X(zero) X(reduction) X(pickle_loads) X(pickler) \
    X(mailboxes) X(chain_code) X(get_running_loop) X(names_context)

static int
state_take_base(fc_state *st)
{
    static const char *const states[] = {
        "PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED",
        "FINISHED",
    };
    /* The package first: a thread that asks for its part, and so for the package,
     * and one that loads the package, and so its part, would wait for each other. */
    PyObject *package = PyImport_ImportModule("concurrent.futures");
    PyObject *base = package != NULL
                         ? PyImport_ImportModule("concurrent.futures._base")
                         : NULL;
    Py_XDECREF(package);
    if (base == NULL) {
        return -1;
    }
    int status = -1;
#define TAKE(field, name) \
    st->field = PyObject_GetAttrString(base, name); \
    if (st->field == NULL) { \
        goto done; \
    }
    FC_STATE_BASE(TAKE)
#undef TAKE
    for (int i = 0; i < 5; i++) {
        st->state_names[i] = PyObject_GetAttrString(base, states[i]);
        if (st->state_names[i] == NULL) {
            goto done;
        }
    }
    st->std_future = (PyTypeObject *)PyObject_GetAttrString(base, "Future");
    if (st->std_future == NULL) {
        goto done;
    }
    status = 0;
done:
    Py_DECREF(base);
    return status;
}

static PyObject *
take_from(const char *module, const char *name)
{
    PyObject *object = NULL;
    PyObject *imported = PyImport_ImportModule(module);
    if (imported != NULL) {
        object = PyObject_GetAttrString(imported, name);
        Py_DECREF(imported);
    }
    return object;
}

/* A function of Python code, whose call passes the interpreter's switch
 * point; see worker.c. */
static PyObject *
make_switch_point(void)
{
    PyObject *function = NULL;
    PyObject *globals = PyDict_New();
    if (globals != NULL
        && PyDict_SetItemString(globals, "__builtins__",
                                PyEval_GetBuiltins()) == 0) {
        /* The name that a tracer sees. */
        PyObject *code = Py_CompileString(
            "lambda: None", "<switch point of futures_c>", Py_eval_input);
        if (code != NULL) {
            function = PyEval_EvalCode(code, globals, globals);
            Py_DECREF(code);
        }
    }
    Py_XDECREF(globals);
    return function;
}

/* What a worker process has no use for waits until somebody asks for it: the
 * standard module, and the types over it. */
static int
state_complete(PyObject *module, fc_state *st)
{
    if (st->complete) {
        return 0;
    }
    st->getswitchinterval = take_from("sys", "getswitchinterval");
    st->switch_point = make_switch_point();
    st->condition_factory = take_from("threading", "Condition");
    if (st->condition_factory == NULL || st->getswitchinterval == NULL
        || st->switch_point == NULL || state_take_base(st) < 0
        || fc_future_init(module, st) < 0 || fc_waiter_init(module, st) < 0
        || fc_as_completed_init(module, st) < 0 || fc_map_init(module, st) < 0
        || fc_queue_init_types(module, st) < 0
        || fc_worker_init(module, st) < 0 || fc_sealed_init(module, st) < 0
        || fc_hub_init(module, st) < 0 || fc_batch_init(module, st) < 0
        || fc_process_map_init(module, st) < 0 || fc_loop_init(module, st) < 0
        || fc_await_init(module, st) < 0 || fc_awaiter_init(module, st) < 0
        || fc_interpreter_init(module, st) < 0) {
        return -1;
    }
    st->complete = true;
    return 0;
}

/* _complete(): called once, by futures_c/_load.py. */
static PyObject *
module_complete(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    if (state_complete(module, fc_state_of_module(module)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* __getattr__(name), called for what is not there (PEP 562). */
static PyObject *
module_getattr(PyObject *module, PyObject *name)
{
    fc_state *st = fc_state_of_module(module);
    PyObject *value = NULL;
    /* NULL: the import system asks, before the module is executed. */
    if (st != NULL && !st->complete && PyUnicode_Check(name)
        && PyUnicode_GET_LENGTH(name) > 0
        && PyUnicode_READ_CHAR(name, 0) != '_') {
        PyObject *loaded = PyImport_ImportModule("futures_c._load");
        if (loaded == NULL) {
            return NULL;
        }
        Py_DECREF(loaded);
        value = PyDict_GetItemWithError(PyModule_GetDict(module), name);
    }
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_AttributeError,
                     "module 'futures_c._native' has no attribute %R", name);
    }
    return Py_XNewRef(value);
}

static int
state_fill(fc_state *st)
{
#define INTERN(field, name) \
    st->field = PyUnicode_InternFromString(name); \
    if (st->field == NULL) { \
        return -1; \
    }
    FC_STATE_NAMES(INTERN)
#undef INTERN
    st->zero = PyLong_FromLong(0);
    atomic_init(&st->worker_cpu, -1);
    return st->zero != NULL ? 0 : -1;
}

static int
module_exec(PyObject *module)
{
    fc_state *st = fc_state_of_module(module);
    if (fc_fork_watch() < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return state_fill(st) < 0 || fc_pickling_init(module, st) < 0
                   || fc_region_init(module, st) < 0
                   || fc_worker_end_init(module, st) < 0
               ? -1
               : 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    fc_state *st = fc_state_of_module(module);
#define VISIT(field, ...) Py_VISIT(st->field);
    FC_STATE_NAMES(VISIT)
    FC_STATE_BASE(VISIT)
    FC_STATE_TYPES(VISIT)
    FC_STATE_OTHERS(VISIT)
#undef VISIT
    for (int i = 0; i < 5; i++) {
        Py_VISIT(st->state_names[i]);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    fc_state *st = fc_state_of_module(module);
    fc_future_free_all(st);
#define CLEAR(field, ...) Py_CLEAR(st->field);
    FC_STATE_NAMES(CLEAR)
    FC_STATE_BASE(CLEAR)
    FC_STATE_TYPES(CLEAR)
    FC_STATE_OTHERS(CLEAR)
#undef CLEAR
    for (int i = 0; i < 5; i++) {
        Py_CLEAR(st->state_names[i]);
    }
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear((PyObject *)module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef fc_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "futures_c._native",
    .m_doc = "The native parts of futures_c.",
    .m_size = sizeof(fc_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void); /* no header of ours has it */

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&fc_module);
}
