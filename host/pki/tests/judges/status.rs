//! OCSP: `openssl ocsp` asks, and reads the answer.

use crate::support::{Bench, DAY_S, Hierarchy, has, hierarchy, key, order, said};
use hypermesh_model::Timestamp;
use hypermesh_pki::{
    KeyAlgorithm, OcspError, OcspRequest, Profile, Revocation, RevocationReason, SerialNumber,
};

/// The answer to a request file: this serial is revoked, others are good.
fn answer(bench: &Bench, hierarchy: &Hierarchy, revoked: Option<SerialNumber>) {
    let request = OcspRequest::from_der(&bench.read("request.der")).unwrap();
    let now = Timestamp::now();
    let at = now.minus_seconds(60);
    let status = |serial: &SerialNumber| {
        if Some(*serial) == revoked {
            Revocation::Revoked { at, reason: RevocationReason::KeyCompromise }
        } else {
            Revocation::Good
        }
    };
    let der = hierarchy.intermediate.sign_ocsp(&request, status, at, now.plus_seconds(DAY_S)).unwrap();
    bench.write("response.der", der);
}

#[test]
fn openssl_accepts_the_answers() {
    if !has("openssl", "openssl_accepts_the_answers") {
        return;
    }
    for (algorithm, hash) in [
        (KeyAlgorithm::EcdsaP256, "-sha1"),
        (KeyAlgorithm::EcdsaP256, "-sha256"),
        (KeyAlgorithm::EcdsaP384, "-sha1"),
        (KeyAlgorithm::Ed25519, "-sha1"),
    ] {
        let bench = Bench::new();
        let hierarchy = hierarchy(algorithm);
        hierarchy.write(&bench);
        let certificate = hierarchy.issue(&order(Profile::Server, key().public()));
        bench.write("leaf.pem", certificate.pem());
        let ask = ["ocsp", hash, "-issuer", "int.pem", "-cert", "leaf.pem"];
        bench.openssl(&[&ask[..], &["-reqout", "request.der"]].concat());
        let request = OcspRequest::from_der(&bench.read("request.der")).unwrap();
        assert!(request.is_for(&hierarchy.intermediate) && !request.is_for(&hierarchy.root));
        assert_eq!(request.serials().collect::<Vec<_>>(), [certificate.serial().unwrap()]);
        let read = ["-reqin", "request.der", "-respin", "response.der", "-CAfile", "root.pem"];
        for (revoked, status) in [(None, "leaf.pem: good"), (certificate.serial(), "leaf.pem: revoked")] {
            answer(&bench, &hierarchy, revoked);
            // With `-reqin` it checks the nonce too, and with `-cert` it looks for the certificate asked for.
            let nonce =
                bench.openssl(&[&["ocsp"][..], &read, &["-issuer", "int.pem", "-resp_text"]].concat());
            assert!(nonce.contains("Response verify OK") && !nonce.contains("WARNING"), "{nonce}");
            let text = bench.openssl(&[&ask[..], &read[2..], &["-no_nonce"]].concat());
            assert!(text.contains("Response verify OK") && text.contains(status), "{text}");
            assert_eq!(text.contains("keyCompromise"), revoked.is_some(), "{text}");
        }
    }
}

#[test]
fn a_certificate_of_another_issuer_is_unknown() {
    if !has("openssl", "a_certificate_of_another_issuer_is_unknown") {
        return;
    }
    let bench = Bench::new();
    let (ours, theirs) = (hierarchy(KeyAlgorithm::EcdsaP256), hierarchy(KeyAlgorithm::EcdsaP256));
    theirs.write(&bench);
    bench.write("leaf.pem", theirs.issue(&order(Profile::Server, key().public())).pem());
    let ask = ["ocsp", "-no_nonce", "-issuer", "int.pem", "-cert", "leaf.pem"];
    bench.openssl(&[&ask[..], &["-reqout", "request.der"]].concat());
    answer(&bench, &ours, None);
    let text = said(&bench.run("openssl", &[&ask[..], &["-respin", "response.der", "-noverify"]].concat()));
    assert!(text.contains("leaf.pem: unknown"), "{text}");
}

#[test]
fn a_request_is_read_from_a_url_too_and_noise_is_refused() {
    if !has("openssl", "a_request_is_read_from_a_url_too_and_noise_is_refused") {
        return;
    }
    let bench = Bench::new();
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    hierarchy.write(&bench);
    bench.write("leaf.pem", hierarchy.issue(&order(Profile::Server, key().public())).pem());
    bench.openssl(&["ocsp", "-issuer", "int.pem", "-cert", "leaf.pem", "-reqout", "request.der"]);
    let der = bench.read("request.der");
    let base64 = bench.openssl(&["base64", "-A", "-in", "request.der"]);
    let path = base64.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    assert_eq!(OcspRequest::from_get(&path), OcspRequest::from_der(&der));
    assert!(OcspRequest::from_der(&der).unwrap().has_nonce());
    assert_eq!(OcspRequest::from_get("%"), Err(OcspError::Base64));
    assert!(matches!(OcspRequest::from_der(&der[1..]), Err(OcspError::Malformed(_))));
    assert!(matches!(OcspRequest::from_der(&[&der[..], &[0]].concat()), Err(OcspError::Malformed(_))));
    assert!(matches!(OcspRequest::from_der(&[0; 5000]), Err(OcspError::TooLarge(5000))));
    let refusal = OcspRequest::from_der(&der[1..]).unwrap_err().response();
    bench.write("response.der", refusal);
    let text = said(&bench.run("openssl", &["ocsp", "-respin", "response.der", "-noverify"]));
    assert!(text.contains("malformedrequest"), "{text}");
}

#[test]
fn pkilint_finds_nothing_in_answers() {
    let test = "pkilint_finds_nothing_in_answers";
    if !has("lint_ocsp_response", test) || !has("openssl", test) {
        return;
    }
    let bench = Bench::new();
    let hierarchy = hierarchy(KeyAlgorithm::EcdsaP256);
    hierarchy.write(&bench);
    let certificate = hierarchy.issue(&order(Profile::Server, key().public()));
    bench.write("leaf.pem", certificate.pem());
    bench.openssl(&["ocsp", "-issuer", "int.pem", "-cert", "leaf.pem", "-reqout", "request.der"]);
    for revoked in [None, certificate.serial()] {
        answer(&bench, &hierarchy, revoked);
        let output = bench.run("lint_ocsp_response", &["lint", "-s", "WARNING", "response.der"]);
        assert!(output.status.success(), "{}", said(&output));
    }
}
