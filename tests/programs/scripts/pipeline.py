"""A producer, workers and a consumer, joined by queues."""

import importlib
import queue
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

END = object()


def produce(out, count):
    for number in range(count):
        out.put(number)
    out.put(END)
    return count


def transform(source, out):
    handled = 0
    while (item := source.get()) is not END:
        out.put((item, item * item))
        handled += 1
    source.put(END)
    return handled


def consume(source):
    total = 0
    while (item := source.get()) is not END:
        total += item[1] - item[0]
    return total


numbers, squares = queue.Queue(maxsize=10), queue.Queue(maxsize=10)
with concurrent_futures.ThreadPoolExecutor(max_workers=5) as executor:
    consumer = executor.submit(consume, squares)
    workers = [executor.submit(transform, numbers, squares) for _ in range(3)]
    producer = executor.submit(produce, numbers, 1000)
    print("produced", producer.result())
    print("transformed", sum(worker.result() for worker in workers))
    squares.put(END)
    print("sum", consumer.result())

# The same by an event, as the tutorials with a message pipeline have it.
pipeline, event = queue.Queue(maxsize=10), threading.Event()
received = []


def producer_until(event):
    number = 0
    while not event.is_set() or number < 50:
        pipeline.put(number)
        number += 1
        if number == 50:
            event.wait(20)
            break
    return number


def consumer_until(event):
    while not event.is_set() or not pipeline.empty():
        received.append(pipeline.get())
        if len(received) == 50:
            event.set()


with concurrent_futures.ThreadPoolExecutor(max_workers=2) as executor:
    executor.submit(producer_until, event)
    executor.submit(consumer_until, event)
print(received == list(range(50)))
