//! A command as WebAssembly text: `wasi:cli/run`, with standard output at hand.

use crate::forge::component;

/// Bytes that one call writes: the most that WASI takes at once.
pub const PIECE: u32 = 4096;

/// Imports of standard output, lowered to `$get` and `$write`. Write gives its answer at address 16: 0 for success.
fn imports() -> String {
    r#"
  (import "wasi:io/error@0.2.6" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error' (eq $outer-error)))
    (type $failure (variant (case "last-operation-failed" (own $error')) (case "closed")))
    (export "stream-error" (type $failure' (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $failure')))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (alias outer 1 $stream (type $outer-stream))
    (export "output-stream" (type $stream' (eq $outer-stream)))
    (export "get-stdout" (func (result (own $stream'))))))
  (core module $memory
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (data (i32.const 4096) "all work and no play"))
  (core instance $m (instantiate $memory))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory $m "memory") (realloc (func $m "realloc"))))"#
        .into()
}

/// A command whose `run: () -> i32` has this body; 0 is success, 1 is failure. It has `$get: () -> i32`, `$write` of a stream,
/// an address, a length and where the answer goes, and the memory `$theirs`, in which a text begins at 4096.
pub fn command(run: &str) -> Vec<u8> {
    component(&text(run))
}

fn text(run: &str) -> String {
    format!(
        r#"(component {imports}
  (core module $main
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "memory" (memory $theirs 2))
    (func $deep (export "deep") (result i32) (i32.add (call $deep) (i32.const 1)))
    (func (export "run") (result i32) (local $stream i32) (local $left i32) {run}))
  (core instance $i (instantiate $main (with "host" (instance
    (export "get" (func $get)) (export "write" (func $write)) (export "memory" (memory $m "memory"))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (component $runs
    (import "run" (func $run (result (result))))
    (export "run" (func $run)))
  (instance $exported (instantiate $runs (with "run" (func $run))))
  (export "wasi:cli/run@0.2.6" (instance $exported)))"#,
        imports = imports()
    )
}

/// A command that writes so many pieces, and ends well unless it can't.
pub fn writing(pieces: u32) -> Vec<u8> {
    command(&format!(
        "(local.set $stream (call $get)) (local.set $left (i32.const {pieces}))
    (loop $more
      (call $write (local.get $stream) (i32.const 4096) (i32.const {PIECE}) (i32.const 16))
      (if (i32.load8_u $theirs (i32.const 16)) (then (return (i32.const 1))))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    i32.const 0"
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_command_is_a_component_that_exports_run() {
        let bytes = super::writing(3);
        assert_eq!(bytes[..8], *b"\0asm\x0d\0\x01\0");
        assert!(bytes.windows(18).any(|window| window == b"wasi:cli/run@0.2.6"));
    }
}
