//! Why bytes could not be made into what was asked.

use thiserror::Error;

/// Why bytes could not be made into what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComponentizeError {
    /// The bytes are no WebAssembly that can be read.
    #[error("the file is no WebAssembly that can be read")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// A component where a core module is needed, or the other way round.
    #[error("the file is {found}, where {wanted} is needed")]
    WrongForm {
        /// What it is.
        found: &'static str,
        /// What is needed.
        wanted: &'static str,
    },
    /// An import that is no function: nothing can stand in for it.
    #[error("the module imports `{module}` `{name}`, which is no function")]
    NotAFunction {
        /// Where it imports from.
        module: String,
        /// What.
        name: String,
    },
    /// A module with imports and no functions of its own.
    #[error("the module has no functions of its own")]
    Empty,
    /// The module doesn't fit the world that its bindings name, or needs an adapter that it wasn't given.
    #[error("the module can't be made into a component")]
    Encode(#[source] EncoderError),
}

/// What `wit-component` and `wasm-metadata` say, with their chain of causes in one line.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct EncoderError(pub(crate) String);

impl ComponentizeError {
    /// From the libraries' errors. Theirs is an `anyhow::Error`, whose alternate form tells the whole chain.
    pub(crate) fn encoder(error: impl std::fmt::Display) -> Self {
        Self::Encode(EncoderError(format!("{error:#}")))
    }
}
