//! Rules on extensions (RFC 5280 §4.2).

use super::{Outcome, error, warning};
use crate::certificate::{Certificate, ExtendedKeyUsage, KeyUsages};
use crate::der::oid;
use crate::name::is_dns_name;
use std::net::IpAddr;

/// What is understood here, and so may be critical. Policies are: every one is acceptable to us.
const UNDERSTOOD: [&[u8]; 11] = [
    oid::AUTHORITY_KEY_ID,
    oid::SUBJECT_KEY_ID,
    oid::KEY_USAGE,
    oid::CERTIFICATE_POLICIES,
    oid::SUBJECT_ALT_NAME,
    oid::BASIC_CONSTRAINTS,
    oid::NAME_CONSTRAINTS,
    oid::EXTENDED_KEY_USAGE,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::AUTHORITY_INFO_ACCESS,
    // That it is no certificate is said where certificates are asked for.
    oid::CT_POISON,
];

pub(super) fn authority_key_identifier(it: &Certificate) -> Outcome {
    let present = it.authority_key_id().is_some();
    if present || it.is_self_issued() { Ok(()) } else { error("the issuer's key is not identified") }
}

pub(super) fn subject_key_identifier(it: &Certificate) -> Outcome {
    match (it.subject_key_id(), it.is_ca()) {
        (None, true) => error("a CA's key is not identified"),
        (None, false) => warning("its key is not identified"),
        (Some([]), _) => error("the key's identifier is empty"),
        (Some(_), _) => Ok(()),
    }
}

pub(super) fn key_usage(it: &Certificate) -> Outcome {
    let Some(usages) = it.key_usages() else {
        return if it.is_ca() {
            error("a CA doesn't say what its key may be used for")
        } else {
            warning("it doesn't say what its key may be used for")
        };
    };
    let signs = usages.contains(KeyUsages::KEY_CERT_SIGN);
    if usages.is_empty() {
        return error("its key may be used for nothing");
    }
    if signs && !it.is_ca() {
        return error("its key may sign certificates, and it is no CA");
    }
    if it.is_ca() && !signs {
        return error("a CA's key may not sign certificates");
    }
    if it.parts().extensions.is_critical(oid::KEY_USAGE) == Some(false) {
        return warning("the key usage is not critical");
    }
    Ok(())
}

pub(super) fn alternative_names(it: &Certificate) -> Outcome {
    let extensions = &it.parts().extensions;
    let serves =
        it.extended_key_usages().is_some_and(|usages| usages.contains(&ExtendedKeyUsage::ServerAuth));
    if serves && !it.is_ca() && it.names().dns().is_empty() && it.names().ips().is_empty() {
        return error("a server has neither a DNS name nor an address");
    }
    if let Some(name) = it.names().dns().iter().find(|name| !is_dns_name(name)) {
        let name: String = name.escape_default().take(80).collect();
        return error(format!("`{name}` is no DNS name"));
    }
    if extensions.is_critical(oid::SUBJECT_ALT_NAME) == Some(true) && !it.subject().is_empty() {
        return warning("the alternative names are critical although there is a subject");
    }
    Ok(())
}

pub(super) fn basic_constraints(it: &Certificate) -> Outcome {
    let extensions = &it.parts().extensions;
    match extensions.basic {
        Some(basic) if basic.path_len.is_some() && !basic.ca => {
            error("a path length is said of what is no CA")
        }
        Some(basic) if basic.ca && extensions.is_critical(oid::BASIC_CONSTRAINTS) == Some(false) => {
            error("a CA's basic constraints are not critical")
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn name_constraints(it: &Certificate) -> Outcome {
    match it.parts().extensions.is_critical(oid::NAME_CONSTRAINTS) {
        Some(_) if !it.is_ca() => error("names are constrained by what is no CA"),
        Some(false) => error("the name constraints are not critical"),
        Some(true) | None => Ok(()),
    }
}

pub(super) fn extended_key_usage(it: &Certificate) -> Outcome {
    let critical = it.parts().extensions.is_critical(oid::EXTENDED_KEY_USAGE) == Some(true);
    match it.extended_key_usages() {
        None if it.is_ca() => Ok(()),
        None => warning("it may be used for everything"),
        Some(usages) if usages.contains(&ExtendedKeyUsage::Any) && critical => {
            warning("every usage is allowed, and that is critical")
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn criticality(it: &Certificate) -> Outcome {
    // Each of these MUST NOT be critical (§4.2.1.1, §4.2.1.2, §4.2.2.1), the last SHOULD NOT (§4.2.1.13).
    let named = [
        (oid::AUTHORITY_KEY_ID, "authority key identifier"),
        (oid::SUBJECT_KEY_ID, "subject key identifier"),
        (oid::AUTHORITY_INFO_ACCESS, "authority information access"),
    ];
    let extensions = &it.parts().extensions;
    if let Some((_, name)) = named.into_iter().find(|(id, _)| extensions.is_critical(id) == Some(true)) {
        return error(format!("the {name} is critical"));
    }
    if extensions.is_critical(oid::CRL_DISTRIBUTION_POINTS) == Some(true) {
        return warning("the place of the revocation list is critical");
    }
    Ok(())
}

pub(super) fn unknown_critical(it: &Certificate) -> Outcome {
    let unknown = |extension: &&crate::certificate::extensions::Extension| {
        extension.critical && !UNDERSTOOD.contains(&&extension.oid[..])
    };
    match it.parts().extensions.all.iter().find(unknown) {
        Some(extension) => {
            error(format!("the critical extension {} is not understood", oid::dotted(&extension.oid)))
        }
        None => Ok(()),
    }
}

pub(super) fn common_name(it: &Certificate) -> Outcome {
    let serves =
        it.extended_key_usages().is_some_and(|usages| usages.contains(&ExtendedKeyUsage::ServerAuth));
    let Some(name) = it.subject().common_name().filter(|_| serves && !it.is_ca()) else { return Ok(()) };
    let address: Option<IpAddr> = name.parse().ok();
    let listed = it.names().dns().contains(&name.to_ascii_lowercase())
        || address.is_some_and(|address| it.names().ips().contains(&address));
    if listed {
        return Ok(());
    }
    warning(format!("the common name `{name}` is none of the alternative names, and so names nothing"))
}
