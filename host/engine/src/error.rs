//! Why a component was refused, or the engine could not do its part.

use hypermesh_model::Capability;
use thiserror::Error;

/// Why a component could not be vetted or compiled.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The bytes are something else than a WebAssembly component.
    #[error("not a WebAssembly component, but {found}")]
    NotAComponent {
        /// What they are, and what to do where that is known.
        found: &'static str,
    },
    /// The component is over a structural limit.
    #[error("the component has {found} {what}; at most {limit} are accepted")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, as far as was counted.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The component is truncated or breaks the format's rules.
    #[error("the component is malformed")]
    Malformed(#[source] wasmparser::BinaryReaderError),
    /// It imports what this host doesn't offer. Names every such import.
    #[error("the component imports what this host does not offer: {}", list(.0))]
    ForbiddenImports(Vec<Capability>),
    /// It exports no world that this host runs.
    #[error(
        "the component exports none of `hypermesh:guest/handler@0.1` (a job), `hypermesh:guest/validation@0.1` \
         (a validator), `wasi:cli/run@0.2` (a command) and `wasi:http/incoming-handler@0.2` (HTTP); it exports {}",
        names(.exports)
    )]
    MissingExport {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// WebAssembly validation failed, or the code needs a feature that is off.
    #[error("the component is not valid")]
    Invalid(#[source] wasmtime::Error),
    /// Its imports or exports have the right names and the wrong types.
    #[error("the component does not match its world")]
    WrongTypes(#[source] wasmtime::Error),
    /// The engine itself could not be set up: a fault of this machine or this build.
    #[error("the WebAssembly engine cannot be set up")]
    Engine(#[source] wasmtime::Error),
}

impl EngineError {
    /// Whether it is the component that is at fault, and not this host.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotAComponent { .. }
            | Self::TooLarge { .. }
            | Self::Malformed(_)
            | Self::ForbiddenImports(_)
            | Self::MissingExport { .. }
            | Self::Invalid(_)
            | Self::WrongTypes(_) => true,
            Self::Engine(_) => false,
        }
    }
}

fn list(capabilities: &[Capability]) -> String {
    let one = |capability: &Capability| format!("`{}` ({})", capability.import, capability.meaning);
    capabilities.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn names(exports: &[String]) -> String {
    if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
}
