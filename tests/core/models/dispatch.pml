/* dispatch.pml - src/core/dispatch.c with src/core/lifosem.c.
 *
 * Two producers submit three tasks (four with -DTASKS1=2), two workers serve them and one thread
 * closes the dispatch.  The queue is a channel, for queue.pml answers for it;
 * the semaphore is modelled to its single loads and exchanges.
 *
 * When the dispatch closes:
 *     -DCLOSE_LATE  after all tasks have run.  A wake-up that is lost before
 *                   then leaves a task or a worker for ever, which the model
 *                   checker reports as an invalid end state.
 *     otherwise     at any moment.  What is left then is drained at the end.
 * -DRESUME: worker 0 may at any time turn to something else, by
 * fc_worker_resume(), and be busy with it until the other one has run all
 * tasks; use it with -DCLOSE_LATE.
 * -DBARRIER: all tasks wait for each other, so that as many workers must come
 * (the wake chain); use it with one task per producer.
 *
 * Properties:
 *     no lost wake-up    no deadlock; every worker leaves after the close
 *     no task lost       each has run or was drained at the end
 *     none left behind   those counted before the close have run when the workers
 *                        have left
 *     no task doubled    none runs twice
 *     reserved pops      find a task
 *     (I)                tasks > 0 and parked > 0 implies searching > 0, in
 *                        every state
 *
 * Mutations (-D), each of which must be rejected:
 *     M_COUNT_FIRST     a task is counted before it is pushed
 *     M_TAKE_NOT_CAS    the reservation is read and then written
 *     M_PEEK            the pop reads a task and removes it afterwards
 *     M_NO_WAKE         submit wakes nobody
 *     M_NO_CHAIN        who takes a task does not wake the next worker (with
 *                       -DWATCH_I already (I) fails, else the consequence)
 *     M_PARK_UNCHECKED  the check for tasks and parking are two steps
 *     M_PARK_CLOSED     a worker parks although the dispatch is closing
 *     M_LEAVE_COUNTED   a worker leaves when no task is counted, though one may be
 *                       queued
 *     M_CLOSE_NO_WAKE   close wakes nobody
 *     M_RESUME_NO_WAKE  who resumes wakes nobody
 * and those of lifosem.inc.
 */
#define SLEEPERS 2
/* Tasks of each producer: 0, 1 and 2, 3. */
#ifndef TASKS0
#define TASKS0 2
#endif
#ifndef TASKS1
#define TASKS1 1
#endif
#define ALL (TASKS0 + TASKS1)
#define ALL_BITS (((1 << TASKS0) - 1) | (((1 << TASKS1) - 1) << 2))

/* The word of dispatch.c. */
byte tasks;
byte searching;
byte parked;
bool closing;

chan queue = [ALL] of { byte };

#include "lifosem.inc"

byte done;    /* ghost: one bit per task that has run or was drained */
byte before;  /* ghost: the same of those that were counted before the close */
byte running; /* ghost: for the barrier */

#define INVARIANT assert(tasks == 0 || parked == 0 || searching > 0)

inline run_once(task) {
    assert((done & (1 << task)) == 0);
    done = done | (1 << task)
}

/* The steps of swap_and_wake(), inside the caller's atomic exchange. */
inline wake_one() {
    if
    :: tasks > 0 && parked > 0 && searching == 0 ->
        parked--;
        searching++;
        wake = true
    :: else -> wake = false
    fi
}

proctype producer(byte me) {
    byte i, task, h, n, v;
    bool wake;
    do
    :: i == (me == 0 -> TASKS0 : TASKS1) -> break
    :: else ->
        task = me * 2 + i;
#ifdef M_COUNT_FIRST
        atomic { tasks++; wake_one(); INVARIANT }
        queue ! task;
#else
        queue ! task;
        atomic {
            tasks++;
            if
            :: !closing -> before = before | (1 << task)
            :: else
            fi;
#ifdef M_NO_WAKE
            wake = false
#else
            wake_one();
            INVARIANT
#endif
        }
#endif
        if
        :: wake -> post()
        :: else
        fi;
        i++
    od
}

/* Reserve a task, as searching worker (role 1) or as running one (0). */
inline reserve(role) {
#ifdef M_TAKE_NOT_CAS
    tasks > 0 -> v = tasks;
    atomic { tasks = v - 1; v = 0; searching = searching - role; wake_one() }
#else
    atomic {
        tasks > 0 ->
        tasks--;
        searching = searching - role;
#ifdef M_NO_CHAIN
        wake = false;
#ifdef WATCH_I
        INVARIANT
#endif
#else
        wake_one();
        INVARIANT
#endif
    }
#endif
    if
    :: wake -> post()
    :: else
    fi;
#ifdef M_PEEK
    queue ? <task>; /* stays in */
    queue ? _
#else
    atomic {
        assert(nempty(queue)); /* the reserved pop finds a task */
        queue ? task
    }
#endif
}

inline run_task() {
#ifdef BARRIER
    running++;
    running == ALL;
#endif
    atomic { run_once(task); task = 0 }
}

proctype worker(byte me) {
    byte task, h, n, v;
    bool wake;
    searching++; /* arrives */
    do
    :: tasks > 0 ->
        if
        :: reserve(1)
        :: atomic { tasks == 0 -> skip }; goto again
        fi;
        run_task();
        /* fc_worker_next() until nothing is there. */
        do
        :: reserve(0); run_task()
        :: atomic { tasks == 0 -> searching++; break }
        od
    :: tasks == 0 ->
#ifdef M_PARK_UNCHECKED
        skip; /* somebody may submit here */
        if
        :: atomic { closing -> searching--; goto left }
        :: atomic { !closing -> searching--; parked++ }
        fi;
#else
        if
        :: atomic { tasks > 0 -> goto again }
#ifndef M_PARK_CLOSED
#ifdef M_LEAVE_COUNTED
        :: atomic { tasks == 0 && closing -> searching--; goto left }
#else
        /* Two steps, as in the code. */
        :: atomic { tasks == 0 && closing && empty(queue) };
            if
            :: atomic { tasks == 0 -> searching--; goto left }
            :: atomic { tasks > 0 -> goto again }
            fi
        :: atomic { tasks == 0 && closing && nempty(queue) -> goto again }
#endif
        :: atomic { tasks == 0 && !closing ->
#else
        :: atomic { tasks == 0 ->
#endif
            searching--;
            parked++;
            INVARIANT }
        fi;
#endif
        sleep()
#ifdef RESUME
    :: atomic {
        me == 0 && done != ALL_BITS -> searching--;
#ifdef M_RESUME_NO_WAKE
        wake = false
#else
        wake_one();
        INVARIANT
#endif
        };
        if
        :: wake -> post()
        :: else
        fi;
        done == ALL_BITS; /* something else takes all that time */
        searching++
#endif
again:
        skip
    od;
left:
    skip
}

proctype closer() {
    byte left, h, n, v;
#ifdef CLOSE_LATE
    done == ALL_BITS;
#endif
    atomic {
        closing = true;
#ifndef M_CLOSE_NO_WAKE
        left = parked;
        searching = searching + parked;
        parked = 0
#endif
    }
    do
    :: left > 0 -> post(); left--
    :: else -> break
    od
}

init {
    byte task;
    atomic {
        run producer(0);
        run producer(1);
        run worker(0);
        run worker(1);
        run closer()
    }
    /* Everybody comes to an end: workers leave, nobody is stuck. */
    _nr_pr == 1;
    assert((before & ~done) == 0);
    do
    :: tasks > 0 ->
        atomic {
            tasks--;
            assert(nempty(queue));
            queue ? task;
            run_once(task)
        }
    :: else -> break
    od;
    assert(done == ALL_BITS);
    assert(searching == 0 && parked == 0 && permits == 0 && top == NOBODY)
}
