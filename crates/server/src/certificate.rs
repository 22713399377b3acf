//! A certificate of Haechi's own, for a site that has none: signed by itself, for the names that a browser may use.
//!
//! Nothing is kept here; who made it keeps it. Whom a browser should trust is for people to say: they compare the
//! fingerprint once.

use anyhow::Context;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// Days from now that a certificate counts; with the day before, for clocks that are behind, less than the 398 that
/// browsers take at most.
const DAYS: i64 = 396;

/// The beginning of a day (UTC), as the certificate's maker writes it.
macro_rules! midnight {
    ($day:expr) => {{
        let day = $day;
        let (month, date) = (u8::try_from(day.month())?, u8::try_from(day.day())?);
        rcgen::date_time_ymd(day.year().into(), month, date)
    }};
}

/// Makes a certificate for these names and addresses, and its key: both PEM.
///
/// # Errors
/// There is no name, one of them cannot be in a certificate, or no key can be made.
pub fn make(names: &[String]) -> anyhow::Result<(String, String)> {
    anyhow::ensure!(!names.is_empty(), "a certificate needs a name");
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Haechi");
    params.distinguished_name = name;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    params.not_before = midnight!(today.yesterday()?);
    params.not_after = midnight!(today.checked_add(DAYS.days())?);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// SHA-256 of the first certificate, as browsers show it: `AB:CD:…`.
///
/// # Errors
/// There is no certificate in the text.
pub fn fingerprint(certificate: &str) -> anyhow::Result<String> {
    let bytes = Sha256::digest(first(certificate)?);
    Ok(bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// When the first certificate ends.
///
/// # Errors
/// There is no certificate in the text, or its end is no time.
pub fn ends(certificate: &str) -> anyhow::Result<Timestamp> {
    let der = first(certificate)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der)?;
    Ok(Timestamp::from_second(parsed.validity().not_after.timestamp())?)
}

fn first(certificate: &str) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).context("no certificate (PEM)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_its_names_and_ends_within_what_browsers_take() {
        let names = ["localhost", "127.0.0.1", "::1", "box.example"].map(str::to_owned);
        let (certificate, key) = make(&names).unwrap();
        assert!(key.contains("PRIVATE KEY"));
        let der = first(&certificate).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let sans = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(sans.value.general_names.len(), names.len());
        assert!(!parsed.is_ca());
        let days =
            (ends(&certificate).unwrap() - Timestamp::now()).total(jiff::Unit::Hour).unwrap();
        assert!((390.0 * 24.0..398.0 * 24.0).contains(&days), "{days}");
        let fingerprint = fingerprint(&certificate).unwrap();
        assert_eq!(fingerprint.len(), 32 * 3 - 1);
    }

    #[test]
    fn no_name_and_no_certificate_are_told() {
        assert!(make(&[]).is_err());
        assert!(make(&["가".to_owned()]).is_err());
        assert!(fingerprint("").is_err());
        assert!(ends("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----").is_err());
    }
}
