//! Certificates of the `--https` address: the administrator's, or ones of a local authority that is made here.
//!
//! Without certificates of its own an instance is its own authority: `tls/ca.pem` in the data root is what clients are
//! told to trust (`sampan admin ca` prints it), `tls/server.pem` is signed by it for this host's names and addresses, and
//! made anew a month before it ends or when the host has a name that it lacks. Spec: RFC 5280.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use jiff::ToSpan as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::config::{Config, host_name};

/// Their folder in the data root.
const FOLDER: &str = "tls";
/// The authority lasts so long.
const AUTHORITY_YEARS: i32 = 20;
/// A server's certificate lasts so long, and is made anew so long before.
const SERVER_DAYS: i32 = 120;
const RENEWED_DAYS: i32 = 30;

/// A certificate chain and its key, PEM, as the administrator's files have them.
#[derive(Clone)]
pub struct Given {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Given(…)")
    }
}

impl Given {
    /// Reads the files, which root alone may be able to.
    ///
    /// # Errors
    /// Which file, and why.
    pub fn read(certificate: &Path, key: &Path) -> std::io::Result<Self> {
        Ok(Self { certificate: std::fs::read(certificate)?, key: std::fs::read(key)? })
    }
}

/// The certificate that clients are shown; another one takes its place without a restart.
#[derive(Debug)]
pub struct Certificates {
    current: RwLock<Arc<CertifiedKey>>,
    /// Made here, and so renewed here.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    folder: PathBuf,
    names: BTreeSet<String>,
}

/// What is kept about a server's certificate beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    names: BTreeSet<String>,
    ends: Date,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificates {
    /// The given ones, or own ones, made when they are not there.
    ///
    /// # Errors
    /// What cannot be read or written, and what a file lacks.
    pub fn open(config: &Config, given: Option<Given>) -> anyhow::Result<Arc<Self>> {
        let (current, own) = match given {
            Some(given) => {
                (certified(&given.certificate, &given.key).context("the given certificate cannot be used")?, None)
            }
            None => {
                let own = Own { folder: config.data_root.join(FOLDER), names: config.own_names() };
                (own.current()?, Some(own))
            }
        };
        Ok(Arc::new(Self { current: RwLock::new(Arc::new(current)), own }))
    }

    /// Makes own ones anew when it is time; call it once a day.
    ///
    /// # Errors
    /// What cannot be read or written; the old one goes on.
    pub fn renew(&self) -> anyhow::Result<()> {
        if let Some(own) = &self.own {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own.current()?);
        }
        Ok(())
    }

    /// TLS 1.2 and 1.3 with them, HTTP/1.1 inside.
    ///
    /// # Errors
    /// When the library refuses its own defaults.
    pub fn server_config(self: Arc<Self>) -> anyhow::Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let mut config = builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The local authority's certificate, PEM.
///
/// # Errors
/// When there is none yet, says how it comes to be.
pub fn authority(data_root: &Path) -> anyhow::Result<String> {
    let path = data_root.join(FOLDER).join("ca.pem");
    std::fs::read_to_string(&path)
        .with_context(|| format!("{} is not there: start `sampan serve` once with --https", path.display()))
}

impl Own {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The server's certificate, made anew when it must be.
    fn current(&self) -> anyhow::Result<CertifiedKey> {
        match std::fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", self.folder.display()));
            }
            _ => {}
        }
        if !self.path("ca.pem").exists() {
            self.make_authority()?;
        }
        if !self.is_good()? {
            self.make_server()?;
        }
        certified(&self.read("server.pem")?, &self.read("server.key")?)
    }

    fn read(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Whether the server's certificate lasts and has all names.
    fn is_good(&self) -> anyhow::Result<bool> {
        let Ok(bytes) = std::fs::read(self.path("server.json")) else { return Ok(false) };
        let Ok(facts) = serde_json::from_slice::<Facts>(&bytes) else { return Ok(false) };
        let lasts = facts.ends > today().checked_add(RENEWED_DAYS.days())?;
        Ok(lasts && self.names.is_subset(&facts.names))
    }

    fn make_authority(&self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let name = format!("Sampan on {}", host_name());
        let mut parameters = authority_of(&name);
        last(&mut parameters, today().checked_add(AUTHORITY_YEARS.years())?)?;
        let certificate = parameters.self_signed(&key)?;
        // The certificate last: where it is, the others are.
        self.write("ca.name", name.as_bytes())?;
        self.write("ca.key", key.serialize_pem().as_bytes())?;
        self.write("ca.pem", certificate.pem().as_bytes())?;
        tracing::info!("a local certificate authority was made: `sampan admin ca` prints what clients must trust");
        Ok(())
    }

    fn make_server(&self) -> anyhow::Result<()> {
        let text = |name| String::from_utf8(self.read(name)?).with_context(|| format!("tls/{name} is no text"));
        let authority = text("ca.pem")?;
        let authority_parameters = authority_of(&text("ca.name")?);
        let issuer = Issuer::from_params(&authority_parameters, KeyPair::from_pem(&text("ca.key")?)?);
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(self.names.iter().cloned().collect::<Vec<_>>())?;
        parameters.distinguished_name.push(DnType::CommonName, host_name());
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let ends = today().checked_add(SERVER_DAYS.days())?;
        last(&mut parameters, ends)?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        let facts = Facts { names: self.names.clone(), ends };
        // Without the facts, which come last, the others are made anew.
        let _ = std::fs::remove_file(self.path("server.json"));
        self.write("server.key", key.serialize_pem().as_bytes())?;
        self.write("server.pem", format!("{}{authority}", certificate.pem()).as_bytes())?;
        self.write("server.json", serde_json::json!(facts).to_string().as_bytes())?;
        tracing::info!(names = ?self.names, %ends, "a server certificate was made");
        Ok(())
    }

    /// Whole or not there.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let (path, beside) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            std::io::Write::write_all(&mut file, bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What of the authority stands in the certificates that it signs.
fn authority_of(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// Reads a chain and its key, which must belong together.
fn certified(certificate: &[u8], key: &[u8]) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| anyhow::anyhow!("the certificate is no PEM: {error}"))?;
    anyhow::ensure!(!chain.is_empty(), "the certificate's file has no certificate");
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| anyhow::anyhow!("the key is no PEM: {error}"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).context("certificate and key do not fit")
}

fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// From yesterday on, since clocks of clients may be late, to the day `ends`.
fn last(parameters: &mut CertificateParams, ends: Date) -> anyhow::Result<()> {
    let day =
        |date: Date| date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs());
    parameters.not_before = day(today().checked_sub(1.days())?);
    parameters.not_after = day(ends);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    fn config(root: &Path, https: &str) -> Config {
        let mut config = Config::resolve(&Raw::default()).unwrap();
        config.data_root = root.to_owned();
        config.https = Some(https.parse().unwrap());
        config
    }

    fn shown(certificates: &Certificates) -> Vec<u8> {
        certificates.current.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn the_authority_stays_and_a_certificate_is_made_anew_only_when_it_must_be() {
        let root = tempfile::tempdir().unwrap();
        let first = Certificates::open(&config(root.path(), "127.0.0.1:1"), None).unwrap();
        let authority = authority(root.path()).unwrap();
        assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
        let again = Certificates::open(&config(root.path(), "127.0.0.1:1"), None).unwrap();
        assert_eq!(shown(&first), shown(&again));
        // Another address.
        let other = Certificates::open(&config(root.path(), "192.0.2.7:1"), None).unwrap();
        assert_ne!(shown(&first), shown(&other));
        // Its end is near.
        let facts = root.path().join("tls/server.json");
        let mut near: Facts = serde_json::from_slice(&std::fs::read(&facts).unwrap()).unwrap();
        near.ends = today().checked_add(RENEWED_DAYS.days()).unwrap();
        std::fs::write(&facts, serde_json::json!(near).to_string()).unwrap();
        let before = shown(&other);
        other.renew().unwrap();
        assert_ne!(before, shown(&other));
        assert_eq!(super::authority(root.path()).unwrap(), authority);
    }

    #[test]
    fn a_certificate_and_a_key_that_do_not_fit_are_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [&one, &other] {
            Certificates::open(&config(root.path(), "127.0.0.1:1"), None).unwrap();
        }
        let (certificate, key) = (one.path().join("tls/server.pem"), other.path().join("tls/server.key"));
        let given = |certificate: &Path, key: &Path| Some(Given::read(certificate, key).unwrap());
        let settings = config(one.path(), "127.0.0.1:1");
        assert!(Certificates::open(&settings, given(&certificate, &key)).is_err());
        assert!(Certificates::open(&settings, given(&certificate, &one.path().join("tls/server.key"))).is_ok());
        assert!(Certificates::open(&settings, given(&key, &key)).is_err());
    }
}
