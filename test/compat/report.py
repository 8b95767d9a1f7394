"""A pytest plugin that writes what happens to each test as lines of JSON to the descriptor COMPAT_REPORT_FD.

scripts/compat-pgbouncer.ts reads them as they come. What a failed test printed (the pooler's log among it) is complete only
after its teardown, so it is sent with that.
"""

import json
import os

_lines = os.fdopen(int(os.environ["COMPAT_REPORT_FD"]), "w", buffering=1, encoding="utf-8")
os.set_inheritable(_lines.fileno(), False)
_failed = set()


def _send(**fields):
    _lines.write(json.dumps(fields) + "\n")


def pytest_collectreport(report):
    # A file that cannot be imported holds no test that could fail.
    if report.failed:
        _send(test=report.nodeid, phase="call", outcome="failed", seconds=0, text=report.longreprtext)


def pytest_runtest_logreport(report):
    fields = {"test": report.nodeid, "phase": report.when, "outcome": report.outcome, "seconds": report.duration}
    if report.failed:
        _failed.add(report.nodeid)
        fields["text"] = report.longreprtext
    elif report.skipped:
        fields["text"] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
    if report.when == "teardown" and report.nodeid in _failed:
        fields["printed"] = "\n".join(f"--- {title}\n{content}" for title, content in report.sections)
    _send(**fields)
