//! A job: what it can do, and doing it.
//!
//! Parameters and results are JSON, since that is what the REST caller sends and gets; [`call`] turns them into an author's
//! own types and back. [`dispatch`] is the one way into a job, for the host's call and
//! for tests alike, so a test sees what the host would.

use crate::{Context, JobError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Something that a job can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its name: what callers ask for.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// JSON Schema of its parameters, an object.
    pub parameters: Value,
}

impl Operation {
    /// An operation with the JSON Schema of its parameters.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self { name: name.into(), description: description.into(), parameters }
    }
}

/// A catalog job. Name the implementing type in [`export_job!`](crate::export_job).
pub trait Job {
    /// What it can do. Asked once, at upload, without any input.
    fn operations() -> Vec<Operation>;

    /// Runs `operation`, which is one of [`operations`](Self::operations), with a JSON object of parameters.
    ///
    /// # Errors
    /// [`JobError`], which the host records as the execution's cause.
    fn run(context: &mut dyn Context, operation: &str, parameters: Value) -> Result<Value, JobError>;
}

/// Reads parameters into the author's own type. `#[serde(deny_unknown_fields)]` there catches misspelt members.
///
/// # Errors
/// [`JobError::InvalidParameters`] with what didn't fit.
pub fn parse_parameters<T: DeserializeOwned>(parameters: Value) -> Result<T, JobError> {
    serde_json::from_value(parameters).map_err(|error| JobError::InvalidParameters(error.to_string()))
}

/// Turns the author's own type into a result.
///
/// # Errors
/// [`JobError::Failed`] for what JSON cannot hold, such as a map whose keys aren't text.
pub fn to_result<T: Serialize>(result: &T) -> Result<Value, JobError> {
    serde_json::to_value(result).map_err(|error| JobError::Failed(format!("the result is not JSON: {error}")))
}

/// Calls a function of the author's own types: its parameters are parsed, its result is made JSON.
///
/// ```
/// use hypermesh_guest::{Context, Job, JobError, Operation, call};
/// use serde::{Deserialize, Serialize};
/// use serde_json::{Value, json};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Division {
///     dividend: i64,
///     divisor: i64,
/// }
///
/// #[derive(Serialize)]
/// struct Quotient {
///     quotient: i64,
/// }
///
/// fn divide(_: &mut dyn Context, Division { dividend, divisor }: Division) -> Result<Quotient, JobError> {
///     let quotient = dividend.checked_div(divisor);
///     let quotient = quotient.ok_or_else(|| JobError::coded("no-quotient", "the divisor is 0"))?;
///     Ok(Quotient { quotient })
/// }
///
/// struct Arithmetic;
///
/// impl Job for Arithmetic {
///     fn operations() -> Vec<Operation> {
///         let integer = json!({ "type": "integer" });
///         let schema = json!({ "type": "object", "properties": { "dividend": integer, "divisor": integer } });
///         vec![Operation::new("divide", "Divides one number by another", schema)]
///     }
///
///     fn run(context: &mut dyn Context, operation: &str, parameters: Value) -> Result<Value, JobError> {
///         match operation {
///             "divide" => call(context, parameters, divide),
///             _ => Err(JobError::UnknownOperation),
///         }
///     }
/// }
///
/// use hypermesh_guest::{dispatch, testing::MemoryContext};
/// let run = |text| dispatch::<Arithmetic>(&mut MemoryContext::new(), "divide", text);
/// assert_eq!(run(r#"{ "dividend": 7, "divisor": 2 }"#).as_deref(), Ok(r#"{"quotient":3}"#));
/// assert_eq!(run(r#"{ "dividend": 7, "divisor": 0 }"#).unwrap_err().to_string(), "no-quotient: the divisor is 0");
/// assert_eq!(run(r#"{ "dividend": 7 }"#).unwrap_err().code(), "invalid-parameters");
/// ```
///
/// # Errors
/// [`JobError::InvalidParameters`] for parameters that don't fit, and what `function` returns.
pub fn call<P: DeserializeOwned, R: Serialize>(
    context: &mut dyn Context,
    parameters: Value,
    function: impl FnOnce(&mut dyn Context, P) -> Result<R, JobError>,
) -> Result<Value, JobError> {
    to_result(&function(context, parse_parameters(parameters)?)?)
}

/// Calls a job as the host does: operation by name, parameters and result as JSON text.
///
/// # Errors
/// [`JobError::UnknownOperation`] for a name that [`Job::operations`] doesn't have, [`JobError::InvalidParameters`]
/// unless the text is a JSON object, and what the job itself returns.
pub fn dispatch<J: Job>(
    context: &mut dyn Context,
    operation: &str,
    parameters: &str,
) -> Result<String, JobError> {
    if !J::operations().iter().any(|known| known.name == operation) {
        return Err(JobError::UnknownOperation);
    }
    let parameters: Value =
        serde_json::from_str(parameters).map_err(|error| JobError::InvalidParameters(error.to_string()))?;
    if !parameters.is_object() {
        return Err(JobError::InvalidParameters("not a JSON object".to_owned()));
    }
    J::run(context, operation, parameters).map(|result| result.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryContext;
    use serde_json::json;

    struct Echo;

    impl Job for Echo {
        fn operations() -> Vec<Operation> {
            vec![Operation::new("echo", "Gives its parameters back", json!({ "type": "object" }))]
        }

        fn run(_: &mut dyn Context, _: &str, parameters: Value) -> Result<Value, JobError> {
            Ok(parameters)
        }
    }

    fn call(operation: &str, parameters: &str) -> Result<String, JobError> {
        dispatch::<Echo>(&mut MemoryContext::new(), operation, parameters)
    }

    #[test]
    fn a_known_operation_gets_its_parameters() {
        assert_eq!(call("echo", r#"{ "a": [1] }"#), Ok(r#"{"a":[1]}"#.to_owned()));
    }

    #[test]
    fn what_cannot_be_called_is_refused_before_the_job_sees_it() {
        assert_eq!(call("shout", "{}"), Err(JobError::UnknownOperation));
        for bad in ["", "[]", "null", "{", "{}{}"] {
            assert!(matches!(call("echo", bad), Err(JobError::InvalidParameters(_))), "{bad}");
        }
    }

    #[test]
    fn parameters_that_do_not_fit_say_where() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Size {
            size: u32,
        }
        let error = parse_parameters::<Size>(json!({ "sise": 3 })).unwrap_err();
        assert!(error.to_string().contains("`sise`"), "{error}");
    }
}
