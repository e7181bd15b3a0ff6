//! Arguments into values, checked before anything is sent. Errors are sentences for `clap` to show.

use hypermesh_model::Bytes;
use hypermesh_wire::MAX_SECONDS;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A name of an enumeration of the contract, e.g. `private_network`.
pub(crate) fn name<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// A share in percent, above 0 and at most 100.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('%').parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value > 0.0 && value <= 100.0 { Ok(value) } else { Err("must be above 0 and at most 100".into()) }
}

/// A finite amount above 0.
pub(crate) fn amount(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("must be above 0".into()) }
}

/// A size, e.g. `256MiB`.
pub(crate) fn size(text: &str) -> Result<Bytes, String> {
    Bytes::parse(text).map_err(|error| error.to_string())
}

/// Seconds: `90`, `90s`, `5m`, `2h`, `1d`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a time is a number of seconds, or a number with s, m, h or d".into()),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a time"))?;
    match number.checked_mul(factor) {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(seconds),
        _ => Err(format!("must be from 1 to {MAX_SECONDS} seconds")),
    }
}

/// A JSON object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("must be a JSON object, e.g. {\"size\": 3}".into()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// `name=value`: the value as JSON if it is JSON, else as text.
pub(crate) fn parameter(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        _ => Err("a parameter is NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::assets::PrivacyLevel;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_parameter_is_json_where_it_can_be() {
        for (text, value) in [
            ("n=3", json!(3)),
            ("n=-1.5", json!(-1.5)),
            ("n=true", json!(true)),
            ("n=null", json!(null)),
            ("n=[1,2]", json!([1, 2])),
            ("n={\"a\":1}", json!({ "a": 1 })),
            ("n=\"3\"", json!("3")),
            ("n=png", json!("png")),
            ("n=a=b", json!("a=b")),
            ("n=", json!("")),
            ("n=[1", json!("[1")),
        ] {
            assert_eq!(parameter(text).unwrap(), ("n".into(), value), "{text}");
        }
        assert!(parameter("n").is_err() && parameter("=3").is_err());
    }

    #[test]
    fn times_have_units_and_limits() {
        assert_eq!(
            ["90", "90s", "5m", "2h", "1d"].map(|text| seconds(text).unwrap()),
            [90, 90, 300, 7200, 86_400]
        );
        for text in
            ["", "0", "s", "-1", "1.5h", "1w", "366d", "99999999999999999999", "18446744073709551615d"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_the_contract_s() {
        assert_eq!(name::<PrivacyLevel>("p2p"), Ok(PrivacyLevel::P2p));
        assert!(name::<PrivacyLevel>("secret").unwrap_err().contains("private_network"));
    }

    #[test]
    fn shares_are_above_nothing_and_at_most_all() {
        assert_eq!(percent("25%"), Ok(25.0));
        assert!(["0", "-1", "100.1", "NaN", "inf", "x"].iter().all(|text| percent(text).is_err()));
    }

    proptest! {
        #[test]
        fn no_argument_panics(text in "\\PC{0,30}") {
            let _ = (parameter(&text), seconds(&text), object(&text), percent(&text), size(&text), amount(&text));
        }

        #[test]
        fn any_text_can_be_a_parameter(value in "\\PC{0,30}") {
            let (_, parsed) = parameter(&format!("name={value}")).unwrap();
            prop_assert!(parsed == Value::String(value.clone()) || serde_json::from_str::<Value>(&value).is_ok());
        }
    }
}
