//! A certificate and its key for encrypted connections, by rustls with ring. It does not know what travels on them.

use std::{fs::File, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What a server shows to prove who it is.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads a chain of certificates and a private key, both as PEM. HTTP/1.1 and HTTP/2 are offered.
    ///
    /// # Errors
    /// A file cannot be read, or they do not belong together. One line.
    pub fn open(certificates: &Path, key: &Path) -> Result<Self, String> {
        let file = |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
        let (chain, secret) = (file(certificates)?, file(key)?);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_reader_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{}: {error}", certificates.display()))?;
        if chain.is_empty() {
            return Err(format!("{}: there is no certificate in it", certificates.display()));
        }
        let secret = PrivateKeyDer::from_pem_reader(secret).map_err(|error| format!("{}: {error}", key.display()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
        let mut config = config.map_err(|error| format!("{}: {error}", certificates.display()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The settings, for another listener with the same certificate.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
