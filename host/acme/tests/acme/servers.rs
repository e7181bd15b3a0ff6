//! What clients run to answer challenges: a web server and a TLS server on loopback.

use crate::der;
use crate::keys::{CertificateKey, sha256};
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A web server whose answer to each path is whatever a function says, byte by byte. Says its port.
pub(crate) async fn web(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    request.push(byte);
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let _ = stream.write_all(answer(&path).as_bytes()).await;
            });
        }
    });
    port
}

/// What a TLS server of the tests shows.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) names: Vec<String>,
    pub(crate) key_authorization: String,
    pub(crate) critical: bool,
    pub(crate) protocol: &'static [u8],
    pub(crate) only_tls12: bool,
}

/// A TLS server that shows whatever is in the cell, and answers one request over HTTP. Says its port.
pub(crate) async fn tls(shown: Arc<Mutex<Option<Shown>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(shown) = shown.lock().unwrap().clone() else { continue };
            let config = Arc::new(tls_config(&shown));
            tokio::spawn(async move {
                if let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                    // Ends the connection without a word, as many servers do.
                    let answer = format!("HTTP/1.1 200 OK\r\n\r\n{}", shown.key_authorization);
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.flush().await;
                }
            });
        }
    });
    port
}

fn tls_config(shown: &Shown) -> ServerConfig {
    let key = CertificateKey::new();
    let names: Vec<&str> = shown.names.iter().map(String::as_str).collect();
    let digest = sha256(shown.key_authorization.as_bytes());
    let extensions = [der::alternative_names(&names), der::acme_identifier(&digest, shown.critical)].concat();
    let certificate =
        der::certificate(&[1], Some("challenge"), &key.spki(), &extensions, |bytes| key.sign(bytes));
    let pkcs8 = key.0.to_pkcs8v1().unwrap().as_ref().to_vec();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).unwrap();
    // Not through `with_single_cert`, which refuses critical extensions that it does not know.
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate)], signing);
    let versions: &[_] = if shown.only_tls12 {
        &[&rustls::version::TLS12]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config =
        builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![shown.protocol.to_vec()];
    config
}
