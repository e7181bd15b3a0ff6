//! A job as WebAssembly text: complete, valid and harmless until a test changes a part of it.
//!
//! The types that world `job` asks for are the long part, so they are written once, and a test writes what it is about:
//! the body of a function, another module, an import. Text that is none is the test's own mistake and panics.

/// Bytes of a page of WebAssembly memory.
pub const PAGE: u32 = 64 << 10;

/// Where `describe`'s answer lies: address and number of operations, then one operation as three strings.
pub const OPERATIONS: u32 = 16;
/// Where the number of operations lies.
pub const OPERATIONS_COUNT: u32 = 20;
/// Where the first operation lies: address and length of its name, of its description, of its parameters.
pub const OPERATION: u32 = 32;
/// Where `run`'s answer lies: 0 for a result, then address and length of its text.
pub const RESULT: u32 = 80;

/// A job with one operation, `run`, that answers `{}`.
#[derive(Debug, Clone)]
pub struct Job {
    /// Pages that its memory begins with.
    pub pages: u32,
    /// Before everything else in the component: imports, types, modules.
    pub before: String,
    /// Imports of its core module.
    pub imports: String,
    /// What its core module is instantiated with.
    pub with: String,
    /// Further fields of its core module.
    pub fields: String,
    /// The body of `describe: () -> i32`, the address of its answer.
    pub describe: String,
    /// The body of `run: (i32 i32 i32 i32) -> i32`: addresses and lengths of two strings, and the address of its answer.
    pub run: String,
    /// After everything else in the component.
    pub after: String,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            pages: 1,
            before: String::new(),
            imports: String::new(),
            with: String::new(),
            fields: String::new(),
            describe: format!("i32.const {OPERATIONS}"),
            run: format!("i32.const {RESULT}"),
            after: String::new(),
        }
    }
}

/// Code that never ends.
pub const FOR_EVER: &str = "(loop $for_ever br $for_ever) unreachable";

impl Job {
    /// A job that says this of itself: code that changes what lies at [`OPERATIONS`], without a result.
    pub fn describing(pages: u32, code: &str) -> Self {
        Self { pages, describe: format!("{code} i32.const {OPERATIONS}"), ..Self::default() }
    }

    /// A job whose operation answers a text as it is, whether it is JSON or not. No quotes and no backslashes.
    pub fn answering(text: &str) -> Self {
        let address = 2048;
        assert!(text.len() < 2048 && !text.contains(['"', '\\']), "it would need more than is written here");
        let run = format!(
            "(i32.store (i32.const {}) (i32.const {address})) (i32.store (i32.const {}) (i32.const {})) i32.const {RESULT}",
            RESULT + 4,
            RESULT + 8,
            text.len()
        );
        Self { run, fields: format!("(data (i32.const {address}) \"{text}\")"), ..Self::default() }
    }

    /// A job whose core module runs this when it is instantiated.
    pub fn starting(code: &str) -> Self {
        Self { fields: format!("(func $start {code}) (start $start)"), ..Self::default() }
    }

    /// A job whose core module may call `inputs` from its `start` on, and runs `code` then with the number of inputs on the
    /// stack: at upload there are none, so that it can tell an execution from its admission.
    pub fn starting_when_it_runs(code: &str) -> Self {
        Self {
            before: r#"
  (import "hypermesh:guest/blobs@0.1.0" (instance $blobs
    (type $blob (record (field "name" string) (field "size" u64)))
    (export "blob" (type $b (eq $blob)))
    (export "inputs" (func (result (list $b))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $m (instantiate $memory))
  (core func $inputs (canon lower (func $blobs "inputs")
    (memory $m "memory") (realloc (func $m "realloc"))))"#
                .into(),
            imports: r#"(import "host" "inputs" (func $inputs (param i32))) (import "host" "memory" (memory $theirs 1))"#
                .into(),
            with: r#"(with "host" (instance
                (export "inputs" (func $inputs)) (export "memory" (memory $m "memory"))))"#
                .into(),
            fields: format!(
                "(func $start (call $inputs (i32.const 8)) (i32.load $theirs (i32.const 12)) {code}) (start $start)"
            ),
            ..Self::default()
        }
    }

    /// A job whose operation calls `wasi:random` for ever, for so many bytes each time.
    pub fn drawing_for_ever(bytes: u64) -> Self {
        let (pages, address) = (64, PAGE);
        Self {
            before: format!(
                r#"
  (import "wasi:random/random@0.2.6" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $memory
    (memory (export "memory") {pages})
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const {address}))
  (core instance $m (instantiate $memory))
  (core func $draw (canon lower (func $random "get-random-bytes")
    (memory $m "memory") (realloc (func $m "realloc"))))"#
            ),
            imports: r#"(import "host" "draw" (func $draw (param i64 i32)))"#.into(),
            with: r#"(with "host" (instance (export "draw" (func $draw))))"#.into(),
            run: format!("(loop $l (call $draw (i64.const {bytes}) (i32.const 8)) br $l) unreachable"),
            ..Self::default()
        }
    }

    /// The component as text.
    pub fn text(&self) -> String {
        let Self { pages, before, imports, with, fields, describe, run, after } = self;
        let types = r#"
    (type $operation (record (field "name" string) (field "description" string) (field "parameters" string)))
    (type $error (variant (case "unknown-operation") (case "invalid-parameters" string) (case "failed" string)))"#;
        let asked = r#"(param "operation" string) (param "parameters" string)"#;
        format!(
            r#"(component
  {before}
  (core module $job
    {imports}
    (memory $memory (export "memory") {pages})
    (global $free (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      global.get $free
      (global.set $free
        (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8))))
    (func (export "describe") (result i32) {describe})
    (func (export "run") (param i32 i32 i32 i32) (result i32) {run})
    (data (memory $memory) (i32.const {OPERATIONS}) "\20\00\00\00\01\00\00\00")
    (data (memory $memory) (i32.const {OPERATION})
      "\60\00\00\00\03\00\00\00\60\00\00\00\03\00\00\00\70\00\00\00\02\00\00\00")
    (data (memory $memory) (i32.const {RESULT}) "\00\00\00\00\70\00\00\00\02\00\00\00")
    (data (memory $memory) (i32.const 96) "run")
    (data (memory $memory) (i32.const 112) "{{}}")
    {fields})
  (core instance $i (instantiate $job {with})){types}
  (func $describe (result (list $operation))
    (canon lift (core func $i "describe") (memory $i "memory") (realloc (func $i "realloc"))))
  (func $run {asked} (result (result string (error $error)))
    (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc"))))
  (component $handler {types}
    (import "operation" (type $operation' (eq $operation)))
    (import "job-error" (type $error' (eq $error)))
    (import "describe" (func $describe (result (list $operation'))))
    (import "run" (func $run {asked} (result (result string (error $error')))))
    (export $o "operation" (type $operation'))
    (export $e "job-error" (type $error'))
    (export "describe" (func $describe) (func (result (list $o))))
    (export "run" (func $run) (func {asked} (result (result string (error $e))))))
  (instance $exported (instantiate $handler
    (with "operation" (type $operation)) (with "job-error" (type $error))
    (with "describe" (func $describe)) (with "run" (func $run))))
  (export "hypermesh:guest/handler@0.1.0" (instance $exported))
  {after})"#
        )
    }

    /// The component.
    ///
    /// # Panics
    /// When the text is no WebAssembly text.
    pub fn component(&self) -> Vec<u8> {
        component(&self.text())
    }
}

/// The bytes of a component as text.
///
/// # Panics
/// When the text is no WebAssembly text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}
