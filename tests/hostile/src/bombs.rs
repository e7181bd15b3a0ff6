//! Components that are large, deep or slow out of all proportion to their bytes.

use crate::forge::{Job, component};

/// A job whose instantiation multiplies: each component holds `width` instances of the one before it, `levels` times over,
/// and the innermost one a core instance. A few kilobytes ask for `width` to the power of `levels` instances, which a
/// compiler that lays a component out flat makes all of.
pub fn laughs(width: usize, levels: usize) -> Vec<u8> {
    let mut text = String::from("(component $c0 (core module $m) (core instance (instantiate $m)))\n");
    for level in 1..=levels {
        let instances = "(instance (instantiate $before))".repeat(width);
        let before = level - 1;
        text +=
            &format!("(component $c{level} (alias outer 1 $c{before} (component $before)) {instances})\n");
    }
    text += &format!("(instance (instantiate $c{levels}))");
    Job { after: text, ..Job::default() }.component()
}

/// A job with one function of `loops` loops, each inside the one before, that keep `locals` variables alive: what the
/// allocation of registers takes is their product.
pub fn loops(loops: usize, locals: usize) -> Vec<u8> {
    let mut text = format!("(func (param i32) (local {}) ", "i64 ".repeat(locals));
    for n in 0..loops {
        let [to, a, b] = [n, n * 7, n * 13].map(|n| 1 + n % locals);
        text += &format!(
            "(loop (br_if 0 (local.get 0)) (local.set {to} (i64.add (local.get {a}) (local.get {b})))"
        );
    }
    text += &")".repeat(loops + 1);
    Job { fields: text, ..Job::default() }.component()
}

/// A job whose one function is `bytes` long.
pub fn long_function(bytes: usize) -> Vec<u8> {
    Job { fields: format!("(func {})", "nop ".repeat(bytes)), ..Job::default() }.component()
}

/// A job with further functions.
pub fn functions(count: usize) -> Vec<u8> {
    Job { fields: "(func)".repeat(count), ..Job::default() }.component()
}

/// A job with further core modules.
pub fn modules(count: usize) -> Vec<u8> {
    Job { after: "(core module)".repeat(count), ..Job::default() }.component()
}

/// A job that holds components inside each other.
pub fn nested(levels: usize) -> Vec<u8> {
    let after = format!("{}{}", "(component ".repeat(levels), ")".repeat(levels));
    Job { after, ..Job::default() }.component()
}

/// A job with further exports, each of a name of so many bytes.
pub fn exports(count: usize, length: usize) -> Vec<u8> {
    let export =
        |n| format!("(export \"{:x<length$}\" (instance $exported))", format!("x{n}-"), length = length);
    Job { after: (0..count).map(export).collect(), ..Job::default() }.component()
}

/// A job that imports empty instances under these names.
pub fn importing(names: &[String]) -> Vec<u8> {
    let before = names.iter().map(|name| format!("(import \"{name}\" (instance))\n")).collect();
    Job { before, ..Job::default() }.component()
}

/// A job that begins with a further memory of so many pages.
pub fn memory(pages: u64) -> Vec<u8> {
    // A byte at each end: what lies between them must not be written out by the compiler.
    let last = (pages << 16) - 1;
    let text = format!(
        "(core module $big (memory {pages}) (data (i32.const 0) \"a\") (data (i32.const {last}) \"b\")) (core instance (instantiate $big))"
    );
    Job { before: text, ..Job::default() }.component()
}

/// A job that begins with a table of so many elements.
pub fn table(elements: u64) -> Vec<u8> {
    let text = format!("(core module $big (table {elements} funcref)) (core instance (instantiate $big))");
    Job { before: text, ..Job::default() }.component()
}

/// A job that begins with so many instances of a core module, each with these fields.
pub fn instances(count: usize, fields: &str) -> Vec<u8> {
    let text = format!("(core module $one {fields}) {}", "(core instance (instantiate $one))".repeat(count));
    Job { before: text, ..Job::default() }.component()
}

/// A component that is no job: it exports nothing.
pub fn empty() -> Vec<u8> {
    component("(component)")
}
