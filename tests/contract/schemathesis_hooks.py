"""What schemathesis has to be told about media types: a component is bytes, as any other file."""

import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")
