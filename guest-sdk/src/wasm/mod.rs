//! The edge to the host, in guests only: generated bindings, and adapters from the crate's traits to them.
//!
//! Public because the export macros name it from the author's crate, hidden because nobody else should. Each world
//! has its own generated module; a component carries only the world that its author exports.

mod host;

use crate::{Job, JobError, Validator, Verdict};
use host::HostContext;
use std::marker::PhantomData;

/// Bindings of world `job`, generated.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
pub mod job {
    wit_bindgen::generate!({
        path: "../wit",
        world: "job",
        pub_export_macro: true,
        export_macro_name: "__export_job",
        default_bindings_module: "hypermesh_guest::wasm::job",
        runtime_path: "::hypermesh_guest::wit_bindgen::rt",
    });
}

/// Bindings of world `validator`, generated.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
pub mod validator {
    wit_bindgen::generate!({
        path: "../wit",
        world: "validator",
        pub_export_macro: true,
        export_macro_name: "__export_validator",
        default_bindings_module: "hypermesh_guest::wasm::validator",
        runtime_path: "::hypermesh_guest::wit_bindgen::rt",
    });
}

use job::exports::hypermesh::guest::handler;
use validator::exports::hypermesh::guest::validation;

/// Serves the host's calls with a [`Job`].
pub struct JobAdapter<J>(PhantomData<J>);

impl<J: Job + 'static> handler::Guest for JobAdapter<J> {
    fn describe() -> Vec<handler::Operation> {
        let operation = |operation: crate::Operation| handler::Operation {
            name: operation.name,
            description: operation.description,
            parameters: operation.parameters.to_string(),
        };
        J::operations().into_iter().map(operation).collect()
    }

    fn run(operation: String, parameters: String) -> Result<String, handler::JobError> {
        crate::dispatch::<J>(&mut HostContext, &operation, &parameters).map_err(|error| match error {
            JobError::UnknownOperation => handler::JobError::UnknownOperation,
            JobError::InvalidParameters(reason) => handler::JobError::InvalidParameters(reason),
            JobError::Failed(reason) => handler::JobError::Failed(reason),
            coded @ JobError::Coded { .. } => handler::JobError::Failed(coded.to_string()),
        })
    }
}

/// Serves the host's calls with a [`Validator`].
pub struct ValidatorAdapter<V>(PhantomData<V>);

impl<V: Validator + 'static> validation::Guest for ValidatorAdapter<V> {
    fn validate(claim: Vec<u8>) -> validation::Verdict {
        match V::validate(&claim) {
            Verdict::Valid => validation::Verdict::Valid,
            Verdict::Invalid(reason) => validation::Verdict::Invalid(reason),
        }
    }
}
