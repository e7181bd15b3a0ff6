//! Private keys: what is sealed here is opened there, and the other way round.

use crate::support::{Bench, has};
use hypermesh_pki::{KeyAlgorithm, KeyError, PrivateKey};

const ALL: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];

#[test]
fn openssl_opens_what_is_sealed_here_and_the_other_way_round() {
    if !has("openssl", "openssl_opens_what_is_sealed_here_and_the_other_way_round") {
        return;
    }
    for algorithm in ALL {
        let bench = Bench::new();
        let key = PrivateKey::generate(algorithm).unwrap();
        bench.write("sealed.pem", key.to_encrypted_pem(b"correct horse").unwrap());
        bench.openssl(&["pkcs8", "-in", "sealed.pem", "-passin", "pass:correct horse", "-out", "plain.pem"]);
        let plain = PrivateKey::from_pkcs8_pem(&bench.text("plain.pem")).unwrap();
        assert_eq!(plain.public(), key.public());
        let wrong = bench.run("openssl", &["pkcs8", "-in", "sealed.pem", "-passin", "pass:wrong"]);
        assert!(!wrong.status.success());
        let public = bench.openssl(&["pkey", "-in", "plain.pem", "-pubout"]);
        assert_eq!(public, key.public().pem());
        for how in [&["-scrypt"][..], &["-v2", "aes256"], &["-v2", "aes256", "-v2prf", "hmacWithSHA512"]] {
            let seal =
                ["pkcs8", "-topk8", "-in", "plain.pem", "-passout", "pass:battery", "-out", "theirs.pem"];
            bench.openssl(&[&seal[..], how].concat());
            let sealed = bench.text("theirs.pem");
            let opened = PrivateKey::from_encrypted_pem(&sealed, b"battery").unwrap();
            assert_eq!(opened.public(), key.public(), "{how:?}");
            let error = PrivateKey::from_encrypted_pem(&sealed, b"staple").unwrap_err();
            assert_eq!(error, KeyError::Passphrase, "{how:?}");
        }
        bench.openssl(&[
            "pkcs8",
            "-topk8",
            "-in",
            "plain.pem",
            "-passout",
            "pass:x",
            "-v2",
            "des3",
            "-out",
            "old.pem",
        ]);
        let old = PrivateKey::from_encrypted_pem(&bench.text("old.pem"), b"x");
        assert!(matches!(old, Err(KeyError::Encryption(_))), "{old:?}");
    }
}

#[test]
fn openssl_verifies_what_is_signed_here() {
    if !has("openssl", "openssl_verifies_what_is_signed_here") {
        return;
    }
    let bench = Bench::new();
    bench.write("message", b"message");
    for (algorithm, digest) in [(KeyAlgorithm::EcdsaP256, "-sha256"), (KeyAlgorithm::EcdsaP384, "-sha384")] {
        let key = PrivateKey::generate(algorithm).unwrap();
        bench.write("public.pem", key.public().pem()).write("signature", key.sign(b"message").unwrap());
        bench.openssl(&["dgst", digest, "-verify", "public.pem", "-signature", "signature", "message"]);
    }
}
