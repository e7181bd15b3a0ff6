//! Which authorities may issue for a name: CAA records (RFC 8659), with accounts and methods (RFC 8657).
//!
//! Pure: from the records of one name to a verdict. Climbing from a name to those above it is `network`'s. A critical
//! property that is not understood forbids, and so does a value that can't be read: what somebody wrote there was meant
//! to restrict.

/// A CAA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRecord {
    /// The flags octet; 128 is *critical*.
    pub flags: u8,
    /// The property's name, in any case.
    pub tag: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// For whom, and how it was proven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What the authority is called in CAA records.
    pub(crate) authorities: &'a [String],
    pub(crate) wildcard: bool,
    pub(crate) account_url: &'a str,
    pub(crate) method: &'a str,
}

/// The critical bit of the flags.
const CRITICAL: u8 = 128;

/// Whether the records, which are the relevant ones of a name (RFC 8659, 3), allow to issue; otherwise why not.
pub(crate) fn permits(records: &[CaaRecord], asked: Asked<'_>) -> Result<(), String> {
    let has = |record: &&CaaRecord, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    const KNOWN: [&str; 5] = ["issue", "issuewild", "iodef", "contactemail", "contactphone"];
    let unknown = |record: &&CaaRecord| {
        record.flags & CRITICAL != 0 && !KNOWN.iter().any(|tag| record.tag.eq_ignore_ascii_case(tag))
    };
    if let Some(record) = records.iter().find(unknown) {
        return Err(format!("the critical property {:?} is not understood", record.tag));
    }
    let wild = records.iter().filter(|record| has(record, "issuewild"));
    // Where a name has `issuewild`, wildcards follow that alone (RFC 8659, 4.3).
    let tag = if asked.wildcard && wild.count() > 0 { "issuewild" } else { "issue" };
    let relevant: Vec<&CaaRecord> = records.iter().filter(|record| has(record, tag)).collect();
    if relevant.is_empty() || relevant.iter().any(|record| allows(&record.value, asked)) {
        return Ok(());
    }
    Err(format!("no `{tag}` property names this authority, this account and this method"))
}

/// Whether one property's value names the authority, and its parameters fit.
fn allows(value: &[u8], asked: Asked<'_>) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    let is_named = asked.authorities.iter().any(|authority| authority.eq_ignore_ascii_case(issuer));
    is_named && parts.filter(|part| !part.is_empty()).all(|parameter| fits(parameter, asked))
}

fn fits(parameter: &str, asked: Asked<'_>) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let (name, value) = (name.trim(), value.trim());
    if name.eq_ignore_ascii_case("accounturi") {
        value == asked.account_url
    } else if name.eq_ignore_ascii_case("validationmethods") {
        value.split(',').any(|method| method.trim() == asked.method)
    } else {
        // A parameter is the authority's to define (RFC 8659, 4.2); what was not defined restricts nothing.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(tag: &str, value: &str) -> CaaRecord {
        CaaRecord { flags: 0, tag: tag.into(), value: value.into() }
    }

    fn verdict(records: &[CaaRecord], wildcard: bool) -> bool {
        let authorities = ["ca.test".to_owned()];
        let asked =
            Asked { authorities: &authorities, wildcard, account_url: "https://a/1", method: "dns-01" };
        permits(records, asked).is_ok()
    }

    #[test]
    fn only_an_authority_that_is_named_may_issue() {
        assert!(verdict(&[], false));
        assert!(verdict(&[record("iodef", "mailto:a@b")], false));
        assert!(verdict(&[record("ISSUE", " CA.test ")], false));
        assert!(verdict(&[record("issue", "other.test"), record("issue", "ca.test; x=y")], false));
        for value in ["", ";", "other.test", "ca.test.other", "ca.test; broken", "%%%"] {
            assert!(!verdict(&[record("issue", value)], false), "{value:?}");
        }
    }

    #[test]
    fn wildcards_follow_their_own_property_where_there_is_one() {
        let records = [record("issue", "ca.test"), record("issuewild", ";")];
        assert_eq!((verdict(&records, false), verdict(&records, true)), (true, false));
        let records = [record("issue", ";"), record("issuewild", "ca.test")];
        assert_eq!((verdict(&records, false), verdict(&records, true)), (false, true));
        assert!(!verdict(&[record("issue", ";")], true));
        assert!(verdict(&[record("issuewild", ";")], false));
    }

    #[test]
    fn accounts_and_methods_are_minded() {
        assert!(verdict(
            &[record("issue", "ca.test; accounturi=https://a/1; validationmethods=http-01,dns-01")],
            false
        ));
        assert!(!verdict(&[record("issue", "ca.test; accounturi=https://a/2")], false));
        assert!(!verdict(&[record("issue", "ca.test; validationmethods=http-01")], false));
    }

    #[test]
    fn what_is_critical_and_not_understood_forbids() {
        let strange = CaaRecord { flags: 128, ..record("future", "x") };
        assert!(!verdict(&[strange.clone(), record("issue", "ca.test")], false));
        assert!(verdict(&[CaaRecord { flags: 1, ..strange }], false));
    }

    proptest! {
        #[test]
        fn a_value_that_does_not_begin_with_the_authority_never_allows(value in "\\PC{0,30}") {
            prop_assume!(!value.to_ascii_lowercase().contains("ca.test"));
            prop_assert!(!verdict(&[record("issue", &value)], false));
        }
    }
}
