#!/usr/bin/env python3
"""Puts two runs of the bench program beside each other: table.py WINDLASS.jsonl UPSTREAM.jsonl"""
import json
import sys


def read(path):
    runs = {}
    for line in open(path):
        if line.startswith("{"):
            record = json.loads(line)
            runs[record["phase"]] = record
    return runs


def at(record, *path):
    for name in path:
        if not isinstance(record, dict) or name not in record:
            return None
        record = record[name]
    return record


# What, phase, field, budget as text, and how the ratio is to be read: upstream divided by windlass.
ROWS = [
    ("start to /readyz, s", "start", "readyz_s", "<= 0.05 s"),
    ("start to node Ready, s", "start", "node_ready_s", "<= 0.3 s"),
    ("idle memory, MB RSS", "idle", "rss_total_mb", "<= 60 MB"),
    ("idle CPU, % of a core", "idle", "cpu_percent", "<= 0.5 %"),
    ("create, CPU s of the servers", "cm", "cpu_total_s", ">= 10 x"),
    ("list, CPU s", "list", "cpu_total_s", ">= 12 x"),
    ("get, CPU s", "get", "cpu_total_s", ">= 15 x"),
    ("watch fan-out, CPU s", "watch", "cpu_total_s", ">= 7 x"),
    ("schedule pods, CPU s", "sched", "cpu_total_s", ">= 10 x"),
    ("schedule pods, wall s", "sched", "wall_s", ""),
    ("Deployment of 100, wall s", "deploy", "wall_s", ""),
    ("one pod and 30 pods, wall s", "pod", "wall_s", ""),
]


def main():
    windlass, upstream = read(sys.argv[1]), read(sys.argv[2])
    print("| what | windlass | upstream | ratio | budget |")
    print("| --- | ---: | ---: | ---: | --- |")
    for what, phase, field, budget in ROWS:
        ours, theirs = at(windlass, phase, field), at(upstream, phase, field)
        if ours is None or theirs is None:
            continue
        ratio = f"{theirs / ours:.1f} x" if ours else "-"
        print(f"| {what} | {ours:g} | {theirs:g} | {ratio} | {budget} |")


main()
