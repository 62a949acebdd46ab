/* bench_list.c - the rival: a linked list under a mutex, whose readers either
 * yield when they find nothing (beside the queue) or sleep on a condition
 * variable (beside the dispatch).
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench.h"

struct node {
    struct node *next;
    void *item;
};

struct list {
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t filled;
    struct node *first;
    struct node **end;
    bool closed;
    unsigned sleeping;
};

static void *
create(void)
{
    struct list *self = malloc(sizeof(*self));
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->filled, NULL);
    self->first = NULL;
    self->end = &self->first;
    self->closed = false;
    self->sleeping = 0;
    return self;
}

static void
put(void *arg, void *item)
{
    struct list *self = arg;
    struct node *node = malloc(sizeof(*node));
    node->next = NULL;
    node->item = item;
    pthread_mutex_lock(&self->mutex);
    *self->end = node;
    self->end = &node->next;
    bool wake = self->sleeping > 0;
    pthread_mutex_unlock(&self->mutex);
    if (wake) {
        pthread_cond_signal(&self->filled);
    }
}

static struct node *
unlink_locked(struct list *self)
{
    struct node *node = self->first;
    if (node != NULL) {
        self->first = node->next;
        if (self->first == NULL) {
            self->end = &self->first;
        }
    }
    return node;
}

static void *
take(void *arg)
{
    struct list *self = arg;
    pthread_mutex_lock(&self->mutex);
    struct node *node = unlink_locked(self);
    pthread_mutex_unlock(&self->mutex);
    void *item = node != NULL ? node->item : NULL;
    free(node);
    return item;
}

static uint64_t
serve(void *arg, bool sleep)
{
    struct list *self = arg;
    uint64_t count = 0;
    for (;;) {
        pthread_mutex_lock(&self->mutex);
        struct node *node;
        while ((node = unlink_locked(self)) == NULL && !self->closed &&
               sleep) {
            self->sleeping++;
            pthread_cond_wait(&self->filled, &self->mutex);
            self->sleeping--;
        }
        bool closed = self->closed;
        pthread_mutex_unlock(&self->mutex);
        if (node != NULL) {
            free(node);
            count++;
        }
        else if (closed) {
            return count;
        }
        else {
            sched_yield();
        }
    }
}

static uint64_t
serve_yielding(void *self)
{
    return serve(self, false);
}

static uint64_t
serve_sleeping(void *self)
{
    return serve(self, true);
}

static void
close_list(void *arg)
{
    struct list *self = arg;
    pthread_mutex_lock(&self->mutex);
    self->closed = true;
    pthread_mutex_unlock(&self->mutex);
    pthread_cond_broadcast(&self->filled);
}

static void
destroy(void *self)
{
    while (take(self) != NULL) {
    }
    free(self);
}

const struct bench_subject bench_list = {
    "mutex list", create, put, take, serve_yielding, close_list, destroy,
};
const struct bench_subject bench_waiting_list = {
    "mutex list, condition", create,     put,     take,
    serve_sleeping,          close_list, destroy,
};
