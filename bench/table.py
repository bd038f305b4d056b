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


def figure(value):
    """One figure: the median of a list, the sum over processes."""
    if isinstance(value, list):
        return sorted(value)[len(value) // 2] if value else None
    if isinstance(value, dict):
        return round(sum(value.values()), 1)
    return value


# What, phase, field (its median where it is a list), budget as text; the ratio is upstream divided by windlass.
ROWS = [
    ("start to /readyz, s", "start", "readyz_s", "<= 0.05 s"),
    ("start to node Ready, s", "start", "node_ready_s", "<= 0.3 s"),
    ("idle memory, MB RSS", "idle", "rss_total_mb", "<= 60 MB"),
    ("idle CPU, % of a core", "idle", "cpu_percent", "<= 0.5 %"),
    ("create 1,000 objects, CPU s of the servers", "configmap-create", "cpu_total_s", ">= 10 x"),
    ("create 9,000 more, CPU s", "configmap-create-more", "cpu_total_s", ">= 10 x"),
    ("lists of 10,000, CPU s", "list-big", "cpu_total_s", ">= 12 x"),
    ("gets, CPU s", "get-concurrent", "cpu_total_s", ">= 15 x"),
    ("30,000 watch events, CPU s", "watch-fanout", "cpu_total_s", ">= 7 x"),
    ("delete a namespace of 10,000, wall s", "namespace-delete", "wall_s", "<= 1 s"),
    ("a custom resource served after its definition, ms", "custom-served", "served_ms", "<= 50 ms"),
    ("create 1,000 custom objects, CPU s", "custom-create", "cpu_total_s", ">= 8 x"),
    ("gets of custom objects, CPU s", "custom-get", "cpu_total_s", ">= 8 x"),
    ("lists of 10,000 custom objects, CPU s", "custom-list", "cpu_total_s", ">= 8 x"),
    ("30,000 watch events of custom objects, CPU s", "custom-watch-fanout", "cpu_total_s", ">= 8 x"),
    ("WatchList of 10,000 by 16 informers, CPU s", "custom-watchlist", "cpu_total_s", ""),
    ("90,000 CEL rules, CPU s", "custom-rules", "cpu_total_s", ""),
    ("1,300 creates through a webhook, CPU s", "webhook-create", "cpu_total_s", ""),
    ("one create through a webhook, median ms", "webhook-create", "serial_p50_ms", ""),
    ("1,300 creates under 100 policies, CPU s", "policy-create", "cpu_total_s", ">= 10 x"),
    ("1,000 definitions served, wall s", "definitions", "served_s", ">= 10 x"),
    ("1,000 definitions, CPU s", "definitions", "cpu_total_s", ">= 10 x"),
    ("memory of 1,000 definitions, MB RSS of the servers", "definitions", "rss_grown_mb", "<= 30 MB"),
    ("discovery with 1,000 definitions, median ms", "definitions-discovery", "p50_ms", "<= 50 ms"),
    ("schedule 1,000 pods, CPU s", "schedule", "cpu_total_s", ">= 10 x"),
    ("schedule 1,000 pods, wall s", "schedule", "all_scheduled_s", ""),
    ("Deployment of 100, all scheduled, wall s", "deployment", "all_scheduled_s", "<= 0.05 s"),
    ("one pod to Ready, wall s", "pod-one", "ready_s", "<= 0.1 s"),
    ("30 pods to Ready, wall s", "pod-many", "ready_s", "<= 0.5 s"),
    ("memory after all that, MB RSS of the servers", "pod-delete", "rss_mb", ""),
    ("store: creates by 64 writers, wall s", "store-create", "wall_s", ""),
    ("store: CPU of a create, us", "store-create", "cpu_us_each", ""),
    ("store: conditional updates, wall s", "store-update", "wall_s", ""),
    ("store: CPU of an update, us", "store-update", "cpu_us_each", ""),
    ("store: ranges of 500, wall s", "store-range", "wall_s", ""),
    ("store: CPU of a range of 500, us", "store-range", "cpu_us_each", ""),
    ("store: memory with 20,000 objects and their past, MB", "store-range", "rss_mb", ""),
]


def shown(value):
    return f"{value:.1f}" if value >= 100 else f"{value:.3f}".rstrip("0").rstrip(".")


def main():
    windlass, upstream = read(sys.argv[1]), read(sys.argv[2])
    print("| what | windlass | upstream | ratio | budget |")
    print("| --- | ---: | ---: | ---: | --- |")
    for what, phase, field, budget in ROWS:
        ours, theirs = figure(at(windlass, phase, field)), figure(at(upstream, phase, field))
        if ours is None or theirs is None:
            continue
        ratio = f"{theirs / ours:.1f} x" if ours else "-"
        print(f"| {what} | {shown(ours)} | {shown(theirs)} | {ratio} | {budget} |")


main()
