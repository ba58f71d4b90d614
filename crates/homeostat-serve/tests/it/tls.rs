//! Encrypted connections, with a client that trusts one certificate.

use std::{fs::File, path::PathBuf, sync::Arc};

use homeostat_serve::Tls;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::lifecycle::{options, start};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[tokio::test]
async fn a_certificate_encrypts_connections() {
    let tls = Some(Tls::open(&fixture("localhost.crt"), &fixture("localhost.key")).unwrap());
    let server =
        tokio::task::spawn_blocking(|| start(homeostat_serve::ServerOptions { tls, ..options() })).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_reader(File::open(fixture("localhost.crt")).unwrap()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.http).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    // A server may close without saying so once its answer is whole.
    let _ = stream.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"live\":true"), "{text}");
    // Who does not encrypt is not answered.
    let mut plain = TcpStream::connect(server.http).await.unwrap();
    plain.write_all(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    let _ = plain.read_to_end(&mut text).await;
    assert!(!text.starts_with(b"HTTP"));
    server.end();
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let (certificate, key) = (fixture("localhost.crt"), fixture("localhost.key"));
    for (chain, secret, named) in [
        (fixture("none"), key.clone(), "none"),
        (certificate.clone(), fixture("none"), "none"),
        (key.clone(), key, "localhost.key"),
        (certificate.clone(), certificate, "localhost.crt"),
    ] {
        let problem = Tls::open(&chain, &secret).unwrap_err();
        assert!(problem.contains(named) && !problem.contains('\n'), "{problem}");
    }
}
