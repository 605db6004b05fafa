# Drives a program through a pseudo-terminal: one JSON request a line in, one JSON answer a line out.
import json
import sys

import pexpect

child = pexpect.spawn(
    sys.argv[1], sys.argv[2:], encoding="utf-8", codec_errors="replace", dimensions=(60, 160), timeout=15
)


def expect(request):
    what = [request["text"], pexpect.EOF, pexpect.TIMEOUT]
    found = child.expect_exact(what, timeout=request["seconds"])
    return {"found": ["yes", "end", "time-out"][found], "before": child.before}


def finish(request):
    found = child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=request["seconds"])
    if found == 1:
        child.close(force=True)
        return {"found": "time-out", "before": child.before}
    child.close()
    status = child.exitstatus if child.exitstatus is not None else 128 + (child.signalstatus or 0)
    return {"found": "end", "before": child.before, "status": status}


for line in sys.stdin:
    request = json.loads(line)
    answer = {}
    if request["do"] == "expect":
        answer = expect(request)
    elif request["do"] == "finish":
        answer = finish(request)
    elif request["do"] == "send":
        child.send(request["text"])
    elif request["do"] == "pid":
        answer = {"pid": child.pid}
    print(json.dumps(answer), flush=True)
