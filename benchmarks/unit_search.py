"""probe"""


def inside(size, **o):
    return {}
