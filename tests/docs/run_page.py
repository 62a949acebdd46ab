"""Run the examples of one page: ``python run_page.py PAGE DIRECTORY``.

Its own process, since pages install(), fork and start workers; the workers of
"spawn" and "forkserver" load this file as their main module.  The files and
commands of the page are in the (empty) directory.  The last line
says how many examples have run, and for want of which names others have not.
"""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def has(name: str) -> bool:
    """Whether futures_c has this name here."""
    import futures_c

    try:
        getattr(futures_c, name)
    except (AttributeError, ImportError):
        return False
    return True


def run_console(text: str, line: int, page: Path) -> int:
    """Run the commands of a block; exit where one prints something else."""
    checker = doctest.OutputChecker()
    count = 0
    for command in ("\n" + text).split("\n$ ")[1:]:
        command, _, expected = command.partition("\n")
        ran = subprocess.run(
            command,
            shell=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if not checker.check_output(expected, ran.stdout, OPTIONS):
            sys.exit(f"{page}, block at line {line}: {command}\nprints\n{ran.stdout}")
        count += 1
    return count


def run_doctest(text: str, line: int, page: Path, space: dict[str, object]) -> int:
    """Run a block with prompts."""
    test = doctest.DocTestParser().get_doctest(text, space, page.name, str(page), line)
    if any(doctest.SKIP in example.options for example in test.examples):
        sys.exit(f"{page}, block at line {line}: an example is skipped")
    # Copies the namespace otherwise.
    test.globs = space
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    if runner.run(test, clear_globs=False).failed:
        sys.exit(1)
    return len(test.examples)


def main() -> None:
    """Run all blocks of the page."""
    from pages import RUN, SHOWN, split

    page = Path(sys.argv[1]).resolve()
    os.chdir(sys.argv[2])
    sys.path.append(os.getcwd())
    blocks, prose = split(page.read_text())
    for number, line in enumerate(prose):
        if line.lstrip().startswith(">>>"):
            sys.exit(f"{page}:{number + 1}: an example outside of a fenced block")
    space: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    wanted = set()
    for block in blocks:
        if block.language in SHOWN:
            continue
        if block.language not in RUN:
            sys.exit(f"{page}: what is a block of {block.language!r}?")
        need = block.options.get("if")
        if need is not None and not has(need):
            wanted.add(need)
        elif "file" in block.options:
            Path(block.options["file"]).write_text(block.text)
        elif block.language == "console":
            ran += run_console(block.text, block.line, page)
        elif ">>>" in block.text:
            ran += run_doctest(block.text, block.line, page, space)
        else:
            source = "\n" * block.line + block.text
            code = compile(source, str(page), "exec", dont_inherit=True)
            exec(code, space)
            ran += 1
    print("examples:", ran, *sorted(wanted))


if __name__ == "__main__":
    main()
