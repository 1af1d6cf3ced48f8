"""
Readers: from the bytes of a file to pixels and acquisition metadata.

`sandbox` reads frames in a limited child process and is what the rest of emwatch uses; `frame_reader` does the same in
this process; `registry` lists the vendors, one module each. Nothing is imported here: the child must start in a blink.
"""
