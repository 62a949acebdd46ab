/* bench.c - micro-benchmarks of the core.
 *
 *     bench [--runs N] [--items N] [--json FILE]
 *
 * Each scenario is run for all subjects in turn, RUNS times over, so that a
 * disturbance of the machine hits them alike; the table shows medians of
 * nanoseconds per item, from the first put to the last take.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "port/port.h"

#define MANY 4
#define RUNS_MAX 99

static const struct scenario {
    const char *name;
    unsigned producers; /* 0: everything in one thread */
    unsigned consumers;
    bool bulk; /* in one thread: first all puts, then all takes */
} scenarios[] = {
    {"one thread, put and take", 0, 0, false},
    {"one thread, in bulk", 0, 0, true},
    {"1 to 1", 1, 1, false},
    {"1 to 4", 1, MANY, false},
    {"4 to 1", MANY, 1, false},
    {"4 to 4", MANY, MANY, false},
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static const struct bench_subject *const subjects[] = {
    &bench_queue,
    &bench_list,
    &bench_dispatch,
    &bench_waiting_list,
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static uint64_t items = 400000;
static int runs = 9;
static double results[SCENARIOS][SUBJECTS][RUNS_MAX];

struct crew {
    const struct bench_subject *subject;
    void *self;
    uint64_t share; /* items per producer */
    pthread_barrier_t ready;
    _Atomic(uint64_t) served;
};

static void *
produce(void *arg)
{
    struct crew *crew = arg;
    pthread_barrier_wait(&crew->ready);
    for (uint64_t i = 0; i < crew->share; i++) {
        crew->subject->put(crew->self, crew);
    }
    return NULL;
}

static void *
consume(void *arg)
{
    struct crew *crew = arg;
    pthread_barrier_wait(&crew->ready);
    crew->served += crew->subject->serve(crew->self);
    return NULL;
}

static double
run_threads(const struct bench_subject *subject,
            const struct scenario *scenario)
{
    pthread_t threads[2 * MANY];
    unsigned count = scenario->producers + scenario->consumers;
    struct crew crew = {.subject = subject, .self = subject->create()};
    crew.share = items / scenario->producers;
    pthread_barrier_init(&crew.ready, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL,
                       i < scenario->producers ? produce : consume, &crew);
    }
    pthread_barrier_wait(&crew.ready);
    int64_t start = fc_now_ns();
    for (unsigned i = 0; i < scenario->producers; i++) {
        pthread_join(threads[i], NULL);
    }
    subject->close(crew.self);
    for (unsigned i = scenario->producers; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    double taken = (double)(fc_now_ns() - start);
    if (crew.served != crew.share * scenario->producers) {
        fprintf(stderr, "%s: items lost\n", subject->name);
        exit(1);
    }
    pthread_barrier_destroy(&crew.ready);
    subject->destroy(crew.self);
    return taken / (double)crew.served;
}

static double
run_alone(const struct bench_subject *subject, bool bulk)
{
    void *self = subject->create();
    uint64_t depth = bulk ? items : 1;
    uint64_t taken = 0;
    int64_t start = fc_now_ns();
    for (uint64_t round = 0; round < items / depth; round++) {
        for (uint64_t i = 0; i < depth; i++) {
            subject->put(self, self);
        }
        for (uint64_t i = 0; i < depth; i++) {
            taken += subject->take(self) != NULL;
        }
    }
    double ns = (double)(fc_now_ns() - start);
    if (taken != items / depth * depth) {
        fprintf(stderr, "%s: items lost\n", subject->name);
        exit(1);
    }
    subject->destroy(self);
    return ns / (double)taken;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(const double *values)
{
    double sorted[RUNS_MAX];
    memcpy(sorted, values, (size_t)runs * sizeof(double));
    qsort(sorted, (size_t)runs, sizeof(double), compare);
    return sorted[runs / 2];
}

static void
print_table(void)
{
    printf("%-26s", "ns per item (median)");
    for (size_t s = 0; s < SUBJECTS; s++) {
        printf("%23s", subjects[s]->name);
    }
    printf("\n");
    for (size_t c = 0; c < SCENARIOS; c++) {
        printf("%-26s", scenarios[c].name);
        for (size_t s = 0; s < SUBJECTS; s++) {
            printf("%23.1f", median(results[c][s]));
        }
        printf("\n");
    }
}

/* The CPU's name as the system gives it, for the record. */
static void
read_cpu_name(char *name, size_t size)
{
    snprintf(name, size, "unknown");
    FILE *info = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
        char *value = strstr(line, ": ");
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            snprintf(name, size, "%.*s", (int)strcspn(value + 2, "\n\"\\"),
                     value + 2);
            break;
        }
    }
    if (info != NULL) {
        fclose(info);
    }
}

static int
write_json(const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        perror(path);
        return 1;
    }
    struct utsname system;
    char cpu[128], when[32];
    time_t now = time(NULL);
    uname(&system);
    read_cpu_name(cpu, sizeof(cpu));
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    fprintf(out,
            "{\"when\": \"%s\", \"system\": \"%s %s %s\", \"cpu\": \"%s\", "
            "\"cpus\": %ld, \"compiler\": \"%s\", \"items\": %llu,\n"
            " \"unit\": \"ns per item\", \"runs\": [",
            when, system.sysname, system.release, system.machine, cpu,
            sysconf(_SC_NPROCESSORS_ONLN), __VERSION__,
            (unsigned long long)items);
    const char *separator = "\n";
    for (size_t c = 0; c < SCENARIOS; c++) {
        for (size_t s = 0; s < SUBJECTS; s++) {
            fprintf(out,
                    "%s  {\"scenario\": \"%s\", \"subject\": \"%s\", "
                    "\"median\": %.2f, \"values\": [",
                    separator, scenarios[c].name, subjects[s]->name,
                    median(results[c][s]));
            for (int r = 0; r < runs; r++) {
                fprintf(out, "%s%.2f", r > 0 ? ", " : "", results[c][s][r]);
            }
            fprintf(out, "]}");
            separator = ",\n";
        }
    }
    fprintf(out, "\n]}\n");
    return fclose(out) != 0;
}

int
main(int argc, char **argv)
{
    const char *json = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--runs") == 0) {
            runs = atoi(argv[i + 1]);
        }
        else if (strcmp(argv[i], "--items") == 0) {
            items = strtoull(argv[i + 1], NULL, 10);
        }
        else if (strcmp(argv[i], "--json") == 0) {
            json = argv[i + 1];
        }
    }
    if (argc % 2 == 0 || runs < 1 || runs > RUNS_MAX || items < MANY) {
        fprintf(stderr,
                "usage: %s [--runs N] [--items N] [--json FILE]\n", argv[0]);
        return 2;
    }
    for (int r = 0; r < runs; r++) {
        for (size_t c = 0; c < SCENARIOS; c++) {
            for (size_t s = 0; s < SUBJECTS; s++) {
                results[c][s][r] =
                    scenarios[c].producers == 0
                        ? run_alone(subjects[s], scenarios[c].bulk)
                        : run_threads(subjects[s], &scenarios[c]);
            }
        }
    }
    print_table();
    return json != NULL ? write_json(json) : 0;
}
