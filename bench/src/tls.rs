//! TLS in front of the embedded cloud, as AWS's endpoints have it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::OsRng;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{CipherSuite, ServerConfig};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// Amazon's roots, which a deployed function reads before it can trust any server.
const ROOTS: &str = include_str!("../../shared/src/amazon-roots.pem");

/// A TLS server that passes on what it gets. Dropped, it stops.
pub(crate) struct Front {
    address: SocketAddr,
    root: NamedTempFile,
    roots: NamedTempFile,
    server: JoinHandle<()>,
}

impl Front {
    /// In front of `cloud`, an address on this machine.
    pub(crate) async fn before(cloud: SocketAddr) -> Result<Self> {
        let (server, authority) = certified()?;
        let (mut root, mut roots) = (NamedTempFile::new()?, NamedTempFile::new()?);
        write!(root, "{authority}")?;
        write!(roots, "{ROOTS}{authority}")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { drop(pass(acceptor, client, cloud).await) });
            }
        });
        Ok(Self { address, root, roots, server })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The certificates to trust, in PEM: Amazon's, and the one that this server's is of.
    pub(crate) fn roots(&self) -> String {
        self.roots.path().to_string_lossy().into_owned()
    }

    /// The last of them alone.
    pub(crate) fn root(&self) -> String {
        self.root.path().to_string_lossy().into_owned()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(acceptor: TlsAcceptor, client: TcpStream, cloud: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut cloud = TcpStream::connect(cloud).await?;
    cloud.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut cloud).await.map(drop)
}

/// A server's configuration with a certificate of its own, and the authority at its chain's end, in PEM. The chain is
/// that of DynamoDB's endpoints: an authority between the two, and keys of RSA, which are cheaper to verify than others.
fn certified() -> Result<(ServerConfig, String)> {
    let root = CertifiedIssuer::self_signed(authority("bench's root"), rsa()?)?;
    let between = CertifiedIssuer::signed_by(authority("bench's authority"), rsa()?, &root)?;
    let key = rsa()?;
    let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &between)?;
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone(), between.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // What AWS's servers choose, as CloudTrail tells of each call in `tlsDetails`; clients put another one first.
    config.ignore_client_order = true;
    // DynamoDB speaks nothing newer.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, root.pem()))
}

fn authority(name: &str) -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Each by a name of its own: who bears their issuer's name is taken for self-signed.
    authority.distinguished_name.push(DnType::CommonName, name);
    authority
}

fn rsa() -> Result<KeyPair> {
    let key = RsaPrivateKey::new(&mut OsRng, 2048)?.to_pkcs8_der()?;
    let key = PrivatePkcs8KeyDer::from(key.as_bytes());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_RSA_SHA256)?)
}
