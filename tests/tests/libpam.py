# A program around libpam whose conversation answers as it is told to. Prints one PAM number a login.
#
# Arguments: service, user, how many logins, and what the conversation does with a prompt:
# text=TEXT, empty, null, no-array, error, stale=TEXT (an answer together with an error).
import ctypes
import os
import sys

libpam = ctypes.CDLL("libpam.so.0")
libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
libc.strdup.restype = ctypes.c_void_p


class Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


ASK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(Message)),
    ctypes.POINTER(ctypes.POINTER(Response)),
    ctypes.c_void_p,
)


class Conversation(ctypes.Structure):
    _fields_ = [("ask", ASK), ("data", ctypes.c_void_p)]


service, user, times, behaviour = sys.argv[1:5]
what, _, text = behaviour.partition("=")


def ask(count, messages, responses, _data):
    if what == "no-array":
        responses[0] = ctypes.POINTER(Response)()
        return 0
    if what == "error":
        return 19
    array = ctypes.cast(libc.calloc(count, ctypes.sizeof(Response)), ctypes.POINTER(Response))
    for index in range(count):
        prompt = messages[index].contents.style in (1, 2)
        if prompt and what in ("text", "stale"):
            array[index].text = libc.strdup(text.encode())
        elif prompt and what == "empty":
            array[index].text = libc.strdup(b"")
    responses[0] = array
    return 19 if what == "stale" else 0


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


conversation = Conversation(ASK(ask), None)
counts = []
for _ in range(int(times)):
    handle = ctypes.c_void_p()
    assert libpam.pam_start(service.encode(), user.encode(), ctypes.byref(conversation), ctypes.byref(handle)) == 0
    result = libpam.pam_authenticate(handle, 0)
    libpam.pam_end(handle, result)
    print(result)
    counts.append(open_descriptors())
threads = len(os.listdir("/proc/self/task"))
handlers = [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigCgt")][0]
print(f"descriptors={counts[0]}..{counts[-1]} threads={threads} handlers={handlers}")
