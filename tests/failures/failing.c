/* failing.c - makes the n-th allocation or system call of a process fail.
 *
 * A library to be preloaded (LD_PRELOAD).  It stands between the program and the
 * C library, and, once fail_hook_python() has been called, between the
 * interpreter and its allocators.  Nothing fails before fail_plan(), which says
 *
 *   kind    what is to fail: an allocation or one kind of system call (enum kind)
 *   n       which one, counted from zero, of those that match
 *   all     the following ones, too
 *   who     of the calling thread, of all others, or of all
 *   scope   only those that our extension makes itself, or all
 *   error   the errno
 *
 * and fail_arm(), called by that thread.  After fail_disarm() fail_failed() tells how
 * many have failed, and fail_seen() how many matched.  A forked child fails nothing.  "Makes itself" means, for an allocation, that on
 * the way from the allocator outwards our extension comes before the evaluation of
 * Python code, and before asyncio; for a system call, that the extension calls the C library for it.
 * malloc() and its like count only where the extension calls them: what others ask
 * of the C library is theirs.
 *
 * With FUTURES_C_FAILING_TRACE in the environment it says where it strikes.
 *
 * What the system never refuses (waking, closing, unmapping) is done, and then
 * reported as failed: nothing may depend on the answer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <unwind.h>

#include "failing.h"

enum who { ME, OTHERS, EVERYBODY };
enum scope { OURS, ANY };

/* Written by fail_plan() while `kind` is NOTHING; read when it is not. */
static _Atomic(int) armed_kind;
static struct {
    int kind;
    long n;
    int all, who, scope, error;
    pid_t pid, tid;
} plan;
static _Atomic(long) seen, failed;

/* Where code of an extension module is in memory: ours, and asyncio's, which forgets
 * who waits for one of its futures where memory runs out as it ends. */
struct range {
    uintptr_t from, to;
};
static struct range ours, asyncio;

/* Where the functions begin that evaluate Python code: the compiler may have split
 * the one that there is in the source. */
enum { MOST_EVALUATORS = 16 };
static uintptr_t evaluators[MOST_EVALUATORS];

/* An allocator of Python's is at work, which may ask malloc() in turn. */
static _Thread_local bool inside;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* --- who asks ------------------------------------------------------------- */

static bool
lies_in(const struct range *r, const void *address)
{
    return (uintptr_t)address >= r->from && (uintptr_t)address < r->to;
}

static int
find_extensions(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    struct range *r = strstr(info->dlpi_name, "futures_c/_native") ? &ours
                      : strstr(info->dlpi_name, "/_asyncio.")      ? &asyncio
                                                                   : NULL;
    for (int i = 0; r != NULL && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            r->from = info->dlpi_addr + part->p_vaddr;
            r->to = r->from + part->p_memsz;
        }
    }
    return 0;
}

struct walk {
    bool found;
    int depth;
    uintptr_t largest;
    uint32_t size;
};

static _Unwind_Reason_Code
step(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    /* The instruction before the one that is returned to. */
    const void *at = (const void *)(_Unwind_GetIP(context) - 1);
    if (lies_in(&ours, at) || lies_in(&asyncio, at)) {
        walk->found = lies_in(&ours, at);
        return _URC_END_OF_STACK;
    }
    uintptr_t function = _Unwind_GetRegionStart(context);
    for (int i = 0; i < MOST_EVALUATORS && evaluators[i] != 0; i++) {
        if (evaluators[i] == function) {
            return _URC_END_OF_STACK;
        }
    }
    return ++walk->depth < 200 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static bool
asked_by_us(const void *caller)
{
    if (caller != NULL) {
        return lies_in(&ours, caller);
    }
    struct walk walk = {false, 0, 0, 0};
    (void)_Unwind_Backtrace(step, &walk);
    return walk.found;
}

/* Of gcc's unwinder: what describes the function that has this instruction. */
struct bases {
    void *tbase, *dbase, *function;
};
extern const void *_Unwind_Find_FDE(void *, struct bases *);

static _Unwind_Reason_Code
weigh(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    struct bases bases;
    const uint32_t *fde =
        _Unwind_Find_FDE((void *)(_Unwind_GetIP(context) - 1), &bases);
    /* Four words: its length, the way to its head, begin and size of the code. */
    if (fde != NULL && fde[3] > walk->size) {
        walk->size = fde[3];
        walk->largest = (uintptr_t)bases.function;
    }
    return ++walk->depth < 8 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void
remember(uintptr_t function)
{
    for (int i = 0; i < MOST_EVALUATORS; i++) {
        if (evaluators[i] == function) {
            return;
        }
        if (evaluators[i] == 0) {
            evaluators[i] = function;
            return;
        }
    }
}

/* Called by Python code: the largest function near by is what evaluates it.  What
 * enters and leaves its frames belongs to it. */
static void
learn(void)
{
    static const char *const names[] = {
        "_PyEval_EvalFrameDefault", "_PyEval_FrameClearAndPop",
        "_PyEval_Vector", "_PyFunction_Vectorcall"};
    struct walk walk = {false, 0, 0, 0};
    (void)_Unwind_Backtrace(weigh, &walk);
    remember(walk.largest);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uintptr_t function = (uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
        if (function != 0) {
            remember(function);
        }
    }
}

bool
fails(enum kind kind, const void *caller)
{
    if (atomic_load(&armed_kind) != (int)kind || getpid() != plan.pid) {
        return false;
    }
    if (plan.who != EVERYBODY) {
        bool me = (pid_t)real_syscall(SYS_gettid) == plan.tid;
        if (me != (plan.who == ME)) {
            return false;
        }
    }
    if (plan.scope == OURS && !asked_by_us(caller)) {
        return false;
    }
    long n = atomic_fetch_add(&seen, 1);
    if (n != plan.n && (n < plan.n || !plan.all)) {
        return false;
    }
    atomic_fetch_add(&failed, 1);
    if (getenv("FUTURES_C_FAILING_TRACE") != NULL) {
        void *frames[64];
        backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    }
    errno = plan.error;
    return true;
}

int
planned_error(void)
{
    return plan.error;
}

/* --- for the tests ---------------------------------------------------------- */

API void
fail_plan(int kind, long n, int all, int who, int scope, int error)
{
    atomic_store(&armed_kind, NOTHING);
    (void)dl_iterate_phdr(find_extensions, NULL);
    if (plan.kind == NOTHING) {
        /* The unwinder allocates when it is used first. */
        (void)asked_by_us(NULL);
    }
    plan.kind = kind;
    plan.n = n;
    plan.all = all;
    plan.who = who;
    plan.scope = scope;
    plan.error = error;
    atomic_store(&seen, 0);
    atomic_store(&failed, 0);
}

API void
fail_arm(void)
{
    plan.pid = getpid();
    plan.tid = (pid_t)real_syscall(SYS_gettid);
    atomic_store(&armed_kind, plan.kind);
}

API void
fail_disarm(void)
{
    atomic_store(&armed_kind, NOTHING);
}

API long
fail_failed(void)
{
    return atomic_load(&failed);
}

API long
fail_seen(void)
{
    return atomic_load(&seen);
}

/* The same as methods without arguments, which allocate nothing: they return the
 * object that they are made with. */

static void *
same(void *self)
{
    void (*hold)(void *) = NULL;
    *(void **)&hold = dlsym(RTLD_DEFAULT, "Py_IncRef");
    hold(self);
    return self;
}

static void *
arm_method(void *self, void *unused)
{
    (void)unused;
    fail_arm();
    return same(self);
}

static void *
disarm_method(void *self, void *unused)
{
    (void)unused;
    fail_disarm();
    return same(self);
}

static void *
learn_method(void *self, void *unused)
{
    (void)unused;
    learn();
    return same(self);
}

/* Of Include/methodobject.h. */
struct method {
    const char *name;
    void *(*function)(void *, void *);
    int flags;
    const char *doc;
};
enum { NO_ARGUMENTS = 4 };

API struct method fail_arm_method = {"arm", arm_method, NO_ARGUMENTS, NULL};
API struct method fail_disarm_method = {"disarm", disarm_method, NO_ARGUMENTS,
                                        NULL};
API struct method fail_learn_method = {"learn", learn_method, NO_ARGUMENTS, NULL};

/* --- allocations -------------------------------------------------------------- */

/* Of Include/cpython/pymem.h. */
struct allocator {
    void *ctx;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
};
enum { DOMAINS = 3 };
static struct allocator originals[DOMAINS];

static void *
py_malloc(void *ctx, size_t size)
{
    struct allocator *a = ctx;
    if (!inside && fails(ALLOCATION, NULL)) {
        return NULL;
    }
    bool before = inside;
    inside = true;
    void *p = a->malloc(a->ctx, size);
    inside = before;
    return p;
}

static void *
py_calloc(void *ctx, size_t count, size_t size)
{
    struct allocator *a = ctx;
    if (!inside && fails(ALLOCATION, NULL)) {
        return NULL;
    }
    bool before = inside;
    inside = true;
    void *p = a->calloc(a->ctx, count, size);
    inside = before;
    return p;
}

static void *
py_realloc(void *ctx, void *old, size_t size)
{
    struct allocator *a = ctx;
    if (!inside && fails(ALLOCATION, NULL)) {
        return NULL;
    }
    bool before = inside;
    inside = true;
    void *p = a->realloc(a->ctx, old, size);
    inside = before;
    return p;
}

static void
py_free(void *ctx, void *p)
{
    struct allocator *a = ctx;
    a->free(a->ctx, p);
}

/* Stand before the interpreter's allocators, once, for good; while it has only
 * one thread. */
API int
fail_hook_python(void)
{
    void (*get)(int, struct allocator *) = NULL;
    void (*set)(int, struct allocator *) = NULL;
    *(void **)&get = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
    *(void **)&set = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
    if (get == NULL || set == NULL) {
        return -1;
    }
    for (int i = 0; i < DOMAINS && originals[i].malloc == NULL; i++) {
        get(i, &originals[i]);
        struct allocator mine = {&originals[i], py_malloc, py_calloc,
                                 py_realloc, py_free};
        set(i, &mine);
    }
    return 0;
}

API void *
malloc(size_t size)
{
    if (!inside && lies_in(&ours, CALLER) && fails(ALLOCATION, CALLER)) {
        return NULL;
    }
    return __libc_malloc(size);
}

API void *
calloc(size_t count, size_t size)
{
    if (!inside && lies_in(&ours, CALLER) && fails(ALLOCATION, CALLER)) {
        return NULL;
    }
    return __libc_calloc(count, size);
}

API void *
realloc(void *old, size_t size)
{
    if (!inside && lies_in(&ours, CALLER) && fails(ALLOCATION, CALLER)) {
        return NULL;
    }
    return __libc_realloc(old, size);
}

API void *
aligned_alloc(size_t alignment, size_t size)
{
    if (!inside && lies_in(&ours, CALLER) && fails(ALLOCATION, CALLER)) {
        return NULL;
    }
    return __libc_memalign(alignment, size);
}
