//! Arguments into values, checked before anything is sent. Errors are sentences for `clap` to show.

use hypermesh_model::Bytes;
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::allocations::MAX_CPU_MILLIS;
use jiff::Timestamp;
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

/// The same, or 0.
pub(crate) fn seconds_or_none(text: &str) -> Result<u64, String> {
    if matches!(text, "0" | "0s") { Ok(0) } else { seconds(text) }
}

/// A point in time: RFC 3339, or so long from now, e.g. `+2h`.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Some(ahead) = text.strip_prefix('+') {
        let ahead = std::time::Duration::from_secs(seconds(ahead)?);
        return Timestamp::now().checked_add(ahead).map_err(|error| error.to_string());
    }
    text.parse().map_err(|_| format!("`{text}` is not a time; write 2030-01-02T03:04:05Z or +2h"))
}

/// Thousandths of one CPU: `1500` or `1500m`.
pub(crate) fn millis(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('m').unwrap_or(text).parse();
    match number.map_err(|_| format!("`{text}` is not a number of thousandths of a CPU"))? {
        millis @ 1..=MAX_CPU_MILLIS => Ok(millis),
        _ => Err(format!("must be from 1 to {MAX_CPU_MILLIS}")),
    }
}

/// The key of a request: 1 to 64 visible ASCII characters.
pub(crate) fn key(text: &str) -> Result<String, String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match visible && (1..=64).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("a key is 1 to 64 visible ASCII characters".into()),
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
    fn a_time_is_a_date_or_so_long_from_now() {
        assert_eq!(time("2030-01-02T03:04:05Z").unwrap().to_string(), "2030-01-02T03:04:05Z");
        let ahead = time("+2h").unwrap().as_second() - Timestamp::now().as_second();
        assert!((7199..=7200).contains(&ahead), "{ahead}");
        assert!(["", "+", "+x", "tomorrow", "2030-01-02", "-2h"].iter().all(|text| time(text).is_err()));
    }

    #[test]
    fn amounts_of_cpu_and_keys_have_limits() {
        assert_eq!((millis("1500m"), millis("1")), (Ok(1500), Ok(1)));
        assert!(["0", "m", "-1", "1.5", "4096001", ""].iter().all(|text| millis(text).is_err()));
        assert!(key("build-7/!").is_ok() && key(&"x".repeat(64)).is_ok());
        assert!(["", " ", "a b", "é", &"x".repeat(65)].iter().all(|text| key(text).is_err()));
        assert_eq!((seconds_or_none("0"), seconds_or_none("5m")), (Ok(0), Ok(300)));
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
            let _ = (time(&text), millis(&text), key(&text), seconds_or_none(&text));
        }

        #[test]
        fn any_text_can_be_a_parameter(value in "\\PC{0,30}") {
            let (_, parsed) = parameter(&format!("name={value}")).unwrap();
            prop_assert!(parsed == Value::String(value.clone()) || serde_json::from_str::<Value>(&value).is_ok());
        }
    }
}
