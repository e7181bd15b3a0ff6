"""A HyperMesh job: counts lines and words of every granted file.

The logic is plain Python and is tested as such (`python3 -m unittest`); `Handler` at the end is its edge to the host.
"""

import json

CHUNK = 1 << 20


class InvalidParameters(Exception):
    """The parameters don't fit. Says where."""


def count(chunks, skip_empty):
    """Lines and words of a text that comes in pieces of bytes."""
    lines = words = 0
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            lines += bool(line) or not skip_empty
            words += len(line.split())
    if rest:
        lines += 1
        words += len(rest.split())
    return {"lines": lines, "words": words}


def parse(parameters):
    """The parameters, or what is wrong with them."""
    unknown = set(parameters) - {"skip_empty"}
    if unknown:
        raise InvalidParameters(f"unknown member {sorted(unknown)[0]}")
    skip_empty = parameters.get("skip_empty", False)
    if not isinstance(skip_empty, bool):
        raise InvalidParameters("skip_empty is not true or false")
    return skip_empty


try:
    # These modules exist when the component is built.
    from componentize_py_types import Err
    from wit_world import exports
    from wit_world.exports.handler import JobError_Failed, JobError_InvalidParameters, Operation
    from wit_world.imports import blobs, logging, progress
except ImportError:
    pass
else:

    def chunks(blob):
        with blobs.open(blob.name) as file:
            offset = 0
            while offset < blob.size:
                chunk = file.read(offset, CHUNK)
                if not chunk:
                    break
                offset += len(chunk)
                progress.report(offset, blob.size, blob.name)
                yield chunk

    class Handler(exports.Handler):
        def describe(self):
            schema = {
                "type": "object",
                "properties": {"skip_empty": {"type": "boolean", "default": False}},
                "additionalProperties": False,
            }
            return [Operation("count", "Lines and words of every granted file", json.dumps(schema))]

        def run(self, operation, parameters):
            try:
                skip_empty = parse(json.loads(parameters))
            except InvalidParameters as error:
                raise Err(JobError_InvalidParameters(str(error)))
            granted = blobs.inputs()
            if not granted:
                raise Err(JobError_Failed("no-input: grant a file, e.g. by --input FILE"))
            counts = []
            for blob in granted:
                counts.append({"name": blob.name, **count(chunks(blob), skip_empty)})
                logging.log(logging.Level.INFO, f"{blob.name}: {counts[-1]['lines']} lines")
            return json.dumps(counts)
