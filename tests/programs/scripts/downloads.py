"""The list of pages, fetched in one of the three usual forms."""

import importlib
import sys
import urllib.error
import urllib.request

concurrent_futures = importlib.import_module(sys.argv[1])
form, site = sys.argv[2:]
PAGES = [f"{site}/{name}" for name in ("", "a", "bb", "missing", "ccc", "dddd")]


def load(url, timeout=20):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def load_or_report(url):
    try:
        return f"{len(load(url))} bytes"
    except urllib.error.HTTPError as exc:
        with exc:
            return f"failed with {exc.code}"


def by_as_completed(executor):
    lines = []
    future_to_url = {executor.submit(load, url, 20): url for url in PAGES}
    for future in concurrent_futures.as_completed(future_to_url):
        url = future_to_url[future]
        try:
            data = future.result()
        except Exception as exc:
            lines.append(f"{url} failed with {exc.code}")
            exc.close()
        else:
            lines.append(f"{url} {len(data)} bytes")
    return sorted(lines, key=lambda line: PAGES.index(line.split()[0]))


def by_map(executor):
    return [
        f"{url} {text}"
        for url, text in zip(PAGES, executor.map(load_or_report, PAGES, timeout=60))
    ]


def by_submit(executor):
    futures = [executor.submit(load_or_report, url) for url in PAGES]
    concurrent_futures.wait(futures)
    return [f"{url} {future.result()}" for url, future in zip(PAGES, futures)]


with concurrent_futures.ThreadPoolExecutor(max_workers=5) as executor:
    for line in globals()[f"by_{form}"](executor):
        print(line.replace(site, "SITE"))
