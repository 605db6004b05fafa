"""Which of the files that a traced program used a profile of AppArmor does not allow.

    allowed.py PROFILE TRACE PROGRAM

The rules are read as apparmor_parser includes them and matched by AppArmor's own library; the trace is that
of `strace -f`, from the point where PROGRAM was executed. Prints each file with the access that is missing, and a last line with how many were looked at.
"""

import re
import subprocess
import sys

from apparmor.aare import AARE

profile, trace, program = sys.argv[1:]

text = subprocess.run(["apparmor_parser", "-p", profile], check=True, capture_output=True, text=True).stdout
variables = {}
for name, words in re.findall(r"^\s*(@\{\w+\})\s*\+?=\s*(.+)$", text, re.M):
    variables.setdefault(name, []).extend(words.split())
variables.setdefault("@{pid}", ["[0-9]*"])


def expanded(path):
    """The path with every value of its variables."""
    found = re.search(r"@\{\w+\}", path)
    if not found:
        return [path]
    values = variables.get(found.group(), ["*"])
    return [all for value in values for all in expanded(path.replace(found.group(), value.strip('"'), 1))]


rules = []
for path, access in re.findall(r"^\s*(?:owner\s+)?\"?([/@{][^\s\"]*)\"?\s+([rwamklixPUCp]+),", text, re.M):
    rules += [(AARE(one.replace("//", "/"), True), access) for one in expanded(path)]


def allows(path, wanted):
    """Some rules of this path allow it together."""
    given = "".join(access for rule, access in rules if rule.match(path))
    return wanted in given


used = set()
lines = iter(open(trace, errors="replace"))
for line in lines:
    if f'execve("{program}"' in line:
        break
for line in lines:
    if re.search(r"= -1 |resumed>|unfinished", line):
        continue
    if opened := re.search(r'open(?:at)?\(.*?"(/[^"]*)", ([A-Z_|]+)', line):
        path, flags = opened.groups()
        if "O_DIRECTORY" in flags or "O_PATH" in flags:
            path = path.rstrip("/") + "/"
        if "O_WRONLY" not in flags:
            used.add((path, "r"))
        if re.search("O_WRONLY|O_RDWR|O_CREAT", flags):
            used.add((path, "w"))
    elif changed := re.search(r'(?:unlink|rename|chmod|chown|mkdir|truncate)\w*\((?:AT_FDCWD, )?"(/[^"]*)"', line):
        used.add((changed.group(1), "w"))
    elif connected := re.search(r'(?:connect|bind|sendto|sendmsg)\(.*sun_path="(/[^"]*)"', line):
        used.add((connected.group(1), "w"))

paths = {path for path, _ in used}
used = {
    # A folder has a slash at its end in a profile, and a process has its number.
    (re.sub("^/proc/self/", "/proc/1/", path + "/" * any(other.startswith(path + "/") for other in paths)), access)
    for path, access in used
}
missing = sorted((path, access) for path, access in used if not allows(path, access))
for path, access in missing:
    print(f"not allowed: {access} {path}")
print(f"{len(used)} accesses looked at, {len(rules)} rules")
sys.exit(1 if missing or not used else 0)
