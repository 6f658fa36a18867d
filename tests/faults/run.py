#!/usr/bin/env python3
"""Faults into the real daemon and its workers, and what came of them: `make faults`, or

    run.py [--every N] [--only WORD]... [--at-once N]

`--every 50` takes each fiftieth system call only. Ends with 1 if anything was lost, visible by halves, or did not come
back. Prints the tables of docs/faults.md.
"""
import argparse, sys, tempfile, time, traceback
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import disks, enumeration, held
from enumeration import FAULTS, Case, Injector
from home import RECIPE, Home
from stretches import STRETCHES


@cache
def weights(recipe):
    """The bits of a model that nothing has disturbed."""
    with Home(recipe=recipe) as home:
        home.drop("a.csv")
        home.serve()
        home.wait_for("done")
        assert home.stop() == 0
        return (home.runs()[0] / "model/model.safetensors").read_bytes()


def at_calls(options, pool, injector):
    """One fault at one system call: {stretch: {fault: cases}}, and in how many of them something went wrong."""
    table, wrong = defaultdict(Counter), Counter()
    for stretch in STRETCHES:
        for fault in FAULTS:
            if not wanted(f"{stretch.name}, {fault}", options.only):
                continue
            if fault == "power" and not disks.can_mount():
                print(f"SKIPPED {stretch.name}, power: only root can mount a disk", flush=True)
                continue
            n, begin = enumeration.count(stretch, fault, injector), time.monotonic()
            # A few more: threads do not always call as often. A sample has the last call.
            cases = [Case(stretch, fault, at) for at in range(1 + (n - 1) % options.every, n + 3, options.every)]
            work = lambda case: enumeration.run(case, injector, weights(RECIPE), finish=case.at % 7 == 0)
            for case, (why, call) in zip(cases, pool.map(work, cases)):
                table[stretch.name][fault] += call is not None
                if why:
                    wrong[stretch.name, fault] += 1
                    print(f"WRONG {case}: {call}: {why}", flush=True)
            print(f"{stretch.name}, {fault}: {table[stretch.name][fault]} cases of {n} in {time.monotonic() - begin:.0f} s", flush=True)
    return table, wrong


def that_last(options, pool):
    """Faults of the surroundings: [(kind, case, what went wrong or "")]."""
    cases = [(kind.__name__.replace("_", " "), name, case) for kind in held.KINDS for name, case in kind(weights)]
    cases = [it for it in cases if wanted(f"{it[0]}: {it[1]}", options.only)]
    if cases:
        weights(RECIPE), weights(held.LONG)
    if not disks.can_mount() and any(it[0] == "no room" for it in cases):
        print("SKIPPED no room: only root can mount a file system")
        cases = [it for it in cases if it[0] != "no room"]

    def work(it):
        try:
            return it[0], it[1], "", it[2]() or ""
        except AssertionError as err:
            return it[0], it[1], str(err), ""
        except Exception:
            return it[0], it[1], traceback.format_exc(), ""

    found = []
    for kind, name, why, notes in pool.map(work, cases):
        print(f"{kind}: {name}: {'WRONG: ' + why if why else 'ok'} {notes}", flush=True)
        found.append((kind, name, why))
    return found


def wanted(name, only):
    return not only or any(it in name for it in only)


def show(table, wrong, found):
    if table:
        print("\n| stretch | " + " | ".join(FAULTS) + " |\n| --- |" + " --- |" * len(FAULTS))
    for stretch, counts in table.items():
        cells = [f"{counts[it]}" + (f" ({wrong[stretch, it]} wrong)" if wrong[stretch, it] else "") for it in FAULTS]
        print(f"| {stretch} | " + " | ".join(cells) + " |")
    if found:
        print("\n| kind | cases | wrong |\n| --- | --- | --- |")
    for kind in dict.fromkeys(it[0] for it in found):
        of_kind = [it for it in found if it[0] == kind]
        print(f"| {kind} | {'; '.join(it[1] for it in of_kind)} | {sum(bool(it[2]) for it in of_kind)} |")
    n = sum(sum(it.values()) for it in table.values()) + len(found)
    n_wrong = sum(wrong.values()) + sum(bool(it[2]) for it in found)
    print(f"\n{n} cases, {n_wrong} wrong")
    return n_wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only each N-th call")
    parser.add_argument("--only", action="append", help="only where this word stands in the stretch, fault or case")
    parser.add_argument("--at-once", type=int, default=2, help="cases at the same time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.at_once) as pool:
        try:
            table, wrong = at_calls(options, pool, Injector(folder))
            found = that_last(options, pool)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    sys.exit(bool(show(table, wrong, found)))


if __name__ == "__main__":
    main()
